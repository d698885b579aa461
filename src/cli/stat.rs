//! `stat`: where a file's fragments are, how they are, how often that was audited, and what keeping them costs.
//!
//! Owns the view over gateway and chain. Must not know audits. Invariant: what the chain does not tell is left out and said so, never guessed;
//! the fragments themselves are shown in any case.

use super::{
    Global,
    files::file_id,
    history::{LOOK_BACK_BLOCKS, each_event},
    output::{Output, short, table},
    space::{Shown, shown},
    target::Target,
    verdicts::{VerdictRow, verb},
};
use crate::{
    client::{
        ChainClient, ChainEvent, TaggedColumns, ask_module, ask_territory, audit_terms,
        gateway::{FileStat, FragmentStat},
        tags_of, territory,
    },
    ledger::{
        abi::{FILES, IFiles, ITerritory},
        audit::{Outcome, Verdict},
    },
    types::{Address, ByteCount, Height, U256, format_tokens},
};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;

/// Owners whose leases are shown.
const OWNERS_SHOWN: usize = 10;

/// Arguments of `cess stat`.
#[derive(Debug, Args)]
pub struct StatArgs {
    /// File id
    id: String,
    /// First block whose verdicts are counted [default: the newest 10,000]
    #[arg(long, value_name = "HEIGHT")]
    from: Option<Height>,
}

#[derive(Serialize)]
struct StatDocument {
    #[serde(flatten)]
    file: FileStat,
    /// Where the file is charged.
    leases: Vec<Lease>,
    /// One for each fragment index of all segments.
    columns: Vec<Column>,
    /// First block whose verdicts were counted.
    audited_from: Option<Height>,
}

/// What one owner pays.
#[derive(Serialize)]
struct Lease {
    owner: Address,
    /// Bytes of fragments the file is charged with.
    charged: u64,
    /// What they cost a day, as a part of the territory.
    charged_per_day: U256,
    territory: Shown,
}

/// Fragments of one index, which have one holder.
#[derive(Debug, Clone, Serialize)]
struct Column {
    column: u8,
    holder: Address,
    /// First block in which its holder had it, as far as it was looked.
    held_since: Height,
    /// The key epoch of its tags.
    tagged: Option<u64>,
    /// Rounds that asked for it and were passed.
    passed: u64,
    /// Rounds that asked for it and were not.
    faults: u64,
    newest: Option<NewestAudit>,
    /// Decided rounds that asked for it, as appeals left them.
    #[serde(skip)]
    rounds: BTreeMap<u64, (Height, Verdict)>,
}

impl Column {
    /// Counts the rounds.
    fn settle(&mut self) {
        let verdicts = || self.rounds.values().map(|(_, verdict)| *verdict);
        let passed = verdicts().filter(|verdict| verdict.service_passed() && verdict.spot == Outcome::Passed).count();
        let faults = verdicts().filter(|verdict| !verdict.service_passed()).count();
        let newest = self.rounds.last_key_value();
        self.newest = newest.map(|(round, (block, verdict))| NewestAudit {
            round: *round,
            block: *block,
            verdict: (*verdict).into(),
        });
        (self.passed, self.faults) = (wide(passed), wide(faults));
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).expect("a count fits 64 bits")
}

#[derive(Debug, Clone, Serialize)]
struct NewestAudit {
    round: u64,
    block: Height,
    verdict: VerdictRow,
}

/// Shows a file's segments, fragments and holders.
pub async fn stat(args: StatArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let id = file_id(&args.id)?;
    let target = Target::find(global)?;
    let file = target.gateway().await?.stat(id).await?;
    let chain = target.chain.as_ref();
    let leases = told(leases(chain, &file).await, "what the space costs", output).unwrap_or_default();
    let tags = told(tags_of(chain, id).await, "which columns have tags", output).unwrap_or_default();
    let mut columns = columns_of(&file, tags);
    let audited_from = told(count_audits(chain, &file, args.from, &mut columns).await, "how audits went", output);
    output.document(&StatDocument { file, leases, columns, audited_from }, describe)
}

/// The answer, or a note that there is none.
fn told<T, E: std::fmt::Display>(answer: Result<T, E>, what: &str, output: &Output) -> Option<T> {
    answer.map_err(|error| output.note(&format!("{what} is not known: {error}"))).ok()
}

async fn leases(chain: &dyn ChainClient, file: &FileStat) -> anyhow::Result<Vec<Lease>> {
    let height = chain.status().await?.height;
    let totals = ask_territory(chain, &ITerritory::totalsCall {}).await?;
    let mut found = Vec::new();
    for owner in file.owners.iter().copied().take(OWNERS_SHOWN) {
        let charge = ask_module(chain, FILES, &IFiles::chargeOfCall { id: file.id.into(), owner }).await?;
        let territory = shown(territory(chain, charge.territory).await?, height, &totals);
        let charged_per_day = (U256::from(charge.amount) * totals.unitPrice).div_ceil(U256::from(1u64 << 30));
        found.push(Lease { owner, charged: charge.amount, charged_per_day, territory });
    }
    Ok(found)
}

fn columns_of(file: &FileStat, tags: TaggedColumns) -> Vec<Column> {
    let fragments = file.segments.first().map(|segment| segment.fragments.as_slice()).unwrap_or_default();
    let column = |fragment: &FragmentStat| Column {
        column: fragment.index,
        holder: fragment.holder,
        held_since: file.block,
        tagged: tags.get(usize::from(fragment.index)).copied().flatten(),
        passed: 0,
        faults: 0,
        newest: None,
        rounds: BTreeMap::new(),
    };
    fragments.iter().map(column).collect()
}

/// Counts the decided rounds that opened after a holder had its column; returns the first block looked at.
async fn count_audits(
    chain: &dyn ChainClient,
    file: &FileStat,
    from: Option<Height>,
    columns: &mut [Column],
) -> anyhow::Result<Height> {
    let (terms, height) = (audit_terms(chain).await?, chain.status().await?.height);
    let from = file.block.max(from.unwrap_or(height.saturating_sub(LOOK_BACK_BLOCKS)));
    each_event(chain, from, height, |block, event| note(columns, file, &|round| terms.opened_at(round), block, event))
        .await?;
    columns.iter_mut().for_each(Column::settle);
    Ok(from)
}

fn note(columns: &mut [Column], file: &FileStat, opened_at: &dyn Fn(u64) -> Height, block: Height, event: &ChainEvent) {
    match event {
        ChainEvent::RepairCompleted { file: id, column, to, .. } if *id == file.id => {
            for known in columns.iter_mut().filter(|known| known.column == *column && known.holder == *to) {
                known.held_since = block;
                known.rounds.clear();
            }
        }
        ChainEvent::AuditDecided { miner, round, verdict, .. } => {
            let Some(verdict) = Verdict::decode(*verdict) else { return };
            let asked = |known: &&mut Column| known.holder == *miner && opened_at(*round) > known.held_since;
            for known in columns.iter_mut().filter(asked) {
                known.rounds.insert(*round, (block, verdict));
            }
        }
        ChainEvent::AppealDecided { miner, round, verdict, upheld: true, .. }
        | ChainEvent::AuditRefuted { miner, round, verdict, .. } => {
            let Some(ruled) = Verdict::decode(*verdict) else { return };
            for known in columns.iter_mut().filter(|known| known.holder == *miner) {
                known.rounds.entry(*round).and_modify(|(_, verdict)| *verdict = ruled);
            }
        }
        _ => {}
    }
}

fn describe(document: &StatDocument) -> String {
    let file = &document.file;
    let owners: Vec<String> = file.owners.iter().map(Address::to_string).collect();
    let mut out = format!(
        "file    {}\nsize    {}\nowner   {}\nblock   {}\ntx      {}\n",
        file.id,
        ByteCount(file.size),
        owners.join(", "),
        file.block,
        file.tx.map_or_else(|| "-".to_owned(), |tx| tx.to_string()),
    );
    for lease in &document.leases {
        out.push_str(&describe_lease(lease));
    }
    if let Some(from) = document.audited_from.filter(|from| *from > file.block) {
        let first = file.block;
        out.push_str(&format!(
            "audits  counted from block {from} on, older ones are not (`--from {first}` counts all)\n"
        ));
    }
    for segment in &file.segments {
        let healthy = segment.fragments.iter().filter(|f| f.healthy).count();
        out.push_str(&format!(
            "\nsegment {} {} {} ({healthy} of {} fragments healthy)\n",
            segment.index,
            short(&segment.id.to_string()),
            ByteCount(segment.len),
            segment.fragments.len()
        ));
        let rows: Vec<Vec<String>> = segment.fragments.iter().map(|f| cells(f, &document.columns)).collect();
        let header = ["#", "fragment", "size", "node", "holder", "state", "tagged", "audits passed", "newest"];
        out.push_str(&table(&header, &rows));
    }
    out
}

fn describe_lease(lease: &Lease) -> String {
    let record = &lease.territory.record;
    format!(
        "space   {} of `{}` (territory {}, {}), {} CESS a day; {:.2} days left, {} CESS a day for all {}\n",
        ByteCount(lease.charged),
        record.name,
        record.token,
        record.state.name(),
        format_tokens(lease.charged_per_day),
        lease.territory.remaining_days,
        format_tokens(lease.territory.price_per_day),
        ByteCount(record.size),
    )
}

fn cells(fragment: &FragmentStat, columns: &[Column]) -> Vec<String> {
    let column = columns.iter().find(|column| column.column == fragment.index);
    let tagged = match column.map(|column| column.tagged) {
        Some(Some(epoch)) => format!("epoch {epoch}"),
        Some(None) => "no".to_owned(),
        None => String::new(),
    };
    let passed = column.map_or_else(String::new, |column| match column.faults {
        0 => column.passed.to_string(),
        faults => format!("{}, not {faults}", column.passed),
    });
    let newest = column.and_then(|column| column.newest.as_ref());
    vec![
        fragment.index.to_string(),
        short(&fragment.id.to_string()),
        ByteCount(fragment.len).to_string(),
        fragment.node.clone(),
        short(&fragment.holder.to_string()),
        if fragment.healthy { "ok" } else { "missing" }.to_owned(),
        tagged,
        passed,
        newest.map_or_else(String::new, |audit| format!("{} round {}", verb(audit.verdict.verdict()), audit.round)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{TerritoryRecord, TerritoryState, gateway::SegmentStat},
        types::{Amount, FileId, FragmentId, SegmentId},
    };

    const ATTIC: Address = Address::repeat_byte(0x11);
    const CELLAR: Address = Address::repeat_byte(0x22);

    fn file() -> FileStat {
        let fragment = |index: u8, holder, node: &str| FragmentStat {
            index,
            id: FragmentId([0xf0 + index; 32]),
            len: 256 << 10,
            holder,
            node: node.to_owned(),
            healthy: index == 0,
        };
        let fragments = vec![fragment(0, ATTIC, "attic"), fragment(1, CELLAR, "cellar")];
        let segments = vec![SegmentStat { id: SegmentId([0x5e; 32]), index: 0, len: 1 << 20, fragments }];
        let (id, owners) = (FileId([0xab; 32]), vec![Address::repeat_byte(0x44)]);
        FileStat { id, size: 1 << 20, owners, tx: None, block: 30, segments }
    }

    fn lease() -> Lease {
        let record = TerritoryRecord {
            token: 7,
            owner: Address::repeat_byte(0x44),
            name: "photos".into(),
            size: 10 << 30,
            used: 3 << 20,
            paid: Amount::tokens(30).0,
            start: 1,
            deadline: 721,
            purge_from: 840,
            state: TerritoryState::Active,
            asked: U256::ZERO,
        };
        let price_per_day = Amount::tokens(10).0;
        let territory = Shown { free: 0, remaining_blocks: 600, remaining_days: 2.5, price_per_day, record };
        let charged_per_day = Amount::tokens(3).0 / U256::from(1_024);
        Lease { owner: Address::repeat_byte(0x44), charged: 3 << 20, charged_per_day, territory }
    }

    fn tags() -> TaggedColumns {
        std::array::from_fn(|column| (column == 0).then_some(2))
    }

    fn decided(miner: Address, round: u64, spot: Outcome) -> ChainEvent {
        let verdict = Verdict { spot, ..Verdict::default() }.encode();
        ChainEvent::AuditDecided { miner, round, verdict, strikes: 0, fined: U256::ZERO }
    }

    fn missed() -> u8 {
        Verdict { spot: Outcome::Missed, ..Verdict::default() }.encode()
    }

    #[test]
    fn only_rounds_after_the_holder_had_the_column_count() {
        let file = file();
        let mut columns = columns_of(&file, tags());
        let mut seen = |block, event: ChainEvent| note(&mut columns, &file, &|round| round * 20, block, &event);
        seen(38, decided(ATTIC, 1, Outcome::Passed));
        seen(58, decided(ATTIC, 2, Outcome::Passed));
        seen(59, decided(CELLAR, 2, Outcome::Passed));
        let repaired = |column, to| ChainEvent::RepairCompleted {
            file: file.id,
            column,
            to,
            from: Address::ZERO,
            bounty: U256::ZERO,
        };
        seen(70, repaired(1, CELLAR));
        seen(78, decided(CELLAR, 3, Outcome::Missed));
        seen(79, decided(ATTIC, 3, Outcome::NotDue));
        seen(98, decided(CELLAR, 4, Outcome::Missed));
        seen(99, ChainEvent::AppealDecided { appeal: 1, miner: ATTIC, round: 2, verdict: missed(), upheld: true });
        columns.iter_mut().for_each(Column::settle);
        let counted: Vec<_> = columns.iter().map(|c| (c.tagged, c.held_since, c.passed, c.faults)).collect();
        assert_eq!(counted, [(Some(2), 30, 0, 1), (None, 70, 0, 1)]);
        let newest: Vec<_> = columns.iter().filter_map(|c| c.newest.as_ref().map(|audit| audit.round)).collect();
        assert_eq!(newest, [3, 4]);
    }

    #[test]
    fn a_file_is_told_with_its_lease_and_its_audits() {
        let file = file();
        let mut columns = columns_of(&file, tags());
        note(&mut columns, &file, &|round| round * 20, 58, &decided(ATTIC, 2, Outcome::Passed));
        note(&mut columns, &file, &|round| round * 20, 58, &decided(CELLAR, 2, Outcome::Missed));
        columns.iter_mut().for_each(Column::settle);
        let document = StatDocument { file, leases: vec![lease()], columns, audited_from: Some(40) };
        let text = describe(&document);
        let expected = "space   3 MiB of `photos` (territory 7, active), 0.0029296875 CESS a day; 2.50 days left, 10 CESS a day for all 10 GiB\n\
             audits  counted from block 40 on, older ones are not (`--from 30` counts all)\n\
             \n\
             segment 0 5e5e5e…5e5e 1 MiB (1 of 2 fragments healthy)\n\
             #  fragment     size     node    holder       state    tagged   audits passed  newest\n\
             0  f0f0f0…f0f0  256 KiB  attic   111111…1111  ok       epoch 2  1              passed round 2\n\
             1  f1f1f1…f1f1  256 KiB  cellar  222222…2222  missing  no       0, not 1       missed round 2\n";
        assert!(text.ends_with(expected), "{text}");
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["segments"][0]["fragments"][0]["index"], 0);
        assert_eq!((&json["columns"][0]["tagged"], &json["leases"][0]["territory"]["token"]), (&2.into(), &7.into()));
    }
}
