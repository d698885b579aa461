//! Filters that are polled: `eth_newFilter` and its kin.
//!
//! Owns the installed filters. Invariants: their number is bounded, the one unused for longest goes first; a filter that is not
//! polled for [`IDLE_MAX`] is gone.

use super::{Answer, Eth, broken, logs, optional, reading, required};
use crate::{
    ledger::tx::VerifiedTx,
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::{B256, Height, U256},
};
use alloy_rpc_types_eth::{Filter, FilterBlockOption};
use jsonrpsee::core::RegisterMethodError;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

/// Filters installed at a time.
const FILTERS_MAX: usize = 1_024;
/// How long a filter lives without being polled, as in geth.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Blocks one poll answers for; what is left comes with the next.
const POLL_MAX_BLOCKS: Height = 1_000;

enum Kind {
    Logs(Box<Filter>),
    Blocks,
    Pending { admitted: Receiver<Arc<VerifiedTx>>, full: bool },
}

struct Installed {
    kind: Kind,
    /// First block of the next poll.
    next: Height,
    used: Instant,
}

/// The chain, and the filters over it.
#[derive(Clone)]
struct Filters {
    eth: Eth,
    installed: Arc<Mutex<BTreeMap<U256, Installed>>>,
}

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    let filters = Filters { eth: eth.clone(), installed: Arc::default() };
    reading(module, &filters, "eth_newFilter", |filters, params| {
        let filter: Filter = required(&mut params.sequence(), "filter")?;
        logs::check(&filter)?;
        filters.install(Kind::Logs(Box::new(filter)))
    })?;
    reading(module, &filters, "eth_newBlockFilter", |filters, _| filters.install(Kind::Blocks))?;
    reading(module, &filters, "eth_newPendingTransactionFilter", |filters, params| {
        let full = optional(&mut params.sequence(), "full transactions")?.unwrap_or(false);
        filters.install(Kind::Pending { admitted: filters.eth.pool().admitted(), full })
    })?;
    reading(module, &filters, "eth_getFilterChanges", |filters, params| filters.changes(id(&params)?))?;
    reading(module, &filters, "eth_getFilterLogs", |filters, params| filters.logs(id(&params)?))?;
    reading(module, &filters, "eth_uninstallFilter", |filters, params| {
        Ok(filters.installed.lock().remove(&id(&params)?).is_some())
    })
}

fn id(params: &Params<'_>) -> Answer<U256> {
    required(&mut params.sequence(), "filter id")
}

fn unknown(id: U256) -> ErrorObjectOwned {
    error::server_error(format_args!("filter not found: {id:#x}"))
}

impl Filters {
    fn install(&self, kind: Kind) -> Answer<U256> {
        let mut installed = self.installed.lock();
        installed.retain(|_, filter| filter.used.elapsed() < IDLE_MAX);
        if installed.len() >= FILTERS_MAX {
            let idlest = installed.iter().min_by_key(|(_, filter)| filter.used).map(|(id, _)| *id);
            idlest.map(|id| installed.remove(&id));
        }
        // Not to be guessed by who did not install it.
        let id = U256::from(rand::random::<u128>());
        installed.insert(id, Installed { kind, next: self.eth.latest() + 1, used: Instant::now() });
        Ok(id)
    }

    fn changes(&self, id: U256) -> Answer<Value> {
        let newest = self.eth.latest();
        let (range, filter) = {
            let mut installed = self.installed.lock();
            let found = installed.get_mut(&id).ok_or_else(|| unknown(id))?;
            found.used = Instant::now();
            if let Kind::Pending { admitted, full } = &mut found.kind {
                return pending(admitted, *full);
            }
            // A developer's chain can go back.
            found.next = found.next.min(newest + 1);
            let last = newest.min(found.next.saturating_add(POLL_MAX_BLOCKS - 1));
            let range = found.next..=last;
            found.next = found.next.max(last + 1);
            match &found.kind {
                Kind::Logs(filter) => (range, Some(filter.clone())),
                _ => (range, None),
            }
        };
        match filter {
            Some(filter) => {
                let (from, to) = bounds(&self.eth, &filter);
                let range = from.max(*range.start())..=to.min(*range.end());
                super::objects::to_json(&logs::logs_in(&self.eth, &filter, range)?)
            }
            None => {
                let hash = |height| self.eth.header(height).map(|block| block.map(|block| block.hash));
                let hashes: Vec<Option<B256>> = range.map(hash).collect::<Result<_, _>>().map_err(broken)?;
                Ok(json!(hashes.into_iter().flatten().collect::<Vec<_>>()))
            }
        }
    }

    fn logs(&self, id: U256) -> Answer<Value> {
        let filter = {
            let mut installed = self.installed.lock();
            let found = installed.get_mut(&id).ok_or_else(|| unknown(id))?;
            found.used = Instant::now();
            match &found.kind {
                Kind::Logs(filter) => filter.clone(),
                _ => return Err(unknown(id)),
            }
        };
        super::objects::to_json(&logs::get_logs(&self.eth, *filter)?)
    }
}

/// Heights a log filter is about while it is polled: everything new, unless it says otherwise.
fn bounds(eth: &Eth, filter: &Filter) -> (Height, Height) {
    match filter.block_option {
        FilterBlockOption::Range { from_block, to_block } => (
            from_block.and_then(|tag| tag.as_number()).unwrap_or(0),
            to_block.and_then(|tag| tag.as_number()).unwrap_or(Height::MAX),
        ),
        FilterBlockOption::AtBlockHash(hash) => match eth.find_block(&hash) {
            Ok(Some(height)) => (height, height),
            _ => (1, 0),
        },
    }
}

fn pending(admitted: &mut Receiver<Arc<VerifiedTx>>, full: bool) -> Answer<Value> {
    let mut found = Vec::new();
    loop {
        match admitted.try_recv() {
            Ok(tx) if full => found.push(super::objects::pending_json(&tx)?),
            Ok(tx) => found.push(json!(tx.hash)),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(Value::Array(found)),
        }
    }
}
