//! The listener of S3.

use super::{
    Protocol,
    access::Gate,
    connection::{Connection, Door, IDLE_MAX},
    digests::Workshop,
    hosts::Hosts,
    intake::DOCUMENT_MAX_BYTES,
    keys::{KeyAuth, Keys},
    limits::{S3Limits, Turns},
    memory::Budget,
    operations::Shared,
    service::Front,
    settings::Settings,
};
use crate::{
    access::objects::Objects,
    config::GatewayConfig,
    gateway::deoss::Deoss,
    runtime::{Criticality, Node, Phase},
    types::{ByteCount, params::FRAGMENT_MAX_BYTES},
};
use axum::{extract::Request, serve::IncomingStream};
use s3s::{
    config::{S3Config as Bounds, StaticConfigProvider},
    service::S3ServiceBuilder,
};
use std::{convert::Infallible, future::ready, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tower::service_fn;

/// Largest file of a browser's form, which is held in memory until its policy was checked.
pub const FORM_FILE_MAX_BYTES: u64 = 64 << 20;
/// Largest field of a form: a policy of some size.
const FORM_FIELD_MAX_BYTES: usize = 64 << 10;
/// All fields of a form together.
const FORM_FIELDS_MAX_BYTES: usize = 256 << 10;
/// Fields of a form.
const FORM_PARTS_MAX: usize = 100;

/// Bodies on their way in have one of so many parts of the memory, their segments the other.
const MEMORY_PARTS: u64 = 2;

/// Buffers for segments within the memory of a gateway's uploads.
pub fn segment_buffers(memory: ByteCount) -> usize {
    usize::try_from(memory.0 / MEMORY_PARTS / FRAGMENT_MAX_BYTES).unwrap_or(usize::MAX)
}

/// What the listener is told.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Domain whose subdomains are buckets; empty for none.
    pub domain: String,
    /// Name of the region buckets are in.
    pub region: String,
    /// What is taken on.
    pub limits: S3Limits,
    /// Memory of bodies on their way in.
    pub memory: ByteCount,
}

impl S3Config {
    /// What a node's configuration says; none when S3 is switched off.
    pub fn of(config: &GatewayConfig) -> Option<Self> {
        let limits = S3Limits {
            connections: config.s3_max_connections,
            requests: config.s3_max_requests,
            rate: config.s3_max_rate,
        };
        let (domain, region) = (config.s3_domain.clone(), config.s3_region.clone());
        let memory = ByteCount(config.s3_memory.0 / MEMORY_PARTS);
        config.s3_listen.map(|listen| Self { listen, domain, region, limits, memory })
    }
}

/// A listening S3.
#[derive(Debug, Clone, Copy)]
pub struct S3Handle {
    /// Where it listens.
    pub local_addr: SocketAddr,
}

/// The S3 service of a gateway.
pub struct S3Server;

impl S3Server {
    /// Starts listening and serving. Requests that were taken are finished when the node stops.
    pub async fn start(
        node: &Node,
        config: S3Config,
        objects: Objects,
        keys: Arc<dyn Keys>,
        deoss: Option<Deoss>,
    ) -> anyhow::Result<S3Handle> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|e| anyhow::anyhow!("cannot listen on {}: {e}", config.listen))?;
        let local_addr = listener.local_addr()?;
        let door = Door::new(listener, config.limits.connections, IDLE_MAX);
        let front = Arc::new(front(node, &config, local_addr, objects, keys).beside(deoss));
        // There is one handler for all paths: a router would only cost.
        let connections = service_fn(move |stream: IncomingStream<'_, Door>| {
            let connection: &Connection = stream.io();
            let (front, peer, activity) = (front.clone(), *stream.remote_addr(), connection.activity().clone());
            ready(Ok::<_, Infallible>(service_fn(move |request: Request| {
                let (front, busy) = (front.clone(), activity.begin());
                async move { Ok::<_, Infallible>(front.answer(request, peer, busy).await) }
            })))
        });
        let stop = node.tasks.stopping(Phase::Accept);
        node.tasks.spawn(Phase::Drain, "gateway-s3", Criticality::Critical, async move {
            axum::serve(door, connections).with_graceful_shutdown(async move { stop.cancelled().await }).await?;
            Ok(())
        });
        Ok(S3Handle { local_addr })
    }
}

/// The service without its listener.
pub(super) fn front(
    node: &Node,
    config: &S3Config,
    local_addr: SocketAddr,
    objects: Objects,
    keys: Arc<dyn Keys>,
) -> Front {
    let hosts = Hosts::new(&config.domain);
    let protocol = Arc::new(Protocol {
        node: node.clone(),
        objects,
        keys: keys.clone(),
        settings: Settings::default(),
        workshop: Workshop::new(node.pool.clone()),
        region: config.region.clone(),
        endpoint: format!("http://{local_addr}"),
    });
    let mut bounds = Bounds::default();
    bounds.xml_max_body_size = usize::try_from(DOCUMENT_MAX_BYTES).unwrap_or(usize::MAX);
    bounds.post_object_max_file_size = FORM_FILE_MAX_BYTES;
    bounds.form_max_field_size = FORM_FIELD_MAX_BYTES;
    bounds.form_max_fields_size = FORM_FIELDS_MAX_BYTES;
    bounds.form_max_parts = FORM_PARTS_MAX;
    let mut builder = S3ServiceBuilder::new(Shared(protocol.clone()));
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(bounds))));
    builder.set_auth(KeyAuth(keys));
    builder.set_access(Gate(protocol.clone()));
    builder.set_host(hosts.clone());
    let turns = Turns::new(config.limits, node.clock.clone());
    Front::new(protocol, builder.build(), hosts, turns, Budget::new(config.memory.0))
}
