//! [`ChainClient`] over a [`LightClient`]: what roles read, verified.
//!
//! Owns the newest trusted block and its checkpoint on disk. Invariants: state is read by running the call here, over a witness of the
//! certified state; events are those of all receipts of a block; heights never go back.

use super::{
    Certified, LightClient, LightError,
    head::LightHead,
    wire::{CallQuestion, ContentsPart, EXECUTED_HEADERS_MAX, PART_MAX_BYTES, decode, parse},
};
use crate::client::{
    ChainClient, ChainError, ChainEvent, ChainStatus, EventBatch, FileRecord, MinerRecord, RemoteChain, RpcTransport,
    TxOutcome,
    events::EVENT_SOURCES,
    reads::{self, Caller},
    remote::check_event_span,
};
use crate::codec;
use crate::consensus::{Checkpoint, HeaderFault};
use crate::kv::{Batch, Column, Durability, Kv};
use crate::ledger::contents::{BlockContents, CONTENTS_MAX_BYTES, ProvenTx};
use crate::ledger::executor::{self, CallError, CallOutcome, CallRequest};
use crate::ledger::genesis::Genesis;
use crate::ledger::header::{ExecutedHeader, base_fee_after, env_after};
use crate::ledger::manifest::Manifest;
use crate::ledger::modules::BEACON_RING;
use crate::ledger::state::StateView;
use crate::ledger::tx::decode_and_recover;
use crate::ledger::witness::{Witness, WitnessedState};
use crate::network::PeerId;
use crate::rpc::error::{SERVER_ERROR, UNAVAILABLE};
use crate::runtime::{Clock, Node};
use crate::types::params::BLOCK_GAS_LIMIT;
use crate::types::{Address, B256, FileId, Height, Params, TrustedBlock, U256};
use alloy_primitives::{BloomInput, Bytes};
use alloy_trie::EMPTY_ROOT_HASH;
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const KEY_CHECKPOINT: &[u8] = b"light/checkpoint";
/// Blocks after which the checkpoint is written again.
const CHECKPOINT_BLOCKS: Height = 64;
/// How long the newest block counts as new without asking.
const FRESH: Duration = Duration::from_millis(250);
/// Longest long poll asked of a node.
const POLL_MAX: Duration = Duration::from_secs(20);
/// Pause between two polls, should a node answer early.
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Miners of one call: their records and proofs fit one witness, however many miners there are.
const MINERS_PAGE: u64 = 50;
/// Nodes asked for a block's contents before it counts as failed.
const CONTENTS_ATTEMPTS: usize = 3;

/// A chain whose every answer is verified.
pub struct LightChain {
    client: LightClient,
    /// What cannot be verified, and needs not be.
    unverified: RemoteChain,
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    newest: Mutex<Newest>,
}

struct Newest {
    head: Arc<LightHead>,
    looked: Option<Instant>,
    saved: Height,
}

impl LightChain {
    /// The chain of `genesis` behind `transport`, from the checkpoint in `kv` on if there is one. The block `trusted` must be part of it.
    pub fn open(
        node: &Node,
        transport: Arc<dyn RpcTransport>,
        genesis: &Genesis,
        kv: Arc<dyn Kv>,
        trusted: Option<TrustedBlock>,
    ) -> Result<Self, LightError> {
        let client = LightClient::new(transport.clone(), genesis, node.pool.clone())?;
        if let Some(block) = trusted {
            client.insist(block);
        }
        if let Some(bytes) = kv.get(Column::Meta, KEY_CHECKPOINT)? {
            let checkpoint: Checkpoint = codec::decode(&bytes)?;
            warn_if_old(&checkpoint, trusted, client.params(), node.clock.unix_ms());
            client.resume(checkpoint)?;
        }
        let head = Arc::new(LightHead::genesis(&client));
        let newest = Mutex::new(Newest { head, looked: None, saved: 0 });
        Ok(Self { client, unverified: RemoteChain::new(transport), kv, clock: node.clock.clone(), newest })
    }

    /// The client below: headers and committees.
    pub fn client(&self) -> &LightClient {
        &self.client
    }

    fn head(&self) -> Arc<LightHead> {
        self.newest.lock().head.clone()
    }

    /// Asks where the chain is and follows it there.
    async fn look(&self) -> Result<(Arc<LightHead>, ChainStatus), LightError> {
        self.follow("cess_status", json!([]), Duration::ZERO).await
    }

    /// The newest block, asked for unless that was a moment ago.
    async fn fresh(&self) -> Result<Arc<LightHead>, LightError> {
        {
            let newest = self.newest.lock();
            if newest.looked.is_some_and(|at| at.elapsed() < FRESH) {
                return Ok(newest.head.clone());
            }
        }
        Ok(self.look().await?.0)
    }

    /// Certifies the newest block that the header of the newest one a node claims to have vouches for.
    async fn follow(
        &self,
        method: &'static str,
        params: serde_json::Value,
        patience: Duration,
    ) -> Result<(Arc<LightHead>, ChainStatus), LightError> {
        let expected = self.client.genesis().1;
        let check = move |value| {
            let status: ChainStatus = parse(method, value)?;
            match status.genesis == expected {
                true => Ok(status),
                false => Err(LightError::ForeignGenesis { found: status.genesis, expected }),
            }
        };
        let (status, by) = self.client.prover().ask_from(method, params, patience, check).await?;
        let mut head = self.head();
        // The newest header names a block below itself.
        if status.height > head.height() + 1 {
            let trusted = self.client.newest();
            if status.height < trusted {
                let error = HeaderFault::Stale { height: status.height, newest: trusted }.into();
                self.client.prover().blame(by, &error);
                return Err(error);
            }
            let found = self.vouched_by(status.height, head.height()).await;
            let found = found.inspect_err(|error| {
                // It claimed a block that nobody proves.
                if matches!(error, LightError::Missing { .. }) {
                    self.client.prover().blame(by, error);
                }
            })?;
            if let Some(certified) = found {
                head = self.advance(LightHead::new(certified))?;
            }
        }
        self.newest.lock().looked = Some(Instant::now());
        Ok((head, status))
    }

    /// The block that the certified header of `height` vouches for, if it is above `known`.
    async fn vouched_by(&self, height: Height, known: Height) -> Result<Option<Certified>, LightError> {
        let vouched = self.client.signed(height).await?.header.executed.height;
        match vouched > known {
            true => self.client.certified(vouched).await.map(Some),
            false => Ok(None),
        }
    }

    /// Moves the head, never back.
    fn advance(&self, found: LightHead) -> Result<Arc<LightHead>, LightError> {
        let (head, due) = {
            let mut newest = self.newest.lock();
            if found.height() > newest.head.height() {
                newest.head = Arc::new(found);
            }
            let height = newest.head.height();
            let due = height >= newest.saved + CHECKPOINT_BLOCKS || newest.saved == 0;
            if due {
                newest.saved = height;
            }
            (newest.head.clone(), due)
        };
        if due {
            let mut batch = Batch::new();
            batch.put(Column::Meta, KEY_CHECKPOINT, codec::encode(&self.client.checkpoint()));
            self.kv.write(batch, Durability::Buffered)?;
        }
        Ok(head)
    }

    /// Runs a call here, over the part of the newest certified state that it reads.
    async fn run(&self, question: CallQuestion) -> Result<(CallOutcome, WitnessedState), LightError> {
        let head = self.fresh().await?;
        let env = env_after(&head.executed, self.client.rules().chain_id, self.client.params());
        let (height, root) = (head.height(), head.executed.state_root);
        let request = CallRequest {
            from: question.from,
            to: Some(question.to),
            value: U256::ZERO,
            data: question.data.clone(),
            gas: BLOCK_GAS_LIMIT,
        };
        let check = move |value| {
            let bytes: Bytes = parse("cess_proveCall", value)?;
            let witness: Witness = decode(&bytes)?;
            let state = witness.open(root).map_err(|reason| LightError::Witness { height, reason })?;
            let outcome = executor::call(&state, &env, &request).map_err(|error| match error {
                CallError::Exec(error) => LightError::Incomplete { height, reason: error.to_string() },
                CallError::Refused(refusal) => {
                    ChainError::Refused { code: SERVER_ERROR, message: refusal.to_string() }.into()
                }
            })?;
            Ok((outcome, state))
        };
        self.client.prover().ask("cess_proveCall", json!([question, height]), check).await
    }

    /// Transactions and receipts of a certified block.
    async fn contents(&self, header: &ExecutedHeader) -> Result<Vec<ProvenTx>, LightError> {
        if header.receipts_root == EMPTY_ROOT_HASH {
            return Ok(Vec::new());
        }
        let mut left = CONTENTS_ATTEMPTS;
        loop {
            left -= 1;
            let (bytes, by) = self.ship(header.number).await?;
            let header = header.clone();
            let open = move || Ok(decode::<BlockContents>(&bytes)?.open(&header)?);
            match self.client.prover().pool().run(open).await {
                Ok(txs) => return Ok(txs),
                Err(error) => {
                    let blamed = self.client.prover().blame(by, &error);
                    if left == 0 || !blamed {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The encoded contents of a block, part by part. Names the sender if there is only one.
    async fn ship(&self, height: Height) -> Result<(Vec<u8>, Option<PeerId>), LightError> {
        let (mut bytes, mut sender, mut mixed) = (Vec::new(), None, false);
        loop {
            let offset = bytes.len();
            let check = move |value| check_part(parse("cess_proveReceipts", value)?, offset);
            let asked =
                self.client.prover().ask_from("cess_proveReceipts", json!([height, offset]), Duration::ZERO, check);
            let (ContentsPart { total, part }, by) = asked.await?;
            mixed |= offset > 0 && sender != by;
            sender = by;
            bytes.extend_from_slice(&part);
            if bytes.len() >= total {
                return Ok((bytes, sender.filter(|_| !mixed)));
            }
        }
    }

    async fn events_in(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, LightError> {
        let (mut batches, mut next) = (Vec::new(), from);
        while next <= to {
            let last = to.min(next + EXECUTED_HEADERS_MAX - 1);
            for header in self.client.executed_range(next, last).await? {
                batches.extend(self.events_of(&header).await?);
            }
            next = last + 1;
        }
        Ok(batches)
    }

    async fn events_of(&self, header: &ExecutedHeader) -> Result<Option<EventBatch>, LightError> {
        let emits = |address: &Address| header.logs_bloom.contains_input(BloomInput::Raw(address.as_slice()));
        if !EVENT_SOURCES.iter().any(emits) {
            return Ok(None);
        }
        let mut events = Vec::new();
        for tx in self.contents(header).await? {
            let decoded =
                tx.logs.iter().filter_map(|log| ChainEvent::decode(log.address, log.topics(), &log.data.data));
            events.extend(decoded.map(|event| (tx.hash, event)));
        }
        Ok((!events.is_empty()).then_some(EventBatch { height: header.number, events }))
    }

    async fn outcome_of(&self, tx: B256) -> Result<Option<TxOutcome>, LightError> {
        let check = |value| parse::<Option<TxOutcome>>("cess_outcome", value);
        let asked = self.client.prover().ask_from("cess_outcome", json!([tx]), Duration::ZERO, check);
        let (Some(claim), by) = asked.await? else { return Ok(None) };
        let height = claim.height;
        if height > self.head().height() && height > self.look().await?.0.height() {
            return Ok(None);
        }
        let header = self.client.executed(height).await?;
        let Some(found) = self.contents(&header).await?.into_iter().find(|found| found.hash == tx) else {
            let error = LightError::Misplaced { tx, height };
            self.client.prover().blame(by, &error);
            return Err(error);
        };
        let read = decode_and_recover(&found.raw, self.client.rules().chain_id);
        let read = read.map_err(|e| LightError::Malformed(format!("transaction {tx}: {e}")))?;
        Ok(Some(TxOutcome {
            tx,
            height,
            block: header.hash_slow(),
            gas_used: found.gas_used,
            gas_price: U256::from(read.effective_gas_price(header.base_fee_per_gas.unwrap_or_default())),
            success: found.success,
            error: claim.error.filter(|_| !found.success),
        }))
    }

    async fn manifest_of(&self, id: FileId, stored_at: Height) -> Result<Bytes, LightError> {
        let check = move |value| {
            let bytes: Option<Bytes> = parse("cess_manifest", value)?;
            let bytes = bytes.ok_or(LightError::NoManifest { id, height: stored_at })?;
            let manifest = Manifest::read(&bytes).map_err(|e| LightError::Malformed(e.to_string()))?;
            let found = manifest.id();
            if found == id { Ok(bytes) } else { Err(LightError::Manifest { id, found }) }
        };
        self.client.prover().ask("cess_manifest", json!([id]), check).await
    }
}

#[async_trait]
impl Caller for LightChain {
    async fn try_call(&self, to: Address, data: Bytes) -> Result<Result<Bytes, Bytes>, ChainError> {
        match self.run(CallQuestion { from: Address::ZERO, to, data }).await?.0 {
            CallOutcome::Success { output, .. } => Ok(Ok(output)),
            CallOutcome::Revert { output, .. } => Ok(Err(output)),
            CallOutcome::Halt { reason, .. } => {
                Err(ChainError::Refused { code: SERVER_ERROR, message: format!("execution failed: {reason}") })
            }
        }
    }

    fn miners_page(&self) -> u64 {
        MINERS_PAGE
    }
}

#[async_trait]
impl ChainClient for LightChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let (head, claim) = self.look().await?;
        Ok(head.status(&self.client, claim.peers, self.clock.unix_ms()))
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        let end = Instant::now() + deadline;
        loop {
            let poll = end.saturating_duration_since(Instant::now()).min(POLL_MAX);
            let millis = u64::try_from(poll.as_millis()).expect("a poll is bounded");
            // The block after it, or the next, certifies what was executed at it.
            let wait = json!([height.saturating_add(1), millis]);
            let (head, claim) = self.follow("cess_waitAbove", wait, poll).await?;
            if head.height() > height || Instant::now() >= end {
                return Ok(head.status(&self.client, claim.peers, self.clock.unix_ms()));
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    async fn balance(&self, account: Address) -> Result<U256, ChainError> {
        // A call reads its caller.
        let question = CallQuestion { from: account, to: Address::ZERO, data: Bytes::new() };
        let (_, state) = self.run(question).await?;
        let info = state.account(&account).map_err(|e| ChainError::Untrusted(e.to_string()))?;
        Ok(info.map_or(U256::ZERO, |info| info.balance))
    }

    async fn nonce(&self, account: Address) -> Result<u64, ChainError> {
        self.unverified.nonce(account).await
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        Ok(base_fee_after(&self.fresh().await?.executed))
    }

    async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
        reads::call(self, to, data).await
    }

    async fn estimate_gas(&self, from: Address, to: Address, value: U256, data: Bytes) -> Result<u64, ChainError> {
        self.unverified.estimate_gas(from, to, value, data).await
    }

    async fn submit(&self, raw: Bytes) -> Result<B256, ChainError> {
        self.unverified.submit(raw).await
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        Ok(self.outcome_of(tx).await?)
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        if to < from {
            return Ok(Vec::new());
        }
        check_event_span(from, to)?;
        if to > self.head().height() {
            let newest = self.look().await?.0.height();
            if to > newest {
                let message = format!("block {to} is not certified yet, block {newest} is");
                return Err(ChainError::Refused { code: UNAVAILABLE, message });
            }
        }
        Ok(self.events_in(from, to).await?)
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        let mut newest = self.head().height();
        if height > newest {
            newest = self.look().await?.0.height();
        }
        if height > newest || newest - height >= BEACON_RING {
            return Ok(None);
        }
        Ok(Some(self.client.executed(height).await?.mix_hash))
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        reads::miners(self).await
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        reads::file(self, id).await
    }

    async fn manifest(&self, id: FileId) -> Result<Option<Bytes>, ChainError> {
        match reads::file(self, id).await? {
            Some(record) => Ok(Some(self.manifest_of(id, record.stored_at).await?)),
            None => Ok(None),
        }
    }

    async fn files_of(&self, owner: Address, skip: u64, limit: u64) -> Result<Vec<FileRecord>, ChainError> {
        reads::files_of(self, owner, skip, limit).await
    }
}

/// A part must be full, or end the contents: so a node cannot dribble.
fn check_part(answer: ContentsPart, offset: usize) -> Result<ContentsPart, LightError> {
    let (total, len) = (answer.total, answer.part.len());
    let expected = total.saturating_sub(offset).min(PART_MAX_BYTES);
    if total <= CONTENTS_MAX_BYTES && len > 0 && len == expected {
        return Ok(answer);
    }
    let reason = format!("{len} B at {offset} of a block's contents of {total} B, the limit is {CONTENTS_MAX_BYTES} B");
    Err(LightError::Malformed(reason))
}

/// Whoever had stake at the checkpoint may have taken it away since: nothing deters those from signing another history.
fn warn_if_old(checkpoint: &Checkpoint, trusted: Option<TrustedBlock>, params: &Params, now_ms: u64) {
    let Some(newest) = &checkpoint.newest else { return };
    if trusted.is_some_and(|block| block.height > newest.height) {
        return;
    }
    let lock_blocks = params.unbond_lock_eras.saturating_mul(params.era_blocks);
    let lock_ms = lock_blocks.saturating_mul(params.idle_block_interval_ms);
    if now_ms.saturating_sub(newest.time_ms) > lock_ms {
        let (height, era) = (newest.height, checkpoint.era);
        tracing::warn!(height, era, "the light checkpoint is older than the unbonding time: set chain.trusted_block");
    }
}
