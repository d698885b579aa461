//! Packs: when they become files, and when they go.
//!
//! Owns a pack's state in its bucket. Must not know how files are made. Invariants: a pack whose removal has begun is referred to by
//! nothing, and never again; that it was removed is remembered for longer than any write that names it can take.

use super::{
    Inner,
    change::Change,
    reads::{Reads, foreign},
};
use crate::access::{
    blobs::{PackHead, PackId, StoredBody},
    objects::{
        error::ObjectsError,
        id::BodyId,
        key,
        op::{Duty, PackDuty, Reply},
        record::{BodyRecord, BodyRef, Garbage, PackRecord},
    },
};
use crate::{ledger::manifest::SegmentEntry, types::FileId};
use std::collections::{BTreeMap, BTreeSet};

/// Packs one answer names.
const DUTIES_MAX: usize = 16;
/// Packs looked at for it.
const LOOK_MAX: usize = 256;
/// Pieces one answer names, and those of the last pack.
const DUTY_MAX_PIECES: usize = 2_000;
/// Segments of one pack, as `Blobs` bounds them, and contents that may share them.
const USES_MAX: usize = 4_096;

impl Inner {
    /// What has to be done about packs, a bounded part of it.
    pub async fn packs(&self) -> Result<Reply, ObjectsError> {
        let reads = self.reads();
        let now = self.node.clock.unix_ms();
        let (mut duties, mut pieces) = (Vec::new(), 0);
        for (key, _) in reads.entries(&[key::DUTY], &[], LOOK_MAX).await? {
            let pack = key::pack_of_duty(&key).ok_or_else(|| foreign(&key))?;
            let duty = match reads.get::<PackRecord>(&key::pack_state(pack)).await? {
                Some(PackRecord::Removing { file, .. }) => Some(Duty::Remove(file)),
                Some(PackRecord::Final { .. }) => reads.rest_of(pack).await?,
                Some(PackRecord::Removed { .. }) => None,
                None => self.unfinished(&reads, pack, now).await?,
            };
            let Some(what) = duty else {
                continue;
            };
            pieces += match &what {
                Duty::Finish(_, segments) => segments.len(),
                Duty::Rewrite(bodies) => bodies.iter().map(|(_, stored)| stored.pieces.len()).sum(),
                Duty::Remove(_) => 0,
            };
            duties.push(PackDuty { pack, what });
            if duties.len() == DUTIES_MAX || pieces >= DUTY_MAX_PIECES {
                break;
            }
        }
        Ok(Reply::Packs(duties))
    }

    /// A pack without a file, once its gateway had the time to make one.
    async fn unfinished(&self, reads: &Reads<'_>, pack: PackId, now: u64) -> Result<Option<Duty>, ObjectsError> {
        let Some(head) = reads.get::<PackHead>(&key::pack(pack)).await? else {
            return Ok(None);
        };
        if now.saturating_sub(head.opened_ms) < self.settings.finish_after_ms {
            return Ok(None);
        }
        let segments = reads.segments(pack).await?;
        Ok((!segments.is_empty()).then_some(Duty::Finish(Box::new(head), segments)))
    }
}

impl Reads<'_> {
    /// Contents that lie in a pack, at least in part.
    async fn bodies_in(&self, pack: PackId) -> Result<Vec<(BodyId, BodyRecord)>, ObjectsError> {
        let prefix = key::uses(pack);
        let mut ids = BTreeSet::new();
        for (key, _) in self.entries(&prefix, &prefix, USES_MAX).await? {
            let (_, body) = key::split_used(&key).ok_or_else(|| foreign(&key))?;
            ids.insert(body);
        }
        let mut bodies = Vec::with_capacity(ids.len());
        for id in ids {
            bodies.extend(self.get::<BodyRecord>(&key::body(id)).await?.map(|record| (id, record)));
        }
        Ok(bodies)
    }

    /// Segments of a pack that something lies in.
    async fn segments(&self, pack: PackId) -> Result<Vec<(u32, SegmentEntry)>, ObjectsError> {
        let mut segments = BTreeMap::new();
        for (_, record) in self.bodies_in(pack).await? {
            let here = record.stored.pieces.into_iter().filter(|piece| piece.extent.pack == pack);
            segments.extend(here.map(|piece| (piece.extent.index, piece.entry)));
        }
        Ok(segments.into_iter().collect())
    }

    /// What is to be written elsewhere so that a pack can go, a part of it if it is much.
    async fn rest_of(&self, pack: PackId) -> Result<Option<Duty>, ObjectsError> {
        let (mut bodies, mut pieces) = (Vec::new(), 0);
        for (id, BodyRecord { mut stored, .. }) in self.bodies_in(pack).await? {
            for piece in &stored.pieces {
                let other = piece.extent.pack;
                if stored.heads.iter().all(|(known, _)| *known != other) {
                    let head = self.get::<PackHead>(&key::pack(other)).await?;
                    stored.heads.extend(head.map(|head| (other, head)));
                }
            }
            pieces += stored.pieces.len();
            bodies.push((id, stored));
            if pieces >= DUTY_MAX_PIECES {
                break;
            }
        }
        Ok((!bodies.is_empty()).then_some(Duty::Rewrite(bodies)))
    }

    /// Bytes that lie in a pack; `None` if nothing does.
    async fn bytes_in(&self, pack: PackId) -> Result<Option<u64>, ObjectsError> {
        let prefix = key::uses(pack);
        let uses = self.entries(&prefix, &prefix, USES_MAX).await?;
        let len = |value: &[u8]| value.try_into().map_or(0, u32::from_be_bytes);
        let bytes = uses.iter().map(|(_, value)| u64::from(len(value))).sum();
        Ok((!uses.is_empty()).then_some(bytes))
    }
}

impl Change<'_> {
    /// Looks at packs something was taken out of. Empty ones go; those that hold less than half of what they held are to be
    /// rewritten. One that has no file yet waits for it.
    pub async fn settle_packs(&mut self) -> Result<(), ObjectsError> {
        for pack in std::mem::take(&mut self.touched) {
            let state = self.reads().get::<PackRecord>(&key::pack_state(pack)).await?;
            match (self.reads().bytes_in(pack).await?, state) {
                (None, Some(PackRecord::Final { file, .. })) => self.begin_removal(pack, Some(file)),
                (None, None) => self.settle_unfinished(pack).await?,
                (Some(left), Some(PackRecord::Final { bytes, .. })) if left.saturating_mul(2) < bytes => {
                    self.set_raw(key::duty(pack), Vec::new());
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn settle_unfinished(&mut self, pack: PackId) -> Result<(), ObjectsError> {
        let Some(head) = self.reads().get::<PackHead>(&key::pack(pack)).await? else {
            return Ok(());
        };
        let abandoned = head.opened_ms.saturating_add(self.settings.abandon_after_ms);
        if abandoned <= self.now_ms || self.any_bucket().is_some_and(|bucket| bucket.retired) {
            self.begin_removal(pack, None);
        } else {
            self.throw(abandoned - self.now_ms, &Garbage::Pack(pack));
        }
        Ok(())
    }

    fn begin_removal(&mut self, pack: PackId, file: Option<FileId>) {
        let since_ms = self.now_ms;
        self.set(key::pack_state(pack), &PackRecord::Removing { file, since_ms });
        self.set_raw(key::duty(pack), Vec::new());
    }

    /// A pack became a file. If nothing lies in it any more, the file goes. Whoever finds a file of the bucket's tells of it again: what the
    /// bucket does not know goes the same way.
    /// A deleted bucket does not take it: whoever tells of it removes the file.
    pub async fn pack_final(&mut self, pack: PackId, file: FileId) -> Result<Reply, ObjectsError> {
        self.bucket()?;
        match self.reads().get::<PackRecord>(&key::pack_state(pack)).await? {
            None => {}
            Some(PackRecord::Removing { file: None, .. } | PackRecord::Removed { .. }) => {
                self.begin_removal(pack, Some(file));
                return Ok(Reply::Done);
            }
            Some(PackRecord::Final { file: known, .. }) if known != file => return Ok(Reply::OtherFile(known)),
            Some(_) => return Ok(Reply::Done),
        }
        let bytes = self.reads().bytes_in(pack).await?.unwrap_or(0);
        self.set(key::pack_state(pack), &PackRecord::Final { file, bytes });
        self.remove(key::duty(pack));
        match self.reads().get::<PackHead>(&key::pack(pack)).await? {
            Some(head) => {
                self.set(key::pack(pack), &PackHead { file: Some(file), ..head });
                self.touched.insert(pack);
            }
            // No record of it has come yet; when it never does, the file holds nothing of this bucket.
            None => {
                let grace = self.settings.grace_ms;
                self.throw(grace, &Garbage::Pack(pack));
            }
        }
        self.settle_packs().await?;
        Ok(Reply::Done)
    }

    /// A pack's file is gone.
    pub async fn pack_removed(&mut self, pack: PackId) -> Result<Reply, ObjectsError> {
        match self.reads().get::<PackRecord>(&key::pack_state(pack)).await? {
            Some(PackRecord::Removing { .. }) => {}
            _ => return Ok(Reply::Done),
        }
        self.set(key::pack_state(pack), &PackRecord::Removed { at_ms: self.now_ms });
        self.remove(key::duty(pack));
        self.remove(key::pack(pack));
        let kept = self.settings.removed_ms;
        self.throw(kept, &Garbage::Pack(pack));
        Ok(Reply::Done)
    }

    /// Contents were written to other packs: everything that refers to them finds them there.
    pub async fn moved(&mut self, id: BodyId, from: &StoredBody, to: StoredBody) -> Result<Reply, ObjectsError> {
        let record = self.reads().get::<BodyRecord>(&key::body(id)).await?;
        let Some(record) = record.filter(|record| record.stored.pieces == from.pieces) else {
            // They were let go, or moved before: the new copy is garbage.
            let other = BodyId(self.node_id());
            return self.discard(other, to).await;
        };
        let body = BodyRef { id, start: 0, len: record.size, inline: false };
        self.leave_packs(&body, &record.stored);
        self.refer_to_packs("moved contents", id, &to).await?;
        self.set_body(id, record.size, record.seal, to);
        // Readers may still be on their way to the old place.
        let grace = self.settings.grace_ms;
        for pack in std::mem::take(&mut self.touched) {
            self.throw(grace, &Garbage::Pack(pack));
        }
        Ok(Reply::Done)
    }

    fn node_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        self.node.rng.fill(&mut id);
        id
    }
}
