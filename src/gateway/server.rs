//! The gateway's HTTP server: routes and their shared state.

use super::{files, rpc, uploads, uploads::Uploads};
use crate::{
    client::{
        ChainClient, RpcTransport, Wallet,
        gateway::{GatewayGroup, GatewayStatus, UploadRequest},
    },
    runtime::{Criticality, Node, Phase},
    storage::{MinerDirectory, fetch::Fetcher, upload::Uploader},
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::{get, post},
};
use jsonrpsee::RpcModule;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Largest JSON-RPC or JSON request body.
const DOCUMENT_MAX_BYTES: usize = crate::rpc::limits::REQUEST_MAX_BYTES;

/// What a gateway is made of.
pub struct GatewayConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Disperses segments.
    pub uploader: Uploader,
    /// Brings them back.
    pub fetcher: Fetcher,
    /// Where miners are reached.
    pub miners: MinerDirectory,
    /// The chain.
    pub chain: Arc<dyn ChainClient>,
    /// Carries JSON-RPC to a chain node.
    pub rpc: Arc<dyn RpcTransport>,
    /// Methods this node answers itself.
    pub own_methods: RpcModule<()>,
    /// The gateway's own account.
    pub wallet: Wallet,
    /// The gateways that serve the same buckets, if this one serves any.
    pub group: Option<GatewayGroup>,
}

/// State shared by all requests.
pub struct Gateway {
    pub(super) node: Node,
    pub(super) uploads: Uploads,
    pub(super) fetcher: Fetcher,
    pub(super) miners: MinerDirectory,
    pub(super) chain: Arc<dyn ChainClient>,
    pub(super) rpc: Arc<dyn RpcTransport>,
    pub(super) own_methods: RpcModule<()>,
    pub(super) wallet: Wallet,
    group: Option<GatewayGroup>,
}

/// A listening gateway.
#[derive(Debug, Clone, Copy)]
pub struct GatewayHandle {
    /// Where it listens.
    pub local_addr: SocketAddr,
}

impl Gateway {
    /// Starts listening and serving.
    pub async fn start(node: &Node, config: GatewayConfig) -> anyhow::Result<GatewayHandle> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|e| anyhow::anyhow!("cannot listen on {}: {e}", config.listen))?;
        let local_addr = listener.local_addr()?;
        let gateway = Arc::new(Self {
            node: node.clone(),
            uploads: Uploads::new(node.clone(), config.wallet.address(), config.uploader),
            fetcher: config.fetcher,
            miners: config.miners,
            chain: config.chain,
            rpc: config.rpc,
            own_methods: config.own_methods,
            wallet: config.wallet,
            group: config.group,
        });
        let stop = node.tasks.stopping(Phase::Accept);
        let app = router(gateway);
        node.tasks.spawn(Phase::Accept, "gateway-http", Criticality::Critical, async move {
            let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                // Without it small answers wait for the client's delayed acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot disable Nagle's algorithm");
                }
            });
            axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await?;
            Ok(())
        });
        Ok(GatewayHandle { local_addr })
    }
}

fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", post(rpc::forward).options(rpc::preflight).layer(DefaultBodyLimit::max(DOCUMENT_MAX_BYTES)))
        .route("/v1/status", get(status))
        .route("/v1/group", get(group))
        .route("/v1/uploads", post(begin))
        .route("/v1/uploads/{upload}", get(uploads::show).patch(uploads::append))
        .route("/v1/uploads/{upload}/commit", post(uploads::commit))
        .route("/v1/files", post(uploads::store_whole))
        .route("/v1/files/{id}", get(files::get))
        .route("/v1/files/{id}/stat", get(files::stat))
        .with_state(gateway)
}

async fn status(State(gateway): State<Arc<Gateway>>) -> Result<Json<GatewayStatus>, super::reply::Refusal> {
    Ok(Json(GatewayStatus {
        node: gateway.node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        account: gateway.wallet.address(),
        uploads: gateway.uploads.count()?,
        height: gateway.chain.status().await?.height,
    }))
}

async fn group(State(gateway): State<Arc<Gateway>>) -> Result<Json<GatewayGroup>, super::reply::Refusal> {
    let missing = || super::reply::Refusal::new(StatusCode::NOT_FOUND, "no_objects", "this gateway serves no S3");
    gateway.group.clone().map(Json).ok_or_else(missing)
}

async fn begin(
    State(gateway): State<Arc<Gateway>>,
    body: Result<Json<UploadRequest>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<crate::client::gateway::UploadState>, super::reply::Refusal> {
    let Json(request) = body.map_err(|e| super::reply::Refusal::bad_request(e.body_text()))?;
    gateway.uploads.begin(&request).map(Json)
}
