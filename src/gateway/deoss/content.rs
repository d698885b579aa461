//! The content of a request as it arrives, hashed and counted on the way.
//!
//! Invariant: what was stored is compared with what was signed before anything is recorded on the chain.

use super::super::reply::Refusal;
use super::{
    auth::denied,
    form::{Form, Incoming, PartHead, boundary},
};
use crate::client::deoss::BodyHash;
use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use ring::digest::{Context, SHA256};
use std::io;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// Fields of forms that are files; others are passed over.
const FILE_FIELDS: [&str; 2] = ["file", "files"];

enum Source {
    /// The body is one file.
    Raw {
        body: Incoming,
        begun: bool,
    },
    Form(Form),
}

/// A request's files, one after the other.
pub struct Content {
    source: Source,
    hash: Context,
    len: u64,
    hashes: Vec<[u8; 32]>,
}

impl Content {
    /// The content of a body. It is a form if its type says so.
    pub fn of(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let body: Incoming = body.into_data_stream().map_err(io::Error::other).boxed();
        let is_form = kind.trim_start().to_ascii_lowercase().starts_with("multipart/");
        let source = match boundary(kind) {
            Some(boundary) => Source::Form(Form::new(body, &boundary)),
            None if is_form => {
                return Err(Refusal::bad_request("the form has no boundary of 1 to 70 B in its Content-Type"));
            }
            None => Source::Raw { body, begun: false },
        };
        Ok(Self { source, hash: Context::new(&SHA256), len: 0, hashes: Vec::new() })
    }

    /// Whether it is a form.
    pub fn is_form(&self) -> bool {
        matches!(self.source, Source::Form(_))
    }

    /// Goes to the next file: its name, if it has one. None after the last.
    pub async fn next_file(&mut self) -> Result<Option<Option<String>>, Refusal> {
        self.hash = Context::new(&SHA256);
        self.len = 0;
        match &mut self.source {
            Source::Raw { begun, .. } => Ok((!std::mem::replace(begun, true)).then_some(None)),
            Source::Form(form) => loop {
                match form.next().await.map_err(|e| Refusal::bad_request(e.to_string()))? {
                    Some(PartHead { field, file_name }) if is_file(&field, file_name.as_deref()) => {
                        return Ok(Some(file_name.filter(|name| !name.is_empty())));
                    }
                    Some(_) => {}
                    None => return Ok(None),
                }
            },
        }
    }

    /// The present file's bytes.
    pub fn reader(&mut self) -> impl AsyncRead + Unpin + Send {
        let chunks = stream::try_unfold(self, |content| async move {
            Ok::<_, io::Error>(content.chunk().await?.map(|chunk| (chunk, content)))
        });
        StreamReader::new(Box::pin(chunks))
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let chunk = match &mut self.source {
            Source::Raw { body, .. } => body.next().await.transpose()?,
            Source::Form(form) => form.chunk().await?,
        };
        if let Some(chunk) = &chunk {
            self.hash.update(chunk);
            self.len += chunk.len() as u64;
        }
        Ok(chunk)
    }

    /// Ends the present file: its length and hash. It must have been read to its end.
    pub fn finish_file(&mut self) -> (u64, [u8; 32]) {
        let digest = std::mem::replace(&mut self.hash, Context::new(&SHA256)).finish();
        let hash = digest.as_ref().try_into().expect("a SHA-256 digest has 32 bytes");
        self.hashes.push(hash);
        (self.len, hash)
    }

    /// Compares everything that was finished with what was signed.
    pub fn check(&self, signed: &BodyHash) -> Result<(), Refusal> {
        let came = BodyHash::Sha256(self.hashes.clone());
        match signed {
            BodyHash::Unsigned => Ok(()),
            signed if *signed == came => Ok(()),
            signed => {
                let shown = |hash: &BodyHash| hash.to_string().chars().take(200).collect::<String>();
                Err(denied(format!(
                    "the content is not what was signed: {} came, {} was signed",
                    shown(&came),
                    shown(signed)
                )))
            }
        }
    }
}

fn is_file(field: &str, file_name: Option<&str>) -> bool {
    file_name.is_some() && FILE_FIELDS.iter().any(|known| field.eq_ignore_ascii_case(known))
}
