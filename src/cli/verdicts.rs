//! Verdicts of audits in words, and as JSON.
//!
//! Must not know where verdicts come from.

use crate::ledger::audit::{Outcome, Verdict};
use serde::Serialize;

/// A verdict, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VerdictRow {
    /// As contracts write it.
    value: u8,
    /// Openings of chunks of the data.
    spot: &'static str,
    /// The proof over the tags.
    tags: &'static str,
    /// Idle space.
    idle: &'static str,
    /// Whether a part speaks against the miner.
    fault: bool,
}

impl VerdictRow {
    /// The verdict it is a row of.
    pub fn verdict(self) -> Verdict {
        Verdict::decode(self.value).unwrap_or_default()
    }
}

impl From<Verdict> for VerdictRow {
    fn from(verdict: Verdict) -> Self {
        Self {
            value: verdict.encode(),
            spot: outcome(verdict.spot),
            tags: outcome(verdict.tags),
            idle: outcome(verdict.idle),
            fault: verdict.is_fault(),
        }
    }
}

/// The word for an outcome.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotDue => "not due",
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Missed => "missed",
    }
}

/// What a miner did in a round with this verdict, before "round 40".
pub fn verb(verdict: Verdict) -> &'static str {
    let parts = [verdict.spot, verdict.tags, verdict.idle];
    if parts.contains(&Outcome::Failed) {
        "failed"
    } else if parts.contains(&Outcome::Missed) {
        "missed"
    } else if parts.contains(&Outcome::Passed) {
        "passed"
    } else {
        "had nothing due in"
    }
}

/// The parts that were due, such as `data passed, tags missed`.
pub fn words(verdict: Verdict) -> String {
    let parts = [("data", verdict.spot), ("tags", verdict.tags), ("idle", verdict.idle)];
    let due = parts.into_iter().filter(|(_, part)| *part != Outcome::NotDue);
    let said: Vec<String> = due.map(|(name, part)| format!("{name} {}", outcome(part))).collect();
    if said.is_empty() { "nothing was due".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_names_the_round() {
        let made = |spot, tags, idle| Verdict { spot, tags, idle };
        let (none, passed, failed, missed) = (Outcome::NotDue, Outcome::Passed, Outcome::Failed, Outcome::Missed);
        assert_eq!(
            (verb(made(none, none, none)), words(made(none, none, none))),
            ("had nothing due in", "nothing was due".into())
        );
        assert_eq!(
            (verb(made(passed, none, passed)), words(made(passed, none, passed))),
            ("passed", "data passed, idle passed".into())
        );
        assert_eq!(
            (verb(made(passed, missed, failed)), words(made(none, missed, failed))),
            ("failed", "tags missed, idle failed".into())
        );
        assert_eq!(verb(made(passed, missed, passed)), "missed");
        let json = serde_json::to_value(VerdictRow::from(made(passed, failed, none))).unwrap();
        let expected =
            serde_json::json!({ "value": 9, "spot": "passed", "tags": "failed", "idle": "not due", "fault": true });
        assert_eq!(json, expected);
    }
}
