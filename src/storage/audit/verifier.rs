//! The verifier of a node: each round it finds out whom it was drawn for, judges them, and votes.
//!
//! Owns when things happen. Must not know how a verdict is come to. Invariants: a miner is voted about once; whoever cannot be reached is
//! asked again until the next round opens; what fails here delays a verdict and nothing else.

use super::{
    Holdings,
    findings::{Finding, Findings},
    index::IndexError,
    judge::{Asked, Judge, JudgeError, Look, Round},
    records::OwnVote,
    views,
    votes::{VOTES_MAX, send_all},
};
use crate::{
    client::Wallet,
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Verdict, draw_committee, round_subject},
    },
    runtime::{Criticality, Node, Phase, Worker},
    types::{Address, Height},
};
use alloy_sol_types::SolCall;
use futures::{StreamExt, stream};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Miners that are looked at at a time.
const PARALLEL_LOOKS: usize = 16;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What a verifier of any kind shares with its tasks.
#[derive(Clone)]
pub struct Verifier {
    pub(super) judge: Judge,
    pub(super) wallet: Wallet,
}

/// What was found of each miner so far.
type Looks = BTreeMap<Address, Look>;

impl Verifier {
    /// Starts to verify with the account of `wallet`.
    pub fn start(node: &Node, judge: Judge, wallet: Wallet) {
        let this = Self { judge, wallet };
        let rounds = this.clone();
        this.spawn(node, "verify audits", |worker| async move { rounds.rounds(&worker).await });
        let batches = this.clone();
        this.spawn(node, "verify idle space", |worker| async move { batches.batches(&worker).await });
        let appeals = this.clone();
        this.spawn(node, "audit appeals", |worker| async move { appeals.appeals(&worker).await });
    }

    fn spawn<F>(&self, node: &Node, name: &str, work: impl FnOnce(Arc<Worker>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = work(Arc::new(node.workers.register(name)));
        let stop = node.tasks.stopping(Phase::Produce);
        node.tasks.spawn(Phase::Produce, name, Criticality::Optional, async move {
            stop.run_until_cancelled_owned(work).await;
            Ok(())
        });
    }

    pub(super) fn holdings(&self) -> &Holdings {
        &self.judge.holdings
    }

    async fn rounds(&self, worker: &Worker) {
        let rounds = self.holdings().index().rounds();
        let mut next = 1u64;
        loop {
            let height = self.holdings().in_step(rounds.answer_until(next)).await;
            // Of what was missed the newest is still voted about.
            let newest = rounds.at(height.saturating_sub(rounds.answer_until(0)));
            next = next.max(newest.saturating_sub(1));
            match self.verify_round(next, worker).await {
                Ok(()) => next += 1,
                Err(error) => {
                    worker.error(&error);
                    tracing::debug!(round = next, %error, "a round cannot be verified, trying again");
                    sleep(PAUSE).await;
                    if self.height() > rounds.vote_until(next) {
                        next += 1;
                    }
                }
            }
        }
    }

    pub(super) fn height(&self) -> Height {
        *self.holdings().followed().borrow()
    }

    /// Judges everybody this node was drawn for, and votes.
    pub async fn verify_round(&self, number: u64, worker: &Worker) -> Result<(), JudgeError> {
        let rounds = self.holdings().index().rounds();
        let first = self.holdings().read(|index| index.first_round()).await?;
        if number < first {
            worker.busy(format!(
                "waits for round {first}, block {}: what miners held before is not known here, this node began with a state",
                rounds.opened_at(first)
            ));
            return Ok(());
        }
        let round = self.judge.round(number).await?;
        let mine = self.duties(number).await?;
        if mine.is_empty() {
            worker.idle();
            return Ok(());
        }
        worker.busy(format!("round {number} of {} miners", mine.len()));
        let mut looks: Looks = mine.into_iter().map(|miner| (miner, Look::default())).collect();
        let votes_from = rounds.prove_until(number) + 1;
        self.look_until(round, &mut looks, votes_from, worker).await;
        self.holdings().in_step(votes_from).await;
        let miners: Vec<Address> = looks.keys().copied().collect();
        let tags = self.judge.tags(round, &miners).await?;
        let (complete, rest): (Looks, Looks) = looks.into_iter().partition(|(_, look)| look.is_complete());
        self.vote(number, &complete, &tags).await?;
        if !rest.is_empty() {
            let mut rest = rest;
            self.look_until(round, &mut rest, rounds.opened_at(number + 1).max(votes_from + 1), worker).await;
            self.vote(number, &rest, &tags).await?;
        }
        worker.idle();
        Ok(())
    }

    /// Miners this node verifies in a round and has not voted about.
    async fn duties(&self, number: u64) -> Result<Vec<Address>, JudgeError> {
        let chain = self.judge.chain.as_ref();
        let own = self.wallet.address();
        let rounds = self.holdings().index().rounds();
        let beacon = views::beacon(chain, rounds.answer_until(number)).await?;
        let members = views::verifiers(chain, number).await?;
        if members.as_ref().is_some_and(|members| !members.contains(&own)) {
            return Ok(Vec::new());
        }
        let (mut mine, mut after) = (Vec::new(), None);
        loop {
            let page = self.holdings().read(move |index| open_miners(index, number, after)).await?;
            let Some((last, open)) = page else { return Ok(mine) };
            after = Some(last);
            for miner in open {
                let drawn = match &members {
                    Some(members) => draw_committee(&beacon, &round_subject(number, &miner), members.len())
                        .into_iter()
                        .any(|place| members[place] == own),
                    None => views::committee(chain, number, miner).await?.contains(&own),
                };
                if drawn {
                    mine.push(miner);
                }
            }
        }
    }

    /// Looks at answers, block after block, until all are settled or `until` is reached.
    async fn look_until(&self, round: Round, looks: &mut Looks, until: Height, worker: &Worker) {
        let mut followed = self.holdings().followed();
        loop {
            let open: Vec<(Address, Look)> =
                looks.iter().filter(|(_, look)| !look.is_complete()).map(|(miner, look)| (*miner, *look)).collect();
            let height = *followed.borrow_and_update();
            let look = |(miner, known): (Address, Look)| async move {
                (miner, self.judge.look(round, miner, known, Asked::Miner).await)
            };
            let mut found = stream::iter(open).map(look).buffer_unordered(PARALLEL_LOOKS);
            while let Some((miner, look)) = found.next().await {
                match look {
                    Ok(look) => drop(looks.insert(miner, look)),
                    Err(error) => worker.error(format!("miner {miner}: {error}")),
                }
            }
            drop(found);
            let settled = looks.values().filter(|look| look.is_complete()).count();
            worker.progress(as_count(settled), as_count(looks.len()));
            if settled == looks.len() || height >= until || followed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Votes about those of whom something was due.
    async fn vote(&self, round: u64, looks: &Looks, tags: &BTreeMap<Address, Finding>) -> Result<(), JudgeError> {
        let tags_of = |miner| tags.get(miner).copied().unwrap_or(Finding::NOT_DUE);
        let votes: Vec<(Address, Findings)> = looks
            .iter()
            .map(|(miner, look)| (*miner, look.with_tags(tags_of(miner))))
            .filter(|(_, findings)| findings.verdict() != Verdict::default())
            .collect();
        let call = |votes: &[(Address, Findings)]| {
            let (miners, verdicts) = votes.iter().map(|(miner, found)| (*miner, found.verdict().encode())).unzip();
            IAudits::voteCall { round, miners, verdicts }.abi_encode().into()
        };
        let taken = send_all(&self.wallet, AUDITS, &votes, VOTES_MAX, call).await?;
        let faults = taken.iter().filter(|(_, found)| found.verdict().is_fault()).count();
        tracing::info!(round, miners = taken.len(), faults, "voted");
        self.remember(round, votes).await?;
        Ok(())
    }

    /// What was refused is remembered as well: the chain has decided, or this node has voted before.
    async fn remember(&self, round: u64, votes: Vec<(Address, Findings)>) -> Result<(), IndexError> {
        let store = move |index: &super::HoldingsIndex| {
            votes.iter().try_for_each(|(miner, found)| {
                let vote = OwnVote { verdict: found.verdict().encode(), certain: found.certain(), appealed: false };
                index.set_own_vote(round, miner, &vote)
            })
        };
        self.holdings().read(store).await
    }
}

/// The next page of a round's miners: its last, and those that are neither decided nor voted about.
fn open_miners(
    index: &super::HoldingsIndex,
    round: u64,
    after: Option<Address>,
) -> Result<Option<(Address, Vec<Address>)>, IndexError> {
    let page = index.miners(round, after)?;
    let Some(&last) = page.last() else { return Ok(None) };
    let mut open = Vec::with_capacity(page.len());
    for miner in page {
        let decided = index.round(round, &miner)?.decided.is_some();
        if !decided && index.own_vote(round, &miner)?.is_none() {
            open.push(miner);
        }
    }
    Ok(Some((last, open)))
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
