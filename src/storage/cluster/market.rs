//! The modules of the storage market as far as a miner meets them: idle space, audits, key epochs, repair. For tests.
//!
//! Owns what they remember and the calls miners make. Checks what a test would not otherwise notice: orders of calls and spots of
//! repairs. A call takes effect in the next block, which the test makes.

use super::{CHAIN_ID, FakeChain, beacon_of};
use crate::{
    client::{ChainError, ChainEvent, TxOutcome},
    ledger::{
        abi::{AUDITS, IAudits, IMiners, IRepair, ITee, MINERS, REPAIR, TEE},
        manifest::Manifest,
        native,
    },
    proofs::{
        AuditRound, Fragment,
        podr2::TaggerKey,
        spot::{self, Holdings},
    },
    types::{Address, B256, FileId, Height, U256},
};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolCall;
use std::collections::BTreeMap;

/// What the modules remember.
#[derive(Default)]
pub struct Market {
    pub miners: BTreeMap<Address, MinerMarket>,
    pub epochs: Vec<TestEpoch>,
    pub orders: Vec<IRepair::Order>,
    /// Answers by miner and round: digests of openings and of idle leaves.
    pub answers: BTreeMap<(Address, u64), (B256, B256)>,
    /// Proofs of tags by miner and round.
    pub proofs: BTreeMap<(Address, u64), Vec<(u64, Bytes)>>,
    pub surrendered: Vec<FileId>,
    /// Verdicts by miner and round, and whether somebody appealed.
    pub verdicts: BTreeMap<(Address, u64), (u8, bool)>,
    /// Appeals as they were made: who, about which round, for which verdict, with which deposit.
    pub appeals: Vec<(Address, u64, u8, U256)>,
    /// Parts of rounds that the chain has verified.
    pub refuted: Vec<(Address, u64, u8)>,
    /// Whether the chain cannot judge what it is shown.
    pub blind: bool,
    pub outcomes: BTreeMap<B256, TxOutcome>,
}

/// What the miners module remembers of one miner beyond its record.
#[derive(Default, Clone)]
pub struct MinerMarket {
    pub next: u64,
    pub batches: Vec<IMiners::Batch>,
    pub commitments: BTreeMap<u64, Bytes>,
    pub certified: Vec<IMiners::Segment>,
    pub consumed: u64,
}

/// A key epoch whose secret the test has.
pub struct TestEpoch {
    pub key: TaggerKey,
    pub state: u8,
    pub opened_at: Height,
}

/// Beacon the segments of idle space of everybody are bound to.
pub const IDLE_SEED: B256 = B256::repeat_byte(0x5e);

impl FakeChain {
    /// Opens a key epoch in the next block.
    pub fn open_epoch(&self, key: TaggerKey) -> u64 {
        let opened_at = self.height() + 1;
        let (public, srs) = (key.public().encode().to_vec().into(), key.srs().encode().into());
        let epoch = self.market(|market| {
            market.epochs.push(TestEpoch { key, state: 0, opened_at });
            market.epochs.len() as u64 - 1
        });
        self.emit(ChainEvent::EpochOpened { epoch, opener: Address::ZERO, key: public, srs });
        epoch
    }

    /// Certifies or refuses the batch of a miner that waits.
    pub fn decide_idle(&self, account: Address, accepted: bool) {
        let batch = self.market(|market| {
            let miner = market.miners.get_mut(&account).unwrap();
            let batch = miner.batches.last_mut().unwrap();
            batch.state = if accepted { 1 } else { 2 };
            let batch = batch.clone();
            for number in (batch.first..batch.first + batch.count).filter(|_| accepted) {
                let roots: crate::proofs::pois::Commitment = crate::codec::decode(&miner.commitments[&number]).unwrap();
                let root = (*roots.final_root().unwrap()).into();
                miner.certified.push(IMiners::Segment { number, root });
            }
            batch
        });
        let IMiners::Batch { number, first, count, .. } = batch;
        self.emit(ChainEvent::IdleDecided { account, batch: number, first, count, accepted });
    }

    /// Has a committee decide about a miner.
    pub fn decide(&self, miner: Address, round: u64, verdict: u8) {
        self.market(|market| market.verdicts.insert((miner, round), (verdict, false)));
        self.emit(ChainEvent::AuditDecided { miner, round, verdict, strikes: 1, fined: U256::ZERO });
    }

    /// Has a miner leave: its columns are open for repair.
    pub fn leave(&self, account: Address) {
        let files: Vec<_> =
            self.state.lock().files.iter().map(|(id, (record, bytes))| (*id, record.clone(), bytes.clone())).collect();
        let order = |(file, record, bytes): (FileId, crate::client::FileRecord, Bytes)| {
            let column = record.holders.iter().position(|holder| *holder == account)?;
            let bytes_ = Manifest::read(&bytes).unwrap().column_bytes();
            let (file, column) = (file.into(), u8::try_from(column).unwrap());
            Some(IRepair::Order { file, column, holder: account, bytes_, ..IRepair::Order::default() })
        };
        let orders: Vec<_> = files.into_iter().filter_map(order).collect();
        let held = orders.len() as u64;
        self.market(|market| {
            market.orders.extend(orders);
        });
        self.change_miner(account, |record| record.state = 1);
        self.emit(ChainEvent::MinerLeaving { account, held, withdrawable_from: 0 });
    }

    /// Answers a read-only call.
    pub(super) fn view(&self, to: Address, data: &[u8]) -> Result<Bytes, ChainError> {
        if to == MINERS {
            return self.view_miners(data).ok_or_else(|| unknown(data));
        }
        self.market(|market| match to {
            TEE => {
                let number = ITee::epochCall::abi_decode(data).ok()?.number;
                let epoch = market.epochs.get(usize::try_from(number).ok()?)?;
                let key = epoch.key.public().encode().to_vec().into();
                let answer = ITee::Epoch {
                    number,
                    openedAt: epoch.opened_at,
                    state: epoch.state,
                    key,
                    ..ITee::Epoch::default()
                };
                Some(ITee::epochCall::abi_encode_returns(&answer).into())
            }
            AUDITS => view_audits(market, data),
            REPAIR => {
                if IRepair::claimDepositCall::abi_decode(data).is_ok() {
                    return Some(IRepair::claimDepositCall::abi_encode_returns(&U256::ONE).into());
                }
                IRepair::ordersCall::abi_decode(data).ok()?;
                Some(IRepair::ordersCall::abi_encode_returns(&market.orders).into())
            }
            _ => None,
        })
        .ok_or_else(|| unknown(data))
    }

    fn view_miners(&self, data: &[u8]) -> Option<Bytes> {
        use IMiners::*;
        let of = |account: Address| self.market(|market| market.miners.get(&account).cloned().unwrap_or_default());
        if let Ok(standingCall { account, .. }) = standingCall::abi_decode(data) {
            let MinerMarket { certified, consumed, .. } = of(account);
            let standing = Standing { used: 0, segments: certified.len() as u64, consumed, idle: 0 };
            return Some(standingCall::abi_encode_returns(&standing).into());
        }
        if let Ok(segmentsCall { account, skip, limit }) = segmentsCall::abi_decode(data) {
            let page = of(account).certified.into_iter().skip(skip as usize).take(limit as usize).collect();
            return Some(segmentsCall::abi_encode_returns(&page).into());
        }
        if let Ok(idleCountsCall { account }) = idleCountsCall::abi_decode(data) {
            let miner = of(account);
            let counts = idleCountsReturn { batches: miner.batches.len() as u64, next: miner.next };
            return Some(idleCountsCall::abi_encode_returns(&counts).into());
        }
        if let Ok(idleBatchCall { account, batch }) = idleBatchCall::abi_decode(data) {
            return Some(idleBatchCall::abi_encode_returns(of(account).batches.get(batch as usize)?).into());
        }
        idleSeedCall::abi_decode(data).ok().map(|_| idleSeedCall::abi_encode_returns(&IDLE_SEED).into())
    }

    /// Runs a native transaction; what it does belongs to the next block.
    pub(super) fn execute(&self, raw: &Bytes) -> Result<B256, ChainError> {
        let (tx, _) = native::decode(raw).map_err(|e| ChainError::Malformed(e.to_string()))?;
        let (sender, hash, height) = (tx.sender(), keccak256(raw), self.height() + 1);
        let done = match tx.to {
            MINERS => self.commit_idle(sender, &tx.data, height),
            AUDITS => self.audits(sender, tx.value, &tx.data),
            REPAIR => self.repair(sender, &tx.data, height),
            _ => Err("no such module".into()),
        };
        let outcome = TxOutcome {
            tx: hash,
            height,
            block: B256::ZERO,
            gas_used: 1,
            gas_price: U256::from(1),
            success: done.is_ok(),
            error: done.err(),
        };
        self.market(|market| market.outcomes.insert(hash, outcome));
        Ok(hash)
    }

    fn commit_idle(&self, account: Address, data: &[u8], height: Height) -> Result<(), String> {
        let call = IMiners::commitIdleCall::abi_decode(data).map_err(|e| e.to_string())?;
        self.market(|market| {
            let miner = market.miners.entry(account).or_default();
            if miner.batches.last().is_some_and(|batch| batch.state == 0) {
                return Err("a batch waits".to_owned());
            }
            let (first, count) = (miner.next, call.commitments.len() as u64);
            miner.commitments.extend((first..).zip(call.commitments));
            miner.next += count;
            let number = miner.batches.len() as u64;
            miner.batches.push(IMiners::Batch { number, first, count, height, state: 0 });
            Ok(())
        })
    }

    fn audits(&self, miner: Address, value: U256, data: &[u8]) -> Result<(), String> {
        if let Ok(call) = IAudits::appealCall::abi_decode(data) {
            return self.market(|market| {
                let (_, appealed) = market.verdicts.get_mut(&(call.miner, call.round)).ok_or("not decided")?;
                if std::mem::replace(appealed, true) {
                    return Err("appealed already".to_owned());
                }
                market.appeals.push((call.miner, call.round, call.verdict, value));
                Ok(())
            });
        }
        if let Ok(call) = IAudits::refuteCall::abi_decode(data) {
            return self.refute(&call);
        }
        if let Ok(IAudits::answerCall { round, spot, idle }) = IAudits::answerCall::abi_decode(data) {
            let before = self.market(|market| market.answers.insert((miner, round), (spot, idle)));
            self.note(ChainEvent::Answered { miner, round, spot, idle });
            return before.map_or(Ok(()), |_| Err("answered twice".into()));
        }
        let IAudits::proveCall { round, epochs, proofs } =
            IAudits::proveCall::abi_decode(data).map_err(|e| e.to_string())?;
        let proven = epochs.iter().copied().zip(proofs.iter().cloned()).collect();
        let before = self.market(|market| market.proofs.insert((miner, round), proven));
        self.note(ChainEvent::Proven { miner, round, epochs, proofs });
        before.map_or(Ok(()), |_| Err("proven twice".into()))
    }

    /// Verifies openings as the real chain does.
    fn refute(&self, call: &IAudits::refuteCall) -> Result<(), String> {
        let IAudits::refuteCall { miner, round, evidence } = call;
        let answered = self.market(|market| market.answers.get(&(*miner, *round)).copied()).ok_or("not answered")?;
        let answer: B256 = crate::crypto::hash::content(&evidence.answer).into();
        if answered != (evidence.spot, evidence.idle) || answer != evidence.spot {
            return Err("other bytes".into());
        }
        let mut fragments = BTreeMap::new();
        for (bytes, column) in evidence.manifests.iter().zip(&evidence.columns) {
            let manifest = Manifest::read(bytes).map_err(|e| e.to_string())?;
            for fragment in crate::ledger::repair::column(&manifest, *column) {
                fragments.insert(fragment.id, fragment);
            }
        }
        let beacon = beacon_of(round * crate::types::Params::dev().audit_round_blocks).0;
        let context = crate::ledger::audit::SPOT_CONTEXT;
        let asked = AuditRound { beacon, chain: CHAIN_ID, miner: *miner, round: *round, context };
        spot::verify(&spot::ask(&asked, &Holdings::new(fragments.into_values().collect())), &evidence.answer)
            .map_err(|e| e.to_string())?;
        self.market(|market| {
            if market.blind {
                return Err("the chain cannot judge this".to_owned());
            }
            let (verdict, _) = market.verdicts.get_mut(&(*miner, *round)).ok_or("not decided")?;
            *verdict = *verdict & !3 | 1;
            market.refuted.push((*miner, *round, evidence.part));
            Ok(())
        })
    }

    fn repair(&self, account: Address, data: &[u8], height: Height) -> Result<(), String> {
        if let Ok(call) = IRepair::surrenderCall::abi_decode(data) {
            self.market(|market| market.surrendered.push(call.file.into()));
            return Ok(());
        }
        if let Ok(IRepair::claimCall { file, column }) = IRepair::claimCall::abi_decode(data) {
            return self.market(|market| {
                let open = |order: &&mut IRepair::Order| (order.file, order.column) == (file, column);
                let order = market.orders.iter_mut().find(open).ok_or("not open")?;
                if order.claimer != Address::ZERO {
                    return Err("claimed by another".to_owned());
                }
                (order.claimer, order.claimedAt, order.until) = (account, height, height + 30);
                Ok(())
            });
        }
        let call = IRepair::completeCall::abi_decode(data).map_err(|e| e.to_string())?;
        self.complete(account, &call, height)
    }

    fn complete(&self, account: Address, call: &IRepair::completeCall, height: Height) -> Result<(), String> {
        let manifest = Manifest::read(&call.manifest).map_err(|e| e.to_string())?;
        let (file, column) = (manifest.id(), usize::from(call.column));
        let own = |order: &IRepair::Order| FileId::from(order.file) == file && order.claimer == account;
        let order =
            self.market(|market| market.orders.iter().find(|order| own(order)).cloned()).ok_or("not claimed")?;
        if height < order.claimedAt + 2 {
            return Err("too early".into());
        }
        let distinct: BTreeMap<_, _> =
            manifest.segments.iter().map(|s| (s.fragments[column], s.fragment_len())).collect();
        let fragments = distinct.into_iter().map(|(id, len)| Fragment::new(id, len).unwrap()).collect();
        let beacon = beacon_of(order.claimedAt + 1).0;
        let round = AuditRound { beacon, chain: CHAIN_ID, miner: account, round: order.claimedAt, context: file.0 };
        let spots = spot::ask(&round, &Holdings::new(fragments));
        spot::verify(&spots, &call.spots).map_err(|e| e.to_string())?;
        self.market(|market| market.orders.retain(|order| !own(order)));
        self.state.lock().files.get_mut(&file).ok_or("no file")?.0.holders[column] = account;
        let (to, from, bounty) = (account, order.holder, order.bounty);
        self.note(ChainEvent::RepairCompleted { file, column: call.column, to, from, bounty });
        Ok(())
    }
}

fn view_audits(market: &Market, data: &[u8]) -> Option<Bytes> {
    if let Ok(IAudits::verdictCall { round, miner }) = IAudits::verdictCall::abi_decode(data) {
        let found = market.verdicts.get(&(miner, round));
        let (value, appealed) = found.copied().unwrap_or_default();
        let (decided, votes) = (found.is_some(), 5);
        let verdict = IAudits::Verdict { value, decidedAt: 0, votes, decided, appealed };
        return Some(IAudits::verdictCall::abi_encode_returns(&verdict).into());
    }
    IAudits::termsCall::abi_decode(data).ok()?;
    let terms = IAudits::Terms {
        roundBlocks: 30,
        tagRounds: 1,
        answerBlocks: 15,
        proveBlocks: 18,
        appealBlocks: 30,
        committee: 7,
        deposit: U256::ONE,
    };
    Some(IAudits::termsCall::abi_encode_returns(&terms).into())
}

fn unknown(data: &[u8]) -> ChainError {
    let message = format!("no answer to a call of {} B", data.len());
    ChainError::Refused { code: crate::rpc::error::REVERTED, message }
}
