//! Who of a file's holders still has what.
//!
//! Owns the question, not the remedy. Invariant: "healthy" means the holder answered in time and says it holds the fragment.

use super::{Fetcher, FileSource};
use crate::{
    network::PeerId,
    types::params::{DATA_FRAGMENTS, FRAGMENTS},
};
use futures::future::join_all;
use std::time::Duration;

/// Longest wait for a holder's answer.
const HEALTH_DEADLINE: Duration = Duration::from_secs(3);

/// What one holder says of its column.
#[derive(Debug, Clone, Default)]
pub struct HolderHealth {
    /// Its peer, if it is registered.
    pub peer: Option<PeerId>,
    /// For each segment, whether the fragment is there.
    pub held: Vec<bool>,
    /// Why there is no answer, if there is none.
    pub error: Option<String>,
}

/// What all holders say.
#[derive(Debug, Clone)]
pub struct FileHealth {
    /// By column.
    pub holders: Vec<HolderHealth>,
}

impl FileHealth {
    /// Whether fragment `column` of `segment` is there.
    pub fn is_healthy(&self, segment: usize, column: usize) -> bool {
        let holder = self.holders.get(column);
        holder.and_then(|holder| holder.held.get(segment)).copied().unwrap_or(false)
    }

    /// Healthy fragments of the worst segment.
    pub fn worst(&self) -> usize {
        let segments = self.holders.iter().map(|holder| holder.held.len()).max().unwrap_or(0);
        let healthy = |segment| (0..FRAGMENTS).filter(|&column| self.is_healthy(segment, column)).count();
        (0..segments).map(healthy).min().unwrap_or(0)
    }

    /// Whether every segment can be read.
    pub fn is_readable(&self) -> bool {
        self.worst() >= DATA_FRAGMENTS
    }
}

impl Fetcher {
    /// Asks every holder which fragments of the file it has.
    pub async fn health(&self, source: &FileSource) -> FileHealth {
        let holders = (0..FRAGMENTS).map(|column| self.holder_health(source, column));
        FileHealth { holders: join_all(holders).await }
    }

    async fn holder_health(&self, source: &FileSource, column: usize) -> HolderHealth {
        let segments = source.manifest.segments.len();
        let nobody = |error: String| HolderHealth { peer: None, held: vec![false; segments], error: Some(error) };
        let Some(&peer) = source.columns[column].first() else { return nobody("the holder is not registered".into()) };
        let ids = source.manifest.segments.iter().map(|segment| segment.fragments[column]).collect();
        match self.data.has(peer, ids, HEALTH_DEADLINE).await {
            Ok(held) => HolderHealth { peer: Some(peer), held, error: None },
            Err(error) => HolderHealth { peer: Some(peer), ..nobody(error.to_string()) },
        }
    }
}
