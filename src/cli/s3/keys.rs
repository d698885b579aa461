//! `keys s3`: access keys of S3 clients, made here and known to the gateways through the chain.

use super::{
    S3Options,
    keyring::{KeptKey, Keyring},
};
use crate::{
    access::service::register_owner_key,
    cli::{
        Global, Usage,
        output::{Output, table},
        target::Target,
    },
    client::s3::{AccessKey, Payload, REGION, RegisteredKey, S3Client, register_key, registered_keys, revoke_key},
    runtime::NodeRng,
    types::Address,
};
use clap::Subcommand;
use serde::Serialize;
use std::time::Duration;

/// How long an endpoint may take to know a new key.
const KNOWN_DEADLINE: Duration = Duration::from_secs(10);

/// Subcommands of `cess keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Access keys for S3 clients
    #[command(subcommand)]
    S3(S3Command),
}

/// Subcommands of `cess keys s3`.
#[derive(Debug, Subcommand)]
pub enum S3Command {
    /// Make an access key of the signing account; its secret is shown once and kept on this machine
    Create {
        #[command(flatten)]
        door: S3Options,
        /// Show it, but keep it nowhere
        #[arg(long)]
        no_keep: bool,
    },
    /// List the account's access keys
    List {
        /// Whose keys. Default: the account that signs
        #[arg(long, value_name = "ADDRESS")]
        owner: Option<Address>,
    },
    /// Make an access key worthless, within a block
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Serialize)]
struct Made<'a> {
    access_key: &'a str,
    secret_key: &'a str,
    account: Address,
    endpoint: &'a str,
}

#[derive(Serialize)]
struct Listed {
    access_key: String,
    /// Whether gateways accept it.
    active: bool,
    /// Whether its secret is kept on this machine.
    kept: bool,
}

/// Makes, lists or revokes keys.
pub async fn keys(command: KeysCommand, global: &Global, output: &Output) -> anyhow::Result<()> {
    let KeysCommand::S3(command) = command;
    match command {
        S3Command::Create { door, no_keep } => create(&door, no_keep, global, output).await,
        S3Command::List { owner } => list(owner, global, output).await,
        S3Command::Revoke { id } => revoke(&id, global, output).await,
    }
}

async fn create(door: &S3Options, no_keep: bool, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let wallet = target.wallet(global).await?;
    let status = target.chain.status().await?;
    let group = target.gateway().await?.group().await?;
    // Opened before anything is changed, so that a file that cannot be used fails at once.
    let mut ring = Keyring::open()?;
    let key = AccessKey::generate(&NodeRng::from_os());
    let account = wallet.address();
    let endpoint = door.endpoint().unwrap_or(&group.s3).to_owned();
    let client = S3Client::new(&endpoint, key.clone(), REGION, Payload::Signed).map_err(|e| Usage(e.to_string()))?;
    if !no_keep {
        // Before the chain knows it: a key that works is never one whose secret is lost.
        let (id, secret) = (key.id().to_owned(), key.secret().to_owned());
        ring.keep(KeptKey { id, secret, account, chain: status.genesis, endpoint: endpoint.clone() })?;
    }
    register_key(&wallet, status.chain_id, &group, &key).await?;
    register_owner_key(&wallet).await?;
    if let Err(error) = client.until_known(KNOWN_DEADLINE).await {
        output.note(&format!("the chain has the key, but the endpoint does not take it yet: {error}"));
    }
    let made = Made { access_key: key.id(), secret_key: key.secret(), account, endpoint: &endpoint };
    output.document(&made, |made| {
        let kept = match no_keep {
            true => "it is kept nowhere: this is the only time the secret is shown".to_owned(),
            false => format!("kept in {}; the secret is not shown again", ring.path().display()),
        };
        format!(
            "access key  {}\nsecret key  {}\nendpoint    {}\naccount     {}\n\n{kept}\n\nwith the AWS command line:\n  export \
             AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_DEFAULT_REGION=us-east-1\n  aws --endpoint-url {} s3 ls",
            made.access_key, made.secret_key, made.endpoint, made.account, made.access_key, made.secret_key, made.endpoint
        )
    })
}

async fn list(owner: Option<Address>, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let account = match owner {
        Some(owner) => owner,
        None => target.wallet(global).await?.address(),
    };
    let ring = Keyring::open()?;
    let row = |key: RegisteredKey| {
        let kept = ring.newest(|kept| kept.id == key.id).is_some();
        Listed { access_key: key.id, active: key.is_active, kept }
    };
    let rows: Vec<Listed> = registered_keys(target.chain.as_ref(), account).await?.into_iter().map(row).collect();
    output.document(&rows, |rows| {
        if rows.is_empty() {
            return format!("account {account} has no access keys; make one with `cess keys s3 create`");
        }
        let word = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let row = |key: &Listed| vec![key.access_key.clone(), word(key.active), word(key.kept)];
        table(&["access key", "works", "kept here"], &rows.iter().map(row).collect::<Vec<_>>())
    })
}

async fn revoke(id: &str, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let wallet = target.wallet(global).await?;
    revoke_key(&wallet, id).await?;
    Keyring::open()?.forget(id)?;
    let document = serde_json::json!({ "access_key": id, "revoked": true });
    output.document(&document, |_| format!("{id} is revoked"))
}
