//! The JSON-RPC server of one node.

use super::error::RpcError;
use super::front::FrontLayer;
use super::guard::Guard;
use super::limits;
use crate::runtime::{Criticality, Metrics, Node, Phase};
use jsonrpsee::RpcModule;
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::server::{BatchRequestConfig, PingConfig, ServerConfig};
use jsonrpsee::types::SubscriptionId;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Starts servers; see [`Server::start`].
pub struct Server;

/// A running server. Dropping it leaves the server running until the node stops accepting.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    /// Where it listens, with the real port when port 0 was asked for.
    pub local_addr: SocketAddr,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl ServerHandle {
    /// Stops accepting and closes connections once their open calls are answered.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// As [`ServerHandle::stop`], and waits until its port is free.
    pub async fn stopped(&self) {
        self.stop();
        self.stopped.cancelled().await;
    }
}

impl Server {
    /// Listens on `addr` and answers with the methods of `module`, plus `GET /health` and `GET /metrics`.
    ///
    /// Must be called within a tokio runtime. The socket is bound when this returns. The server stops with the node's
    /// [`Phase::Accept`].
    pub fn start(
        addr: SocketAddr,
        module: RpcModule<()>,
        metrics: Metrics,
        node: &Node,
    ) -> Result<ServerHandle, RpcError> {
        let refused = |e: std::io::Error| RpcError::Bind { addr, reason: e.to_string() };
        let listener = TcpListener::bind(addr).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let counted = metrics.clone();
        let server = jsonrpsee::server::ServerBuilder::with_config(config())
            .set_http_middleware(tower::ServiceBuilder::new().layer(FrontLayer { node: node.name.clone(), metrics }))
            .set_rpc_middleware(RpcServiceBuilder::new().layer_fn(move |inner| Guard::new(inner, counted.clone())))
            .build_from_tcp(listener)
            .map_err(refused)?;
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let (asked, ended) = (stop.clone(), stopped.clone().drop_guard());
        let stopping = node.tasks.stopping(Phase::Accept);
        node.tasks.spawn(Phase::Accept, "rpc server", Criticality::Critical, async move {
            let running = server.start(module);
            tokio::select! {
                () = asked.cancelled() => {}
                () = stopping.cancelled() => {}
            }
            if running.stop().is_ok() && tokio::time::timeout(limits::DRAIN_DEADLINE, running.stopped()).await.is_err()
            {
                tracing::debug!("rpc connections outlived the server by more than {:?}", limits::DRAIN_DEADLINE);
            }
            drop(ended);
            stopping.cancelled().await;
            Ok(())
        });
        Ok(ServerHandle { local_addr, stop, stopped })
    }
}

/// Subscription ids as Ethereum clients expect them: hexadecimal text.
#[derive(Debug, Default)]
struct HexIds(AtomicU64);

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        format!("{:#x}", self.0.fetch_add(1, Ordering::Relaxed) + 1).into()
    }
}

fn config() -> ServerConfig {
    let bytes = |n: usize| u32::try_from(n).expect("limits are below 4 GiB");
    ServerConfig::builder()
        .max_request_body_size(bytes(limits::REQUEST_MAX_BYTES))
        .max_response_body_size(bytes(limits::ANSWER_MAX_BYTES))
        .max_connections(limits::CONNECTIONS_MAX)
        .max_subscriptions_per_connection(limits::SUBSCRIPTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(limits::BATCH_MAX_CALLS))
        .set_message_buffer_capacity(limits::MESSAGE_BUFFER)
        .enable_ws_ping(PingConfig::new())
        .set_id_provider(HexIds::default())
        .set_first_request_timeout(Some(limits::FIRST_REQUEST_DEADLINE))
        .build()
}
