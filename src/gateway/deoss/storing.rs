//! Storing whole files: one in a form, several, or a body.
//!
//! Invariant: a file is recorded only after everything the request brought is what was signed.

use super::{
    super::reply::Refusal,
    Deoss, answer,
    auth::{Signed, denied},
    content::Content,
};
use crate::{
    client::deoss::{BodyHash, FILE_NAME_MAX_BYTES, Stored, StoredOne},
    gateway::s3::percent,
    runtime::Counter,
    storage::upload::{StoreCall, Upload, UploadId},
    types::Address,
};
use axum::{body::Body, http::Response};
use futures::{StreamExt, stream};

/// Files of one request.
const FILES_MAX: usize = 64;
/// Files of one request that are recorded at a time.
const RECORDING_MAX: usize = 8;
/// Bytes of a form that are not its file, at most: what is announced beyond them is the file.
const FORM_OVERHEAD_BYTES: u64 = 16 << 10;
/// Name of a body that was given none.
const OBJECT_NAME: &str = "object";

/// A file on its miners, not recorded yet.
struct Dispersed {
    call: StoreCall,
    name: String,
    size: u64,
}

/// A name that can be recorded.
pub fn checked_name(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.len() > FILE_NAME_MAX_BYTES {
        let len = name.len();
        return Err(Refusal::bad_request(format!("the file's name has {len} B, expected 1 to {FILE_NAME_MAX_BYTES}")));
    }
    if name.chars().any(char::is_control) {
        return Err(Refusal::bad_request("the file's name has control characters"));
    }
    Ok(name.to_owned())
}

impl Deoss {
    /// `PUT /file`.
    pub(super) async fn put_file(
        &self,
        signed: &Signed,
        mut content: Content,
        announced: u64,
    ) -> Result<Response<Body>, Refusal> {
        if !content.is_form() {
            return Err(Refusal::bad_request(
                "the file is expected in a form (multipart/form-data), in its field `file`",
            ));
        }
        let least = announced.saturating_sub(FORM_OVERHEAD_BYTES);
        let territory = self.may_store(signed, least).await?;
        let in_form = content.next_file().await?.ok_or_else(no_file)?;
        let name = signed.name.clone().or_else(|| in_form.map(|name| percent::decode(&name.replace('+', "%2B"))));
        let name = checked_name(&name.ok_or_else(no_file)?)?;
        let file = self.disperse(signed.account, name, None, &mut content).await?;
        if content.next_file().await?.is_some() {
            return Err(Refusal::bad_request("the form has more than one file: send them to /files"));
        }
        content.check(&signed.body)?;
        self.records.store(signed.account, territory, &file.call, &file.name).await?;
        Ok(answer::ok(Stored { fid: file.call.file.to_string() }))
    }

    /// `PUT /object/:name`.
    pub(super) async fn put_object(
        &self,
        signed: &Signed,
        name: Option<String>,
        mut content: Content,
        announced: Option<u64>,
    ) -> Result<Response<Body>, Refusal> {
        let size = announced.filter(|_| !content.is_form());
        let territory = self.may_store(signed, size.unwrap_or_default()).await?;
        let in_form = content.next_file().await?.ok_or_else(no_file)?;
        let name = name.or_else(|| signed.name.clone()).or(in_form).unwrap_or_else(|| OBJECT_NAME.to_owned());
        let file = self.disperse(signed.account, checked_name(&name)?, size, &mut content).await?;
        content.check(&signed.body)?;
        self.records.store(signed.account, territory, &file.call, &file.name).await?;
        Ok(answer::ok(Stored { fid: file.call.file.to_string() }))
    }

    /// `PUT /files`.
    pub(super) async fn put_files(&self, signed: &Signed, mut content: Content) -> Result<Response<Body>, Refusal> {
        if !content.is_form() {
            return Err(Refusal::bad_request("files are expected in a form (multipart/form-data), in fields `file`"));
        }
        let territory = self.may_store(signed, 0).await?;
        let mut files = Vec::new();
        while let Some(in_form) = content.next_file().await? {
            if files.len() == FILES_MAX {
                return Err(Refusal::bad_request(format!("the form has more than {FILES_MAX} files")));
            }
            let name = checked_name(&percent::decode(&in_form.ok_or_else(no_file)?.replace('+', "%2B")))?;
            files.push(self.disperse(signed.account, name, None, &mut content).await?);
        }
        if files.is_empty() {
            return Err(no_file());
        }
        content.check(&signed.body)?;
        // What was stored under two names is one file: one after the other, so that the last name stays.
        let mut order: Vec<Vec<usize>> = Vec::new();
        for (index, file) in files.iter().enumerate() {
            match order.iter_mut().find(|same| files[same[0]].call.file == file.call.file) {
                Some(same) => same.push(index),
                None => order.push(vec![index]),
            }
        }
        let files = &files;
        let recorded = stream::iter(order).map(|same| async move {
            let mut results = Vec::new();
            for index in same {
                let file = &files[index];
                let result = self.records.store(signed.account, territory, &file.call, &file.name).await;
                results.push((index, told(file, result)));
            }
            results
        });
        let mut results: Vec<(usize, StoredOne)> = recorded.buffer_unordered(RECORDING_MAX).concat().await;
        results.sort_by_key(|(index, _)| *index);
        let results: Vec<StoredOne> = results.into_iter().map(|(_, result)| result).collect();
        Ok(answer::ok(results))
    }

    /// Asks before anything is sent to miners. The territory to charge.
    pub(super) async fn may_store(&self, signed: &Signed, size: u64) -> Result<u64, Refusal> {
        if signed.body == BodyHash::Empty {
            return Err(denied("the message says that there is no body"));
        }
        self.records.check_operator(signed.account).await?;
        self.records.room(signed.account, signed.territory.as_deref(), size).await
    }

    async fn disperse(
        &self,
        owner: Address,
        name: String,
        size: Option<u64>,
        content: &mut Content,
    ) -> Result<Dispersed, Refusal> {
        let mut id = UploadId([0; 16]);
        self.node.rng.fill(&mut id.0);
        let mut upload = Upload::new(id, owner, name.clone(), size, self.node.clock.unix_ms());
        let result = self.uploader.upload(&mut upload, content.reader(), &|_| {}).await;
        // Sent again, it begins anew: nothing would continue it.
        self.uploader.journal().remove(id)?;
        let call = result?;
        let (size, _) = content.finish_file();
        self.node.metrics.add(Counter::UserBytesIn, size);
        Ok(Dispersed { call, name, size })
    }
}

fn no_file() -> Refusal {
    Refusal::bad_request("the form has no file with a name in its field `file`")
}

fn told(file: &Dispersed, result: Result<(), Refusal>) -> StoredOne {
    let (name, size) = (file.name.clone(), file.size);
    match result {
        Ok(()) => {
            let fid = file.call.file.to_string();
            StoredOne { name, fid, result: "success".to_owned(), reason: String::new(), size }
        }
        Err(refusal) => {
            let reason = refusal.text().to_owned();
            StoredOne { name, fid: String::new(), result: "failed".to_owned(), reason, size }
        }
    }
}
