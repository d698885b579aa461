//! `space`: leasing, prolonging and trading space, and where it stands.

use super::{
    Global,
    output::{Output, table},
    target::Target,
};
use crate::{
    client::{
        ChainClient, TerritoryRecord, TerritoryState, TxOutcome, Wallet, ask_territory, territories_of, territory,
        territory_for, territory_named,
    },
    ledger::{
        abi::{
            FILES, IFiles,
            ITerritory::{self as abi},
            TERRITORY,
        },
        manifest::stored_bytes,
    },
    types::{Address, Amount, B256, ByteCount, FileId, Height, U256, format_tokens},
};
use alloy_sol_types::SolCall;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::time::Duration;

/// How long a call may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// Arguments of `cess space`.
#[derive(Debug, Args)]
pub struct SpaceArgs {
    #[command(subcommand)]
    command: SpaceCommand,
}

#[derive(Debug, Subcommand)]
enum SpaceCommand {
    /// Show what space costs and how much can be leased
    Quote(Lease),
    /// Lease space
    Buy {
        #[command(flatten)]
        lease: Lease,
        /// Its name among the account's territories
        #[arg(long, default_value = "default")]
        name: String,
    },
    /// Add space to a territory for the rest of its lease
    Expand {
        /// Name of the territory
        name: String,
        /// Further space, such as 10GiB
        size: ByteCount,
    },
    /// Prolong the lease of an active territory
    Renew(More),
    /// Continue a frozen territory; the time it was frozen is paid for, too
    Reactivate(More),
    /// Give a territory another name
    Rename {
        /// Its name now
        name: String,
        /// Its name from now on
        new: String,
    },
    /// Give an empty territory to another account
    Grant {
        /// Name of the territory
        name: String,
        /// Its new owner
        to: Address,
    },
    /// Offer an empty territory for a price
    Consign {
        /// Name of the territory
        name: String,
        /// Tokens, such as 12.5
        price: Amount,
    },
    /// Take an offer back
    Cancel {
        /// Name of the territory
        name: String,
    },
    /// Buy a territory that is on offer
    BuyOffer {
        /// Its number
        token: u64,
        /// Its name among the account's territories
        #[arg(long, default_value = "default")]
        name: String,
    },
    /// Describe a territory for an account, for anybody to pay
    Order {
        #[command(flatten)]
        lease: Lease,
        /// Its name among the receiver's territories
        #[arg(long, default_value = "default")]
        name: String,
        /// Who will own it [default: the account that signs]
        #[arg(long, value_name = "ADDRESS")]
        receiver: Option<Address>,
    },
    /// Pay an order
    Pay {
        /// Its number
        order: u64,
    },
    /// Charge a file to another territory
    Move {
        /// File id
        id: FileId,
        /// Name of the territory
        name: String,
    },
    /// List territories
    List {
        /// Whose [default: the account that signs]
        #[arg(long, value_name = "ADDRESS")]
        owner: Option<Address>,
    },
    /// Show a territory
    Show {
        /// Its name, or the number of anybody's
        name: String,
    },
}

/// How much for how long.
#[derive(Debug, Clone, Copy, Args)]
struct Lease {
    /// Space for fragments, such as 100GiB; a file takes three times its size
    size: ByteCount,
    /// For how many days
    #[arg(long, value_name = "N")]
    days: u32,
}

/// How much longer.
#[derive(Debug, Args)]
struct More {
    /// Name of the territory
    name: String,
    /// By how many days
    #[arg(long, value_name = "N")]
    days: u32,
}

/// What a call did.
#[derive(Serialize)]
struct Done {
    call: &'static str,
    account: Address,
    price: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    territory: Option<Shown>,
    tx: B256,
    block: Height,
}

/// A territory with what follows from the height.
#[derive(Serialize)]
pub struct Shown {
    /// The territory.
    #[serde(flatten)]
    pub record: TerritoryRecord,
    /// Bytes that files may still be charged with.
    pub free: u64,
    /// Blocks until it freezes.
    pub remaining_blocks: u64,
    /// The same in days, as leases count them.
    pub remaining_days: f64,
    /// What all of it costs a day.
    pub price_per_day: U256,
}

#[derive(Serialize)]
struct QuoteDocument {
    size: u64,
    days: u32,
    price: U256,
    unit_price: U256,
    available: U256,
    capacity: U256,
    leased: U256,
    used: U256,
}

/// The account that acts, and the chain it acts on.
struct Desk<'a> {
    wallet: Wallet,
    output: &'a Output,
}

/// Runs a subcommand.
pub async fn space(args: SpaceArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    if let SpaceCommand::Quote(lease) = args.command {
        return quote(target.chain.as_ref(), lease, output).await;
    }
    let desk = Desk { wallet: target.wallet(global).await?, output };
    match args.command {
        SpaceCommand::Quote(_) => Ok(()),
        SpaceCommand::List { owner } => desk.list(owner.unwrap_or(desk.account())).await,
        SpaceCommand::Show { name } => desk.show(&name).await,
        SpaceCommand::Buy { lease, name } => desk.buy(lease, &name).await,
        SpaceCommand::Order { lease, name, receiver } => {
            desk.order(lease, &name, receiver.unwrap_or(desk.account())).await
        }
        SpaceCommand::Pay { order } => desk.pay(order).await,
        SpaceCommand::BuyOffer { token, name } => desk.buy_offer(token, &name).await,
        other => desk.change(other).await,
    }
}

/// The territory a file of `size` bytes goes to, the one named or the one the chain would choose, if it has room for the file. Asked before
/// anything is uploaded.
pub async fn with_room(
    chain: &dyn ChainClient,
    owner: Address,
    name: Option<&str>,
    size: u64,
) -> anyhow::Result<TerritoryRecord> {
    let needed = stored_bytes(size);
    let Some(name) = name else { return Ok(territory_for(chain, owner, needed).await?) };
    let found = territory_named(chain, owner, name).await?;
    if found.state != TerritoryState::Active {
        let (state, deadline) = (found.state.name(), found.deadline);
        bail!("territory `{name}` is {state} since block {deadline} (try `cess space reactivate {name} --days 30`)");
    }
    if found.free() < needed {
        let (needed, free) = (ByteCount(needed), ByteCount(found.free()));
        bail!("the file takes {needed}, territory `{name}` has {free} free (try `cess space expand {name} SIZE`)");
    }
    Ok(found)
}

async fn quote(chain: &dyn ChainClient, lease: Lease, output: &Output) -> anyhow::Result<()> {
    let (size, days) = (lease.size.0, lease.days);
    let price = ask_territory(chain, &abi::quoteCall { size, leaseDays: days }).await?;
    let totals = ask_territory(chain, &abi::totalsCall {}).await?;
    let document = QuoteDocument {
        size,
        days,
        price,
        unit_price: totals.unitPrice,
        available: totals.available,
        capacity: totals.capacity,
        leased: totals.leased,
        used: totals.used,
    };
    output.document(&document, |d| {
        format!(
            "{} for {} days cost {} CESS ({} a GiB and day)\navailable  {}\nleased     {}, {} of it in use\ncapacity   {}",
            lease.size,
            d.days,
            format_tokens(d.price),
            format_tokens(d.unit_price),
            bytes(d.available),
            bytes(d.leased),
            bytes(d.used),
            bytes(d.capacity)
        )
    })
}

impl Desk<'_> {
    fn account(&self) -> Address {
        self.wallet.address()
    }

    fn chain(&self) -> &dyn ChainClient {
        self.wallet.chain().as_ref()
    }

    async fn ask<C: SolCall>(&self, call: &C) -> anyhow::Result<C::Return> {
        Ok(ask_territory(self.chain(), call).await?)
    }

    async fn mine(&self, name: &str) -> anyhow::Result<TerritoryRecord> {
        Ok(territory_named(self.chain(), self.account(), name).await?)
    }

    async fn buy(&self, lease: Lease, name: &str) -> anyhow::Result<()> {
        let (size, days) = (lease.size.0, lease.days);
        let price = self.ask(&abi::quoteCall { size, leaseDays: days }).await?;
        self.output.note(&format!("{} for {days} days: {} CESS", lease.size, format_tokens(price)));
        let call = abi::mintCall { size, leaseDays: days, name: name.to_owned() };
        let outcome = self.send(price, &call).await?;
        let token = self.mine(name).await?.token;
        self.done::<abi::mintCall>(price, token, outcome).await
    }

    async fn order(&self, lease: Lease, name: &str, receiver: Address) -> anyhow::Result<()> {
        let (size, days) = (lease.size.0, lease.days);
        let price = self.ask(&abi::quoteCall { size, leaseDays: days }).await?;
        let call = abi::orderCall { receiver, size, leaseDays: days, name: name.to_owned() };
        let outcome = self.send(U256::ZERO, &call).await?;
        let order = self.placed(&outcome).await?;
        let done = Done {
            call: "order",
            account: self.account(),
            price,
            order: Some(order),
            territory: None,
            tx: outcome.tx,
            block: outcome.height,
        };
        self.output.document(&done, |done| {
            format!(
                "order {order} for {receiver}, {} CESS (block {})\n\npay it with:\n  cess space pay {order}",
                format_tokens(done.price),
                done.block
            )
        })
    }

    /// The number of the order that a transaction placed.
    async fn placed(&self, outcome: &TxOutcome) -> anyhow::Result<u64> {
        for batch in self.chain().events(outcome.height, outcome.height).await? {
            for (tx, event) in batch.events {
                match event {
                    crate::client::ChainEvent::OrderPlaced { order, .. } if tx == outcome.tx => return Ok(order),
                    _ => {}
                }
            }
        }
        bail!("transaction {} placed no order", outcome.tx)
    }

    async fn pay(&self, order: u64) -> anyhow::Result<()> {
        let open = self.ask(&abi::getOrderCall { id: order }).await?;
        let price = self.ask(&abi::quoteCall { size: open.size, leaseDays: open.leaseDays }).await?;
        let (size, days) = (ByteCount(open.size), open.leaseDays);
        self.output.note(&format!("{size} for {days} days for {}: {} CESS", open.receiver, format_tokens(price)));
        let outcome = self.send(price, &abi::payCall { id: order }).await?;
        let token = territory_named(self.chain(), open.receiver, &open.name).await?.token;
        self.done::<abi::payCall>(price, token, outcome).await
    }

    async fn buy_offer(&self, token: u64, name: &str) -> anyhow::Result<()> {
        let offered = territory(self.chain(), token).await?;
        if offered.asked.is_zero() {
            bail!("territory {token} is not on offer");
        }
        self.output.note(&format!(
            "territory {token}, {}: {} CESS",
            ByteCount(offered.size),
            format_tokens(offered.asked)
        ));
        let outcome = self.send(offered.asked, &abi::buyCall { token, name: name.to_owned() }).await?;
        self.done::<abi::buyCall>(offered.asked, token, outcome).await
    }

    /// Calls that change a territory of the account's.
    async fn change(&self, command: SpaceCommand) -> anyhow::Result<()> {
        let (SpaceCommand::Expand { name, .. }
        | SpaceCommand::Renew(More { name, .. })
        | SpaceCommand::Reactivate(More { name, .. })
        | SpaceCommand::Rename { name, .. }
        | SpaceCommand::Grant { name, .. }
        | SpaceCommand::Consign { name, .. }
        | SpaceCommand::Cancel { name }
        | SpaceCommand::Move { name, .. }) = &command
        else {
            bail!("the command changes no territory");
        };
        let found = self.mine(name).await?;
        let token = found.token;
        match command {
            SpaceCommand::Expand { size, .. } => self.expand(&found, size).await,
            SpaceCommand::Renew(More { days, .. }) => self.renew(&found, days).await,
            SpaceCommand::Reactivate(More { days, .. }) => self.reactivate(&found, days).await,
            SpaceCommand::Rename { new, .. } => self.free_call(token, &abi::renameCall { token, name: new }).await,
            SpaceCommand::Grant { to, .. } => self.free_call(token, &abi::grantCall { token, to }).await,
            SpaceCommand::Consign { price, .. } => {
                self.free_call(token, &abi::consignCall { token, asked: price.0 }).await
            }
            SpaceCommand::Move { id, .. } => {
                let call = IFiles::reassignCall { id: id.into(), territory: token };
                let outcome = self.send_to(FILES, U256::ZERO, &call).await?;
                self.done::<IFiles::reassignCall>(U256::ZERO, token, outcome).await
            }
            _ => self.free_call(token, &abi::cancelCall { token }).await,
        }
    }

    async fn expand(&self, found: &TerritoryRecord, size: ByteCount) -> anyhow::Result<()> {
        let call = abi::expandCall { token: found.token, extra: size.0 };
        // The price falls with each block: what is too much comes back.
        let price = self.ask(&abi::quoteExpandCall { token: found.token, extra: size.0 }).await?;
        self.output.note(&format!("{size} for the rest of the lease: {} CESS", format_tokens(price)));
        self.rent(found, price, &call).await
    }

    async fn renew(&self, found: &TerritoryRecord, days: u32) -> anyhow::Result<()> {
        let call = abi::renewCall { token: found.token, leaseDays: days };
        let price = self.ask(&abi::quoteRenewCall { token: found.token, leaseDays: days }).await?;
        self.output.note(&format!("{days} days: {} CESS", format_tokens(price)));
        self.rent(found, price, &call).await
    }

    async fn reactivate(&self, found: &TerritoryRecord, days: u32) -> anyhow::Result<()> {
        let call = abi::reactivateCall { token: found.token, leaseDays: days };
        // The price grows with each block it stays frozen: a day more is sent along, and what is too much comes back.
        let price = self.ask(&abi::quoteRenewCall { token: found.token, leaseDays: days }).await?;
        let margin = self.ask(&abi::quoteCall { size: found.size, leaseDays: 1 }).await?;
        self.output.note(&format!("{days} days and the time it was frozen: {} CESS", format_tokens(price)));
        self.rent(found, price + margin, &call).await
    }

    /// Pays rent for a territory and tells what of the value sent was taken.
    async fn rent<C: SolCall>(&self, before: &TerritoryRecord, value: U256, call: &C) -> anyhow::Result<()> {
        let outcome = self.send(value, call).await?;
        let after = territory(self.chain(), before.token).await?;
        self.done::<C>(after.paid.saturating_sub(before.paid), before.token, outcome).await
    }

    async fn free_call<C: SolCall>(&self, token: u64, call: &C) -> anyhow::Result<()> {
        let outcome = self.send(U256::ZERO, call).await?;
        self.done::<C>(U256::ZERO, token, outcome).await
    }

    async fn send<C: SolCall>(&self, value: U256, call: &C) -> anyhow::Result<TxOutcome> {
        self.send_to(TERRITORY, value, call).await
    }

    async fn send_to<C: SolCall>(&self, module: Address, value: U256, call: &C) -> anyhow::Result<TxOutcome> {
        let (account, balance) = (self.account(), self.chain().balance(self.account()).await?);
        if balance < value {
            let (has, price) = (format_tokens(balance), format_tokens(value));
            bail!("account {account} has {has} CESS, the price is {price} (send it tokens with `cess send`)");
        }
        Ok(self.wallet.send_and_wait(module, value, call.abi_encode().into(), FINAL_DEADLINE).await?)
    }

    async fn done<C: SolCall>(&self, price: U256, token: u64, outcome: TxOutcome) -> anyhow::Result<()> {
        let territory = Some(self.shown(territory(self.chain(), token).await?).await?);
        let call = C::SIGNATURE.split('(').next().unwrap_or_default();
        let (account, tx, block) = (self.account(), outcome.tx, outcome.height);
        let done = Done { call, account, price, order: None, territory, tx, block };
        self.output.document(&done, |done| {
            let territory = done.territory.as_ref().map(describe).unwrap_or_default();
            let price = format_tokens(done.price);
            format!("{territory}\npaid       {price} CESS\nblock      {} (transaction {})", done.block, done.tx)
        })
    }

    /// What follows from the newest height.
    async fn shown(&self, record: TerritoryRecord) -> anyhow::Result<Shown> {
        let height = self.chain().status().await?.height;
        let totals = self.ask(&abi::totalsCall {}).await?;
        Ok(shown(record, height, &totals))
    }

    async fn list(&self, owner: Address) -> anyhow::Result<()> {
        let height = self.chain().status().await?.height;
        let totals = self.ask(&abi::totalsCall {}).await?;
        let found = territories_of(self.chain(), owner).await?;
        let rows: Vec<Shown> = found.into_iter().map(|record| shown(record, height, &totals)).collect();
        self.output.document(&rows, |rows| {
            if rows.is_empty() {
                return format!("{owner} has no territories (`cess space buy SIZE --days N` leases one)");
            }
            let cells: Vec<Vec<String>> = rows.iter().map(row).collect();
            table(&["token", "name", "size", "used", "free", "state", "days left", "on offer for"], &cells)
        })
    }

    async fn show(&self, name: &str) -> anyhow::Result<()> {
        let found = match (self.mine(name).await, name.parse()) {
            (Ok(found), _) => found,
            (Err(_), Ok(token)) => territory(self.chain(), token).await?,
            (Err(error), Err(_)) => return Err(error),
        };
        let shown = self.shown(found).await?;
        self.output.document(&shown, describe)
    }
}

/// What follows for a territory from the height.
pub fn shown(record: TerritoryRecord, height: Height, totals: &abi::Totals) -> Shown {
    let (remaining, day) = (record.deadline.saturating_sub(height), totals.dayBlocks.max(1));
    Shown {
        free: record.free(),
        remaining_blocks: remaining,
        remaining_days: (remaining as f64 / day as f64 * 100.0).floor() / 100.0,
        price_per_day: (U256::from(record.size) * totals.unitPrice).div_ceil(U256::from(1u64 << 30)),
        record,
    }
}

fn row(shown: &Shown) -> Vec<String> {
    let record = &shown.record;
    vec![
        record.token.to_string(),
        record.name.clone(),
        ByteCount(record.size).to_string(),
        ByteCount(record.used).to_string(),
        ByteCount(shown.free).to_string(),
        record.state.name().to_owned(),
        format!("{:.2}", shown.remaining_days),
        if record.asked.is_zero() { String::new() } else { format_tokens(record.asked) },
    ]
}

fn describe(shown: &Shown) -> String {
    let record = &shown.record;
    let life = match record.state {
        TerritoryState::Active => format!(
            "active until block {}, {:.2} days ({} blocks) left",
            record.deadline, shown.remaining_days, shown.remaining_blocks
        ),
        TerritoryState::Frozen => format!(
            "frozen since block {}; its files are released from block {} on (`cess space reactivate`)",
            record.deadline, record.purge_from
        ),
        TerritoryState::Lapsed => format!("lapsed with block {}; its files are being released", record.purge_from),
    };
    let offer = match record.asked.is_zero() {
        true => String::new(),
        false => format!("\non offer   for {} CESS", format_tokens(record.asked)),
    };
    format!(
        "territory  {} `{}`\nowner      {}\nsize       {}\nused       {}, {} free\nstate      {life}{offer}\nprice      {} \
         CESS a day, {} paid so far",
        record.token,
        record.name,
        record.owner,
        ByteCount(record.size),
        ByteCount(record.used),
        ByteCount(shown.free),
        format_tokens(shown.price_per_day),
        format_tokens(record.paid),
    )
}

/// A count of bytes that may be beyond 64 bits.
pub fn bytes(count: U256) -> String {
    u64::try_from(count).map_or_else(|_| format!("{count} B"), |count| ByteCount(count).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: TerritoryState, asked: u64) -> TerritoryRecord {
        TerritoryRecord {
            token: 7,
            owner: Address::repeat_byte(1),
            name: "attic".into(),
            size: 10 << 30,
            used: 1 << 30,
            paid: Amount::tokens(30).0,
            start: 1,
            deadline: 721,
            purge_from: 840,
            state,
            asked: Amount::tokens(asked).0,
        }
    }

    fn totals() -> abi::Totals {
        abi::Totals {
            territories: 1,
            leased: U256::ZERO,
            used: U256::ZERO,
            capacity: U256::ZERO,
            available: U256::ZERO,
            pool: U256::ZERO,
            unitPrice: Amount::tokens(1).0,
            dayBlocks: 240,
        }
    }

    #[test]
    fn a_territory_is_described_with_what_is_left() {
        let text = describe(&shown(record(TerritoryState::Active, 0), 601, &totals()));
        assert_eq!(
            text,
            format!(
                "territory  7 `attic`\nowner      {}\nsize       10 GiB\nused       1 GiB, 9 GiB free\nstate      active until \
                 block 721, 0.50 days (120 blocks) left\nprice      10 CESS a day, 30 paid so far",
                Address::repeat_byte(1)
            )
        );
        let text = describe(&shown(record(TerritoryState::Frozen, 5), 800, &totals()));
        assert!(text.contains("frozen since block 721; its files are released from block 840"), "{text}");
        assert!(text.contains("on offer   for 5 CESS"), "{text}");
        let cells = row(&shown(record(TerritoryState::Lapsed, 0), 900, &totals()));
        assert_eq!(cells, ["7", "attic", "10 GiB", "1 GiB", "9 GiB", "lapsed", "0.00", ""]);
    }
}
