//! The control port: how `cess localnet kill|start|pause|resume|status|stop` reach a running localnet.

use super::{LocalnetError, ReadyDocument, net::Localnet, start::until_stopped};
use crate::{
    client::{HttpTransport, RpcTransport},
    rpc::{ErrorObjectOwned, RpcModule, error},
};
use serde_json::json;
use std::{path::Path, sync::Arc};

/// What can be done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// End it abruptly.
    Kill,
    /// Start it again.
    Start,
    /// Freeze it.
    Pause,
    /// Let it go on.
    Resume,
}

impl Action {
    /// The word for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Kill => "kill",
            Action::Start => "start",
            Action::Pause => "pause",
            Action::Resume => "resume",
        }
    }
}

/// Methods of the control port.
pub(super) fn module(localnet: Arc<Localnet>, token: String) -> Result<RpcModule<()>, LocalnetError> {
    let context = (localnet, token);
    let mut module = RpcModule::new(context);
    let registered = (|| {
        module.register_async_method("localnet_status", |params, context, _| async move {
            let (token,): (String,) = params.parse()?;
            check(&token, &context.1)?;
            Ok::<_, ErrorObjectOwned>(context.0.document().await)
        })?;
        module.register_async_method("localnet_act", |params, context, _| async move {
            let (token, action, nodes): (String, Action, Vec<String>) = params.parse()?;
            check(&token, &context.1)?;
            for name in &nodes {
                context.0.act(action, name).await.map_err(error::server_error)?;
            }
            Ok::<_, ErrorObjectOwned>(context.0.document().await)
        })?;
        module.register_async_method("localnet_stop", |params, context, _| async move {
            let (token,): (String,) = params.parse()?;
            check(&token, &context.1)?;
            context.0.request_stop();
            Ok::<_, ErrorObjectOwned>(true)
        })?;
        Ok::<_, jsonrpsee::core::RegisterMethodError>(())
    })();
    registered.map_err(|e| LocalnetError::Control { url: "control port".into(), reason: e.to_string() })?;
    Ok(module.remove_context())
}

fn check(given: &str, token: &str) -> Result<(), ErrorObjectOwned> {
    if given == token {
        return Ok(());
    }
    Err(error::invalid_params("the control token does not match the one in ready.json"))
}

/// Acts on nodes of the localnet running in `dir`.
pub async fn act(dir: &Path, action: Action, nodes: &[String]) -> Result<ReadyDocument, LocalnetError> {
    call(dir, "localnet_act", |token| json!([token, action, nodes])).await
}

/// State of the localnet running in `dir`.
pub async fn status(dir: &Path) -> Result<ReadyDocument, LocalnetError> {
    call(dir, "localnet_status", |token| json!([token])).await
}

/// Stops the localnet running in `dir` in order; returns once another can be started there.
pub async fn stop(dir: &Path) -> Result<(), LocalnetError> {
    call::<bool>(dir, "localnet_stop", |token| json!([token])).await?;
    until_stopped(dir).await
}

async fn call<T: serde::de::DeserializeOwned>(
    dir: &Path,
    method: &str,
    params: impl FnOnce(&str) -> serde_json::Value,
) -> Result<T, LocalnetError> {
    let ready = ReadyDocument::read(dir)?;
    let failed = |reason: String| LocalnetError::Control { url: ready.control.clone(), reason };
    let transport = HttpTransport::new(&ready.control).map_err(|e| failed(e.to_string()))?;
    let value = transport.call(method, params(&ready.control_token)).await.map_err(|e| failed(e.to_string()))?;
    serde_json::from_value(value).map_err(|e| failed(e.to_string()))
}
