//! Which S3 endpoint a command talks to, and with which key: the options, then the keys made on this machine, then the localnet.

use super::keyring::{KeptKey, Keyring};
use crate::{
    cli::{Global, Usage, target::Target},
    client::s3::{AccessKey, Payload, REGION, S3Client},
};
use clap::Args;

/// Options of every command about buckets.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of buckets")]
pub struct S3Options {
    /// S3 endpoint [default: the one the key was made for, or the localnet's]
    #[arg(long, value_name = "URL", env = "CESS_S3_ENDPOINT")]
    endpoint: Option<String>,
    /// Id of the access key [default: the newest of `cess keys s3 create` on this chain, or the localnet's]
    #[arg(long, value_name = "ID", env = "CESS_S3_ACCESS_KEY")]
    access_key: Option<String>,
    /// Secret of the access key, if it was not made on this machine
    #[arg(long, value_name = "SECRET", env = "CESS_S3_SECRET_KEY", hide_env_values = true, requires = "access_key")]
    secret_key: Option<String>,
    /// Region to sign for [default: us-east-1]
    #[arg(long, value_name = "NAME", env = "CESS_S3_REGION")]
    region: Option<String>,
}

impl S3Options {
    /// A client of the endpoint.
    pub async fn open(&self, global: &Global) -> anyhow::Result<S3Client> {
        let (endpoint, key) = self.choose(global).await?;
        let region = self.region.as_deref().unwrap_or(REGION);
        S3Client::new(&endpoint, key, region, Payload::Signed).map_err(|e| Usage(e.to_string()).into())
    }

    async fn choose(&self, global: &Global) -> anyhow::Result<(String, AccessKey)> {
        if let (Some(id), Some(secret)) = (&self.access_key, &self.secret_key) {
            let key = AccessKey::new(id, secret);
            return Ok((self.endpoint_or(global).await?, key));
        }
        let ring = Keyring::open()?;
        if let Some(id) = &self.access_key {
            let unknown =
                || Usage(format!("key `{id}` is not in `{}`: give its --secret-key, too", ring.path().display()));
            let kept = ring.newest(|kept| kept.id == *id).ok_or_else(unknown)?;
            return Ok(self.with(kept));
        }
        if let Some(endpoint) = &self.endpoint
            && let Some(kept) = ring.newest(|kept| kept.endpoint == *endpoint)
        {
            return Ok(self.with(kept));
        }
        let target = Target::find(global)?;
        let chain = target.chain.status().await?.genesis;
        if let Some(kept) = ring.newest(|kept| kept.chain == chain) {
            return Ok(self.with(kept));
        }
        if let Some(door) = target.s3() {
            let endpoint = self.endpoint.clone().unwrap_or_else(|| door.endpoint.clone());
            return Ok((endpoint, AccessKey::new(&door.access_key, &door.secret_key)));
        }
        Err(Usage(
            "an access key is needed: make one with `cess keys s3 create`, or give --access-key and --secret-key"
                .into(),
        )
        .into())
    }

    fn with(&self, kept: &KeptKey) -> (String, AccessKey) {
        (self.endpoint.clone().unwrap_or_else(|| kept.endpoint.clone()), kept.access_key())
    }

    async fn endpoint_or(&self, global: &Global) -> anyhow::Result<String> {
        match &self.endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => endpoint_of(&Target::find(global)?).await,
        }
    }

    /// The endpoint that was named.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }
}

/// The S3 endpoint of the localnet or of the gateway that is talked to.
async fn endpoint_of(target: &Target) -> anyhow::Result<String> {
    match target.s3() {
        Some(door) => Ok(door.endpoint.clone()),
        None => Ok(target.gateway().await?.group().await?.s3),
    }
}
