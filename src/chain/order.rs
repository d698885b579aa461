//! From a decided block to the one that the next is built on.
//!
//! Owns the order of these steps, on which crash recovery rests: a block is stored durably, then it takes its place, then it is
//! executed. Must not know the BFT engine. Invariants: a block takes its place once its parent is computed; whatever is ordered and
//! not stored as executed when the node stops is executed at its next start.

use super::{
    error::StoreError,
    full::FullChain,
    head::{Decided, Head, Ordered},
    records::SkippedTx,
};
use crate::{
    consensus::{Block, Certificate, Header, beacon, check_round},
    ledger::tx::VerifiedTx,
    types::B256,
};
use std::{sync::Arc, time::Duration};

/// A block that is decided and stored, with what its execution needs.
pub(super) struct Unexecuted {
    /// What it is for the block after it.
    pub decided: Decided,
    /// Its header.
    pub header: Header,
    /// Its valid transactions.
    pub txs: Vec<Arc<VerifiedTx>>,
    /// Their places in the body.
    pub positions: Vec<u32>,
    /// Those that are not valid: they are skipped, as everywhere.
    pub skipped: Vec<SkippedTx>,
}

impl FullChain {
    /// Stores a decided block durably, executes it and moves the head. A block that is executed already changes nothing.
    pub fn commit(&self, block: &Block, certificate: &Certificate) -> Result<Arc<Head>, StoreError> {
        match self.append(block, certificate)? {
            true => self.worked(block),
            false => Ok(self.head()),
        }
    }

    /// Stores a decided block durably. Tells whether it is still to be executed.
    pub(super) fn append(&self, block: &Block, certificate: &Certificate) -> Result<bool, StoreError> {
        self.check_certificate(block, certificate)?;
        self.blocks().append(block, certificate)?;
        Ok(block.header.height > self.computed().height())
    }

    /// Executes a block that is stored.
    pub(super) fn worked(&self, block: &Block) -> Result<Arc<Head>, StoreError> {
        self.execute(self.order(block)?)
    }

    /// The block after the newest computed one becomes the one on which the next is built.
    pub(super) fn order(&self, block: &Block) -> Result<Unexecuted, StoreError> {
        let (head, height) = (self.computed(), block.header.height);
        if height != head.height() + 1 {
            return Err(StoreError::OutOfOrder { found: height, tip: head.height() });
        }
        let decided = Decided::new(block, self.beacon_of(block, &head)?);
        let (txs, positions, skipped) = self.decode(block);
        self.pool().order(height, &txs);
        self.place(decided, &txs)?;
        Ok(Unexecuted { decided, header: block.header.clone(), txs, positions, skipped })
    }

    /// `decided` is the newest block. The state is that of its parent: the next two committees were elected long ago.
    fn place(&self, decided: Decided, txs: &[Arc<VerifiedTx>]) -> Result<(), StoreError> {
        let next = [self.committee_at(decided.height + 1)?, self.committee_at(decided.height + 2)?];
        let interval = Duration::from_millis(self.spec().params.block_interval_ms);
        self.set_ordered(Ordered::new(decided, next, self.node().clock.unix_ms(), interval).holding(txs));
        Ok(())
    }

    /// The last look before a block becomes history: its certificate names it, not before its round, and two thirds signed.
    pub(super) fn check_certificate(&self, block: &Block, certificate: &Certificate) -> Result<(), StoreError> {
        let height = block.header.height;
        if certificate.block != block.id() || certificate.height != height {
            return Err(StoreError::ForeignCertificate { height, block: block.id(), names: certificate.block });
        }
        check_round(&block.header, certificate.round)?;
        Ok(certificate.verify(self.spec().chain_id, &self.committee_at(height)?.committee)?)
    }

    /// Executes every block that was decided before the node stopped.
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        let decided = self.blocks().decided_height()?;
        for height in self.head().height() + 1..=decided {
            let block = self.blocks().block(height)?.ok_or(StoreError::Missing { what: "block", height })?;
            tracing::info!(height, "executing a block that was decided before the node stopped");
            self.worked(&block)?;
        }
        Ok(())
    }

    fn beacon_of(&self, block: &Block, parent: &Head) -> Result<B256, StoreError> {
        let header = &block.header;
        let height = header.height;
        let failed = |reason: String| StoreError::Execution { height, reason };
        let committee = self.committee_at(height)?;
        let member = committee.committee.by_account(&header.proposer);
        let member = member.ok_or_else(|| failed(format!("proposer {} is not in the committee", header.proposer)))?;
        beacon::verify(&member.vrf_key, &header.vrf, header.chain_id, height, &parent.executed.beacon)
            .map_err(|e| failed(e.to_string()))
    }

    /// Valid transactions of a block with their positions in it, and those that are not.
    fn decode(&self, block: &Block) -> (Vec<Arc<VerifiedTx>>, Vec<u32>, Vec<SkippedTx>) {
        let (mut txs, mut positions, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (raw, verified)) in (0u32..).zip(block.txs.iter().zip(self.verify_all(&block.txs))) {
            match verified {
                Ok(tx) => {
                    txs.push(tx);
                    positions.push(index);
                }
                Err(e) => {
                    let hash = alloy_primitives::keccak256(raw).0;
                    skipped.push(SkippedTx { index, hash, reason: e.to_string() });
                }
            }
        }
        (txs, positions, skipped)
    }
}
