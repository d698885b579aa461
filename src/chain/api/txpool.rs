//! `txpool_` methods: what waits, in geth's shapes.
//!
//! Owns the shapes. Must not know how the pool keeps transactions. Invariant: pending is what can run in nonce order on the newest
//! state, everything else of the pool is queued.

use super::{Answer, Eth, blocks, broken, objects, reading, required};
use crate::{
    ledger::{state::StateView, tx::VerifiedTx},
    rpc::RpcModule,
    types::Address,
};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Transactions of one account by nonce.
type Lane = BTreeMap<u64, Arc<VerifiedTx>>;

/// Transactions of the pool by account: those that can run, and those that wait for others.
#[derive(Default)]
struct Waiting {
    pending: BTreeMap<Address, Lane>,
    queued: BTreeMap<Address, Lane>,
}

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "txpool_status", |eth, _| {
        let Waiting { pending, queued } = waiting(eth)?;
        let count = |lanes: BTreeMap<Address, Lane>| objects::hex(lanes.values().map(Lane::len).sum::<usize>());
        Ok(json!({"pending": count(pending), "queued": count(queued)}))
    })?;
    reading(module, eth, "txpool_content", |eth, _| {
        let Waiting { pending, queued } = waiting(eth)?;
        Ok(
            json!({"pending": shown(&pending, objects::pending_json)?, "queued": shown(&queued, objects::pending_json)?}),
        )
    })?;
    reading(module, eth, "txpool_contentFrom", |eth, params| {
        let account: Address = required(&mut params.sequence(), "address")?;
        let Waiting { pending, queued } = waiting(eth)?;
        let of = |lanes: &BTreeMap<Address, Lane>| {
            lanes.get(&account).map_or(Ok(json!({})), |lane| lane_json(lane, objects::pending_json))
        };
        Ok(json!({"pending": of(&pending)?, "queued": of(&queued)?}))
    })?;
    reading(module, eth, "txpool_inspect", |eth, _| {
        let Waiting { pending, queued } = waiting(eth)?;
        Ok(json!({"pending": shown(&pending, described)?, "queued": shown(&queued, described)?}))
    })
}

fn waiting(eth: &Eth) -> Answer<Waiting> {
    let mut lanes: BTreeMap<Address, Lane> = BTreeMap::new();
    for tx in eth.pool().all() {
        lanes.entry(tx.sender).or_default().insert(tx.nonce, tx);
    }
    let (_, state) = blocks::state(eth, None)?;
    let mut waiting = Waiting::default();
    for (account, mut lane) in lanes {
        let mut next = state.account(&account).map_err(broken)?.map_or(0, |info| info.nonce);
        while lane.contains_key(&next) {
            next += 1;
        }
        let queued = lane.split_off(&next);
        if !lane.is_empty() {
            waiting.pending.insert(account, lane);
        }
        if !queued.is_empty() {
            waiting.queued.insert(account, queued);
        }
    }
    Ok(waiting)
}

fn shown(lanes: &BTreeMap<Address, Lane>, show: fn(&VerifiedTx) -> Answer<Value>) -> Answer<Value> {
    let lane = |(account, lane): (&Address, &Lane)| Ok((account.to_string(), lane_json(lane, show)?));
    Ok(Value::Object(lanes.iter().map(lane).collect::<Answer<Map<_, _>>>()?))
}

fn lane_json(lane: &Lane, show: fn(&VerifiedTx) -> Answer<Value>) -> Answer<Value> {
    let tx = |(nonce, tx): (&u64, &Arc<VerifiedTx>)| Ok((nonce.to_string(), show(tx)?));
    Ok(Value::Object(lane.iter().map(tx).collect::<Answer<Map<_, _>>>()?))
}

/// A transaction in one line.
fn described(tx: &VerifiedTx) -> Answer<Value> {
    let to = tx.to().map_or_else(|| "contract creation".to_owned(), |to| to.to_string());
    Ok(json!(format!("{to}: {} wei + {} gas × {} wei", tx.value(), tx.gas_limit(), tx.max_fee())))
}
