//! The walk over eras, from genesis or a checkpoint to any height.
//!
//! Owns the trusted committees and the newest trusted header. Must not know roles or state. Invariants: a committee is trusted because
//! genesis or the certified last header of the era before names it; what is remembered is bounded.

use super::{
    LightError,
    prover::Prover,
    wire::{ERA_CHANGES_MAX, EXECUTED_HEADERS_MAX, decode, executed, parse},
};
use crate::client::RpcTransport;
use crate::consensus::{
    Checkpoint, Committee, EraChange, Executed, Header, LightRules, SignedHeader, TrustedEra,
    light::{check_executed, check_order},
};
use crate::ledger::genesis::{Genesis, GenesisError};
use crate::ledger::header::ExecutedHeader;
use crate::ledger::modules::committee_of_era;
use crate::ledger::state::MemoryState;
use crate::network::PeerId;
use crate::runtime::CpuPool;
use crate::types::{B256, Height, Params, TrustedBlock};
use alloy_primitives::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

/// Eras whose committees are kept. Heights of older ones are reached by walking again from genesis.
const ERAS_MAX: usize = 64;
/// Verified headers of either kind that are kept: those of the highest heights.
const HEADERS_MAX: usize = 128;

/// A block that is decided, executed and proven to be both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Its header and certificate.
    pub signed: SignedHeader,
    /// The committee that decided it.
    pub committee: Committee,
    /// What came of executing it, as a certified header above it says.
    pub executed: ExecutedHeader,
    /// Hash of `executed`.
    pub hash: B256,
}

/// A light client of one chain.
pub struct LightClient {
    prover: Prover,
    rules: LightRules,
    params: Params,
    genesis: ExecutedHeader,
    genesis_hash: B256,
    known: Mutex<Known>,
    certificates: AtomicU64,
}

struct Known {
    eras: BTreeMap<u64, Arc<TrustedEra>>,
    newest: Option<Header>,
    signed: BTreeMap<Height, SignedHeader>,
    executed: BTreeMap<Height, ExecutedHeader>,
    /// Era of the checkpoint this client continued from.
    root: Option<u64>,
    /// Block that must be part of the chain.
    trusted: Option<TrustedBlock>,
    /// Whether the nodes are known to follow the chain of this genesis, with that block.
    anchored: bool,
}

impl LightClient {
    /// A client that trusts `genesis`. Nothing is asked yet.
    pub fn new(transport: Arc<dyn RpcTransport>, genesis: &Genesis, pool: CpuPool) -> Result<Self, LightError> {
        let (built, params) = (genesis.build()?, genesis.params());
        let state = MemoryState::from_delta(&built.delta);
        let committee = committee_of_era(&state, &params, 0).map_err(|e| GenesisError::Module(e.to_string()))?;
        let first = Arc::new(TrustedEra::new(0, committee)?);
        let known = Known {
            eras: BTreeMap::from([(0, first)]),
            newest: None,
            signed: BTreeMap::new(),
            executed: BTreeMap::new(),
            root: None,
            trusted: None,
            anchored: false,
        };
        Ok(Self {
            prover: Prover::new(transport, pool),
            rules: LightRules::new(genesis.chain_id, &params),
            params,
            genesis_hash: built.header.hash_slow(),
            genesis: built.header,
            known: Mutex::new(known),
            certificates: AtomicU64::new(0),
        })
    }

    /// Continues from where an earlier client of the same chain stopped.
    pub fn resume(&self, checkpoint: Checkpoint) -> Result<(), LightError> {
        if checkpoint.genesis != self.genesis_hash {
            let (found, expected) = (checkpoint.genesis, self.genesis_hash);
            return Err(LightError::ForeignCheckpoint { found, expected });
        }
        let era = Arc::new(TrustedEra::new(checkpoint.era, checkpoint.committee)?);
        let mut known = self.known.lock();
        known.anchored = checkpoint.newest.is_some() && known.trusted.is_none();
        known.newest = checkpoint.newest;
        known.root = Some(era.era);
        known.eras.insert(era.era, era);
        Ok(())
    }

    /// Insists on a block from a source that is trusted: whoever can sign another history since genesis, or since a checkpoint that is
    /// too old, cannot sign one with this block in it.
    pub fn insist(&self, block: TrustedBlock) {
        let mut known = self.known.lock();
        known.trusted = Some(block);
        known.anchored = false;
    }

    /// Where to continue later.
    pub fn checkpoint(&self) -> Checkpoint {
        let known = self.known.lock();
        let (era, trusted) = known.eras.last_key_value().expect("the era of genesis is always known");
        let (era, committee, newest) = (*era, trusted.committee.clone(), known.newest.clone());
        Checkpoint { genesis: self.genesis_hash, era, committee, newest }
    }

    /// Era of the checkpoint that is trusted, or `None` if that is genesis.
    pub fn root(&self) -> Option<u64> {
        self.known.lock().root
    }

    /// Height of the newest verified header, 0 before the first.
    pub fn newest(&self) -> Height {
        self.known.lock().newest.as_ref().map_or(0, |header| header.height)
    }

    /// Certificates verified so far.
    pub fn certificates(&self) -> u64 {
        self.certificates.load(Ordering::Relaxed)
    }

    /// The chain's rules.
    pub fn rules(&self) -> &LightRules {
        &self.rules
    }

    /// The chain's numbers.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The executed header of genesis with its hash.
    pub fn genesis(&self) -> (&ExecutedHeader, B256) {
        (&self.genesis, self.genesis_hash)
    }

    pub(super) fn prover(&self) -> &Prover {
        &self.prover
    }

    /// The block of a height with all that proves it.
    pub async fn certified(&self, height: Height) -> Result<Certified, LightError> {
        self.era(self.rules.calendar.era(height + 1)).await?;
        let (signed, executed) = futures::try_join!(self.signed(height), self.executed(height))?;
        let committee = self.era(self.rules.calendar.era(height)).await?.committee.clone();
        let hash = executed.hash_slow();
        Ok(Certified { signed, committee, executed, hash })
    }

    /// The certified header of a height.
    pub async fn signed(&self, height: Height) -> Result<SignedHeader, LightError> {
        if height == 0 {
            return Err(LightError::Genesis);
        }
        if let Some(signed) = self.known.lock().signed.get(&height) {
            return Ok(signed.clone());
        }
        let era = self.era(self.rules.calendar.era(height)).await?;
        let (signed, _) = self.ask_signed(height, era).await?;
        self.note(&signed.header)?;
        remember(&mut self.known.lock().signed, height, signed.clone());
        Ok(signed)
    }

    /// The executed header of a height, certified by the header of one of the next two heights.
    pub async fn executed(&self, height: Height) -> Result<ExecutedHeader, LightError> {
        if let Some(executed) = self.known.lock().executed.get(&height) {
            return Ok(executed.clone());
        }
        let certified = self.certified_execution(height).await?;
        if height == 0 {
            check_executed(self.genesis_hash, &certified)?;
            return Ok(self.genesis.clone());
        }
        self.ask_executed(certified).await
    }

    /// What the execution of a height led to. The next header names it, or the one after that, or that one names the
    /// block above, whose executed header has it as its parent.
    async fn certified_execution(&self, height: Height) -> Result<Executed, LightError> {
        let next = self.signed(height + 1).await?.header.executed;
        if next.height == height {
            return Ok(next);
        }
        let above = self.signed(height + 2).await?.header.executed;
        if above.height == height {
            return Ok(above);
        }
        Ok(Executed { height, hash: self.ask_executed(above).await?.parent_hash })
    }

    async fn ask_executed(&self, certified: Executed) -> Result<ExecutedHeader, LightError> {
        let height = certified.height;
        if let Some(executed) = self.known.lock().executed.get(&height) {
            return Ok(executed.clone());
        }
        let check = move |value| {
            let rlp: Option<Bytes> = parse("cess_executedHeader", value)?;
            let header = executed(&rlp.ok_or(LightError::Missing { what: "executed header", height })?)?;
            check_executed(header.hash_slow(), &certified)?;
            Ok(header)
        };
        let header = self.prover.ask("cess_executedHeader", json!([height]), check).await?;
        remember(&mut self.known.lock().executed, height, header.clone());
        Ok(header)
    }

    /// Executed headers of `from..=to`, [`EXECUTED_HEADERS_MAX`] at most: the last is certified, the others are its ancestors.
    pub async fn executed_range(&self, from: Height, to: Height) -> Result<Vec<ExecutedHeader>, LightError> {
        let count = (to + 1).saturating_sub(from);
        assert!((1..=EXECUTED_HEADERS_MAX).contains(&count), "{count} headers are asked for at once");
        if let Some(kept) = self.kept(from, to) {
            return Ok(kept);
        }
        let last = self.certified_execution(to).await?;
        let check = move |value| {
            let list: Vec<Bytes> = parse("cess_executedHeaders", value)?;
            let headers: Vec<ExecutedHeader> = list.iter().map(|rlp| executed(rlp)).collect::<Result<_, _>>()?;
            check_ancestors(&headers, from, &last)?;
            Ok(headers)
        };
        let headers = self.prover.ask("cess_executedHeaders", json!([from, count]), check).await?;
        let mut known = self.known.lock();
        headers.iter().for_each(|header| remember(&mut known.executed, header.number, header.clone()));
        Ok(headers)
    }

    fn kept(&self, from: Height, to: Height) -> Option<Vec<ExecutedHeader>> {
        let known = self.known.lock();
        (from..=to).map(|height| known.executed.get(&height).cloned()).collect()
    }

    /// The committee of an era: known, or reached era by era from the nearest one before it.
    pub async fn era(&self, era: u64) -> Result<Arc<TrustedEra>, LightError> {
        self.anchor().await?;
        self.walk(era).await
    }

    async fn walk(&self, era: u64) -> Result<Arc<TrustedEra>, LightError> {
        loop {
            let nearest = self.nearest(era);
            if nearest.era == era {
                return Ok(nearest);
            }
            let count = (era - nearest.era).min(ERA_CHANGES_MAX);
            for step in self.ask_changes(nearest, count).await? {
                self.known.lock().keep(step);
            }
        }
    }

    fn nearest(&self, era: u64) -> Arc<TrustedEra> {
        let known = self.known.lock();
        let (_, nearest) = known.eras.range(..=era).next_back().expect("the era of genesis is always known");
        nearest.clone()
    }

    /// Makes sure once that the nodes follow the chain that is meant: its first block names the hash of genesis, and the block that
    /// is insisted on is part of it.
    async fn anchor(&self) -> Result<(), LightError> {
        let (anchored, continued, trusted) = {
            let known = self.known.lock();
            (known.anchored, known.root.is_some(), known.trusted)
        };
        if anchored {
            return Ok(());
        }
        if !continued {
            let (first, by) = self.ask_signed(1, self.nearest(0)).await?;
            let (found, expected) = (first.header.executed.hash, self.genesis_hash);
            if found != expected {
                return Err(self.misled(by, LightError::ForeignGenesis { found, expected }));
            }
        }
        if let Some(TrustedBlock { height, id: expected }) = trusted {
            let era = self.walk(self.rules.calendar.era(height)).await?;
            let (signed, by) = self.ask_signed(height, era).await?;
            let found = signed.header.id();
            if found != expected {
                return Err(self.misled(by, LightError::ForeignBlock { height, found, expected }));
            }
        }
        self.known.lock().anchored = true;
        Ok(())
    }

    /// Forgets where a node of another history led, so that the next one is followed from the root.
    fn misled(&self, by: Option<PeerId>, error: LightError) -> LightError {
        self.prover.blame(by, &error);
        let mut known = self.known.lock();
        let root = known.root.unwrap_or(0);
        known.eras.retain(|era, _| *era == 0 || *era == root);
        error
    }

    async fn ask_signed(
        &self,
        height: Height,
        era: Arc<TrustedEra>,
    ) -> Result<(SignedHeader, Option<PeerId>), LightError> {
        let rules = self.rules;
        let check = move |value| {
            let bytes: Option<Bytes> = parse("cess_signedHeader", value)?;
            let signed: SignedHeader = decode(&bytes.ok_or(LightError::Missing { what: "certified header", height })?)?;
            let found = signed.header.height;
            if found != height {
                return Err(crate::consensus::HeaderFault::WrongHeight { asked: height, found }.into());
            }
            era.verify(&rules, &signed)?;
            Ok(signed)
        };
        let answer = self.prover.ask_from("cess_signedHeader", json!([height]), Duration::ZERO, check).await?;
        self.certificates.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    /// Verified steps from the era after `from` on: at least one, `count` at most.
    async fn ask_changes(&self, from: Arc<TrustedEra>, count: u64) -> Result<Vec<Arc<TrustedEra>>, LightError> {
        let (rules, first) = (self.rules, from.era);
        let check = move |value| {
            let list: Vec<Bytes> = parse("cess_eraHeaders", value)?;
            if u64::try_from(list.len()).unwrap_or(u64::MAX) > count {
                return Err(LightError::Malformed(format!("{} eras were given, {count} were asked for", list.len())));
            }
            let mut steps: Vec<Arc<TrustedEra>> = Vec::with_capacity(list.len());
            for bytes in list {
                let change: EraChange = decode(&bytes)?;
                let next = steps.last().unwrap_or(&from).step(&rules, &change)?;
                steps.push(Arc::new(next));
            }
            let height = rules.calendar.last(from.era);
            if steps.is_empty() { Err(LightError::Missing { what: "change of eras", height }) } else { Ok(steps) }
        };
        let steps = self.prover.ask("cess_eraHeaders", json!([first, count]), check).await?;
        self.certificates.fetch_add(u64::try_from(steps.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(steps)
    }

    /// Remembers the newest header; refuses one that contradicts it.
    fn note(&self, header: &Header) -> Result<(), LightError> {
        let mut known = self.known.lock();
        let Some(newest) = &known.newest else {
            known.newest = Some(header.clone());
            return Ok(());
        };
        if header.height < newest.height {
            return Ok(check_order(header, newest)?);
        }
        check_order(newest, header)?;
        known.newest = Some(header.clone());
        Ok(())
    }
}

impl Known {
    /// Adds a committee. Over the bound the oldest one is forgotten, but neither genesis nor the one just added.
    fn keep(&mut self, era: Arc<TrustedEra>) {
        let number = era.era;
        self.eras.insert(number, era);
        if self.eras.len() > ERAS_MAX {
            let oldest = self.eras.keys().copied().find(|known| *known != 0 && *known != number);
            oldest.map(|oldest| self.eras.remove(&oldest));
        }
    }
}

/// Keeps the newest [`HEADERS_MAX`] headers.
fn remember<T>(headers: &mut BTreeMap<Height, T>, height: Height, header: T) {
    headers.insert(height, header);
    if headers.len() > HEADERS_MAX {
        headers.pop_first();
    }
}

fn check_ancestors(headers: &[ExecutedHeader], from: Height, last: &Executed) -> Result<(), LightError> {
    let missing = || LightError::Missing { what: "executed header", height: last.height };
    let mut expected = last.hash;
    let mut height = last.height;
    for (index, header) in headers.iter().rev().enumerate() {
        let found = header.hash_slow();
        if index == 0 {
            check_executed(found, last)?;
        } else if found != expected {
            return Err(LightError::Unlinked { height, found, expected });
        }
        expected = header.parent_hash;
        height = height.saturating_sub(1);
    }
    // The chain of hashes fixes the heights: only the number of headers can be wrong.
    match u64::try_from(headers.len()) {
        Ok(count) if count == last.height + 1 - from => Ok(()),
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests;
