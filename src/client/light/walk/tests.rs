//! Walks over a made-up chain whose committee changes with every era.

use super::*;
use crate::client::{ChainError, RpcFailure};
use crate::codec;
use crate::consensus::{HeaderFault, ValidatorInfo, sign_header};
use crate::crypto::{NodeKeys, VRF_PROOF_BYTES, VrfProof};
use crate::ledger::genesis::{GenesisValidator, Overrides};
use crate::types::{Address, Amount, BlockId, Profile};
use async_trait::async_trait;
use serde_json::Value;

const CHAIN: u64 = 11_332;
const ERA_BLOCKS: u64 = 4;
const SEATS: u64 = 4;

fn keys_of(era: u64) -> Vec<NodeKeys> {
    let seed = |seat: u64| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(era + seat).to_le_bytes());
        seed
    };
    let mut keys: Vec<_> = (0..SEATS).map(|seat| NodeKeys::derive(&seed(seat))).collect();
    keys.sort_by_key(NodeKeys::address);
    keys
}

fn genesis() -> Genesis {
    let validator = |keys: &NodeKeys| GenesisValidator {
        account: keys.address(),
        consensus_key: keys.consensus.public(),
        vrf_key: keys.vrf.public(),
        network_key: keys.network.public(),
        stake: Amount::tokens(1_000),
    };
    Genesis {
        chain_id: CHAIN,
        profile: Profile::Dev,
        overrides: Overrides { era_blocks: Some(ERA_BLOCKS), ..Overrides::default() },
        time_ms: 1_700_000_000_000,
        extra_data: Bytes::new(),
        alloc: BTreeMap::new(),
        tee: Default::default(),
        deployments: Vec::new(),
        validators: keys_of(0).iter().map(validator).collect(),
    }
}

type Tamper = fn(&str, &mut Value);

/// The chain, as a node that may lie.
struct Chain {
    power: u64,
    executed: Vec<ExecutedHeader>,
    headers: Vec<Header>,
    asked: AtomicU64,
    tamper: Mutex<Tamper>,
}

impl Chain {
    fn new(newest: Height) -> Arc<Self> {
        let first = genesis().build().unwrap();
        let state = MemoryState::from_delta(&first.delta);
        let power = committee_of_era(&state, &genesis().params(), 0).unwrap().members[0].power;
        let mut executed = vec![first.header];
        for number in 1..=newest {
            let parent_hash = executed[executed.len() - 1].hash_slow();
            executed.push(ExecutedHeader { number, parent_hash, ..Default::default() });
        }
        let (headers, asked, tamper) = (Vec::new(), AtomicU64::new(0), Mutex::new((|_, _| ()) as Tamper));
        let mut chain = Self { power, executed, headers, asked, tamper };
        for _ in 0..newest {
            chain.headers.push(chain.next());
        }
        Arc::new(chain)
    }

    fn committee(&self, era: u64) -> Committee {
        let member = |keys: &NodeKeys| ValidatorInfo {
            account: keys.address(),
            consensus_key: keys.consensus.public(),
            vrf_key: keys.vrf.public(),
            network_key: keys.network.public(),
            power: self.power,
        };
        Committee::new(keys_of(era).iter().map(member).collect()).unwrap()
    }

    /// The executed block that the header of a height names: its parent, or where that took long, the one before.
    fn named(&self, height: Height) -> Executed {
        let height = height - if height.is_multiple_of(5) { 2 } else { 1 };
        Executed { height, hash: self.executed[usize::try_from(height).unwrap()].hash_slow() }
    }

    /// The header after those that are there.
    fn next(&self) -> Header {
        let height = u64::try_from(self.headers.len()).unwrap() + 1;
        Header {
            chain_id: CHAIN,
            height,
            parent: self.headers.last().map_or(BlockId::default(), Header::id),
            time_ms: height * 1_000,
            proposer: Address::ZERO,
            round: 0,
            vrf: VrfProof([0; VRF_PROOF_BYTES]),
            body: [0; 32],
            executed: self.named(height),
            committee: self.committee(height / ERA_BLOCKS).hash(),
            next_committee: self.committee((height + 1) / ERA_BLOCKS).hash(),
        }
    }

    fn signed(&self, height: Height) -> Option<SignedHeader> {
        let header = self.headers.get(usize::try_from(height.checked_sub(1)?).unwrap())?;
        Some(sign_header(header.clone(), &keys_of(height / ERA_BLOCKS)[..3], 0))
    }

    fn answer(&self, method: &str, params: &Value) -> Value {
        let hex = |bytes: Vec<u8>| json!(Bytes::from(bytes));
        let first = params[0].as_u64().unwrap();
        let rest = first..first + params.get(1).map_or(1, |count| count.as_u64().unwrap());
        let executed = |height: u64| self.executed.get(usize::try_from(height).unwrap());
        match method {
            "cess_signedHeader" => self.signed(first).map_or(Value::Null, |signed| hex(codec::encode(&signed))),
            "cess_eraHeaders" => {
                let change = |era| {
                    let last = self.signed((era + 1) * ERA_BLOCKS - 1)?;
                    Some(hex(codec::encode(&EraChange { last, next: self.committee(era + 1) })))
                };
                rest.map_while(change).collect()
            }
            "cess_executedHeader" => executed(first).map_or(Value::Null, |header| hex(alloy_rlp::encode(header))),
            "cess_executedHeaders" => rest.map_while(executed).map(|header| hex(alloy_rlp::encode(header))).collect(),
            other => panic!("{other}"),
        }
    }
}

/// The chain behind a transport that counts.
struct Node(Arc<Chain>);

#[async_trait]
impl RpcTransport for Node {
    async fn exchange(
        &self,
        method: &str,
        params: Value,
        _: Duration,
    ) -> Result<Result<Value, RpcFailure>, ChainError> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let mut answer = self.0.answer(method, &params);
        (*self.0.tamper.lock())(method, &mut answer);
        Ok(Ok(answer))
    }
}

fn client(chain: &Arc<Chain>) -> LightClient {
    LightClient::new(Arc::new(Node(chain.clone())), &genesis(), CpuPool::new("walk", 1)).unwrap()
}

#[tokio::test]
async fn a_few_questions_lead_over_many_eras_and_little_is_remembered() {
    const ERAS: u64 = 150;
    let chain = Chain::new(ERAS * ERA_BLOCKS + 2);
    let client = client(&chain);
    let certified = client.certified(ERAS * ERA_BLOCKS + 1).await.unwrap();
    assert_eq!(certified.signed.header.height, ERAS * ERA_BLOCKS + 1);
    assert_eq!(certified.committee, chain.committee(ERAS));
    assert_eq!((certified.executed.number, certified.hash), (ERAS * ERA_BLOCKS + 1, certified.executed.hash_slow()));
    // The walk; then two headers, an executed one, the first.
    assert_eq!(chain.asked.load(Ordering::Relaxed), ERAS.div_ceil(ERA_CHANGES_MAX) + 4);
    assert!(client.known.lock().eras.len() <= ERAS_MAX);
    // Back to an era that is forgotten, and on.
    assert_eq!(client.certified(9).await.unwrap().committee, chain.committee(2));
    assert!(client.known.lock().eras.len() <= ERAS_MAX + 1);
    assert_eq!(client.checkpoint().era, ERAS);
    assert_eq!(client.newest(), ERAS * ERA_BLOCKS + 2);
}

#[tokio::test]
async fn a_checkpoint_saves_the_walk() {
    let chain = Chain::new(90);
    let first = client(&chain);
    first.certified(80).await.unwrap();
    let checkpoint = first.checkpoint();
    assert_eq!((checkpoint.era, checkpoint.newest.as_ref().unwrap().height), (20, 81));
    let second = client(&chain);
    second.resume(codec::decode(&codec::encode(&checkpoint)).unwrap()).unwrap();
    assert_eq!(second.root(), Some(20));
    second.certified(85).await.unwrap();
    assert_eq!(second.certificates(), 1 + 2, "one step and two headers");
    let foreign = Checkpoint { genesis: B256::ZERO, ..checkpoint };
    assert!(matches!(client(&chain).resume(foreign), Err(LightError::ForeignCheckpoint { .. })));
}

#[tokio::test]
async fn whichever_header_names_a_block_its_execution_is_certified() {
    let chain = Chain::new(40);
    for height in 0..=38 {
        let fresh = client(&chain);
        assert_eq!(fresh.executed(height).await.unwrap(), chain.executed[usize::try_from(height).unwrap()]);
        assert_eq!(fresh.executed_range(height, height).await.unwrap().len(), 1);
    }
    assert!(matches!(client(&chain).executed(40).await, Err(LightError::Missing { .. })), "nothing names it yet");
}

#[tokio::test]
async fn executed_headers_are_certified_by_one_descendant() {
    let chain = Chain::new(40);
    let honest = client(&chain);
    let headers = honest.executed_range(5, 30).await.unwrap();
    assert_eq!(headers, chain.executed[5..=30]);
    assert_eq!(honest.executed(0).await.unwrap(), chain.executed[0]);
    let asked = chain.asked.load(Ordering::Relaxed);
    assert_eq!(honest.executed_range(7, 9).await.unwrap(), chain.executed[7..=9]);
    assert_eq!(chain.asked.load(Ordering::Relaxed), asked, "what is verified is not asked for again");
    let refused = async |tamper: Tamper| {
        *chain.tamper.lock() = tamper;
        client(&chain).executed_range(5, 30).await.unwrap_err()
    };
    let dropped = refused(|method, answer| {
        if method == "cess_executedHeaders" {
            answer.as_array_mut().unwrap().remove(3);
        }
    });
    assert!(matches!(dropped.await, LightError::Unlinked { height: 8, .. }));
    let cut = refused(|method, answer| {
        if method == "cess_executedHeaders" {
            answer.as_array_mut().unwrap().remove(0);
        }
    });
    assert!(matches!(cut.await, LightError::Missing { .. }));
    let swapped = refused(|method, answer| {
        if method == "cess_executedHeaders" {
            answer.as_array_mut().unwrap().swap(24, 25);
        }
    });
    assert!(matches!(swapped.await, LightError::Header(HeaderFault::Executed { height: 30, .. })));
}

#[tokio::test]
async fn lies_about_eras_and_heights_are_named() {
    let chain = Chain::new(60);
    let refused = async |height: Height, tamper: Tamper| {
        *chain.tamper.lock() = tamper;
        client(&chain).certified(height).await.unwrap_err()
    };
    fn change(answer: &mut Value, change: impl FnOnce(&mut EraChange)) {
        let bytes: Bytes = serde_json::from_value(answer[1].clone()).unwrap();
        let mut step: EraChange = codec::decode(&bytes).unwrap();
        change(&mut step);
        answer[1] = json!(Bytes::from(codec::encode(&step)));
    }
    let forged = refused(30, |method, answer| {
        if method == "cess_eraHeaders" {
            change(answer, |step| step.next.members[0].power += 1);
        }
    });
    assert!(matches!(forged.await, LightError::Header(HeaderFault::ForgedCommittee { era: 2, .. })));
    let unsigned = refused(30, |method, answer| {
        if method == "cess_eraHeaders" {
            change(answer, |step| step.last.certificate.signatures.truncate(2));
        }
    });
    assert!(matches!(unsigned.await, LightError::Header(HeaderFault::NotCertified { .. })));
    let skipped = refused(30, |method, answer| {
        if method == "cess_eraHeaders" {
            answer.as_array_mut().unwrap().remove(1);
        }
    });
    assert!(matches!(skipped.await, LightError::Header(HeaderFault::WrongEra { .. })));
    let held_back = refused(30, |method, answer| {
        if method == "cess_eraHeaders" {
            *answer = json!([]);
        }
    });
    assert!(matches!(held_back.await, LightError::Missing { what: "change of eras", .. }));
    let nonsense = refused(30, |_, answer| *answer = json!({"header": 1}));
    assert!(matches!(nonsense.await, LightError::Malformed(_)));
    assert!(matches!(refused(60, |_, _| ()).await, LightError::Missing { what: "certified header", height: 61 }));
    assert!(matches!(refused(0, |_, _| ()).await, LightError::Genesis));
}

#[tokio::test]
async fn an_old_header_presented_as_a_new_one_is_refused() {
    let chain = Chain::new(20);
    let client = client(&chain);
    client.certified(10).await.unwrap();
    let old: Value = json!(Bytes::from(codec::encode(&chain.signed(5).unwrap())));
    struct Replayed(Value);
    #[async_trait]
    impl RpcTransport for Replayed {
        async fn exchange(&self, _: &str, _: Value, _: Duration) -> Result<Result<Value, RpcFailure>, ChainError> {
            Ok(Ok(self.0.clone()))
        }
    }
    let replayed = LightClient::new(Arc::new(Replayed(old)), &genesis(), CpuPool::new("walk", 1)).unwrap();
    replayed.resume(client.checkpoint()).unwrap();
    let refused = replayed.signed(11).await.unwrap_err();
    assert!(matches!(refused, LightError::Header(HeaderFault::WrongHeight { asked: 11, found: 5 })));
}

#[tokio::test]
async fn a_chain_of_another_genesis_is_refused() {
    let chain = Chain::new(20);
    let other = Genesis { time_ms: 1, ..genesis() };
    let client = LightClient::new(Arc::new(Node(chain)), &other, CpuPool::new("walk", 1)).unwrap();
    assert!(matches!(client.certified(10).await, Err(LightError::ForeignGenesis { .. })));
}

#[tokio::test]
async fn a_block_that_is_insisted_on_must_be_part_of_the_chain() {
    let chain = Chain::new(60);
    let id = chain.signed(30).unwrap().header.id();
    let good = client(&chain);
    good.insist(TrustedBlock { height: 30, id });
    good.certified(50).await.unwrap();
    let other = client(&chain);
    other.insist(TrustedBlock { height: 30, id: BlockId([1; 32]) });
    for height in [10, 50] {
        let refused = other.certified(height).await.unwrap_err();
        assert!(matches!(refused, LightError::ForeignBlock { height: 30, found, .. } if found == id));
    }
    assert_eq!(other.known.lock().eras.len(), 1, "the way there is forgotten");
    let continued = client(&chain);
    continued.insist(TrustedBlock { height: 30, id: BlockId([1; 32]) });
    continued.resume(good.checkpoint()).unwrap();
    assert!(matches!(continued.certified(55).await, Err(LightError::ForeignBlock { .. })));
    let future = client(&chain);
    future.insist(TrustedBlock { height: 61, id });
    assert!(matches!(future.certified(10).await, Err(LightError::Missing { height: 61, .. })));
}
