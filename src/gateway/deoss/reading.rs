//! Reading: files, and what the chain tells of them. Anybody may, as anybody may read the chain and ask its miners.

use super::{
    super::{files, files::KnownFile, reply::Refusal},
    Deoss, answer,
    auth::header_text,
    media::kind_of,
    routes::{query_field, split_format},
};
use crate::{
    client::{
        ChainError, FileRecord, ask_module,
        deoss::{ACCOUNT, Account, AccountError, Listed, Metadata, Owner, TERRITORY},
        s3::encode,
        territory, territory_named,
    },
    ledger::abi::{FILES, IFiles},
    types::{Address, FileId},
};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Response, Uri},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use std::collections::BTreeMap;

/// Header with the format a file is shown in.
const FORMAT: &str = "format";
/// Longest header of a read.
const HEADER_MAX_BYTES: usize = 256;
/// Owners of a file that are told.
const OWNERS_MAX: usize = 100;
/// Files of one listing; the chain's own bound.
const LIST_MAX: u64 = 1_000;
/// Questions to the chain at a time for one request.
const PARALLEL_READS: usize = 16;

/// Where a column of a file lies. Locations of miners are not known to the network: they are told as DeOSS tells unknown ones.
#[derive(Debug, Serialize)]
struct Holder {
    account: Address,
    location: Location,
}

#[derive(Debug, Default, Serialize)]
struct Location {
    longitude: u8,
    latitude: u8,
}

impl Deoss {
    /// `GET /file/download/:fid`.
    pub(super) async fn download(
        &self,
        fid: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let file = self.find(fid).await?;
        files::send(&file, (&self.miners, &self.fetcher), method, headers).await
    }

    /// `GET /file/open/:fid`.
    pub(super) async fn open(
        &self,
        fid: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let (fid, ending) = split_format(fid);
        let file = self.find(fid).await?;
        let format = header_text(headers, FORMAT, HEADER_MAX_BYTES)?.unwrap_or_else(|| ending.to_owned());
        let name = match format.is_empty() {
            true => self.name_for(&file, header_text(headers, ACCOUNT, HEADER_MAX_BYTES)?).await?,
            false => String::new(),
        };
        let kind = kind_of(if format.is_empty() { &name } else { &format });
        let shown = if name.is_empty() { fid } else { name.as_str() };
        let mut response = files::send(&file, (&self.miners, &self.fetcher), method, headers).await?;
        answer::shown(response.headers_mut(), kind, &encode(shown, false));
        Ok(response)
    }

    /// What the account calls the file if it is an owner, else the first owner that has a name for it.
    async fn name_for(&self, file: &KnownFile, account: Option<String>) -> Result<String, Refusal> {
        let account = account.and_then(|text| text.parse::<Account>().ok()).map(|account| account.address());
        let owners = file.record.owners.iter().copied().take(OWNERS_MAX);
        let asked = account.into_iter().chain(owners).filter(|owner| file.record.owners.contains(owner));
        for owner in asked {
            if let Some((_, name)) = self.records.name_of(owner, file.record.id).await? {
                return Ok(name);
            }
        }
        Ok(String::new())
    }

    /// `GET /file/metadata/:fid`.
    pub(super) async fn metadata(&self, fid: &str) -> Result<Response<Body>, Refusal> {
        let file = self.find(fid).await?;
        let record = &file.record;
        let named = |owner: Address| async move {
            let name = self.records.name_of(owner, record.id).await?;
            Ok::<_, Refusal>(Owner {
                user: owner.to_string(),
                file_name: name.map(|(_, name)| name).unwrap_or_default(),
            })
        };
        let owners = stream::iter(record.owners.clone()).take(OWNERS_MAX).map(named);
        let owner = owners.buffered(PARALLEL_READS).try_collect().await?;
        Ok(answer::ok(Metadata { fid: record.id.to_string(), size: record.size, owner }))
    }

    /// `GET /file/location/:fid`.
    pub(super) async fn location(&self, fid: &str) -> Result<Response<Body>, Refusal> {
        let file = self.find(fid).await?;
        let holder = |(column, account): (usize, &Address)| {
            (format!("{column} batch fragments"), Holder { account: *account, location: Location::default() })
        };
        let holders: BTreeMap<String, Holder> = file.record.holders.iter().enumerate().map(holder).collect();
        Ok(answer::ok(holders))
    }

    /// `GET /file/list`.
    pub(super) async fn list(&self, uri: &Uri, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
        let field = |name: &str| match query_field(uri, name) {
            Some(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            None => header_text(headers, name, HEADER_MAX_BYTES),
        };
        let account = field(ACCOUNT)?
            .ok_or_else(|| Refusal::bad_request("Please set your Account in the header or url: 0x… or cX…"))?;
        let owner =
            account.parse::<Account>().map_err(|e: AccountError| Refusal::bad_request(e.to_string()))?.address();
        let number = |name: &str, default: u64| match query_field(uri, name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| {
                let text: String = text.chars().take(40).collect();
                Refusal::bad_request(format!("`{name}={text}` is not a number"))
            }),
        };
        let (skip, limit) = (number("skip", 0)?, number("limit", LIST_MAX)?.min(LIST_MAX));
        let listed = match field(TERRITORY)? {
            Some(name) => self.list_in(owner, &name, skip, limit).await?,
            None => self.list_of(owner, skip, limit).await?,
        };
        Ok(answer::ok(listed))
    }

    async fn list_in(&self, owner: Address, name: &str, skip: u64, limit: u64) -> Result<Vec<Listed>, Refusal> {
        let chain = self.records.chain().as_ref();
        let token = match territory_named(chain, owner, name).await {
            Ok(territory) => territory.token,
            Err(ChainError::Refused { message, .. }) => return Err(Refusal::bad_request(message)),
            Err(error) => return Err(error.into()),
        };
        let ids = ask_module(chain, FILES, &IFiles::listInCall { territory: token, skip, limit }).await?;
        let sized = |id: FileId| async move { Ok::<_, Refusal>(chain.file(id).await?) };
        let found = stream::iter(ids).map(|id| sized(FileId(id.0))).buffered(PARALLEL_READS);
        let listed =
            |record: FileRecord| Listed { territory: name.to_owned(), fid: record.id.to_string(), size: record.size };
        // One that was given up since is not there any more.
        found.try_filter_map(|record| async move { Ok(record.map(listed)) }).try_collect().await
    }

    async fn list_of(&self, owner: Address, skip: u64, limit: u64) -> Result<Vec<Listed>, Refusal> {
        let chain = self.records.chain().as_ref();
        let records = chain.files_of(owner, skip, limit).await?;
        let charged = |id: FileId| async move {
            let charge = ask_module(chain, FILES, &IFiles::chargeOfCall { id: id.into(), owner }).await?;
            Ok::<_, Refusal>(charge.territory)
        };
        let ids: Vec<FileId> = records.iter().map(|record| record.id).collect();
        let tokens: Vec<u64> = stream::iter(ids).map(charged).buffered(PARALLEL_READS).try_collect().await?;
        let mut names = BTreeMap::new();
        for token in &tokens {
            if !names.contains_key(token) {
                names.insert(*token, territory(chain, *token).await?.name);
            }
        }
        let listed = |(record, token): (FileRecord, &u64)| Listed {
            territory: names.get(token).cloned().unwrap_or_default(),
            fid: record.id.to_string(),
            size: record.size,
        };
        Ok(records.into_iter().zip(&tokens).map(listed).collect())
    }

    async fn find(&self, fid: &str) -> Result<KnownFile, Refusal> {
        files::find(self.records.chain().as_ref(), fid).await
    }
}
