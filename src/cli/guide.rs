//! The guided start of a storage miner: what is going to happen, and then how far it is, up to the first reward.
//!
//! Owns the words a person sees on a terminal. Must not decide anything: the node does the same without it. Invariant: it asks no question; where
//! tokens are missing it waits for them until Ctrl-C.

use super::{output::Output, space::bytes};
use crate::{
    client::{
        ChainClient, ChainError, ChainEvent, ChainStatus, EventFollower, EventStep, MinerDetail, audit_round,
        miner_detail, required_collateral, reward_account, standing,
    },
    ledger::audit::Verdict,
    roles::{Setup, Watcher},
    runtime::{Criticality, Node, Phase, WorkerState, WorkerStatus},
    types::{Address, ByteCount, Height, Params, Profile, U256, format_tokens},
};
use async_trait::async_trait;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// The worker that makes idle space.
const IDLE_WORKER: &str = "idle space";
/// How often progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// How long one wait for a block lasts.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the chain could not be asked.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// What a registration costs beside the collateral, generously.
const FEES: u64 = 1_000_000_000_000_000;
/// Bytes of a label of idle space, as a power of two.
const LABEL_LOG2: u32 = 5;

/// Tells a person what a new storage node does.
pub struct Guide {
    node: Node,
    account: Address,
    dir: PathBuf,
    space: ByteCount,
    tranquility: u64,
    peers: Vec<String>,
    output: Output,
}

impl Guide {
    /// A guide for the node that starts from `setup`.
    pub fn new(node: &Node, setup: &Setup, output: &Output) -> Self {
        let config = &setup.config;
        Self {
            node: node.clone(),
            account: setup.keys.address(),
            dir: config.node.dir.clone(),
            space: config.storage.space,
            tranquility: u64::from(config.storage.tranquility),
            peers: config.network.bootstrap.iter().map(ToString::to_string).collect(),
            output: *output,
        }
    }

    async fn plan(&self, chain: &dyn ChainClient, status: &ChainStatus) -> Result<Plan, ChainError> {
        let params = Params::of(status.profile);
        let known = miner_detail(chain, self.account).await?;
        Ok(Plan {
            account: self.account,
            dir: self.dir.display().to_string(),
            space: self.space,
            tranquility: self.tranquility,
            peers: self.peers.clone(),
            chain_id: status.chain_id,
            profile: status.profile,
            height: status.height,
            required: required_collateral(chain, self.space.0).await?,
            per_tib: params.collateral_per_tib.0,
            balance: chain.balance(self.account).await?,
            known,
        })
    }

    /// Waits until the account can pay, where nobody else pays for it.
    async fn wait_for_funds(&self, chain: &dyn ChainClient, plan: &Plan) {
        let needed = plan.missing();
        if needed.is_zero() || plan.profile == Profile::Dev {
            return;
        }
        self.output.note(&format!("waiting for {} CESS, Ctrl-C ends", format_tokens(needed)));
        let mut height = plan.height;
        loop {
            match chain.balance(self.account).await {
                Ok(balance) if balance >= plan.needed() => return self.output.note("the tokens are there"),
                Ok(_) => match chain.wait_above(height, PATIENCE).await {
                    Ok(status) => height = status.height,
                    Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
                },
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }
}

#[async_trait]
impl Watcher for Guide {
    async fn chain_answers(&self, chain: &Arc<dyn ChainClient>, status: &ChainStatus) {
        let plan = match self.plan(chain.as_ref(), status).await {
            Ok(plan) => plan,
            Err(error) => return self.output.note(&format!("the plan cannot be shown: {error}")),
        };
        self.output.note(&describe_plan(&plan));
        self.wait_for_funds(chain.as_ref(), &plan).await;
        let params = Params::of(status.profile);
        let progress = Progress {
            account: self.account,
            dir: plan.dir,
            segment_bytes: 1u64 << (params.idle_labels_log2 + LABEL_LOG2),
            space: self.space,
            certified: 0,
            passed: false,
            registered: plan.known.is_some(),
        };
        let (node, chain, output, from) = (self.node.clone(), chain.clone(), self.output, status.height + 1);
        let stopping = node.tasks.stopping(Phase::Accept);
        self.node.tasks.spawn(Phase::Accept, "guide", Criticality::Optional, async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tell(&node, chain, progress, from, &output) => {}
            }
            Ok(())
        });
    }
}

/// What is going to happen.
struct Plan {
    account: Address,
    dir: String,
    space: ByteCount,
    tranquility: u64,
    peers: Vec<String>,
    chain_id: u64,
    profile: Profile,
    height: Height,
    required: U256,
    per_tib: U256,
    balance: U256,
    known: Option<MinerDetail>,
}

impl Plan {
    /// Tokens the account needs to register, or to grow.
    fn needed(&self) -> U256 {
        let there = self.known.as_ref().map_or(U256::ZERO, |miner| miner.collateral);
        match self.required.saturating_sub(there) {
            more if more.is_zero() => U256::ZERO,
            more => more + U256::from(FEES),
        }
    }

    fn missing(&self) -> U256 {
        self.needed().saturating_sub(self.balance)
    }
}

fn describe_plan(plan: &Plan) -> String {
    let via = match plan.peers.as_slice() {
        [] => "this node runs the chain itself".to_owned(),
        [one] => format!("joined through {one}"),
        [one, more @ ..] => format!("joined through {one} and {} more", more.len()),
    };
    let profile = match plan.profile {
        Profile::Mainnet => "mainnet profile",
        Profile::Dev => "dev profile, a test network",
    };
    let account = plan.account;
    let money = match (plan.missing().is_zero(), plan.profile) {
        (true, _) => "enough for the collateral and fees".to_owned(),
        (false, Profile::Dev) => "the faucet of the test network is asked for the rest".to_owned(),
        (false, Profile::Mainnet) => {
            let missing = format_tokens(plan.missing());
            format!("send {missing} CESS to {account}, for example with `cess send {account} {missing}`")
        }
    };
    let state = match &plan.known {
        Some(miner) => format!("registered as {} since block {}", miner.name, miner.since),
        None => "registers now".to_owned(),
    };
    format!(
        "this node lends space to the network:\n\
         \x20 space       {} in {}\n\
         \x20 account     {account}, whose key is there, too: keep a copy\n\
         \x20 network     chain {} ({profile}), block {}, {via}\n\
         \x20 miner       {state}\n\
         \x20 collateral  {} CESS, {} for each started TiB; it comes back when the miner has left\n\
         \x20 balance     {} CESS: {money}\n\
         \x20 idle space  is made in the background, resting {} times as long as it works (storage.tranquility); data takes its place by itself",
        plan.space,
        plan.dir,
        plan.chain_id,
        plan.height,
        format_tokens(plan.required),
        format_tokens(plan.per_tib),
        format_tokens(plan.balance),
        plan.tranquility,
    )
}

/// How far a miner is.
struct Progress {
    account: Address,
    dir: String,
    segment_bytes: u64,
    space: ByteCount,
    certified: u64,
    passed: bool,
    registered: bool,
}

impl Progress {
    /// What an event of a block means for this miner.
    fn note(&mut self, block: Height, event: &ChainEvent) -> Option<String> {
        match event {
            ChainEvent::MinerRegistered { account, name, .. } if *account == self.account => {
                self.registered = true;
                Some(format!("registered as {name} with block {block}"))
            }
            ChainEvent::IdleDecided { account, count, accepted, .. } if *account == self.account => {
                self.note_idle(block, *count, *accepted)
            }
            ChainEvent::AuditDecided { miner, round, verdict, .. } if *miner == self.account && !self.passed => {
                let verdict = Verdict::decode(*verdict)?;
                self.passed = !verdict.is_fault();
                self.passed.then(|| format!("first audit passed: round {round}, decided with block {block}"))
            }
            _ => None,
        }
    }

    fn note_idle(&mut self, block: Height, count: u64, accepted: bool) -> Option<String> {
        if !accepted {
            return Some(format!(
                "{count} segments of idle space were refused with block {block}: `cess worker list` shows why"
            ));
        }
        let first = self.certified == 0;
        self.certified = self.certified.saturating_add(count);
        let size = bytes(U256::from(count) * U256::from(self.segment_bytes));
        first
            .then(|| format!("first idle space certified with block {block}: {size}, audits begin with the next round"))
    }

    /// How much of the space is certified, and what is made now.
    fn line(&self, worker: Option<&WorkerStatus>) -> Option<String> {
        let whole = self.space.0 / self.segment_bytes;
        let share = self.certified.saturating_mul(100).checked_div(whole).unwrap_or(100).min(100);
        let busy = worker.filter(|worker| worker.state == WorkerState::Busy)?;
        let done = busy.done.saturating_mul(100).checked_div(busy.total);
        let done = done.map(|done| format!(", {done} %")).unwrap_or_default();
        Some(format!(
            "idle space: {} of {whole} segments certified ({share} %), now {}{done}",
            self.certified, busy.detail
        ))
    }
}

/// Tells what happens until the first reward.
async fn tell(node: &Node, chain: Arc<dyn ChainClient>, mut progress: Progress, from: Height, output: &Output) {
    if progress.registered {
        progress.certified = certified(chain.as_ref(), progress.account).await.unwrap_or_default();
    }
    let mut follower = EventFollower::new(chain.clone(), from);
    let mut told = Instant::now();
    loop {
        let Ok(step) = follower.step(PATIENCE).await else {
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        };
        for sentence in step.iter().flat_map(|step| sentences(&mut progress, step)) {
            output.note(&sentence);
        }
        if told.elapsed() < PROGRESS_EVERY {
            continue;
        }
        told = Instant::now();
        let workers = node.workers.list();
        if let Some(line) = progress.line(workers.iter().find(|worker| worker.name == IDLE_WORKER)) {
            output.note(&line);
        }
        if let Ok(pay) = reward_account(chain.as_ref(), progress.account).await
            && pay.is_used()
        {
            let (due, dir) = (format_tokens(pay.claimable), &progress.dir);
            return output.note(&format!(
                "it earns: {due} CESS can be claimed\n  cess miner status --node {dir}\n  cess miner claim --node {dir}"
            ));
        }
    }
}

fn sentences(progress: &mut Progress, step: &EventStep) -> Vec<String> {
    let mut said = Vec::new();
    for batch in &step.batches {
        said.extend(batch.events.iter().filter_map(|(_, event)| progress.note(batch.height, event)));
    }
    said
}

async fn certified(chain: &dyn ChainClient, account: Address) -> Result<u64, ChainError> {
    let round = audit_round(chain).await?.number;
    Ok(standing(chain, account, round).await?.map_or(0, |standing| standing.segments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::EventBatch,
        ledger::audit::Outcome,
        types::{Amount, B256},
    };

    const ATTIC: Address = Address::repeat_byte(0x11);

    fn plan(profile: Profile, balance: u64) -> Plan {
        Plan {
            account: ATTIC,
            dir: "/home/u/.cess/storage".into(),
            space: ByteCount::gib(200),
            tranquility: 2,
            peers: vec!["/ip4/10.0.0.1/tcp/4001".into()],
            chain_id: 11_332,
            profile,
            height: 812,
            required: Amount::tokens(4).0,
            per_tib: Amount::tokens(4).0,
            balance: Amount::tokens(balance).0,
            known: None,
        }
    }

    #[test]
    fn the_plan_says_what_happens_and_what_it_costs() {
        assert_eq!(
            describe_plan(&plan(Profile::Dev, 0)),
            format!(
                "this node lends space to the network:\n  \
                 space       200 GiB in /home/u/.cess/storage\n  \
                 account     {ATTIC}, whose key is there, too: keep a copy\n  \
                 network     chain 11332 (dev profile, a test network), block 812, joined through /ip4/10.0.0.1/tcp/4001\n  \
                 miner       registers now\n  \
                 collateral  4 CESS, 4 for each started TiB; it comes back when the miner has left\n  \
                 balance     0 CESS: the faucet of the test network is asked for the rest\n  \
                 idle space  is made in the background, resting 2 times as long as it works (storage.tranquility); data takes its \
                 place by itself"
            )
        );
        let words = describe_plan(&plan(Profile::Mainnet, 1));
        assert!(
            words.contains(&format!("send 3.001 CESS to {ATTIC}, for example with `cess send {ATTIC} 3.001`")),
            "{words}"
        );
        assert!(describe_plan(&plan(Profile::Mainnet, 5)).contains("5 CESS: enough for the collateral and fees"));
    }

    #[test]
    fn milestones_are_told_once_and_of_this_miner_alone() {
        let mut progress = Progress {
            account: ATTIC,
            dir: String::new(),
            segment_bytes: 1 << 20,
            space: ByteCount::mib(64),
            certified: 0,
            passed: false,
            registered: false,
        };
        let other = Address::repeat_byte(0x22);
        let registered = |account| ChainEvent::MinerRegistered {
            account,
            operator: account,
            capacity: 64 << 20,
            name: "attic".into(),
        };
        let decided =
            |first, accepted| ChainEvent::IdleDecided { account: ATTIC, batch: 0, first, count: 16, accepted };
        let audited = |round, idle| ChainEvent::AuditDecided {
            miner: ATTIC,
            round,
            verdict: Verdict { idle, ..Verdict::default() }.encode(),
            strikes: 0,
            fined: U256::ZERO,
        };
        let events = vec![
            registered(other),
            registered(ATTIC),
            decided(0, false),
            decided(0, true),
            decided(16, true),
            audited(42, Outcome::Missed),
            audited(43, Outcome::Passed),
            audited(44, Outcome::Passed),
        ];
        let events = events.into_iter().map(|event| (B256::ZERO, event)).collect();
        let step = EventStep { from: 820, to: 820, batches: vec![EventBatch { height: 820, events }] };
        assert_eq!(
            sentences(&mut progress, &step),
            [
                "registered as attic with block 820",
                "16 segments of idle space were refused with block 820: `cess worker list` shows why",
                "first idle space certified with block 820: 16 MiB, audits begin with the next round",
                "first audit passed: round 43, decided with block 820",
            ]
        );
        let worker = |state| WorkerStatus {
            name: IDLE_WORKER.into(),
            state,
            detail: "segment 33 of idle space".into(),
            done: 2,
            total: 5,
            errors: 0,
            last_error: None,
        };
        assert_eq!(
            progress.line(Some(&worker(WorkerState::Busy))).as_deref(),
            Some("idle space: 32 of 64 segments certified (50 %), now segment 33 of idle space, 40 %")
        );
        assert_eq!(progress.line(Some(&worker(WorkerState::Idle))), None);
    }
}
