//! The committees of heights, read from the state.
//!
//! Owns a small cache. Must not know elections. Invariant: the committee of an era is fixed in the state an era before it begins, so
//! that a cached one never goes stale.

use super::error::StoreError;
use crate::{
    consensus::{Calendar, Committee},
    ledger::{modules, state::StateView},
    types::{Height, Params},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Eras kept in memory.
const CACHE_MAX_ERAS: usize = 8;

/// A committee with its digest.
#[derive(Debug, PartialEq, Eq)]
pub struct Seated {
    /// The members.
    pub committee: Committee,
    /// Its digest.
    pub hash: [u8; 32],
}

/// The committees of a chain.
pub(super) struct Committees {
    params: Params,
    calendar: Calendar,
    known: Mutex<BTreeMap<u64, Arc<Seated>>>,
}

impl Committees {
    /// Of a chain with these numbers.
    pub fn new(params: &Params) -> Self {
        Self { params: params.clone(), calendar: Calendar::of(params), known: Mutex::default() }
    }

    /// The committee that decides `height`. The state must know it: that of a block two below, or of the era before.
    pub fn of(&self, view: &dyn StateView, height: Height) -> Result<Arc<Seated>, StoreError> {
        let era = self.calendar.era(height);
        if let Some(known) = self.known.lock().get(&era) {
            return Ok(known.clone());
        }
        let committee = modules::committee_of_era(view, &self.params, era)
            .map_err(|error| StoreError::Committee { height, reason: error.to_string() })?;
        let seated = Arc::new(Seated { hash: committee.hash(), committee });
        let mut known = self.known.lock();
        known.insert(era, seated.clone());
        while known.len() > CACHE_MAX_ERAS {
            known.pop_first();
        }
        Ok(seated)
    }
}
