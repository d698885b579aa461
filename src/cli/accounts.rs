//! `accounts` and `send`.

use super::{
    Global, Usage,
    output::{Output, table},
    target::Target,
    transfer::{transfer, transfer_all},
};
use crate::{
    client::{Wallet, dev_accounts},
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
    /// Further accounts and amounts, all in one transaction that moves all or none; for native accounts
    #[arg(value_name = "TO AMOUNT")]
    more: Vec<String>,
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
    if !args.more.is_empty() {
        return send_all(&wallet, &args, output).await;
    }
    let outcome = transfer(&wallet, args.to, args.amount).await?;
    let document = serde_json::json!({
        "from": wallet.address(), "to": args.to, "amount": args.amount.0, "tx": outcome.tx, "block": outcome.height,
    });
    output.document(&document, |_| {
        format!("sent {} CESS to {} (block {}, transaction {})", args.amount, args.to, outcome.height, outcome.tx)
    })
}

async fn send_all(wallet: &Wallet, args: &SendArgs, output: &Output) -> anyhow::Result<()> {
    let mut transfers = vec![(args.to, args.amount)];
    for pair in args.more.chunks(2) {
        transfers.push(transfer_of(pair)?);
    }
    let outcome = transfer_all(wallet, &transfers).await?;
    let listed = transfers.iter().map(|(to, amount)| serde_json::json!({ "to": to, "amount": amount.0 }));
    let document = serde_json::json!({
        "from": wallet.address(), "transfers": listed.collect::<Vec<_>>(), "tx": outcome.tx, "block": outcome.height,
    });
    output.document(&document, |_| {
        format!("sent to {} accounts (block {}, transaction {})", transfers.len(), outcome.height, outcome.tx)
    })
}

fn transfer_of(pair: &[String]) -> Result<(Address, Amount), Usage> {
    let [to, amount] = pair else {
        return Err(Usage(format!("`{}` is not followed by an amount", pair.concat())));
    };
    let to_account = to.parse().map_err(|_| Usage(format!("`{to}` is not an account")))?;
    let tokens = amount.parse().map_err(|e| Usage(format!("`{amount}` is not an amount: {e}")))?;
    Ok((to_account, tokens))
}
