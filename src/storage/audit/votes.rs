//! Handing verdicts in.
//!
//! Owns how many fit a transaction and what happens to those the chain refuses. Invariant: one verdict the chain does not want never
//! keeps the others back.

use crate::{
    client::{ChainError, Wallet},
    types::{Address, U256},
};
use alloy_primitives::Bytes;
use std::time::Duration;

/// Verdicts of one transaction; the interface's own bound.
pub const VOTES_MAX: usize = 256;
/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(30);

/// Sends `items` in calls of at most `most`; returns those that were taken. A call that is refused is cut in halves until what is
/// refused stands alone.
pub async fn send_all<T: Clone>(
    wallet: &Wallet,
    module: Address,
    items: &[T],
    most: usize,
    call: impl Fn(&[T]) -> Bytes,
) -> Result<Vec<T>, ChainError> {
    let mut waiting: Vec<Vec<T>> = items.chunks(most).rev().map(<[T]>::to_vec).collect();
    let mut taken = Vec::with_capacity(items.len());
    while let Some(mut part) = waiting.pop() {
        match wallet.send_and_wait(module, U256::ZERO, call(&part), FINAL_DEADLINE).await {
            Ok(_) => taken.extend(part),
            Err(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) if part.len() == 1 => {
                tracing::debug!(%error, "the chain does not take what was found");
            }
            Err(ChainError::Refused { .. } | ChainError::Reverted { .. }) => {
                let later = part.split_off(part.len() / 2);
                waiting.extend([later, part]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
