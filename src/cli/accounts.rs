//! `accounts` and `send`.

use super::{
    Global,
    output::{Output, table},
    target::Target,
    transfer::transfer,
};
use crate::{
    client::dev_accounts,
    types::{Address, Amount, Profile, U256, format_tokens},
};
use clap::Args;
use serde::Serialize;

/// Arguments of `cess accounts`.
#[derive(Debug, Args)]
pub struct AccountsArgs {
    /// Further accounts to show
    addresses: Vec<Address>,
}

/// Arguments of `cess send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Receiving account
    to: Address,
    /// Tokens, such as 1.5, or 1000wei
    amount: Amount,
}

#[derive(Serialize)]
struct AccountRow {
    address: Address,
    balance: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// Lists the localnet's funded accounts and any named ones.
pub async fn list(args: AccountsArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let status = target.chain.status().await?;
    let mut rows = Vec::new();
    if status.profile == Profile::Dev {
        for account in dev_accounts() {
            let key = Some(format!("0x{}", hex::encode(account.key.to_bytes())));
            rows.push((account.address, key));
        }
    }
    rows.extend(args.addresses.into_iter().map(|address| (address, None)));
    let mut listed = Vec::with_capacity(rows.len());
    for (address, key) in rows {
        listed.push(AccountRow { address, balance: target.chain.balance(address).await?, key });
    }
    output.document(&listed, |listed| {
        let row =
            |r: &AccountRow| vec![r.address.to_string(), format_tokens(r.balance), r.key.clone().unwrap_or_default()];
        table(&["address", "balance", "secret key"], &listed.iter().map(row).collect::<Vec<_>>())
    })
}

/// Sends tokens and waits until the transfer is final.
pub async fn send(args: SendArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let wallet = target.wallet(global).await?;
    let outcome = transfer(&wallet, args.to, args.amount).await?;
    let document = serde_json::json!({
        "from": wallet.address(), "to": args.to, "amount": args.amount.0, "tx": outcome.tx, "block": outcome.height,
    });
    output.document(&document, |_| {
        format!("sent {} CESS to {} (block {}, transaction {})", args.amount, args.to, outcome.height, outcome.tx)
    })
}
