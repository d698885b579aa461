//! `eth_subscribe`: new heads and logs.

use super::{Answer, Api, broken, logs, objects, optional, required};
use crate::{
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::Height,
};
use alloy_rpc_types_eth::{Filter, pubsub::SubscriptionKind};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionSink,
    core::{JsonRawValue, RegisterMethodError},
};
use std::sync::Arc;

/// Blocks a subscriber may fall behind before its subscription ends.
const BEHIND_MAX_BLOCKS: u64 = 256;

#[derive(Clone)]
enum Wanted {
    Heads,
    Logs(Arc<Filter>),
}

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    let api = api.clone();
    module
        .register_subscription("eth_subscribe", "eth_subscription", "eth_unsubscribe", move |params, pending, _, _| {
            serve(api.clone(), params, pending)
        })
        .map(|_| ())
}

async fn serve(api: Api, params: Params<'static>, pending: PendingSubscriptionSink) {
    let wanted = match wanted(&params) {
        Ok(wanted) => wanted,
        Err(refusal) => return pending.reject(refusal).await,
    };
    // From the head at acceptance on; an error means that the connection is gone.
    let from = api.chain.head().height() + 1;
    if let Ok(sink) = pending.accept().await {
        follow(api, wanted, sink, from).await;
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
        other => Err(error::invalid_params(format_args!("subscription `{other}` is not supported"))),
    }
}

async fn follow(api: Api, wanted: Wanted, sink: SubscriptionSink, mut next: Height) {
    let mut heads = api.chain.watch();
    loop {
        let newest = tokio::select! {
            () = sink.closed() => return,
            head = heads.wait_for(|head| head.height() >= next) => match head {
                Ok(head) => head.height(),
                Err(_) => return,
            },
        };
        if newest - next > BEHIND_MAX_BLOCKS {
            tracing::debug!(blocks = newest - next, "a subscriber fell too far behind");
            return;
        }
        let (reader, range, kind) = (api.clone(), next..=newest, wanted.clone());
        let messages = api
            .chain
            .node()
            .pool
            .run(move || range.map(|height| messages(&reader, &kind, height)).collect::<Answer<Vec<_>>>());
        let Ok(messages) = messages.await else { return };
        for message in messages.into_iter().flatten() {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        next = newest + 1;
    }
}

fn messages(api: &Api, wanted: &Wanted, height: Height) -> Answer<Vec<Box<JsonRawValue>>> {
    match wanted {
        Wanted::Heads => {
            let block = api.chain.blocks().executed(height).map_err(broken)?;
            block.iter().map(|block| raw(&objects::header_object(block))).collect()
        }
        Wanted::Logs(filter) => {
            let mut found = Vec::new();
            logs::matching(&api.chain, filter, height, &mut found)?;
            found.iter().map(raw).collect()
        }
    }
}

fn raw<T: serde::Serialize>(object: &T) -> Answer<Box<JsonRawValue>> {
    serde_json::value::to_raw_value(object).map_err(broken)
}
