//! Letting go: references, contents, and the packs they lay in.
//!
//! Owns the count of references and the garbage queue. Invariants: contents are removed with their last reference and not before; a
//! pack is given up only in a batch after which nothing lies in it.

use super::{
    Inner,
    change::Change,
    reads::{decoded, foreign},
    uploads::PARTS_MAX,
};
use crate::access::{
    blobs::StoredBody,
    objects::{
        error::ObjectsError,
        id::UploadId,
        key,
        op::Reply,
        record::{BodyRecord, BodyRef, ExtraRefs, Garbage, PackRecord},
    },
};

/// Pieces of garbage one step lets go.
const STEP: usize = 64;
/// How far ahead garbage is looked for.
const SOON_MS: u64 = 2 * 60 * 60 * 1_000;
/// Parts one step lets go of an upload.
const STEP_PARTS: usize = 256;

impl Inner {
    /// Whether garbage is due soon, a pack is on its way, or something may expire.
    pub async fn outlook(&self) -> Result<Reply, ObjectsError> {
        let (reads, soon) = (self.reads(), self.node.clock.unix_ms().saturating_add(SOON_MS));
        let Ok(bucket) = self.bucket() else { return Ok(Reply::Busy(false)) };
        let rules = bucket.config.lifecycle.iter().any(|rule| rule.enabled);
        let due = reads.entries(&[key::GARBAGE], &[], 1).await?.iter().any(|(key, _)| key::due_ms(key) <= Some(soon));
        Ok(Reply::Busy(rules || due || !reads.entries(&[key::DUTY], &[], 1).await?.is_empty()))
    }
}

impl Change<'_> {
    /// Gives up references: what lies in the engine at once, what lies on miners after the grace period, for those who read it now.
    pub async fn release_bodies(&mut self, bodies: &[BodyRef]) -> Result<(), ObjectsError> {
        let mut stored = Vec::new();
        for body in bodies {
            if body.inline {
                self.dereference(body).await?;
            } else {
                stored.push(*body);
            }
        }
        if !stored.is_empty() {
            let grace = self.settings.grace_ms;
            self.throw(grace, &Garbage::Bodies(stored));
        }
        Ok(())
    }

    /// Takes one reference away, and the contents if it was the last.
    async fn dereference(&mut self, body: &BodyRef) -> Result<(), ObjectsError> {
        let extra = key::extra(body.id);
        match self.reads().get::<ExtraRefs>(&extra).await? {
            Some(ExtraRefs(count)) if count > 1 => {
                self.set(extra, &ExtraRefs(count - 1));
                return Ok(());
            }
            Some(_) => {
                self.remove(extra);
                return Ok(());
            }
            None => {}
        }
        if body.inline {
            self.remove(key::inline(body.id));
            return Ok(());
        }
        let Some(record) = self.reads().get::<BodyRecord>(&key::body(body.id)).await? else {
            return Ok(());
        };
        self.leave_packs(body, &record.stored);
        self.remove(key::body(body.id));
        Ok(())
    }

    /// Notes that contents do not lie in their packs any more.
    pub fn leave_packs(&mut self, body: &BodyRef, stored: &StoredBody) {
        for piece in &stored.pieces {
            self.remove(key::used(piece.extent.pack, piece.extent.index, body.id));
            self.touched.insert(piece.extent.pack);
        }
    }

    /// Lets go of garbage whose time has come; in a deleted bucket, of all.
    pub async fn collect(&mut self) -> Result<Reply, ObjectsError> {
        let everything = self.any_bucket().is_some_and(|record| record.retired);
        let items = self.reads().entries(&[key::GARBAGE], &[], STEP).await?;
        let mut done = 0;
        for (key, value) in items {
            let due = key::due_ms(&key).ok_or_else(|| foreign(&key))?;
            if due > self.now_ms && !everything {
                break;
            }
            done += 1;
            let finished = match decoded::<Garbage>(&value)? {
                Garbage::Bodies(bodies) => {
                    for body in &bodies {
                        self.dereference(body).await?;
                    }
                    true
                }
                Garbage::Parts { upload, counted } => self.drop_parts(upload, counted).await?,
                Garbage::Completed(upload) => {
                    self.remove(key::completed(upload));
                    true
                }
                Garbage::Pack(pack) => {
                    match self.reads().get::<PackRecord>(&key::pack_state(pack)).await? {
                        Some(PackRecord::Removed { .. }) => self.remove(key::pack_state(pack)),
                        _ => {
                            self.touched.insert(pack);
                        }
                    }
                    true
                }
            };
            if !finished {
                break;
            }
            self.remove(key.to_vec());
        }
        self.settle_packs().await?;
        Ok(Reply::Swept { done, next: None })
    }

    /// Lets go of parts; true when none are left.
    async fn drop_parts(&mut self, upload: UploadId, counted: bool) -> Result<bool, ObjectsError> {
        let parts = self.reads().parts(upload, 0, STEP_PARTS).await?;
        let last = parts.len() < STEP_PARTS;
        for (number, part) in parts {
            debug_assert!(number <= PARTS_MAX);
            for body in &part.bodies {
                self.dereference(body).await?;
            }
            if counted {
                self.usage.usage.bytes = self.usage.usage.bytes.saturating_sub(part.size);
            }
            self.remove(key::part(upload, number));
        }
        Ok(last)
    }
}
