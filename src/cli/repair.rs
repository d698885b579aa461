//! `repair`: columns that look for a new holder.

use super::{
    Global,
    names::Names,
    output::{Output, short, table},
    target::Target,
};
use crate::{
    client::{RepairOrder, repair_claim_blocks, repair_orders},
    types::{ByteCount, Height, format_tokens},
};
use clap::Subcommand;
use serde::Serialize;

/// Subcommands of `cess repair`.
#[derive(Debug, Subcommand)]
pub enum RepairCommand {
    /// List open orders and who has claimed them
    List,
}

#[derive(Serialize)]
struct RepairDocument {
    height: Height,
    claim_blocks: u64,
    orders: Vec<RepairOrder>,
}

/// Lists open orders.
pub async fn repair(command: RepairCommand, global: &Global, output: &Output) -> anyhow::Result<()> {
    let RepairCommand::List = command;
    let target = Target::find(global)?;
    let chain = target.chain.as_ref();
    let document = RepairDocument {
        height: chain.status().await?.height,
        claim_blocks: repair_claim_blocks(chain).await?,
        orders: repair_orders(chain).await?,
    };
    let names = Names::read(chain).await?;
    output.document(&document, |document| describe(document, &names))
}

fn describe(document: &RepairDocument, names: &Names) -> String {
    if document.orders.is_empty() {
        return "nothing waits for repair".to_owned();
    }
    let cells = |order: &RepairOrder| {
        let claim = match order.claimer {
            Some(claimer) if order.until >= document.height => {
                format!("{} until block {}", names.name(claimer), order.until)
            }
            Some(claimer) => format!("open, the claim of {} ended with block {}", names.name(claimer), order.until),
            None => "open".to_owned(),
        };
        vec![
            short(&order.file.to_string()),
            order.column.to_string(),
            ByteCount(order.bytes).to_string(),
            names.name(order.holder),
            format_tokens(order.bounty),
            claim,
        ]
    };
    let rows: Vec<Vec<String>> = document.orders.iter().map(cells).collect();
    let claimed = document.orders.iter().filter(|o| o.claimer.is_some() && o.until >= document.height).count();
    format!(
        "{}\n{} orders, {claimed} of them claimed; a claim lasts {} blocks",
        table(&["file", "column", "size", "holder", "bounty", "claim"], &rows),
        document.orders.len(),
        document.claim_blocks
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, FileId, U256};

    #[test]
    fn orders_are_open_claimed_or_open_again() {
        let (holder, claimer) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
        let order = |column, claimer, until| RepairOrder {
            file: FileId([0xab; 32]),
            column,
            holder,
            claimer,
            claimed_at: 1,
            until,
            bytes: 8 << 20,
            bounty: U256::ZERO,
        };
        let orders = vec![order(0, None, 0), order(3, Some(claimer), 130), order(4, Some(claimer), 99)];
        let names = Names::from([(holder, "attic"), (claimer, "cellar")].as_slice());
        assert_eq!(
            describe(&RepairDocument { height: 100, claim_blocks: 30, orders }, &names),
            "file         column  size   holder  bounty  claim\n\
             ababab…abab  0       8 MiB  attic   0       open\n\
             ababab…abab  3       8 MiB  attic   0       cellar until block 130\n\
             ababab…abab  4       8 MiB  attic   0       open, the claim of cellar ended with block 99\n\
             \n3 orders, 1 of them claimed; a claim lasts 30 blocks"
        );
        let none = RepairDocument { height: 1, claim_blocks: 30, orders: Vec::new() };
        assert_eq!(describe(&none, &names), "nothing waits for repair");
    }
}
