//! An account that acts: keys, nonces, fees, and handing transactions in until they are final.
//!
//! Must not know what transactions do. Invariants: nonces of one wallet are consecutive however many tasks send at once; a
//! transaction is signed once and then only ever repeated byte for byte, so that no repetition can execute twice.

use super::remote::is_already_known;
use super::{ChainClient, ChainError, TxOutcome, revert};
use crate::crypto::{EcdsaKey, SecretKey, hash, native_address};
use crate::ledger::{
    native::{BATCH_MAX_CALLS, Call, NativeBatch, NativeTx},
    tx::sign_eip1559,
};
use crate::rpc::error::TX_REJECTED;
use crate::types::{Address, B256, ChainId, U256, params::BLOCK_GAS_LIMIT};
use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Bytes, keccak256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Prefix of a native key in text; a bare hexadecimal key is an Ethereum one.
const NATIVE_PREFIX: &str = "ed25519:";
/// Tip offered to the proposer, in smallest units for each unit of gas.
const TIP: u64 = 1_000_000;
/// Room in the fee cap for the base fee to rise while the transaction waits.
const BASE_FEE_ROOM: u64 = 4;
/// Gas limit of a call in terms of its estimate, since state moves until it executes: an era that begins makes the holders' counters of work
/// new slots, and a file that is no longer the last of its holders' lists leaves gaps that others fill: a removal went from 442,200 to 584,338
/// when one file came behind it, and nearly doubles when another came at each holder. What is not used is not paid, but takes room in a block.
const GAS_FACTOR: u64 = 2;
/// Gas on top, for calls that take little.
const GAS_MARGIN: u64 = 10_000;
/// How long a nonce is counted on locally before the chain is asked again.
const NONCE_TRUST: Duration = Duration::from_secs(20);
/// Times a transaction is signed again because its nonce was used elsewhere.
const NONCE_ATTEMPTS: usize = 4;
/// How long handing in goes on while the chain cannot be reached.
const SUBMIT_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two attempts to reach the chain.
const SUBMIT_PAUSE: Duration = Duration::from_millis(200);
/// How long a transaction may wait before it is handed in once more.
const RESUBMIT_AFTER: Duration = Duration::from_secs(4);
/// How long a used nonce's own outcome is looked for before it counts as another transaction's.
const OUTCOME_GRACE: Duration = Duration::from_secs(2);

/// A text that is no key. It never repeats the text, which may be a mistyped secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is not 64 hexadecimal digits of an Ethereum key, or `ed25519:` and 64 digits of a native one")]
pub struct KeyError;

/// A key that signs transactions.
#[derive(Debug, Clone)]
pub enum Signer {
    /// ed25519, native transactions.
    Native(SecretKey),
    /// secp256k1, Ethereum transactions.
    Ecdsa(EcdsaKey),
}

impl Signer {
    /// Reads `0x…` (secp256k1) or `ed25519:0x…`; the `0x` may be missing.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let (native, digits) = match text.strip_prefix(NATIVE_PREFIX) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut bytes = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), bytes.as_mut_slice())
            .map_err(|_| KeyError)?;
        match native {
            true => Ok(Self::Native(SecretKey::from_bytes(&bytes))),
            false => EcdsaKey::from_bytes(&bytes).map(Self::Ecdsa).ok_or(KeyError),
        }
    }

    /// The account it controls.
    pub fn address(&self) -> Address {
        match self {
            Self::Native(key) => native_address(&key.public()),
            Self::Ecdsa(key) => key.address(),
        }
    }
}

/// What a transaction shall do.
#[derive(Debug, Clone)]
struct Order {
    call: Call,
    /// Calls after the first, which make it a batch.
    more: Vec<Call>,
    gas_limit: u64,
    max_fee: u64,
}

/// A signed transaction.
#[derive(Debug, Clone)]
struct Signed {
    raw: Bytes,
    hash: B256,
}

struct Nonce {
    next: u64,
    used_at: Instant,
}

/// An account on a chain. Cheap to clone; clones share the nonce.
#[derive(Clone)]
pub struct Wallet {
    chain: Arc<dyn ChainClient>,
    signer: Signer,
    chain_id: ChainId,
    nonce: Arc<Mutex<Option<Nonce>>>,
    resubmit_after: Duration,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({} on chain {})", self.address(), self.chain_id)
    }
}

impl Wallet {
    /// The account of `signer` on the chain with `chain_id`.
    pub fn new(chain: Arc<dyn ChainClient>, signer: Signer, chain_id: ChainId) -> Self {
        Self { chain, signer, chain_id, nonce: Arc::default(), resubmit_after: RESUBMIT_AFTER }
    }

    /// The same account, handing a waiting transaction in again after `pause` instead of a few seconds.
    pub fn resubmitting_after(mut self, pause: Duration) -> Self {
        self.resubmit_after = pause;
        self
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Whether its account can send several calls in one transaction.
    pub fn is_native(&self) -> bool {
        matches!(self.signer, Signer::Native(_))
    }

    /// A secret that follows from the account's and `domain`, and tells nothing of either. Every call site is a place to review.
    pub fn derived_secret(&self, domain: &str) -> Zeroizing<[u8; 32]> {
        let secret = match &self.signer {
            Signer::Native(key) => key.to_bytes(),
            Signer::Ecdsa(key) => Zeroizing::new(key.to_bytes()),
        };
        Zeroizing::new(hash::tagged(domain, &[&secret[..]]))
    }

    /// The chain it acts on.
    pub fn chain(&self) -> &Arc<dyn ChainClient> {
        &self.chain
    }

    /// Signs and hands in a transaction; returns its hash once a node admitted it. Without `gas_limit` gas is measured,
    /// and a call that would revert is refused with its reason before anything is paid.
    pub async fn send(
        &self,
        to: Address,
        value: U256,
        data: Bytes,
        gas_limit: Option<u64>,
    ) -> Result<B256, ChainError> {
        Ok(self.hand_in(Call { to, value, data }, Vec::new(), gas_limit).await?.hash)
    }

    /// Sends and waits until the transaction is final, handing it in again while it is not. A transaction that was
    /// included but reverted is [`ChainError::Reverted`]; one not final in time is [`ChainError::NotFinal`] and may
    /// still become final.
    pub async fn send_and_wait(
        &self,
        to: Address,
        value: U256,
        data: Bytes,
        deadline: Duration,
    ) -> Result<TxOutcome, ChainError> {
        let end = Instant::now() + deadline;
        let signed = self.hand_in(Call { to, value, data }, Vec::new(), None).await?;
        self.until_final(&signed, end, deadline).await
    }

    /// Sends several calls as one transaction, all or none, and waits as [`Wallet::send_and_wait`] does. For native accounts.
    /// Without `gas_limit` each call is measured alone, on the state before all: give one where a call needs an earlier one.
    pub async fn send_batch_and_wait(
        &self,
        mut calls: Vec<Call>,
        gas_limit: Option<u64>,
        deadline: Duration,
    ) -> Result<TxOutcome, ChainError> {
        let refused = |message| Err(ChainError::Refused { code: TX_REJECTED, message });
        let end = Instant::now() + deadline;
        if calls.is_empty() || calls.len() > BATCH_MAX_CALLS {
            return refused(format!("a batch of {} calls cannot be sent, it has 1 to {BATCH_MAX_CALLS}", calls.len()));
        }
        if calls.len() > 1 && !self.is_native() {
            return refused("only a native account (ed25519 key) can send several calls in one transaction".into());
        }
        let more = calls.split_off(1);
        let first = calls.remove(0);
        let signed = self.hand_in(first, more, gas_limit).await?;
        self.until_final(&signed, end, deadline).await
    }

    async fn hand_in(&self, call: Call, more: Vec<Call>, gas_limit: Option<u64>) -> Result<Signed, ChainError> {
        let gas_limit = match gas_limit {
            Some(limit) => limit,
            None => self.measure(&call, &more).await?,
        };
        let max_fee = self.chain.base_fee().await?.saturating_mul(BASE_FEE_ROOM).saturating_add(TIP);
        let order = Order { call, more, gas_limit, max_fee };
        // One transaction at a time is handed in: the next one's nonce depends on whether this one was taken.
        let mut nonce = self.nonce.lock().await;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let at = self.next_nonce(nonce.as_ref()).await?;
            let signed = self.sign(&order, at);
            match self.submit(&signed).await {
                Ok(()) => {
                    *nonce = Some(Nonce { next: at + 1, used_at: Instant::now() });
                    return Ok(signed);
                }
                Err(e) if !is_nonce_used(&e) || attempts == NONCE_ATTEMPTS => return Err(e),
                Err(_) => *nonce = None,
            }
        }
    }

    /// The gas limit a call gets that is handed in without one: measured on the state of now, with room for state that moves.
    pub async fn gas_for(&self, call: &Call) -> Result<u64, ChainError> {
        let estimate = self.chain.estimate_gas(self.address(), call.to, call.value, call.data.clone()).await?;
        Ok(estimate.saturating_mul(GAS_FACTOR).saturating_add(GAS_MARGIN).min(BLOCK_GAS_LIMIT))
    }

    async fn measure(&self, call: &Call, more: &[Call]) -> Result<u64, ChainError> {
        let mut gas = self.gas_for(call).await?;
        for call in more {
            gas = gas.saturating_add(self.gas_for(call).await?);
        }
        Ok(gas.min(BLOCK_GAS_LIMIT))
    }

    async fn next_nonce(&self, held: Option<&Nonce>) -> Result<u64, ChainError> {
        match held.filter(|nonce| nonce.used_at.elapsed() < NONCE_TRUST) {
            Some(nonce) => Ok(nonce.next),
            None => self.chain.nonce(self.address()).await,
        }
    }

    fn sign(&self, order: &Order, nonce: u64) -> Signed {
        let raw = match &self.signer {
            Signer::Native(key) if order.more.is_empty() => self.native(order, nonce, key),
            Signer::Native(key) => self.native_batch(order, nonce, key),
            Signer::Ecdsa(key) => self.ethereum(order, nonce, key),
        };
        Signed { hash: keccak256(&raw), raw }
    }

    fn native(&self, order: &Order, nonce: u64, key: &SecretKey) -> Bytes {
        let tx = NativeTx {
            chain_id: self.chain_id,
            nonce,
            max_priority_fee: TIP,
            max_fee: order.max_fee,
            gas_limit: order.gas_limit,
            key: key.public(),
            to: order.call.to,
            value: order.call.value,
            data: order.call.data.clone(),
        };
        tx.sign(key)
    }

    fn native_batch(&self, order: &Order, nonce: u64, key: &SecretKey) -> Bytes {
        let batch = NativeBatch {
            chain_id: self.chain_id,
            nonce,
            max_priority_fee: TIP,
            max_fee: order.max_fee,
            gas_limit: order.gas_limit,
            key: key.public(),
            calls: std::iter::once(&order.call).chain(&order.more).cloned().collect(),
        };
        batch.sign(key)
    }

    fn ethereum(&self, order: &Order, nonce: u64, key: &EcdsaKey) -> Bytes {
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: order.gas_limit,
            max_fee_per_gas: u128::from(order.max_fee),
            max_priority_fee_per_gas: u128::from(TIP),
            to: order.call.to.into(),
            value: order.call.value,
            access_list: AccessList::default(),
            input: order.call.data.clone(),
        };
        sign_eip1559(&tx, key)
    }

    /// Hands in until a node takes it. When the chain was out of reach meanwhile, an earlier attempt may have arrived.
    async fn submit(&self, signed: &Signed) -> Result<(), ChainError> {
        let end = Instant::now() + SUBMIT_DEADLINE;
        let mut repeated = false;
        loop {
            match self.chain.submit(signed.raw.clone()).await {
                Ok(_) => return Ok(()),
                Err(ChainError::Refused { message, .. }) if is_already_known(&message) => return Ok(()),
                Err(e) if is_nonce_used(&e) => {
                    // A transport that turned to another node repeats without telling.
                    let grace = if repeated { OUTCOME_GRACE } else { Duration::ZERO };
                    return self.was_ours(signed, e, grace).await;
                }
                Err(e @ ChainError::Unreachable(_)) if Instant::now() >= end => return Err(e),
                Err(ChainError::Unreachable(reason)) => {
                    tracing::debug!(tx = %signed.hash, reason, "transaction is handed in again");
                    repeated = true;
                    tokio::time::sleep(SUBMIT_PAUSE).await;
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// The nonce is used: by this very transaction if the chain knows its outcome, or will within `grace`.
    async fn was_ours(&self, signed: &Signed, refused: ChainError, grace: Duration) -> Result<(), ChainError> {
        let end = Instant::now() + grace;
        loop {
            let status = self.chain.status().await?;
            if self.chain.outcome(signed.hash).await?.is_some() {
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(refused);
            }
            self.chain.wait_above(status.height, left).await?;
        }
    }

    async fn until_final(&self, signed: &Signed, end: Instant, deadline: Duration) -> Result<TxOutcome, ChainError> {
        let mut handed_in = Instant::now();
        loop {
            match self.look(signed, end).await {
                Ok(Some(outcome)) => return judged(outcome),
                Ok(None) | Err(ChainError::Unreachable(_)) => {}
                Err(e) => return Err(e),
            }
            if Instant::now() >= end {
                let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
                return Err(ChainError::NotFinal { tx: signed.hash, millis });
            }
            if handed_in.elapsed() >= self.resubmit_after {
                handed_in = Instant::now();
                if let Err(e) = self.chain.submit(signed.raw.clone()).await {
                    tracing::debug!(tx = %signed.hash, error = %e, "a waiting transaction was not taken again");
                }
            }
        }
    }

    /// The outcome, or `None` once another block came or a moment passed.
    async fn look(&self, signed: &Signed, end: Instant) -> Result<Option<TxOutcome>, ChainError> {
        let found = async {
            let height = self.chain.status().await?.height;
            if let Some(outcome) = self.chain.outcome(signed.hash).await? {
                return Ok(Some(outcome));
            }
            self.chain.wait_above(height, self.resubmit_after).await?;
            self.chain.outcome(signed.hash).await
        };
        let found = tokio::time::timeout_at(end, found).await.unwrap_or(Ok(None));
        if matches!(found, Err(ChainError::Unreachable(_))) {
            tokio::time::sleep(SUBMIT_PAUSE).await;
        }
        found
    }
}

fn judged(outcome: TxOutcome) -> Result<TxOutcome, ChainError> {
    match outcome.success {
        true => Ok(outcome),
        false => {
            let reason = outcome.error.as_deref().map_or_else(|| revert::explain(&[]), revert::explain_text);
            Err(ChainError::Reverted { tx: outcome.tx, reason })
        }
    }
}

fn is_nonce_used(error: &ChainError) -> bool {
    let ChainError::Refused { message, .. } = error else { return false };
    let replaces = message.contains("replacement") && message.contains("underpriced");
    replaces || message.contains("nonce too low") || message.contains("replayed transaction")
}
