//! A chain and miners that pretend, for tests of those who verify and tag.
//!
//! Owns the pretence: the chain answers the views of the storage market, notes calls, and emits what they lead to.

use crate::{
    client::{ChainClient, ChainError, ChainEvent, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome},
    codec,
    crypto::NodeKeys,
    ledger::{
        abi::{AUDITS, IAudits, IMiners, IStaking, ITee, MINERS, STAKING, TEE},
        audit::{Rounds, draw_committee, idle_subject, round_subject},
        manifest::{Manifest, SegmentEntry},
        native,
    },
    network::{Frames, MemoryHub, Network, PeerId},
    runtime::{CpuPool, Node},
    storage::{
        peer_of,
        wire::{Answer, Ask, AuditPart, DATA, Refusal, Request, Response},
    },
    types::{Address, B256, FileId, FragmentId, Height, Params, Profile, SegmentId, U256, params::KEY_LOST_ROUNDS},
};
use alloy_primitives::{Bytes as EthBytes, keccak256};
use alloy_sol_types::{SolCall, SolInterface};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

pub const CHAIN_ID: u64 = 11_332;

/// A vote as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voted {
    pub from: Address,
    pub round: u64,
    pub miner: Address,
    pub verdict: u8,
}

/// What the chain holds; tests change it as they like.
#[derive(Default)]
pub struct State {
    pub events: BTreeMap<Height, Vec<(B256, ChainEvent)>>,
    pub miners: Vec<MinerRecord>,
    pub verifiers: Vec<Address>,
    pub seats: Vec<Address>,
    pub workers: Vec<ITee::Worker>,
    pub standings: BTreeMap<Address, IMiners::Standing>,
    pub segments: BTreeMap<Address, Vec<IMiners::Segment>>,
    /// Miners about whom no vote is taken.
    pub refused: Vec<Address>,
    pub votes: Vec<Voted>,
    pub idle_votes: Vec<(Address, u64, bool)>,
    pub appeals: Vec<(Address, u64, u8)>,
    /// Parts of rounds the chain was shown, with the files whose manifests were given; it judges nothing unless it `judges`.
    pub refuted: Vec<(Address, u64, u8, usize)>,
    pub judges: bool,
    pub rulings: Vec<(u64, u8)>,
    pub calls: Vec<(Address, ITee::ITeeCalls)>,
    /// Key epochs, as their events tell.
    pub epochs: Vec<TwinEpoch>,
    /// Last block whose events this chain does not have any more.
    pub pruned: Height,
    pub files: BTreeMap<FileId, FileRecord>,
    /// Epochs of tags plus one, by file.
    pub tags: BTreeMap<FileId, [u64; 12]>,
    outcomes: BTreeMap<B256, TxOutcome>,
    nonces: BTreeMap<Address, u64>,
}

/// A key epoch.
#[derive(Debug, Default)]
pub struct TwinEpoch {
    opened_at: Height,
    used_at: Height,
    is_open: bool,
    /// The seal key under which each worker got its key.
    sealed_to: BTreeMap<Address, B256>,
}

/// A chain that executes nothing but remembers everything.
pub struct TwinChain {
    height: watch::Sender<Height>,
    pub state: Mutex<State>,
}

impl TwinChain {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { height: watch::Sender::new(10), state: Mutex::default() })
    }

    pub fn height(&self) -> Height {
        *self.height.borrow()
    }

    /// Makes empty blocks up to `height`.
    pub fn advance_to(&self, height: Height) {
        self.height.send_modify(|now| *now = height.max(*now));
    }

    /// Puts `event` into the next block.
    pub fn emit(&self, event: ChainEvent) -> Height {
        let height = self.height() + 1;
        self.note_epochs(height, &event);
        self.state.lock().events.entry(height).or_default().push((B256::ZERO, event));
        self.advance_to(height);
        height
    }

    fn note_epochs(&self, height: Height, event: &ChainEvent) {
        let mut state = self.state.lock();
        let seal_key = |worker: &Address| Some(state.workers.iter().find(|w| w.account == *worker)?.sealKey);
        match event {
            ChainEvent::EpochOpened { opener, .. } => {
                let sealed_to = seal_key(opener).map(|seal_key| (*opener, seal_key)).into_iter().collect();
                state.epochs.push(TwinEpoch { opened_at: height, used_at: height, is_open: true, sealed_to });
            }
            ChainEvent::EpochClosed { epoch } | ChainEvent::EpochSuspended { epoch } => {
                state.epochs[*epoch as usize].is_open = false;
            }
            ChainEvent::KeyHandedOver { epoch, to, seal_key, .. } => {
                let epoch = &mut state.epochs[*epoch as usize];
                if epoch.sealed_to.insert(*to, *seal_key) != Some(*seal_key) {
                    epoch.used_at = height;
                }
            }
            ChainEvent::FileTagged { epoch, .. } => {
                if let Some(epoch) = state.epochs.get_mut(*epoch as usize) {
                    epoch.used_at = height;
                }
            }
            _ => {}
        }
    }

    /// What the chain says of the next key epoch.
    pub fn next_epoch(&self) -> ITee::nextEpochReturn {
        let (state, params) = (self.state.lock(), Params::dev());
        let number = state.epochs.len() as u64;
        let Some(open) = state.epochs.last().filter(|epoch| epoch.is_open) else {
            return ITee::nextEpochReturn { number, due: 0, lost: 0 };
        };
        let due = open.opened_at + params.tee_epoch_eras * params.era_blocks;
        let has = |worker: &ITee::Worker| {
            worker.state == 0 && worker.kind != 1 && open.sealed_to.get(&worker.account) == Some(&worker.sealKey)
        };
        let held = state.workers.iter().any(has);
        let lost = if held { open.used_at + KEY_LOST_ROUNDS * params.audit_round_blocks } else { 0 };
        ITee::nextEpochReturn { number, due, lost }
    }

    /// Registers a miner.
    pub fn add_miner(&self, keys: &NodeKeys) -> MinerRecord {
        let (address, name) = (keys.address(), "miner".to_owned());
        let (network_key, account_key) = (keys.network.public().0, keys.account.public().0);
        let since = self.height() + 1;
        let (operator, prefix, capacity, used) = (address, 0, 1 << 30, 0);
        let record = MinerRecord {
            address,
            operator,
            network_key,
            account_key,
            prefix,
            capacity,
            used,
            since,
            name: name.clone(),
            ..MinerRecord::default()
        };
        self.state.lock().miners.push(record.clone());
        self.emit(ChainEvent::MinerRegistered { account: address, operator, capacity, name });
        record
    }

    fn status_now(&self) -> ChainStatus {
        let height = self.height();
        ChainStatus {
            chain_id: CHAIN_ID,
            genesis: B256::repeat_byte(1),
            height,
            hash: B256::ZERO,
            beacon: beacon_of(height),
            time_ms: 0,
            profile: Profile::Dev,
            peers: 1,
            syncing: false,
        }
    }

    fn drawn(&self, height: Height, subject: &[u8]) -> Vec<Address> {
        let members = self.state.lock().verifiers.clone();
        draw_committee(&beacon_of(height), subject, members.len()).into_iter().map(|place| members[place]).collect()
    }

    fn audits(&self, call: IAudits::IAuditsCalls) -> Option<Vec<u8>> {
        use IAudits::IAuditsCalls as C;
        let rounds = Rounds::of(&Params::dev());
        Some(match call {
            C::round(_) => IAudits::roundCall::abi_encode_returns(&IAudits::Round {
                number: rounds.at(self.height()),
                openedAt: 0,
                beacon: B256::ZERO,
                answerUntil: 0,
                proveUntil: 0,
                voteUntil: 0,
                tags: true,
                slow: false,
            }),
            C::verifiers(_) => IAudits::verifiersCall::abi_encode_returns(&self.state.lock().verifiers.clone()),
            C::committee(call) => {
                let drawn = self.drawn(rounds.answer_until(call.round), &round_subject(call.round, &call.miner));
                IAudits::committeeCall::abi_encode_returns(&drawn)
            }
            C::idleCommittee(call) => {
                let drawn = self.drawn(self.height(), &idle_subject(call.batch, &call.miner));
                IAudits::idleCommitteeCall::abi_encode_returns(&drawn)
            }
            C::basis(call) => {
                let none = IMiners::Standing { used: 0, segments: 0, consumed: 0, idle: 0 };
                let standing = self.state.lock().standings.get(&call.miner).cloned().unwrap_or(none);
                let IMiners::Standing { used: service, segments, consumed, idle } = standing;
                IAudits::basisCall::abi_encode_returns(&IAudits::Basis { idle, service, segments, consumed })
            }
            C::verdict(call) => {
                let state = self.state.lock();
                let value = state.events.values().flatten().rev().find_map(|(_, event)| match event {
                    ChainEvent::AuditDecided { miner, round, verdict, .. }
                    | ChainEvent::AuditRefuted { miner, round, verdict, .. }
                        if (*miner, *round) == (call.miner, call.round) =>
                    {
                        Some(*verdict)
                    }
                    _ => None,
                });
                let (decided, value) = (value.is_some(), value.unwrap_or_default());
                let verdict = IAudits::Verdict { value, decidedAt: 0, votes: 5, decided, appealed: false };
                IAudits::verdictCall::abi_encode_returns(&verdict)
            }
            C::terms(_) => IAudits::termsCall::abi_encode_returns(&IAudits::Terms {
                roundBlocks: 20,
                tagRounds: 1,
                answerBlocks: 3,
                proveBlocks: 8,
                appealBlocks: 20,
                committee: 7,
                deposit: U256::from(5),
            }),
            _ => return None,
        })
    }

    fn miners_call(&self, call: IMiners::IMinersCalls) -> Option<Vec<u8>> {
        use IMiners::IMinersCalls as C;
        let state = self.state.lock();
        Some(match call {
            C::standing(call) => {
                let none = IMiners::Standing { used: 0, segments: 0, consumed: 0, idle: 0 };
                let standing = state.standings.get(&call.account).cloned().unwrap_or(none);
                IMiners::standingCall::abi_encode_returns(&standing)
            }
            C::segments(call) => {
                let all = state.segments.get(&call.account).cloned().unwrap_or_default();
                let page: Vec<_> = all.into_iter().skip(call.skip as usize).take(call.limit as usize).collect();
                IMiners::segmentsCall::abi_encode_returns(&page)
            }
            C::holdings(call) => {
                let held = state.files.values().filter(|file| file.holders.contains(&call.account));
                let page: Vec<B256> = held.map(|file| file.id.into()).skip(call.skip as usize).collect();
                IMiners::holdingsCall::abi_encode_returns(&page)
            }
            C::idleSeed(_) => IMiners::idleSeedCall::abi_encode_returns(&seed()),
            _ => return None,
        })
    }

    fn tee_view(&self, call: ITee::ITeeCalls) -> Option<Vec<u8>> {
        use ITee::ITeeCalls as C;
        Some(match call {
            C::list(call) => {
                let workers = self.state.lock().workers.clone();
                let page: Vec<_> = workers.into_iter().skip(call.skip as usize).collect();
                ITee::listCall::abi_encode_returns(&page)
            }
            C::nextEpoch(_) => ITee::nextEpochCall::abi_encode_returns(&self.next_epoch()),
            C::epochs(_) => {
                let opened = self.state.lock().epochs.len() as u64;
                ITee::epochsCall::abi_encode_returns(&opened)
            }
            C::epoch(call) => {
                let state = self.state.lock();
                let key = state.events.values().flatten().find_map(|(_, event)| match event {
                    ChainEvent::EpochOpened { epoch, key, .. } if *epoch == call.number => Some(key.clone()),
                    _ => None,
                })?;
                let number = call.number;
                ITee::epochCall::abi_encode_returns(&ITee::Epoch { number, key, ..ITee::Epoch::default() })
            }
            C::tagsOf(call) => {
                let tags = self.state.lock().tags.get(&call.file.into()).copied().unwrap_or_default();
                ITee::tagsOfCall::abi_encode_returns(&tags)
            }
            _ => return None,
        })
    }

    /// Does what a transaction asks for; the refusal if it does not.
    fn execute(&self, from: Address, to: Address, data: &[u8], real: bool) -> Result<(), String> {
        match to {
            AUDITS => self.execute_audits(from, IAudits::IAuditsCalls::abi_decode(data).unwrap(), real),
            TEE => {
                let call = ITee::ITeeCalls::abi_decode(data).unwrap();
                self.refuse_tee(from, &call)?;
                if real {
                    self.execute_tee(from, &call);
                    self.state.lock().calls.push((from, call));
                }
                Ok(())
            }
            other => Err(format!("no transactions to {other}")),
        }
    }

    fn execute_audits(&self, from: Address, call: IAudits::IAuditsCalls, real: bool) -> Result<(), String> {
        use IAudits::IAuditsCalls as C;
        let mut state = self.state.lock();
        match call {
            C::vote(call) => {
                if let Some(miner) = call.miners.iter().find(|miner| state.refused.contains(miner)) {
                    return Err(format!("no vote about {miner}"));
                }
                let votes = call.miners.iter().zip(&call.verdicts);
                let votes =
                    votes.map(|(miner, verdict)| Voted { from, round: call.round, miner: *miner, verdict: *verdict });
                if real {
                    state.votes.extend(votes);
                }
            }
            C::voteIdle(call) if real => {
                let votes = call.miners.into_iter().zip(call.batches).zip(call.accepted);
                state.idle_votes.extend(votes.map(|((miner, batch), accepted)| (miner, batch, accepted)));
            }
            C::appeal(call) if real => state.appeals.push((call.miner, call.round, call.verdict)),
            C::refute(_) if !state.judges => return Err("the chain cannot judge this".into()),
            C::refute(call) if real => {
                let (miner, round, part) = (call.miner, call.round, call.evidence.part);
                state.refuted.push((miner, round, part, call.evidence.manifests.len()));
                let height = *self.height.borrow() + 1;
                let event = ChainEvent::AuditRefuted { miner, round, by: from, part, outcome: 1, verdict: 0b01_01 };
                state.events.entry(height).or_default().push((B256::ZERO, event));
            }
            C::rule(call) if real => state.rulings.push((call.number, call.verdict)),
            _ => {}
        }
        Ok(())
    }

    /// The chain's own rules about keys.
    fn refuse_tee(&self, from: Address, call: &ITee::ITeeCalls) -> Result<(), String> {
        use ITee::ITeeCalls as C;
        match call {
            C::openEpoch(_) => {
                let next = self.next_epoch();
                let from = next.due.min(next.lost);
                if self.height() < from { Err(format!("another epoch may be opened from {from} on")) } else { Ok(()) }
            }
            C::handOver(call) => {
                let state = self.state.lock();
                let seal_key =
                    |account: Address| state.workers.iter().find(|w| w.account == account).map(|w| w.sealKey);
                let sealed_to = &state.epochs[call.epoch as usize].sealed_to;
                if seal_key(from).is_none() || sealed_to.get(&from).copied() != seal_key(from) {
                    return Err(format!("{from} does not have the key"));
                }
                let present = seal_key(call.worker) == Some(call.sealKey);
                if present { Ok(()) } else { Err("sealed to another key".to_owned()) }
            }
            _ => Ok(()),
        }
    }

    fn execute_tee(&self, from: Address, call: &ITee::ITeeCalls) {
        use ITee::ITeeCalls as C;
        match call {
            C::certify(call) => {
                for (file, columns) in call.files.iter().zip(&call.columns) {
                    let (file, columns) = (FileId(file.0), *columns);
                    self.emit(ChainEvent::FileTagged { file, epoch: call.epoch, worker: from, columns });
                }
            }
            C::openEpoch(call) => {
                let epoch = self.next_epoch().number;
                if let Some(before) = epoch.checked_sub(1).filter(|_| self.next_epoch().due > 0) {
                    self.emit(ChainEvent::EpochClosed { epoch: before });
                }
                let (key, srs) = (call.key.clone(), call.srs.clone());
                self.emit(ChainEvent::EpochOpened { epoch, opener: from, key, srs });
            }
            C::handOver(call) => {
                let (epoch, to, seal_key, sealed) = (call.epoch, call.worker, call.sealKey, call.sealed_.clone());
                self.emit(ChainEvent::KeyHandedOver { epoch, from, to, seal_key, sealed });
            }
            _ => {}
        }
    }
}

/// The beacon of a block.
pub fn beacon_of(height: Height) -> B256 {
    crate::crypto::hash::tagged("cess 2026 twin beacon", &[&height.to_le_bytes()]).into()
}

/// The beacon of every miner's registration.
pub fn seed() -> B256 {
    B256::repeat_byte(0x5e)
}

fn refused(message: impl ToString) -> ChainError {
    ChainError::Refused { code: 3, message: message.to_string() }
}

#[async_trait]
impl ChainClient for TwinChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        Ok(self.status_now())
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        let _ = timeout(deadline, self.height.subscribe().wait_for(|now| *now > height)).await;
        Ok(self.status_now())
    }

    async fn balance(&self, _account: Address) -> Result<U256, ChainError> {
        Ok(U256::from(10).pow(U256::from(30)))
    }

    async fn nonce(&self, account: Address) -> Result<u64, ChainError> {
        Ok(self.state.lock().nonces.get(&account).copied().unwrap_or(0))
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        Ok(1)
    }

    async fn call(&self, to: Address, data: EthBytes) -> Result<EthBytes, ChainError> {
        let answer = match to {
            AUDITS => self.audits(IAudits::IAuditsCalls::abi_decode(&data).map_err(refused)?),
            MINERS => self.miners_call(IMiners::IMinersCalls::abi_decode(&data).map_err(refused)?),
            TEE => self.tee_view(ITee::ITeeCalls::abi_decode(&data).map_err(refused)?),
            STAKING => {
                let seat = |account: &Address| IStaking::Validator { account: *account, ..no_validator() };
                let seats: Vec<_> = self.state.lock().seats.iter().map(seat).collect();
                Some(IStaking::committeeCall::abi_encode_returns(&seats))
            }
            _ => None,
        };
        answer.map(EthBytes::from).ok_or_else(|| refused("no such view here"))
    }

    async fn estimate_gas(&self, from: Address, to: Address, _: U256, data: EthBytes) -> Result<u64, ChainError> {
        self.execute(from, to, &data, false).map(|()| 100_000).map_err(refused)
    }

    async fn submit(&self, raw: EthBytes) -> Result<B256, ChainError> {
        let (hash, (tx, _)) = (keccak256(&raw), native::decode(&raw).map_err(refused)?);
        if self.state.lock().outcomes.contains_key(&hash) {
            return Ok(hash);
        }
        *self.state.lock().nonces.entry(tx.sender()).or_default() += 1;
        let before = self.height();
        let error = self.execute(tx.sender(), tx.to, &tx.data, true).err();
        self.advance_to(before + 1);
        let height = self.height();
        let (success, block, gas_price) = (error.is_none(), B256::ZERO, U256::from(1));
        let outcome = TxOutcome { tx: hash, height, block, gas_used: 1, gas_price, success, error };
        self.state.lock().outcomes.insert(hash, outcome);
        Ok(hash)
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        Ok(self.state.lock().outcomes.get(&tx).cloned())
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        let state = self.state.lock();
        if from <= state.pruned {
            let message = format!("pruned history unavailable: block {from}");
            return Err(ChainError::Refused { code: crate::rpc::error::PRUNED, message });
        }
        let batches = state.events.range(from..=to);
        Ok(batches.map(|(height, events)| EventBatch { height: *height, events: events.clone() }).collect())
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        Ok((height <= self.height()).then(|| beacon_of(height)))
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        Ok(self.state.lock().miners.clone())
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        Ok(self.state.lock().files.get(&id).cloned())
    }

    async fn manifest(&self, _: FileId) -> Result<Option<EthBytes>, ChainError> {
        Ok(None)
    }

    async fn files_of(&self, _: Address, _: u64, _: u64) -> Result<Vec<FileRecord>, ChainError> {
        Ok(Vec::new())
    }
}

fn no_validator() -> IStaking::Validator {
    IStaking::Validator {
        account: Address::ZERO,
        consensusKey: B256::ZERO,
        vrfKey: B256::ZERO,
        networkKey: B256::ZERO,
        stake: U256::ZERO,
        power: 0,
    }
}

/// A worker's record.
pub fn worker(keys: &NodeKeys, kind: u8, seal_key: [u8; 32]) -> ITee::Worker {
    ITee::Worker {
        account: keys.address(),
        id: "DEV-0".into(),
        name: "worker".into(),
        kind,
        attestation: 0,
        measurement: B256::ZERO,
        networkKey: keys.network.public().0.into(),
        sealKey: seal_key.into(),
        since: 1,
        attestedUntil: 1_000_000,
        bond: U256::from(1),
        bondUntil: 0,
        state: 0,
    }
}

/// What a miner that pretends has; tests put in whatever it shall serve.
#[derive(Default)]
pub struct Shelf {
    pub fragments: BTreeMap<FragmentId, Bytes>,
    pub answers: BTreeMap<(u64, u8), Bytes>,
    pub idle: BTreeMap<(u64, u64), Bytes>,
    pub tags: BTreeMap<(FragmentId, u64), Bytes>,
    /// Digest of the key of each epoch it signs for.
    pub keys: BTreeMap<u64, [u8; 32]>,
    /// Whether it refuses tags.
    pub stubborn: bool,
}

/// A miner that pretends.
pub struct TwinMiner {
    pub keys: NodeKeys,
    pub peer: PeerId,
    pub shelf: Arc<Mutex<Shelf>>,
}

impl TwinMiner {
    /// Registers a miner and serves its shelf.
    pub fn start(chain: &TwinChain, hub: &Arc<MemoryHub>, seed: u8) -> Self {
        let keys = NodeKeys::derive(&[seed; 32]);
        let record = chain.add_miner(&keys);
        let peer = peer_of(&record).unwrap();
        let network: Arc<dyn Network> = hub.join(peer);
        let (shelf, own) = (Arc::new(Mutex::new(Shelf::default())), keys.clone());
        let (served, mut arriving) = (shelf.clone(), network.accept(DATA));
        tokio::spawn(async move {
            let _network = network;
            while let Some(stream) = arriving.recv().await {
                tokio::spawn(serve(stream, served.clone(), own.clone()));
            }
        });
        Self { keys, peer, shelf }
    }

    pub fn account(&self) -> Address {
        self.keys.address()
    }

    pub fn answer(&self, round: u64, part: AuditPart, bytes: Vec<u8>) {
        self.shelf.lock().answers.insert((round, part as u8), bytes.into());
    }
}

async fn serve(mut stream: Box<dyn Frames>, shelf: Arc<Mutex<Shelf>>, keys: NodeKeys) {
    while let Ok(Some(frame)) = stream.recv().await {
        let Request { tag, ask } = codec::decode(&frame).unwrap();
        let payload = match &ask {
            Ask::Put { .. } | Ask::Tags { .. } => stream.recv().await.unwrap().unwrap(),
            _ => Bytes::new(),
        };
        let (answer, bytes) = answer(&mut shelf.lock(), &keys, ask, payload);
        let follows = matches!(answer, Answer::Fragment { .. } | Answer::Proof { .. });
        if stream.send(codec::encode(&Response { tag, answer }).into()).await.is_err() {
            return;
        }
        if follows && stream.send(bytes).await.is_err() {
            return;
        }
    }
}

fn answer(shelf: &mut Shelf, keys: &NodeKeys, ask: Ask, payload: Bytes) -> (Answer, Bytes) {
    let proof = |bytes: Option<&Bytes>| match bytes {
        Some(bytes) => (Answer::Proof { len: bytes.len() as u32 }, bytes.clone()),
        None => (Answer::Refused(Refusal::invalid("not here")), Bytes::new()),
    };
    match ask {
        Ask::Get { id } => match shelf.fragments.get(&id) {
            Some(bytes) => (Answer::Fragment { len: bytes.len() as u32 }, bytes.clone()),
            None => (Answer::Refused(Refusal::NotHeld(id)), Bytes::new()),
        },
        Ask::Tags { .. } if shelf.stubborn => (Answer::Refused(Refusal::invalid("no tags")), Bytes::new()),
        Ask::Tags { id, epoch, .. } => {
            shelf.tags.insert((id, epoch), payload);
            (Answer::Stored, Bytes::new())
        }
        Ask::TagReceipt { column, epoch, manifest } => {
            let file = Manifest::read(&manifest).unwrap().id();
            let digest = shelf.keys.get(&epoch).copied().unwrap_or_default();
            let message = crate::ledger::audit::tag_message(CHAIN_ID, file, column, keys.address(), &digest);
            (Answer::Signed(keys.account.sign(&message).0), Bytes::new())
        }
        Ask::Audit { round, part } => proof(shelf.answers.get(&(round, part as u8))),
        Ask::IdleProof { batch, segment } => proof(shelf.idle.get(&(batch, segment))),
        _ => (Answer::Refused(Refusal::invalid("not here")), Bytes::new()),
    }
}

/// A file of one small segment, with its twelve fragments.
pub fn small_file(seed: u8, len: usize) -> (Manifest, Vec<Bytes>) {
    let data = crate::storage::cluster::sample(u64::from(seed), len);
    let fragments: Vec<Bytes> = crate::storage::erasure::encode(&data).into_iter().map(Bytes::from).collect();
    let ids = std::array::from_fn(|column| crate::storage::slicer::fragment_id(&fragments[column]));
    let id = SegmentId(crate::crypto::hash::content(&data));
    let segments = vec![SegmentEntry { id, len: u32::try_from(len).unwrap(), fragments: ids }];
    (Manifest { size: len as u64, segments }, fragments)
}

/// A file on twelve miners, told to the chain.
pub fn store(chain: &TwinChain, miners: &[TwinMiner], seed: u8, len: usize) -> (FileId, Manifest) {
    let (manifest, fragments) = small_file(seed, len);
    let holders: Vec<Address> = miners[..12].iter().map(TwinMiner::account).collect();
    for (miner, (id, bytes)) in miners.iter().zip(manifest.segments[0].fragments.iter().zip(&fragments)) {
        miner.shelf.lock().fragments.insert(*id, bytes.clone());
    }
    let (id, encoded) = (manifest.id(), codec::encode(&manifest).into());
    let (owner, size) = (Address::repeat_byte(0x77), manifest.size);
    let (owners, segments, stored_at) = (vec![owner], 1, chain.height() + 1);
    let record = FileRecord { id, owners, size, segments, holders: holders.clone(), stored_at };
    chain.state.lock().files.insert(id, record);
    chain.emit(ChainEvent::FileStored { id, owner, size, holders, manifest: encoded });
    (id, manifest)
}

/// A node for tests.
pub fn node(name: &str) -> Node {
    Node::new(name, CpuPool::new(name, 2))
}
