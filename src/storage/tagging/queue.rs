//! Which files a worker tags, and when.
//!
//! Owns the order and the turns. Invariant: of the workers that are active one is first for a file, and each further one waits two rounds
//! longer, so that a worker that is gone holds nothing up for good.

use super::{
    TagMaker,
    file::{Certificate, FileTagger, TagFileError},
};
use crate::{
    client::{ChainClient, Wallet},
    crypto::hash::{DOMAIN_TAG_TURNS, tagged},
    ledger::abi::{ITee, TEE},
    runtime::{Criticality, Node, Phase, Worker},
    storage::{
        DataClient, MinerDirectory,
        audit::{self, Holdings, OpenEpoch, send_all},
        fetch::Fetcher,
    },
    types::{Address, ChainId, FileId, Height},
};
use alloy_sol_types::SolCall;
use std::{collections::BTreeMap, sync::Arc};

/// Files of one certificate; the interface's own bound.
const CERTIFY_MAX_FILES: usize = 64;
/// Rounds of audits after which the next worker takes a file over.
const TURN_ROUNDS: u64 = 2;
/// Blocks until a file is tried again at first; doubled with each attempt.
const RETRY_BLOCKS: Height = 8;
/// Doublings of that.
const RETRY_DOUBLINGS_MAX: u32 = 6;
/// Files listed at a time.
const PAGE_ENTRIES: usize = 256;
/// Files whose next attempt is remembered.
const ATTEMPTS_MAX: usize = 1 << 16;

/// What a tagging worker is made of.
#[derive(Clone)]
pub struct Tagging {
    tagger: FileTagger,
    chain: Arc<dyn ChainClient>,
    wallet: Wallet,
}

/// When a file is tried again, and how often it was.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    next: Height,
    tries: u32,
}

/// What was tried under the open epoch: another key is another chance.
#[derive(Debug, Default)]
struct Attempts {
    epoch: u64,
    files: BTreeMap<FileId, Attempt>,
}

impl Attempts {
    /// Forgets what was tried under another epoch, or if it is too much.
    fn begin(&mut self, epoch: u64) {
        if self.epoch != epoch || self.files.len() > ATTEMPTS_MAX {
            *self = Self { epoch, files: BTreeMap::new() };
        }
    }

    fn waits(&self, file: &FileId, height: Height) -> bool {
        self.files.get(file).is_some_and(|attempt| attempt.next > height)
    }

    fn note(&mut self, file: FileId, height: Height) {
        let tries = self.files.get(&file).map_or(0, |attempt| attempt.tries);
        let pause = RETRY_BLOCKS << tries.min(RETRY_DOUBLINGS_MAX);
        self.files.insert(file, Attempt { next: height.saturating_add(pause), tries: tries.saturating_add(1) });
    }
}

impl Tagging {
    /// A worker with the account of `wallet`.
    pub fn new(
        node: &Node,
        chain_id: ChainId,
        holdings: Holdings,
        (directory, data, fetcher): (MinerDirectory, DataClient, Fetcher),
        wallet: Wallet,
        maker: Arc<dyn TagMaker>,
    ) -> Self {
        let chain = wallet.chain().clone();
        let tagger = FileTagger { node: node.clone(), chain_id, holdings, directory, data, fetcher, maker };
        Self { tagger, chain, wallet }
    }

    /// Starts to tag.
    pub fn start(self, node: &Node) {
        let worker = node.workers.register("tag files");
        let stop = node.tasks.stopping(Phase::Produce);
        node.tasks.spawn(Phase::Produce, "tag files", Criticality::Optional, async move {
            stop.run_until_cancelled_owned(self.run(worker)).await;
            Ok(())
        });
    }

    async fn run(self, worker: Worker) {
        let (mut attempts, mut height) = (Attempts::default(), 0);
        loop {
            height = self.tagger.holdings.in_step(height + 1).await;
            if let Err(error) = self.pass(height, &mut attempts, &worker).await {
                worker.error(&error);
                tracing::debug!(%error, "files cannot be tagged, trying again");
            }
            worker.idle();
        }
    }

    /// Tags every file whose turn it is.
    async fn pass(&self, height: Height, attempts: &mut Attempts, worker: &Worker) -> Result<(), TagFileError> {
        let Some(epoch) = self.tagger.holdings.read(|index| index.open_epoch()).await? else { return Ok(()) };
        if !self.tagger.maker.holds(&epoch.key.digest()) {
            return Ok(());
        }
        attempts.begin(epoch.number);
        let (mut after, mut workers, mut ready) = (None, None, Vec::new());
        loop {
            let page = self.tagger.holdings.read(move |index| index.untagged(after, PAGE_ENTRIES)).await?;
            let Some(&last) = page.last() else { break };
            after = Some(last);
            for (since, file) in page {
                if workers.is_none() {
                    workers = Some(audit::taggers(&audit::workers(self.chain.as_ref()).await?));
                }
                let turn = self.turn(workers.as_deref().unwrap_or_default(), &file);
                if attempts.waits(&file, height) || turn.is_none_or(|turn| height < since.saturating_add(turn)) {
                    continue;
                }
                worker.busy(format!("file {file}"));
                attempts.note(file, height);
                match self.tag(file, &epoch, worker).await {
                    Ok(certificate) => ready.extend(certificate),
                    Err(error) => worker.error(format!("file {file}: {error}")),
                }
                if ready.len() >= CERTIFY_MAX_FILES {
                    self.certify(&epoch, std::mem::take(&mut ready)).await?;
                }
            }
        }
        self.certify(&epoch, ready).await
    }

    /// Blocks this worker waits before it takes a file; none if it is not a tagger.
    fn turn(&self, workers: &[Address], file: &FileId) -> Option<Height> {
        let rank = u64::try_from(rank(workers, file, &self.wallet.address())?).ok()?;
        let blocks = self.tagger.holdings.index().params().audit_round_blocks;
        Some(rank.saturating_mul(TURN_ROUNDS.saturating_mul(blocks)))
    }

    async fn tag(&self, file: FileId, epoch: &OpenEpoch, worker: &Worker) -> Result<Option<Certificate>, TagFileError> {
        let entry = self.tagger.holdings.read(move |index| index.file(&file)).await?;
        match entry {
            Some(entry) => self.tagger.tag(file, &entry, epoch, worker).await,
            // Deleted meanwhile.
            None => Ok(None),
        }
    }

    async fn certify(&self, epoch: &OpenEpoch, ready: Vec<Certificate>) -> Result<(), TagFileError> {
        let call = |ready: &[Certificate]| {
            let call = ITee::certifyCall {
                epoch: epoch.number,
                files: ready.iter().map(|certificate| certificate.file.into()).collect(),
                columns: ready.iter().map(|certificate| certificate.columns).collect(),
                receipts: ready.iter().map(|certificate| certificate.signatures.clone().into()).collect(),
            };
            call.abi_encode().into()
        };
        let taken = send_all(&self.wallet, TEE, &ready, CERTIFY_MAX_FILES, call).await?;
        if !ready.is_empty() {
            tracing::info!(files = taken.len(), refused = ready.len() - taken.len(), "certified tags");
        }
        if !taken.is_empty() {
            // An index that does not know of it yet would have the next pass tag the same again.
            let certified = self.chain.status().await?.height;
            self.tagger.holdings.in_step(certified).await;
        }
        Ok(())
    }
}

/// Which of `workers` comes how manyth for a file, by rendezvous hashing: one that comes or goes moves only its own files.
pub fn rank(workers: &[Address], file: &FileId, worker: &Address) -> Option<usize> {
    let score = |account: &Address| tagged(DOMAIN_TAG_TURNS, &[file.as_bytes(), account.as_slice()]);
    let own = workers.contains(worker).then(|| score(worker))?;
    Some(workers.iter().filter(|other| score(other) < own).count())
}
