//! The logs of a call as `eth_simulateV1` tells them: those of contracts, and if asked for one for each movement of value.
//!
//! Owns which movements count and that failed frames leave none. Must not know JSON. The pseudo logs exist in the answer only:
//! receipts, blooms and roots do not know them.

use super::{
    call::{Call, Checks},
    session::{CallRun, Session, Subject, Watched},
    simulate::CallError,
};
use crate::types::{Address, B256, U256};
use alloy_primitives::{Log, LogData, address, b256};
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};

/// ERC-7528: the address that stands for the chain's own token.
const TOKEN: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Collects logs frame by frame.
#[derive(Default)]
struct FrameLogs {
    transfers: bool,
    open: Vec<Vec<Log>>,
    done: Vec<Log>,
}

impl Session<'_> {
    /// Tries a call and tells its logs, with pseudo logs of movements of value if `transfers`.
    pub fn call_logged(&self, call: &Call, checks: Checks, transfers: bool) -> Result<(CallRun, Vec<Log>), CallError> {
        let inspector = FrameLogs { transfers, ..FrameLogs::default() };
        let watched = self.watch(Subject::Call(call, checks), inspector)?;
        let Watched { ref inspector, .. } = watched;
        let logs = inspector.done.clone();
        Ok((watched.into_run(), logs))
    }
}

impl FrameLogs {
    fn push(&mut self, log: Log) {
        if let Some(frame) = self.open.last_mut() {
            frame.push(log);
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.transfers && !value.is_zero() {
            let topics = vec![TRANSFER, from.into_word(), to.into_word()];
            let data = LogData::new_unchecked(topics, value.to_be_bytes_vec().into());
            self.push(Log { address: TOKEN, data });
        }
    }

    fn close(&mut self, succeeded: bool) {
        let logs = self.open.pop().unwrap_or_default();
        if succeeded {
            self.open.last_mut().unwrap_or(&mut self.done).extend(logs);
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for FrameLogs {
    fn log(&mut self, _context: &mut CTX, log: Log) {
        self.push(log);
    }

    fn call(&mut self, _context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.open.push(Vec::new());
        if let Some(value) = inputs.transfer_value().filter(|_| !inputs.scheme.is_call_code()) {
            self.transfer(inputs.transfer_from(), inputs.transfer_to(), value);
        }
        None
    }

    fn call_end(&mut self, _context: &mut CTX, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.close(outcome.result.result.is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.open.push(Vec::new());
        // A caller that cannot be read fails the frame on its own.
        if let Ok(caller) = context.journal_mut().load_account(inputs.caller()) {
            let created = inputs.created_address(caller.data.info.nonce);
            self.transfer(inputs.caller(), created, inputs.value());
        }
        None
    }

    fn create_end(&mut self, _context: &mut CTX, _inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.close(outcome.result.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
