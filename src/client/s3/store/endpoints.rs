//! Which gateway is asked, and how often.
//!
//! Must not know what requests mean. Invariants: a gateway that does not answer is not asked first again until another fails; waiting
//! is bounded; a failure says whether an earlier attempt may have been carried out.

use super::{
    super::{S3Client, S3Error, S3Request, xml::Element},
    errors::Failure,
};
use rand::Rng;
use reqwest::{Response, header::HeaderMap};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Codes of refusals after which the same request may be taken, besides those that [`S3Error::is_transient`] knows.
const AGAIN: [&str; 4] = ["SlowDown", "ServiceUnavailable", "InternalError", "ConditionalRequestConflict"];
/// Codes of refusals of requests that were not carried out for certain.
const NOT_DONE: [&str; 3] = ["RequestTimeout", "OperationAborted", "ConditionalRequestConflict"];
/// Status of a server that has too many requests.
const TOO_MANY: u16 = 429;

/// How long somebody waits for an answer that may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Pause after the first refusal; each is twice the one before.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
    /// How long after the first refusal a request is still repeated.
    pub whole: Duration,
    /// How long a gateway may be silent while it is read from.
    pub silence: Duration,
}

impl Default for Patience {
    /// A bucket that moves to another gateway is away for some seconds.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(2),
            whole: Duration::from_secs(60),
            silence: Duration::from_secs(30),
        }
    }
}

/// Gateways of the same buckets.
#[derive(Debug)]
pub struct Endpoints {
    clients: Vec<S3Client>,
    /// The one that is asked first.
    first: AtomicUsize,
    patience: Patience,
}

impl Endpoints {
    /// At least one.
    pub fn new(clients: Vec<S3Client>, patience: Patience) -> Self {
        assert!(!clients.is_empty(), "a store has an endpoint");
        Self { clients, first: AtomicUsize::new(0), patience }
    }

    /// How long is waited.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// URL of the gateway that is asked first.
    pub fn url(&self) -> &str {
        self.clients[self.first.load(Ordering::Relaxed)].endpoint()
    }

    /// Asks for bytes or headers. The course goes on if the body breaks off.
    pub async fn read(self: &Arc<Self>, request: S3Request<'_>) -> Result<(Response, Course), Failure> {
        let mut course = Course::new(self);
        loop {
            match course.read(request.clone()).await {
                Ok(response) => return Ok((response, course)),
                Err(error) => course.recover(error).await?,
            }
        }
    }

    /// Asks for a document that is only read.
    pub async fn read_document(self: &Arc<Self>, request: S3Request<'_>) -> Result<Element, Failure> {
        let mut course = Course::new(self);
        loop {
            let (client, silence) = (course.client(), self.patience.silence);
            let answer = timeout(silence, client.document(request.clone())).await;
            match answer.unwrap_or_else(|_| Err(silent(client, silence))) {
                Ok(document) => return Ok(document),
                Err(error) => course.recover(error).await?,
            }
        }
    }

    /// Sends something. A large part may take the server long.
    pub async fn send(self: &Arc<Self>, request: S3Request<'_>) -> Result<Response, Failure> {
        let mut course = Course::new(self);
        loop {
            match course.client().send(request.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => course.recover(error).await?,
            }
        }
    }

    /// Sends something whose outcome is in a document.
    pub async fn send_for_document(self: &Arc<Self>, request: S3Request<'_>) -> Result<(HeaderMap, Element), Failure> {
        let mut course = Course::new(self);
        loop {
            match course.client().headed_document(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => course.recover(error).await?,
            }
        }
    }
}

/// One request's way from gateway to gateway.
#[derive(Debug)]
pub struct Course {
    endpoints: Arc<Endpoints>,
    at: usize,
    /// Gateways in a row that did not answer.
    unanswered: usize,
    pause: Duration,
    began: Option<Instant>,
    was_lost: bool,
}

impl Course {
    fn new(endpoints: &Arc<Endpoints>) -> Self {
        let (at, pause) = (endpoints.first.load(Ordering::Relaxed), endpoints.patience.first);
        Self { endpoints: endpoints.clone(), at, unanswered: 0, pause, began: None, was_lost: false }
    }

    /// Whom to ask now.
    pub fn client(&self) -> &S3Client {
        &self.endpoints.clients[self.at]
    }

    /// Asks once for bytes or headers.
    pub async fn read(&self, request: S3Request<'_>) -> Result<Response, S3Error> {
        let (client, silence) = (self.client(), self.endpoints.patience.silence);
        timeout(silence, client.send(request)).await.unwrap_or_else(|_| Err(silent(client, silence)))
    }

    /// The gateway went silent in the midst of an answer.
    pub fn silent(&self) -> S3Error {
        silent(self.client(), self.endpoints.patience.silence)
    }

    /// Something arrived, so that patience begins anew.
    pub fn progressed(&mut self) {
        (self.unanswered, self.pause, self.began) = (0, self.endpoints.patience.first, None);
    }

    /// Waits until it makes sense to ask again, and whom; or says that it makes none.
    pub async fn recover(&mut self, error: S3Error) -> Result<(), Failure> {
        let is_unanswered = matches!(error, S3Error::Unreachable { .. });
        let may_help = error.is_transient() || AGAIN.contains(&error.code()) || is_too_many(&error);
        if !may_help {
            return Err(Failure { error, was_lost: self.was_lost });
        }
        self.was_lost |= may_be_done(&error);
        let count = self.endpoints.clients.len();
        let next = (self.at + 1) % count;
        if is_unanswered {
            self.unanswered += 1;
            // Whoever comes next need not find out again.
            let _ = self.endpoints.first.compare_exchange(self.at, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        tracing::debug!(%error, "an S3 request is repeated");
        self.at = next;
        // The others are asked at once; a second round, or a gateway that asks for patience, waits.
        if is_unanswered && !self.unanswered.is_multiple_of(count) {
            return Ok(());
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() + self.pause > self.endpoints.patience.whole {
            return Err(Failure { error, was_lost: self.was_lost });
        }
        let pause = rand::thread_rng().gen_range(self.pause / 2..=self.pause);
        sleep(pause).await;
        self.pause = (self.pause * 2).min(self.endpoints.patience.longest);
        Ok(())
    }
}

fn silent(client: &S3Client, silence: Duration) -> S3Error {
    let reason = format!("silent for {} ms", silence.as_millis());
    S3Error::Unreachable { url: client.endpoint().to_owned(), reason, was_sent: true }
}

fn is_too_many(error: &S3Error) -> bool {
    matches!(error, S3Error::Refused { status: TOO_MANY, .. })
}

/// Whether the server may have done what it did not say it did: it can refuse after another one did it.
fn may_be_done(error: &S3Error) -> bool {
    match error {
        S3Error::Unreachable { was_sent, .. } => *was_sent,
        S3Error::Refused { code, .. } => !NOT_DONE.contains(&code.as_str()) && !is_too_many(error),
        _ => false,
    }
}
