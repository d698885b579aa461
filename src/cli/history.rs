//! What happened: events of a range of blocks, verdicts among them, and how fast blocks come.
//!
//! Must not know what the answers are for. Invariant: a range is read whole or the read fails.

use super::{
    target::Target,
    verdicts::{VerdictRow, words},
};
use crate::{
    client::{ChainClient, ChainEvent, EVENTS_MAX_BLOCKS},
    ledger::audit::Verdict,
    types::{Address, Height, Params, U256, format_tokens},
};
use serde::Serialize;
use serde_json::{Value, json};

/// Blocks a command looks back, unless it is told otherwise.
pub const LOOK_BACK_BLOCKS: u64 = 10_000;
/// Blocks over which the pace of blocks is measured.
const PACE_BLOCKS: u64 = 50;

/// Calls `seen` with every event of blocks `from..=to`, in order.
pub async fn each_event(
    chain: &dyn ChainClient,
    from: Height,
    to: Height,
    mut seen: impl FnMut(Height, &ChainEvent),
) -> anyhow::Result<()> {
    // Genesis has no events.
    let mut next = from.max(1);
    while next <= to {
        let last = to.min(next.saturating_add(EVENTS_MAX_BLOCKS - 1));
        for batch in chain.events(next, last).await? {
            batch.events.iter().for_each(|(_, event)| seen(batch.height, event));
        }
        next = last + 1;
    }
    Ok(())
}

/// A decided round of one miner.
#[derive(Debug, Clone, Serialize)]
pub struct AuditRow {
    /// Whose.
    pub miner: Address,
    /// The round.
    pub round: u64,
    /// Height of the decision.
    pub block: Height,
    /// What was decided; nothing if this program does not know the number.
    pub verdict: Option<VerdictRow>,
    /// The same in words.
    pub words: String,
    /// Faults in a row after it.
    pub strikes: u32,
    /// What it cost.
    pub fined: U256,
}

impl AuditRow {
    /// The row of an event, if it is a decision.
    pub fn of(block: Height, event: &ChainEvent) -> Option<Self> {
        let ChainEvent::AuditDecided { miner, round, verdict, strikes, fined } = event else { return None };
        let known = Verdict::decode(*verdict);
        Some(Self {
            miner: *miner,
            round: *round,
            block,
            verdict: known.map(VerdictRow::from),
            words: known.map_or_else(|| format!("verdict {verdict}"), words),
            strikes: *strikes,
            fined: *fined,
        })
    }

    /// Takes over what an appeal about this round, or its answer shown to the chain, changed.
    pub fn appeal(&mut self, event: &ChainEvent) {
        let (miner, round, verdict, why) = match event {
            ChainEvent::AppealDecided { appeal, miner, round, verdict, upheld: true } => {
                (miner, round, verdict, format!("appeal {appeal}"))
            }
            ChainEvent::AuditRefuted { miner, round, verdict, .. } => {
                (miner, round, verdict, "shown to the chain".to_owned())
            }
            _ => return,
        };
        if let Some(known) = Verdict::decode(*verdict).filter(|_| *miner == self.miner && *round == self.round) {
            self.verdict = Some(known.into());
            self.words = format!("{} ({why})", words(known));
        }
    }

    /// Cells of a table with the columns of [`AUDIT_COLUMNS`].
    pub fn cells(&self) -> Vec<String> {
        vec![
            self.round.to_string(),
            self.block.to_string(),
            self.words.clone(),
            self.strikes.to_string(),
            if self.fined.is_zero() { String::new() } else { format_tokens(self.fined) },
        ]
    }
}

/// What [`AuditRow::cells`] are.
pub const AUDIT_COLUMNS: [&str; 5] = ["round", "block", "verdict", "strikes", "fined"];

/// Decisions about a miner in blocks `from..=to`, the oldest first.
pub async fn audits_of(
    chain: &dyn ChainClient,
    account: Address,
    from: Height,
    to: Height,
) -> anyhow::Result<Vec<AuditRow>> {
    let mut rows = Vec::new();
    each_event(chain, from, to, |block, event| {
        rows.iter_mut().for_each(|row: &mut AuditRow| row.appeal(event));
        rows.extend(AuditRow::of(block, event).filter(|row| row.miner == account));
    })
    .await?;
    Ok(rows)
}

/// Milliseconds from block to block: as measured over the newest blocks, or what the profile aims at.
pub async fn pace_millis(target: &Target) -> anyhow::Result<u64> {
    let status = target.chain.status().await?;
    let aimed = Params::of(status.profile).block_interval_ms;
    let back = PACE_BLOCKS.min(status.height.saturating_sub(1));
    let Ok(block) =
        target.rpc.call("eth_getBlockByNumber", json!([format!("{:#x}", status.height - back), false])).await
    else {
        return Ok(aimed);
    };
    let then = block.get("timestamp").and_then(Value::as_str).and_then(|text| text.strip_prefix("0x"));
    let then = then.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let measured = then.and_then(|seconds| {
        let passed = status.time_ms.checked_sub(seconds.saturating_mul(1_000))?;
        passed.checked_div(back)
    });
    Ok(measured.filter(|millis| *millis > 0).unwrap_or(aimed))
}

/// `3.5 h`, `12 min` or `9 s` for so many blocks.
pub fn duration(blocks: u64, pace_millis: u64) -> String {
    let seconds = blocks.saturating_mul(pace_millis) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{}.{} h", seconds / 3_600, seconds % 3_600 / 360),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::audit::Outcome;

    #[test]
    fn blocks_become_times() {
        assert_eq!(duration(119, 1_000), "119 s");
        assert_eq!(duration(600, 2_000), "20 min");
        assert_eq!(duration(12_600, 1_000), "3.5 h");
        assert_eq!(duration(604_800, 1_000), "7 days");
        assert_eq!(duration(u64::MAX, u64::MAX), format!("{} days", u64::MAX / 1_000 / 86_400));
    }

    #[test]
    fn decisions_become_rows() {
        let verdict = Verdict { spot: Outcome::Missed, ..Verdict::default() };
        let miner = Address::repeat_byte(1);
        let made = |value| ChainEvent::AuditDecided { miner, round: 40, verdict: value, strikes: 2, fined: U256::ZERO };
        let row = AuditRow::of(812, &made(verdict.encode())).unwrap();
        assert_eq!(row.cells(), ["40", "812", "data missed", "2", ""]);
        assert_eq!(AuditRow::of(812, &made(99)).unwrap().words, "verdict 99");
        assert!(AuditRow::of(1, &ChainEvent::EpochClosed { epoch: 1 }).is_none());
        let passed = Verdict { spot: Outcome::Passed, ..Verdict::default() }.encode();
        let ruled = |round, upheld| ChainEvent::AppealDecided { appeal: 3, miner, round, verdict: passed, upheld };
        let mut row = row;
        for other in [ruled(39, true), ruled(40, false)] {
            row.appeal(&other);
            assert_eq!(row.words, "data missed");
        }
        row.appeal(&ruled(40, true));
        assert_eq!(row.words, "data passed (appeal 3)");
    }
}
