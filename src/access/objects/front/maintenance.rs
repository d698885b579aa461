//! What is done for a bucket besides what its clients ask: lifecycle, garbage, packs.
//!
//! Owns one round of it; who owns the bucket runs it now and then. Invariants: each step is bounded; a file is removed only after the
//! bucket has said that nothing refers to its pack, and never will.

use super::{Objects, unexpected};
use crate::{
    access::{
        blobs::{PackHead, PackId, PackOutcome, Scope, StoredBody},
        objects::{
            error::ObjectsError,
            id::BodyId,
            op::{Duty, Op, PackDuty, Place, Reply},
        },
    },
    ledger::manifest::SegmentEntry,
    types::FileId,
};

/// Most steps of lifecycle and garbage in one round.
const ROUND_MAX_STEPS: usize = 64;

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Versions, markers and uploads that expired.
    pub expired: u64,
    /// Pieces of garbage let go.
    pub collected: u64,
    /// Packs that became files.
    pub finished: u64,
    /// Files removed.
    pub removed: u64,
    /// Contents written to other packs.
    pub moved: u64,
}

impl Objects {
    /// One round for a bucket this gateway owns.
    pub async fn maintain(&self, place: &Place) -> Result<Maintained, ObjectsError> {
        let mut done = Maintained { expired: self.expire(place).await?, ..Maintained::default() };
        done.collected = self.collect(place).await?;
        match self.inner.router.call(place, Op::Packs).await? {
            Reply::Packs(duties) => {
                for duty in duties {
                    self.care_for(place, duty, &mut done).await;
                }
            }
            other => return Err(unexpected("packs", &other)),
        }
        Ok(done)
    }

    /// Notes what became of a pack this gateway opened.
    pub async fn note_outcome(&self, place: &Place, outcome: &PackOutcome) -> Result<(), ObjectsError> {
        match outcome.file {
            Ok(file) => self.note_final(place, outcome.pack, file).await.map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Tells a bucket of a file that says it is a pack of it. One that the bucket has no use for is removed in its time. Gives the file that
    /// the bucket has of the same pack, if that is another one.
    pub async fn claim(&self, place: &Place, pack: PackId, file: FileId) -> Result<Option<FileId>, ObjectsError> {
        self.note_final(place, pack, file).await
    }

    /// Has whoever owns a bucket have it open. That does not count as use of it.
    pub async fn attend(&self, place: &Place) -> Result<(), ObjectsError> {
        self.inner.router.call(place, Op::Outlook).await.map(drop)
    }

    /// Has a bucket count as used if there will soon be something to do in it: one that is closed is not looked after. Whether there will.
    pub async fn stay_open(&self, place: &Place) -> Result<bool, ObjectsError> {
        match self.inner.router.call(place, Op::Outlook).await? {
            Reply::Busy(false) => Ok(false),
            Reply::Busy(true) => self.inner.router.call(place, Op::Info).await.map(|_| true),
            other => Err(unexpected("outlook", &other)),
        }
    }

    async fn expire(&self, place: &Place) -> Result<u64, ObjectsError> {
        let (mut total, mut after) = (0, None);
        for _ in 0..ROUND_MAX_STEPS {
            match self.inner.router.call(place, Op::Expire { after }).await? {
                Reply::Swept { done, next } => {
                    total += u64::from(done);
                    after = next;
                }
                other => return Err(unexpected("expire", &other)),
            }
            if after.is_none() {
                break;
            }
        }
        Ok(total)
    }

    async fn collect(&self, place: &Place) -> Result<u64, ObjectsError> {
        let mut total = 0;
        for _ in 0..ROUND_MAX_STEPS {
            match self.inner.router.call(place, Op::Collect).await? {
                Reply::Swept { done: 0, .. } => break,
                Reply::Swept { done, .. } => total += u64::from(done),
                other => return Err(unexpected("collect", &other)),
            }
        }
        Ok(total)
    }

    /// What fails is tried again in a later round.
    async fn care_for(&self, place: &Place, duty: PackDuty, done: &mut Maintained) {
        let pack = duty.pack;
        let outcome = match duty.what {
            Duty::Finish(head, segments) => {
                self.finish(place, pack, *head, segments).await.map(|()| done.finished += 1)
            }
            Duty::Remove(file) => self.remove(place, pack, file).await.map(|()| done.removed += 1),
            Duty::Rewrite(bodies) => self.rewrite(place, bodies, &mut done.moved).await,
        };
        if let Err(error) = outcome {
            tracing::warn!(bucket = %place.name, %pack, %error, "a pack waits for another round");
        }
    }

    async fn finish(
        &self,
        place: &Place,
        pack: PackId,
        head: PackHead,
        segments: Vec<(u32, SegmentEntry)>,
    ) -> Result<(), ObjectsError> {
        let file = self.inner.blobs.finish(scope_of(place), pack, head, segments).await?;
        self.note_final(place, pack, file).await.map(drop)
    }

    async fn note_final(&self, place: &Place, pack: PackId, file: FileId) -> Result<Option<FileId>, ObjectsError> {
        match self.inner.router.call(place, Op::PackFinal(pack, file)).await {
            // The bucket was deleted while its last pack was on its way.
            Err(ObjectsError::NoSuchBucket { .. }) => {
                self.inner.blobs.remove(place.owner.into(), file).await?;
                Ok(None)
            }
            Ok(Reply::OtherFile(other)) => Ok(Some(other)),
            answer => answer.map(|_| None),
        }
    }

    async fn remove(&self, place: &Place, pack: PackId, file: Option<FileId>) -> Result<(), ObjectsError> {
        if let Some(file) = file {
            self.inner.blobs.remove(place.owner.into(), file).await?;
        }
        self.inner.router.call(place, Op::PackRemoved(pack)).await.map(drop)
    }

    /// Writes contents to other packs, as they are: sealed.
    async fn rewrite(
        &self,
        place: &Place,
        bodies: Vec<(BodyId, StoredBody)>,
        moved: &mut u64,
    ) -> Result<(), ObjectsError> {
        for (id, from) in bodies {
            let len = from.stored;
            let bytes = self.inner.blobs.get(from.clone(), 0..len).await?;
            let to = self.inner.blobs.put(scope_of(place), Some(len), bytes).await?;
            self.inner.router.call(place, Op::Moved { id, from, to }).await?;
            *moved += 1;
        }
        Ok(())
    }
}

fn scope_of(place: &Place) -> Scope {
    Scope::new(place.owner.into(), place.id.0)
}
