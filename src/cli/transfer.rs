//! Sending tokens from a wallet, with the refusal a person can act on.

use crate::{
    client::{TxOutcome, Wallet},
    types::{Address, Amount, format_tokens},
};
use anyhow::bail;
use std::time::Duration;

/// How long a transfer may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// Sends `amount` to `to` and waits for finality.
pub async fn transfer(wallet: &Wallet, to: Address, amount: Amount) -> anyhow::Result<TxOutcome> {
    let balance = wallet.chain().balance(wallet.address()).await?;
    if balance < amount.0 {
        bail!("account {} has {} CESS, cannot send {amount}", wallet.address(), format_tokens(balance));
    }
    Ok(wallet.send_and_wait(to, amount.0, Default::default(), FINAL_DEADLINE).await?)
}
