//! `eth_subscribe`: new heads, logs and pending transactions.

use super::{Answer, Eth, broken, logs, objects, optional, required};
use crate::{
    ledger::tx::VerifiedTx,
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::Height,
};
use alloy_rpc_types_eth::{Filter, pubsub::SubscriptionKind};
use futures::{StreamExt, stream::BoxStream};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionSink,
    core::{JsonRawValue, RegisterMethodError},
};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Blocks a subscriber may fall behind before its subscription ends.
const BEHIND_MAX_BLOCKS: u64 = 256;

#[derive(Clone)]
enum Wanted {
    Heads,
    Logs(Arc<Filter>),
    /// Hashes, or whole transactions.
    Pending {
        full: bool,
    },
}

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    let eth = eth.clone();
    module
        .register_subscription("eth_subscribe", "eth_subscription", "eth_unsubscribe", move |params, pending, _, _| {
            serve(eth.clone(), params, pending)
        })
        .map(|_| ())
}

async fn serve(eth: Eth, params: Params<'static>, pending: PendingSubscriptionSink) {
    let wanted = match wanted(&params) {
        Ok(wanted) => wanted,
        Err(refusal) => return pending.reject(refusal).await,
    };
    // From the head at acceptance on; an error means that the connection is gone.
    let (from, heights) = (eth.latest() + 1, eth.heights());
    let admitted = eth.pool().admitted();
    let Ok(sink) = pending.accept().await else { return };
    match wanted {
        Wanted::Pending { full } => announce(admitted, full, sink).await,
        wanted => follow(eth, wanted, sink, from, heights).await,
    }
}

fn wanted(params: &Params<'_>) -> Result<Wanted, ErrorObjectOwned> {
    let mut params = params.sequence();
    match required::<SubscriptionKind>(&mut params, "kind")? {
        SubscriptionKind::NewHeads => Ok(Wanted::Heads),
        SubscriptionKind::Logs => {
            let filter: Filter = optional(&mut params, "filter")?.unwrap_or_default();
            logs::check(&filter)?;
            Ok(Wanted::Logs(Arc::new(filter)))
        }
        SubscriptionKind::NewPendingTransactions => {
            Ok(Wanted::Pending { full: optional(&mut params, "full transactions")?.unwrap_or(false) })
        }
        other => Err(error::invalid_params(format_args!("subscription `{other}` is not supported"))),
    }
}

async fn follow(
    eth: Eth,
    wanted: Wanted,
    sink: SubscriptionSink,
    mut next: Height,
    mut heights: BoxStream<'static, Height>,
) {
    loop {
        let newest = eth.latest();
        if newest < next {
            tokio::select! {
                () = sink.closed() => return,
                height = heights.next() => match height {
                    // A developer's chain can go back.
                    Some(_) => next = next.min(eth.latest() + 1),
                    None => return,
                },
            }
            continue;
        }
        if newest - next > BEHIND_MAX_BLOCKS {
            tracing::debug!(blocks = newest - next, "a subscriber fell too far behind");
            return;
        }
        let (reader, range, kind) = (eth.clone(), next..=newest, wanted.clone());
        let job = move || range.map(|height| messages(&reader, &kind, height)).collect::<Answer<Vec<_>>>();
        let Ok(messages) = eth.node().pool.run(job).await else { return };
        for message in messages.into_iter().flatten() {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        next = newest + 1;
    }
}

/// Tells of transactions as the pool takes them in. A subscriber that is too slow misses some, as everywhere.
async fn announce(mut admitted: broadcast::Receiver<Arc<VerifiedTx>>, full: bool, sink: SubscriptionSink) {
    loop {
        let tx = tokio::select! {
            () = sink.closed() => return,
            tx = admitted.recv() => tx,
        };
        let message = match tx {
            Ok(tx) if full => objects::pending_json(&tx).and_then(|object| raw(&object)),
            Ok(tx) => raw(&tx.hash),
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Ok(message) = message else { return };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

fn messages(eth: &Eth, wanted: &Wanted, height: Height) -> Answer<Vec<Box<JsonRawValue>>> {
    match wanted {
        Wanted::Heads => {
            let block = eth.header(height).map_err(broken)?;
            block.iter().map(|block| raw(&objects::header_object(block))).collect()
        }
        Wanted::Logs(filter) => logs::logs_in(eth, filter, height..=height)?.iter().map(raw).collect(),
        // These do not follow blocks.
        Wanted::Pending { .. } => Ok(Vec::new()),
    }
}

fn raw<T: serde::Serialize>(object: &T) -> Answer<Box<JsonRawValue>> {
    serde_json::value::to_raw_value(object).map_err(broken)
}
