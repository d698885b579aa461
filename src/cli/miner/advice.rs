//! What a miner's owner should do next, in plain words.
//!
//! Owns the order of what matters. Must not ask the chain. Invariant: there is always at least one sentence.

use super::super::explain::next_fault;
use crate::{
    client::{BatchState, IdleBatch, MinerDetail, MinerState, RewardAccount},
    types::{Height, U256, format_tokens, params::FAULTS_MAX},
};

/// What advice rests on.
pub struct Facts<'a> {
    /// The miner.
    pub miner: &'a MinerDetail,
    /// Collateral its capacity needs.
    pub required: U256,
    /// Certified segments of idle space.
    pub segments: u64,
    /// The commitments it made last.
    pub batch: Option<&'a IdleBatch>,
    /// The current round, the last block that takes its answers, and the newest block.
    pub round: u64,
    /// Last block that takes answers of the current round.
    pub answer_until: Height,
    /// Newest block.
    pub height: Height,
    /// The newest round the miner answered.
    pub answered: u64,
    /// Whether anything is due in a round.
    pub is_due: bool,
    /// Its pay.
    pub pay: &'a RewardAccount,
}

/// Sentences, the most pressing first.
pub fn advice(facts: &Facts) -> Vec<String> {
    let miner = facts.miner;
    match miner.state {
        MinerState::Active => of_active(facts),
        MinerState::Exiting => of_leaving(miner, "it leaves"),
        MinerState::Lost => of_leaving(miner, "it was forced out after faults"),
    }
    .into_iter()
    .chain(of_pay(facts.pay))
    .collect()
}

fn of_active(facts: &Facts) -> Vec<String> {
    let (miner, mut said) = (facts.miner, Vec::new());
    let waits = facts.height <= facts.answer_until;
    let expected = facts.round.saturating_sub(u64::from(waits));
    if facts.is_due && expected > 0 && facts.answered < expected {
        said.push(format!("round {expected} was not answered: see that the node runs and reaches the network"));
    }
    if miner.strikes > 0 {
        let left = FAULTS_MAX.saturating_sub(miner.strikes);
        said.push(format!(
            "the next fault is {}; {left} more in a row force it out, one passed round ends the row",
            next_fault(miner.strikes, facts.required)
        ));
    }
    let short = facts.required.saturating_sub(miner.collateral);
    if !short.is_zero() {
        let missing = format_tokens(short);
        said.push(format!("collateral is short of {missing}: `cess miner add-collateral {missing}`"));
    }
    match (facts.segments, facts.batch.map(|batch| batch.state)) {
        (_, Some(BatchState::Waiting)) => {
            said.push("idle space waits for its certificate, which takes two rounds".into())
        }
        (0, Some(BatchState::Refused)) => said.push("idle space was refused: `cess worker list` shows why".into()),
        (0, _) => {
            said.push("no idle space is certified yet: let the node run, `cess worker list` shows how far it is".into())
        }
        _ => {}
    }
    if said.is_empty() {
        said.push("nothing: it works and earns".into());
    }
    said
}

fn of_leaving(miner: &MinerDetail, why: &str) -> Vec<String> {
    match miner.held {
        0 => vec![format!("{why} and holds nothing any more: `cess miner withdraw` when the lock is over")],
        held => vec![format!(
            "{why}: let the node run until others have repaired the {held} columns it holds, then `cess miner withdraw`"
        )],
    }
}

fn of_pay(pay: &RewardAccount) -> Option<String> {
    (!pay.claimable.is_zero()).then(|| format!("{} can be claimed: `cess miner claim`", format_tokens(pay.claimable)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, Amount};

    fn miner(state: MinerState) -> MinerDetail {
        let account = Address::repeat_byte(1);
        MinerDetail {
            account,
            operator: account,
            name: "attic".into(),
            state,
            capacity: 1 << 30,
            used: 0,
            held: 3,
            since: 1,
            left_at: None,
            collateral: Amount::tokens(1).0,
            strikes: 0,
            segments: 5,
            consumed: 0,
            idle_bytes: 0,
            weight: 0,
        }
    }

    fn facts<'a>(miner: &'a MinerDetail, pay: &'a RewardAccount) -> Facts<'a> {
        Facts {
            miner,
            required: Amount::tokens(1).0,
            segments: 5,
            batch: None,
            round: 40,
            answer_until: 803,
            height: 802,
            answered: 39,
            is_due: true,
            pay,
        }
    }

    #[test]
    fn a_miner_that_works_is_left_alone() {
        let (miner, pay) = (miner(MinerState::Active), RewardAccount::default());
        assert_eq!(advice(&facts(&miner, &pay)), ["nothing: it works and earns"]);
        let late = Facts { height: 804, ..facts(&miner, &pay) };
        assert_eq!(advice(&late), ["round 40 was not answered: see that the node runs and reaches the network"]);
    }

    #[test]
    fn what_presses_comes_first() {
        let pay = RewardAccount { claimable: Amount::tokens(3).0, ..RewardAccount::default() };
        let miner =
            MinerDetail { strikes: 2, collateral: Amount::tokens(1).0 / U256::from(2), ..miner(MinerState::Active) };
        let fresh = Facts { segments: 0, ..facts(&miner, &pay) };
        assert_eq!(
            advice(&fresh),
            [
                "the next fault is strike 3: 15 % of 1 = 0.15; 3 more in a row force it out, one passed round ends the row",
                "collateral is short of 0.5: `cess miner add-collateral 0.5`",
                "no idle space is certified yet: let the node run, `cess worker list` shows how far it is",
                "3 can be claimed: `cess miner claim`",
            ]
        );
    }

    #[test]
    fn who_leaves_waits_for_repair_and_then_withdraws() {
        let pay = RewardAccount::default();
        let leaving = miner(MinerState::Exiting);
        assert!(advice(&facts(&leaving, &pay))[0].contains("repaired the 3 columns"));
        let empty = MinerDetail { held: 0, ..miner(MinerState::Lost) };
        assert!(advice(&facts(&empty, &pay))[0].starts_with("it was forced out after faults and holds nothing"));
    }
}
