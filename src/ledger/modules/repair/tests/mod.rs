//! The repair module: miners with fragments, files of them, and every refusal. Claims last 30 blocks here.

mod bounties;
mod caps;
mod claims;
mod deposits;
mod orders;

use super::*;
use crate::{
    codec,
    crypto::{SecretKey, hash, native_address},
    ledger::{
        abi::{
            FILES, IFiles, IMiners,
            IRepair::{claimCall, completeCall, orderCall, ordersCall, surrenderCall},
            ITerritory, MINERS, TERRITORY,
        },
        manifest::{Manifest, SegmentEntry},
        modules::{
            miners,
            testing::{CHAIN, TestHost, assert_reverts, beacon_of},
        },
        placement,
        receipt::receipt_message,
        repair::Claim,
    },
    proofs::{Fragment, spot},
    types::{Amount, FragmentId, Height, SegmentId, params::FRAGMENTS},
};
use alloy_primitives::{Bytes, address};
use std::collections::BTreeMap;

const ALICE: Address = address!("a11ce00000000000000000000000000000000000");
const MINER_BYTES: u64 = 1 << 20;
const HEIGHT: Height = 20;
const CLAIM_BLOCKS: u64 = 30;

/// A stored file, with all its fragments.
struct Stored {
    id: FileId,
    manifest: Bytes,
    fragments: BTreeMap<FragmentId, Vec<u8>>,
}

/// A chain at [`HEIGHT`] with miners registered at height 0.
struct World {
    host: TestHost,
    keys: BTreeMap<Address, SecretKey>,
    files: Vec<Stored>,
}

impl World {
    fn new(miners: u8) -> Self {
        let mut world = Self { host: TestHost::new(), keys: BTreeMap::new(), files: Vec::new() };
        for tag in 1..=miners {
            world.register(tag, None, tag.into());
        }
        world.host.fund(ALICE, 23);
        let lease = ITerritory::mintCall { size: 64 << 20, leaseDays: 365, name: "alice".into() };
        world.host.call(ALICE, TERRITORY, Amount::tokens(23).0, &lease).unwrap();
        world.host.advance_to(HEIGHT);
        world
    }

    fn register(&mut self, tag: u8, operator: Option<Address>, prefix: u32) -> Address {
        let key = SecretKey::from_bytes(&[tag; 32]);
        let account = native_address(&key.public());
        let call = IMiners::registerCall {
            operator: operator.unwrap_or(account),
            networkKey: B256::repeat_byte(tag),
            accountKey: key.public().0.into(),
            prefix,
            capacity: MINER_BYTES,
            name: format!("miner {tag}"),
        };
        self.host.fund(account, 2);
        self.host.call(account, MINERS, Amount::tokens(1).0, &call).unwrap();
        self.keys.insert(account, key);
        account
    }

    /// Stores a file of one segment; gives its holders.
    fn store(&mut self, tag: u8, size: u32) -> (FileId, Vec<Address>) {
        let bytes = usize::try_from(crate::ledger::manifest::fragment_len(size.into())).unwrap();
        let mut store = BTreeMap::new();
        let fragments = std::array::from_fn(|index| {
            let mut data = vec![0; bytes];
            hash::stream("cess 2026 repair tests", &[tag, u8::try_from(index).unwrap()]).fill(&mut data);
            let id = FragmentId(hash::content(&data));
            store.insert(id, data);
            id
        });
        let segment = SegmentEntry { id: SegmentId([tag; 32]), len: size, fragments };
        let manifest = Manifest { size: size.into(), segments: vec![segment] };
        let seed = placement::seed(&beacon_of(self.host.height), &manifest.segments[0].id);
        let candidates = miners::candidates(&mut self.host).unwrap();
        let ranked = placement::rank(&seed, self.host.height, &candidates, &self.host.params);
        let holders = ranked[..FRAGMENTS].to_vec();
        let sign = |(index, holder): (u8, &Address)| {
            self.keys[holder].sign(&receipt_message(CHAIN, manifest.id(), index, *holder)).0.to_vec().into()
        };
        let receipts = (0u8..).zip(&holders).map(sign).collect();
        let encoded: Bytes = codec::encode(&manifest).into();
        let beacon = self.host.height;
        let call =
            IFiles::storeCall { manifest: encoded.clone(), beaconHeight: beacon, holders: holders.clone(), receipts };
        let id = FileId::from(self.host.call(ALICE, FILES, U256::ZERO, &call).unwrap());
        self.files.push(Stored { id, manifest: encoded, fragments: store });
        (id, holders)
    }

    /// A miner that holds nothing.
    fn spare(&mut self, tag: u8) -> Address {
        self.register(tag, None, tag.into())
    }

    fn remove(&mut self, id: FileId) {
        self.host.call(ALICE, FILES, U256::ZERO, &IFiles::removeCall { id: id.into() }).unwrap();
    }

    fn exit(&mut self, account: Address) {
        self.host.call(account, MINERS, U256::ZERO, &IMiners::exitCall {}).unwrap();
    }

    fn pass(&mut self, blocks: u64) {
        self.host.advance_to(self.host.height + blocks);
    }

    /// Claims with the deposit that is asked for.
    fn claim(&mut self, account: Address, id: FileId, column: u8) -> Result<Height, ModuleError> {
        let file = id.into();
        let deposit = self.host.view(REPAIR, &IRepair::claimDepositCall { file, column }).unwrap();
        self.claim_for(account, id, column, deposit)
    }

    fn claim_for(&mut self, account: Address, id: FileId, column: u8, value: U256) -> Result<Height, ModuleError> {
        self.host.call(account, REPAIR, value, &claimCall { file: id.into(), column })
    }

    fn surrender(&mut self, account: Address, id: FileId) -> Result<(), ModuleError> {
        self.host.call(account, REPAIR, U256::ZERO, &surrenderCall { file: id.into() }).map(drop)
    }

    fn stored(&self, id: FileId) -> &Stored {
        self.files.iter().find(|file| file.id == id).unwrap()
    }

    /// What `claimer` has to show for a claim made in block `height`.
    fn spots(&self, claimer: Address, height: Height, id: FileId, column: u8) -> Bytes {
        let stored = self.stored(id);
        let manifest = Manifest::read(&stored.manifest).unwrap();
        let claim = Claim { chain: CHAIN, claimer, height, file: id };
        let asked = claim.spots(beacon_of(height + 1).0, &manifest, column);
        spot::answer(&asked, |fragment: &Fragment| stored.fragments.get(&fragment.id)).unwrap().into()
    }

    fn complete(&mut self, account: Address, id: FileId, column: u8, spots: Bytes) -> Result<U256, ModuleError> {
        let manifest = self.stored(id).manifest.clone();
        self.host.call(account, REPAIR, U256::ZERO, &completeCall { manifest, column, spots })
    }

    /// Claims and completes; gives the bounty.
    fn repair(&mut self, account: Address, id: FileId, column: u8) -> U256 {
        let height = self.host.height;
        self.claim(account, id, column).unwrap();
        self.pass(2);
        let spots = self.spots(account, height, id, column);
        self.complete(account, id, column, spots).unwrap()
    }

    fn order(&mut self, id: FileId, column: u8) -> Result<IRepair::Order, ModuleError> {
        self.host.view(REPAIR, &orderCall { file: id.into(), column })
    }

    /// File and column of the orders from `skip` on.
    fn orders(&mut self, skip: u64, limit: u64) -> Vec<(FileId, u8)> {
        let found = self.host.view(REPAIR, &ordersCall { skip, limit }).unwrap();
        found.into_iter().map(|order| (order.file.into(), order.column)).collect()
    }

    fn holders(&mut self, id: FileId) -> Vec<Address> {
        self.host.view(FILES, &IFiles::getCall { id: id.into() }).unwrap().holders
    }

    fn miner(&mut self, account: Address) -> IMiners::Miner {
        self.host.view(MINERS, &IMiners::getCall { account }).unwrap()
    }

    fn slots(&self) -> usize {
        self.host.storage.get(&REPAIR).map_or(0, BTreeMap::len)
    }
}
