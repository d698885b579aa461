//! Which node a command talks to: `--url`, then `CESS_URL`, then the localnet in the default directory.

use super::{Global, Usage, home_dir};
use crate::{
    client::{
        ChainClient, HttpTransport, RemoteChain, RpcTransport, Signer, Wallet, dev_accounts, gateway::GatewayClient,
    },
    localnet::{ReadyDocument, ReadyNode, ReadyS3},
    types::{Address, Profile},
};
use anyhow::{Context, anyhow};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

/// A reachable node.
pub struct Target {
    /// JSON-RPC of the node.
    pub rpc: Arc<dyn RpcTransport>,
    /// The chain behind it.
    pub chain: Arc<dyn ChainClient>,
    url: String,
    ready: Option<ReadyDocument>,
}

impl Target {
    /// Finds the node of this invocation.
    pub fn find(global: &Global) -> anyhow::Result<Self> {
        let (url, ready) = match &global.url {
            Some(url) => (check_url(url)?, None),
            None => {
                let ready = localnet_of_default_dir()?;
                (ready.rpc.clone(), Some(ready))
            }
        };
        let rpc: Arc<dyn RpcTransport> = Arc::new(HttpTransport::new(&url)?);
        let chain: Arc<dyn ChainClient> = Arc::new(RemoteChain::new(rpc.clone()));
        Ok(Self { rpc, chain, url, ready })
    }

    /// JSON-RPC of every node of the localnet, or of the one behind the URL.
    pub fn nodes(&self) -> anyhow::Result<Vec<(String, Arc<dyn RpcTransport>)>> {
        let Some(ready) = &self.ready else { return Ok(vec![(self.url.clone(), self.rpc.clone())]) };
        let open = |node: &ReadyNode| -> anyhow::Result<(String, Arc<dyn RpcTransport>)> {
            Ok((node.name.clone(), Arc::new(HttpTransport::new(&node.url)?)))
        };
        ready.nodes.iter().map(open).collect()
    }

    /// The directory of a node of the default localnet.
    pub fn node_dir(&self, name: &str) -> Option<PathBuf> {
        let node = self.ready.as_ref()?.nodes.iter().find(|node| node.name == name)?;
        Some(node.dir.clone())
    }

    /// JSON-RPC of the node of the default localnet that has this account.
    pub fn node_of(&self, account: Address) -> Option<Arc<dyn RpcTransport>> {
        let node = self.ready.as_ref()?.nodes.iter().find(|node| node.account == account)?;
        Some(Arc::new(HttpTransport::new(&node.url).ok()?))
    }

    /// The genesis file of the default localnet, if that is the node talked to.
    pub fn genesis(&self) -> Option<PathBuf> {
        self.ready.as_ref().map(|_| localnet_dir().join("validator-0").join("genesis.json"))
    }

    /// The S3 endpoint of the default localnet with the key it was given at its first start.
    pub fn s3(&self) -> Option<&ReadyS3> {
        self.ready.as_ref()?.s3.as_ref()
    }

    /// The gateway: the URL itself if it is one, else the one the RPC node names.
    pub async fn gateway(&self) -> anyhow::Result<GatewayClient> {
        if let Some(ready) = &self.ready {
            return Ok(GatewayClient::new(&ready.gateway));
        }
        let direct = GatewayClient::new(&self.url);
        if direct.status().await.is_ok() {
            return Ok(direct);
        }
        let named = self
            .rpc
            .call("cess_gateways", json!([]))
            .await
            .with_context(|| format!("{} is neither a gateway nor an RPC node that answers", self.url))?;
        let urls: Vec<String> = serde_json::from_value(named).context("cess_gateways answered nonsense")?;
        let url = urls
            .first()
            .ok_or_else(|| anyhow!("{} knows no gateway; give the gateway's own URL with --url", self.url))?;
        Ok(GatewayClient::new(url))
    }

    /// The wallet that signs: `--key`, or on a dev chain its first well-known account.
    pub async fn wallet(&self, global: &Global) -> anyhow::Result<Wallet> {
        let status = self.chain.status().await?;
        let signer = match &global.key {
            Some(key) => Signer::parse(key).map_err(|e| Usage(e.to_string()))?,
            None => {
                if status.profile != Profile::Dev {
                    return Err(Usage("a secret key is needed: give --key or CESS_KEY".into()).into());
                }
                let first = dev_accounts().into_iter().next().context("the dev profile has no accounts")?;
                Signer::Ecdsa(first.key)
            }
        };
        Ok(Wallet::new(self.chain.clone(), signer, status.chain_id))
    }
}

fn check_url(url: &str) -> anyhow::Result<String> {
    if url.starts_with("http://") {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(Usage(format!("`{url}` is not a node's URL, expected something like http://127.0.0.1:8545")).into())
}

fn localnet_of_default_dir() -> anyhow::Result<ReadyDocument> {
    ReadyDocument::read(&localnet_dir()).context("no node is named by --url")
}

fn localnet_dir() -> PathBuf {
    home_dir().join("localnet")
}
