//! Sending tokens from a wallet, with the refusal a person can act on.

use crate::{
    client::{TxOutcome, Wallet},
    ledger::native::Call,
    types::{Address, Amount, U256, format_tokens},
};
use anyhow::bail;
use std::time::Duration;

/// How long a transfer may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// Sends `amount` to `to` and waits for finality.
pub async fn transfer(wallet: &Wallet, to: Address, amount: Amount) -> anyhow::Result<TxOutcome> {
    transfer_all(wallet, &[(to, amount)]).await
}

/// Sends to several accounts in one transaction, all or none, and waits for finality.
pub async fn transfer_all(wallet: &Wallet, transfers: &[(Address, Amount)]) -> anyhow::Result<TxOutcome> {
    let balance = wallet.chain().balance(wallet.address()).await?;
    let sum = transfers.iter().fold(U256::ZERO, |sum, (_, amount)| sum.saturating_add(amount.0));
    if balance < sum {
        let (balance, sum) = (format_tokens(balance), format_tokens(sum));
        bail!("account {} has {balance} CESS, cannot send {sum}", wallet.address());
    }
    let call = |(to, amount): &(Address, Amount)| Call { to: *to, value: amount.0, data: Default::default() };
    Ok(wallet.send_batch_and_wait(transfers.iter().map(call).collect(), None, FINAL_DEADLINE).await?)
}
