//! Tags made in an enclave, as the tagging service asks for them.

use super::Enclave;
use crate::{
    proofs::{Fragment, podr2::Tag},
    storage::tagging::TagMaker,
};
use std::sync::Arc;

/// An enclave that tags.
#[derive(Clone)]
pub struct EnclaveTags(pub Arc<dyn Enclave>);

impl TagMaker for EnclaveTags {
    fn holds(&self, key: &[u8; 32]) -> bool {
        self.0.holds(key)
    }

    fn tag(&self, key: &[u8; 32], fragment: Fragment, mut data: &[u8]) -> Result<Vec<Tag>, String> {
        self.0.tag(key, fragment, &mut data).map_err(|error| error.to_string())
    }
}
