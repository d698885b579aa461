//! Which gateways there are: soft state that gateways announce to chain nodes, so that one URL is enough for a user.

use crate::{
    network::{Network, PeerId, Protocol, RequestHandler},
    rpc::{ErrorObjectOwned, RpcModule},
    runtime::{Criticality, Node, Phase},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

const PROTOCOL: Protocol = Protocol("/cess/directory/1");
/// How often a gateway announces itself.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);
/// How long an announcement counts.
const EXPIRES_AFTER: Duration = Duration::from_secs(35);
/// How long one announcement may take.
const ANNOUNCE_DEADLINE: Duration = Duration::from_secs(5);
/// Gateways a chain node remembers.
const GATEWAYS_MAX: usize = 256;
/// Longest URL.
const URL_MAX_BYTES: usize = 256;

/// The gateways a chain node has heard of.
#[derive(Clone, Default)]
pub struct Directory {
    known: Arc<Mutex<BTreeMap<PeerId, (String, Instant)>>>,
}

impl Directory {
    /// Takes announcements on `network`.
    pub fn serve(network: &dyn Network) -> Self {
        let directory = Self::default();
        network.serve(PROTOCOL, Arc::new(directory.clone()));
        directory
    }

    /// `cess_gateways`: their URLs.
    pub fn module(&self) -> anyhow::Result<RpcModule<()>> {
        let mut module = RpcModule::new(self.clone());
        module.register_method("cess_gateways", |_, directory, _| {
            let mut known = directory.known.lock();
            known.retain(|_, (_, at)| at.elapsed() < EXPIRES_AFTER);
            Ok::<_, ErrorObjectOwned>(known.values().map(|(url, _)| url.clone()).collect::<Vec<_>>())
        })?;
        Ok(module.remove_context())
    }
}

#[async_trait]
impl RequestHandler for Directory {
    async fn handle(&self, from: PeerId, body: Bytes) -> Result<Bytes, String> {
        let url =
            std::str::from_utf8(&body).ok().filter(|url| url.starts_with("http://") && url.len() <= URL_MAX_BYTES);
        let url = url.ok_or_else(|| format!("an announcement is an http:// URL of at most {URL_MAX_BYTES} B"))?;
        let mut known = self.known.lock();
        known.retain(|_, (_, at)| at.elapsed() < EXPIRES_AFTER);
        if known.len() >= GATEWAYS_MAX && !known.contains_key(&from) {
            return Err(format!("the directory is full with {GATEWAYS_MAX} gateways"));
        }
        known.insert(from, (url.to_owned(), Instant::now()));
        Ok(Bytes::new())
    }
}

/// Announces `url` to `peers` for as long as the node runs.
pub fn announce(node: &Node, network: Arc<dyn Network>, peers: Vec<PeerId>, url: String) {
    let stop = node.tasks.stopping(Phase::Accept);
    node.tasks.spawn(Phase::Accept, "gateway-announcer", Criticality::Optional, async move {
        let body = Bytes::from(url);
        loop {
            let told = peers.iter().map(|peer| network.request(*peer, PROTOCOL, body.clone(), ANNOUNCE_DEADLINE));
            let failed = futures::future::join_all(told).await.into_iter().filter(Result::is_err).count();
            tracing::debug!(peers = peers.len(), failed, "announced the gateway");
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(ANNOUNCE_EVERY) => {}
            }
        }
    });
}
