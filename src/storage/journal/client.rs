//! Finding miners for a journal and talking to them.
//!
//! Owns the choice of miners, tokens and requests. Must not know what a journal holds. Invariants: a journal's miners have distinct
//! operators; a miner sees only the token that is made for it.

use super::{
    MEMBERS, Members, QUORUM,
    leftovers::Leftovers,
    recover,
    wire::{Answer, Ask, JOURNAL, JournalId, Refusal, Request, Response, Standing},
    writer::Journal,
};
use crate::{
    client::ChainError,
    codec::{self, CodecError},
    crypto::hash,
    network::{Network, PeerId, Protocol},
    runtime::{Node, NodeRng, Secret},
    storage::links::{Dialogue, LinkError, Links},
    types::{Address, ByteCount},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a miner may take for anything but bulk.
pub(super) const ASK_DEADLINE: Duration = Duration::from_secs(3);
/// How long a confirmation of the epoch may take.
pub(super) const TOUCH_DEADLINE: Duration = Duration::from_secs(1);
/// Requests that may wait for their answers on one stream, over all journals that lie on its miner.
const LINK_MAX_REQUESTS: usize = 128;

/// Why a journal cannot be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// A later writer came.
    #[error("journal {journal} was taken over: it is sealed by epoch {sealed}")]
    Fenced { journal: JournalId, sealed: u64 },
    /// Too few of its miners still have it.
    #[error("journal {journal} is lost: {missing} of its {MEMBERS} miners do not hold it")]
    Lost { journal: JournalId, missing: usize },
    /// Too few miners did what was asked.
    #[error("journal {journal}: {reached} of {QUORUM} needed miners {what}: {reason}")]
    Unavailable { journal: JournalId, reached: usize, what: &'static str, reason: String },
    /// Too much is untrimmed.
    #[error("journal {journal} holds {} that are not trimmed, the limit is {}", ByteCount(*bytes), ByteCount(*max))]
    Full { journal: JournalId, bytes: u64, max: u64 },
    /// Not a record.
    #[error("a record of {len} B is over the limit of {max} B")]
    TooLarge { len: usize, max: usize },
    /// The chain knows too few miners.
    #[error("a journal needs miners of {MEMBERS} operators that answer, {found} were found")]
    NoMiners { found: usize },
    /// A miner is being replaced already.
    #[error("a miner of journal {journal} is being replaced already")]
    Replacing { journal: JournalId },
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Which miners there are: the chain's list, or a twin of it.
#[async_trait]
pub trait MinerList: Send + Sync + 'static {
    /// Accounts of miners that take data, each with its operator.
    async fn takers(&self) -> Result<Vec<(Address, Address)>, ChainError>;
    /// The peers of these accounts, in their order.
    async fn peers_of(&self, accounts: &[Address]) -> Result<Vec<Option<PeerId>>, ChainError>;
}

/// Why one miner did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("miner {account} refused: {refusal}")]
    Refused { account: Address, refusal: Refusal },
    #[error("miner {account} did not confirm within {} ms", TOUCH_DEADLINE.as_millis())]
    Late { account: Address },
    #[error("miner {account} answered something else than was asked")]
    Unfitting { account: Address },
    #[error("miner {account} is not registered")]
    Unregistered { account: Address },
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// One request and one answer a frame.
pub(super) struct JournalDialogue;

impl Dialogue for JournalDialogue {
    const PROTOCOL: Protocol = JOURNAL;
    const NAME: &'static str = "journal link";
    const MAX_REQUESTS: usize = LINK_MAX_REQUESTS;
    type Ask = (JournalId, [u8; 32], Ask);
    type Answer = Answer;

    fn frames(tag: u32, (journal, token, ask): Self::Ask) -> Vec<Bytes> {
        vec![codec::encode(&Request { tag, journal, token, ask }).into()]
    }

    fn read(frame: &[u8]) -> Result<(u32, Answer, Option<u32>), CodecError> {
        let Response { tag, answer } = codec::decode(frame)?;
        Ok((tag, answer, None))
    }

    fn complete(answer: Answer, _: Bytes) -> Answer {
        answer
    }
}

/// Handle for journals on miners. Cheap to clone; clones share the streams.
#[derive(Clone)]
pub struct JournalClient {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    links: Links<JournalDialogue>,
    miners: Arc<dyn MinerList>,
    secret: Secret<[u8; 32]>,
    leftovers: Mutex<Leftovers>,
}

impl JournalClient {
    /// A client over `network`. Journals made with `secret` are opened only with it.
    pub fn new(node: &Node, network: Arc<dyn Network>, miners: Arc<dyn MinerList>, secret: [u8; 32]) -> Self {
        let (links, secret) = (Links::new(node, network), Secret::new(secret));
        Self { inner: Arc::new(Inner { node: node.clone(), links, miners, secret, leftovers: Mutex::default() }) }
    }

    /// Makes a journal on three miners that answer, sealed by `epoch`. Note them durably before anything is appended.
    pub async fn create(&self, id: JournalId, epoch: u64) -> Result<Members, JournalError> {
        let (mut members, mut tried) = (Vec::new(), BTreeSet::new());
        while members.len() < MEMBERS {
            let Some(account) = self.candidate(id, &members, &tried).await? else { break };
            match self.made(account, id, epoch).await {
                Ok(_) => members.push(account),
                Err(error) => tracing::debug!(%account, journal = %id, %error, "no journal here"),
            }
            tried.insert(account);
        }
        Members::try_from(members).map_err(|found| JournalError::NoMiners { found: found.len() })
    }

    /// Refuses lower epochs on two of the journal's miners.
    pub async fn seal(&self, id: JournalId, members: Members, epoch: u64) -> Result<(), JournalError> {
        recover::seal(self, id, members, epoch).await.map(|_| ())
    }

    /// Seals the journal, gathers what it holds and makes it the log of `epoch` on two miners at least.
    pub async fn open(&self, id: JournalId, members: Members, epoch: u64) -> Result<Journal, JournalError> {
        let recovered = recover::recover(self, id, members, epoch).await?;
        Journal::start(self, id, members, epoch, recovered).await
    }

    /// Confirms on two of the journal's miners that nobody sealed it with a higher epoch. One that is slow keeps its stream.
    pub async fn touch(&self, id: JournalId, members: Members, epoch: u64) -> Result<(), JournalError> {
        let asked = members.iter().map(|account| async {
            let asked = timeout(TOUCH_DEADLINE, self.touch_one(*account, id, epoch)).await;
            (*account, asked.unwrap_or(Err(AskError::Late { account: *account })))
        });
        self.first_two(id, asked.collect(), "confirmed the epoch").await.map(|_| ())
    }

    async fn touch_one(&self, account: Address, id: JournalId, epoch: u64) -> Result<Answer, AskError> {
        let peer = self.peer(account).await?;
        let ask = (id, self.token(id, account), Ask::Touch { epoch });
        accepted(account, self.inner.links.ask_patiently(peer, ask).await?)
    }

    /// Has the journal's miners forget it: two at once, the third when it answers.
    pub async fn remove(&self, id: JournalId, members: Members, epoch: u64) -> Result<(), JournalError> {
        let asked = join_all(members.map(|account| self.forget(account, id, epoch))).await;
        let failed: Vec<_> = asked.into_iter().filter_map(Result::err).collect();
        let reached = MEMBERS - failed.len();
        if reached >= QUORUM { Ok(()) } else { Err(verdict(id, reached, "removed it", &failed)) }
    }

    /// A miner not in `tried` whose operator has none of `members`; drawn at random.
    pub(super) async fn candidate(
        &self,
        id: JournalId,
        members: &[Address],
        tried: &BTreeSet<Address>,
    ) -> Result<Option<Address>, JournalError> {
        let takers = self.inner.miners.takers().await?;
        let taken: BTreeSet<_> =
            takers.iter().filter(|(account, _)| members.contains(account)).map(|(_, operator)| *operator).collect();
        let holding = self.leftovers().lock().holders(id);
        let free = takers.iter().filter(|(account, operator)| {
            let is_out = members.contains(account) || tried.contains(account) || holding.contains(account);
            !is_out && !taken.contains(operator)
        });
        let free: Vec<_> = free.collect();
        let drawn = usize::try_from(self.rng().below(free.len() as u64)).unwrap_or(0);
        Ok(free.get(drawn).map(|(account, _)| *account))
    }

    /// Has a miner keep the journal from now on.
    pub(super) async fn made(&self, account: Address, id: JournalId, epoch: u64) -> Result<Standing, AskError> {
        standing(account, self.ask(account, id, Ask::Create { epoch }, ASK_DEADLINE).await?)
    }

    /// Asks all of `accounts` at once until two did it.
    pub(super) async fn count(
        &self,
        accounts: &[Address],
        id: JournalId,
        ask: &Ask,
        what: &'static str,
    ) -> Result<Vec<(Address, Answer)>, JournalError> {
        let asked = accounts.iter().map(|account| async {
            let answer = self.ask(*account, id, ask.clone(), ASK_DEADLINE).await;
            (*account, answer)
        });
        self.first_two(id, asked.collect(), what).await
    }

    async fn first_two<F>(
        &self,
        id: JournalId,
        mut asked: FuturesUnordered<F>,
        what: &'static str,
    ) -> Result<Vec<(Address, Answer)>, JournalError>
    where
        F: Future<Output = (Address, Result<Answer, AskError>)>,
    {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        while let Some((account, answer)) = asked.next().await {
            match answer {
                Ok(answer) => done.push((account, answer)),
                Err(error) => failed.push(error),
            }
            if done.len() == QUORUM {
                return Ok(done);
            }
        }
        Err(verdict(id, done.len(), what, &failed))
    }

    /// Asks one miner.
    pub(super) async fn ask(
        &self,
        account: Address,
        id: JournalId,
        ask: Ask,
        deadline: Duration,
    ) -> Result<Answer, AskError> {
        let peer = self.peer(account).await?;
        let answer = self.inner.links.ask(peer, (id, self.token(id, account), ask), deadline).await?;
        accepted(account, answer)
    }

    /// Where a miner is reached.
    pub(super) async fn peer(&self, account: Address) -> Result<PeerId, AskError> {
        let peers = self.inner.miners.peers_of(&[account]).await?;
        peers.into_iter().next().flatten().ok_or(AskError::Unregistered { account })
    }

    /// What opens the journal at this miner.
    pub(super) fn token(&self, id: JournalId, account: Address) -> [u8; 32] {
        hash::tagged(hash::DOMAIN_JOURNAL_TOKEN, &[self.inner.secret.expose(), &id.0, account.as_slice()])
    }

    /// What miners were to forget and did not yet.
    pub(super) fn leftovers(&self) -> &Mutex<Leftovers> {
        &self.inner.leftovers
    }

    pub(super) fn links(&self) -> &Links<JournalDialogue> {
        &self.inner.links
    }

    pub(super) fn node(&self) -> &Node {
        &self.inner.node
    }

    /// A secret of one journal that its miners do not know.
    pub fn secret_of(&self, id: JournalId) -> Secret<[u8; 32]> {
        Secret::new(hash::tagged(hash::DOMAIN_JOURNAL_VEIL, &[self.inner.secret.expose(), &id.0]))
    }

    /// Its node's randomness.
    pub fn rng(&self) -> &NodeRng {
        &self.inner.node.rng
    }
}

/// The answer unless it is a refusal.
pub(super) fn accepted(account: Address, answer: Answer) -> Result<Answer, AskError> {
    match answer {
        Answer::Refused(refusal) => Err(AskError::Refused { account, refusal }),
        answer => Ok(answer),
    }
}

/// What a miner holds, from its answer to a seal.
pub(super) fn standing(account: Address, answer: Answer) -> Result<Standing, AskError> {
    match answer {
        Answer::Sealed(standing) => Ok(standing),
        _ => Err(AskError::Unfitting { account }),
    }
}

/// What it means that only `reached` miners did `what`. One miner alone is believed neither that the journal was taken over nor
/// that it is gone.
fn verdict(journal: JournalId, reached: usize, what: &'static str, failed: &[AskError]) -> JournalError {
    let refusals = || {
        failed.iter().filter_map(|error| match error {
            AskError::Refused { refusal, .. } => Some(refusal),
            _ => None,
        })
    };
    let sealed: Vec<u64> = refusals()
        .filter_map(|refusal| match refusal {
            Refusal::Sealed { sealed } => Some(*sealed),
            _ => None,
        })
        .collect();
    let missing = refusals().filter(|refusal| **refusal == Refusal::Unknown).count();
    match sealed.iter().copied().min() {
        Some(sealed_by) if sealed.len() >= QUORUM => JournalError::Fenced { journal, sealed: sealed_by },
        _ if missing >= QUORUM => JournalError::Lost { journal, missing },
        _ => {
            let reason = failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            JournalError::Unavailable { journal, reached, what, reason }
        }
    }
}
