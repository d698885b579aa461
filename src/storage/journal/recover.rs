//! What a journal holds when its writer is gone.
//!
//! Owns sealing and the choice of the log to go on with. Must not know how a writer writes. The argument: an acknowledged record is
//! in the log of its epoch on two miners, and a later epoch's log begins with everything acknowledged before. Two sealed miners
//! include one of any two, so of their logs the one of the highest epoch, and of that the longest, has every acknowledged record.

use super::{
    Members,
    client::{ASK_DEADLINE, AskError, JournalClient, JournalError, standing},
    wire::{Answer, Ask, JournalId, Standing},
};
use crate::types::Address;
use bytes::Bytes;
use std::collections::VecDeque;

/// What was found.
pub(super) struct Recovered {
    /// Records up to this number were trimmed.
    pub base: u64,
    /// Those after it.
    pub records: VecDeque<Bytes>,
}

/// Seals two miners at least; returns what they hold.
pub(super) async fn seal(
    client: &JournalClient,
    id: JournalId,
    members: Members,
    epoch: u64,
) -> Result<Vec<(Address, Standing)>, JournalError> {
    let sealed = client.count(&members, id, &Ask::Seal { epoch }, "sealed it").await?;
    let standings = sealed.into_iter().map(|(account, answer)| Ok((account, standing(account, answer)?)));
    standings.collect::<Result<_, AskError>>().map_err(|error| unreadable(id, &error))
}

/// Seals the journal and reads the log to go on with.
pub(super) async fn recover(
    client: &JournalClient,
    id: JournalId,
    members: Members,
    epoch: u64,
) -> Result<Recovered, JournalError> {
    let standings = seal(client, id, members, epoch).await?;
    let best = standings.into_iter().max_by_key(|(_, standing)| (standing.accepted, standing.last));
    let Some((account, standing)) = best else {
        return Err(JournalError::Lost { journal: id, missing: members.len() });
    };
    let records = read(client, account, id, epoch, standing).await.map_err(|error| unreadable(id, &error))?;
    Ok(Recovered { base: standing.base, records })
}

async fn read(
    client: &JournalClient,
    account: Address,
    id: JournalId,
    epoch: u64,
    standing: Standing,
) -> Result<VecDeque<Bytes>, AskError> {
    let mut found = VecDeque::new();
    let mut from = standing.base + 1;
    while from <= standing.last {
        let answer = client.ask(account, id, Ask::Read { epoch, from }, ASK_DEADLINE).await?;
        let Answer::Records { first, records, .. } = answer else { return Err(AskError::Unfitting { account }) };
        if first != from || records.is_empty() {
            return Err(AskError::Unfitting { account });
        }
        from += records.len() as u64;
        found.extend(records.into_iter().map(Bytes::from));
    }
    Ok(found)
}

fn unreadable(journal: JournalId, error: &AskError) -> JournalError {
    JournalError::Unavailable { journal, reached: 1, what: "could be read", reason: error.to_string() }
}
