//! What happens before and after the transactions of a block that is replayed or simulated, on any chain.
//!
//! Owns the choice between our protocol's modules and Ethereum's system contracts. Must not know why the block runs. Invariant: a
//! block of a chain that is run through here leaves the state its header names, but for rewards and withdrawals.

use super::requests::{DEPOSIT_CONTRACT, QUEUES, deposits, request, requests_hash};
use crate::{
    ledger::executor::{ExecError, Receipt, Session},
    types::B256,
};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_primitives::Bytes;
use revm::primitives::hardfork::SpecId;

/// Before the first transaction. `beacon_root` is the header's, from Cancun on.
pub fn begin(session: &mut Session<'_>, beacon_root: Option<B256>) -> Result<(), ExecError> {
    let (rules, parent) = (session.env().rules, session.env().parent_hash);
    if rules.protocol {
        return session.begin();
    }
    if let Some(root) = beacon_root.filter(|_| rules.spec.is_enabled_in(SpecId::CANCUN)) {
        session.system_call(BEACON_ROOTS_ADDRESS, Bytes::copy_from_slice(root.as_slice()))?;
    }
    if rules.spec.is_enabled_in(SpecId::PRAGUE) {
        session.system_call(HISTORY_STORAGE_ADDRESS, Bytes::copy_from_slice(parent.as_slice()))?;
    }
    Ok(())
}

/// After the last one; gives the hash of the block's requests.
pub fn end(session: &mut Session<'_>, receipts: &[Receipt]) -> Result<B256, ExecError> {
    let mut asked = Vec::new();
    if session.env().rules.protocol {
        session.end()?;
    } else if session.env().rules.spec.is_enabled_in(SpecId::PRAGUE) {
        let height = session.env().height;
        let logged = deposits(receipts, DEPOSIT_CONTRACT);
        asked.push(logged.map_err(|reason| ExecError::Fatal { height, reason })?);
        for (kind, queue) in QUEUES {
            asked.push(request(kind, &session.system_call(queue, Bytes::new())?));
        }
    }
    Ok(requests_hash(&asked))
}
