//! Names of which one is kept in memory until it is of use to somebody else.
//!
//! An engine's first manifest says nothing that a missing one does not say, and the second follows at once. So the first costs no
//! transaction: whoever finds none begins anew, and all that was written is in the journal. Must not know manifests. Invariants: the
//! name that is held counts as there for this user alone; of two who hold it, the first whose next name is on the chain wins.

use super::ports::{NameEntry, NameFault, Names};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;

/// Version of the name that is held: one the chain does not come to.
const HELD_VERSION: u64 = u64::MAX;

/// Names one of which is held.
pub struct HeldNames {
    names: Arc<dyn Names>,
    name: String,
    value: Mutex<Option<Vec<u8>>>,
}

impl HeldNames {
    /// Names of which `name` is not set where the others are.
    pub fn new(names: Arc<dyn Names>, name: String) -> Self {
        Self { names, name, value: Mutex::default() }
    }

    fn held(&self) -> Option<NameEntry> {
        self.value.lock().clone().map(|value| NameEntry { version: HELD_VERSION, value })
    }
}

#[async_trait]
impl Names for HeldNames {
    async fn get(&self, name: &str) -> Result<Option<NameEntry>, NameFault> {
        match self.held().filter(|_| name == self.name) {
            Some(held) => Ok(Some(held)),
            None => self.names.get(name).await,
        }
    }

    async fn set(&self, name: &str, expected: u64, value: Vec<u8>) -> Result<u64, NameFault> {
        if name != self.name {
            return self.names.set(name, expected, value).await;
        }
        let present = self.get(name).await?;
        if present.as_ref().map_or(0, |entry| entry.version) != expected {
            return Err(NameFault::Conflict { present });
        }
        match present {
            Some(NameEntry { version, .. }) if version != HELD_VERSION => self.names.set(name, expected, value).await,
            _ => {
                *self.value.lock() = Some(value);
                Ok(HELD_VERSION)
            }
        }
    }

    async fn remove(&self, name: &str, expected: u64) -> Result<(), NameFault> {
        if name == self.name && expected == HELD_VERSION && self.value.lock().take().is_some() {
            return Ok(());
        }
        self.names.remove(name, expected).await
    }

    async fn list(&self) -> Result<Vec<(String, NameEntry)>, NameFault> {
        let mut all = self.names.list().await?;
        if let Some(held) = self.held() {
            all.retain(|(name, _)| *name != self.name);
            all.push((self.name.clone(), held));
            all.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::twins::MemoryNames, *};

    #[tokio::test]
    async fn one_name_is_held_and_behaves_like_the_others() {
        let chain = Arc::new(MemoryNames::default());
        let names = HeldNames::new(chain.clone(), "b".into());
        let listed = async |names: &dyn Names| {
            names.list().await.unwrap().into_iter().map(|(name, entry)| (name, entry.value)).collect::<Vec<_>>()
        };
        for name in ["a", "b", "c"] {
            names.set(name, 0, name.into()).await.unwrap();
        }
        let all: Vec<(String, Vec<u8>)> = ["a", "b", "c"].map(|name| (name.into(), name.into())).into();
        assert_eq!(listed(&names).await, all);
        assert_eq!(listed(&*chain).await, [all[0].clone(), all[2].clone()], "only it knows of the held one");
        let held = names.get("b").await.unwrap().unwrap();
        let taken = names.set("b", 0, Vec::new()).await;
        assert!(matches!(taken, Err(NameFault::Conflict { present }) if present == Some(held.clone())));
        let next = names.set("b", held.version, b"next".into()).await.unwrap();
        assert_eq!(names.get("b").await.unwrap().unwrap().value, b"next");
        names.remove("b", next).await.unwrap();
        assert_eq!(names.get("b").await.unwrap(), None);
        assert!(names.remove("b", next).await.is_err());
        // One that somebody set before is the chain's.
        chain.set("b", 0, b"there".into()).await.unwrap();
        let there = names.get("b").await.unwrap().unwrap();
        assert!(names.set("b", 0, Vec::new()).await.is_err());
        names.set("b", there.version, b"changed".into()).await.unwrap();
        assert_eq!(chain.get("b").await.unwrap().unwrap().value, b"changed");
    }
}
