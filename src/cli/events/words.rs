//! Events in words: one sentence each.
//!
//! Must not know where events come from. Invariant: every event has a sentence, whatever its values.

use super::super::{
    names::Names,
    output::short,
    verdicts::{verb, words},
};
use crate::{
    client::{ChainEvent, WorkerKind},
    ledger::audit::{NO_APPEAL, Verdict},
    types::{Address, B256, ByteCount, FileId, U256, format_tokens},
};

/// The sentence for an event.
pub fn sentence(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    match event {
        E::MinerRegistered { .. }
        | E::MinerCapacityChanged { .. }
        | E::MinerExited { .. }
        | E::MinerLeaving { .. }
        | E::MinerLost { .. }
        | E::MinerReinstated { .. }
        | E::MinerFined { .. }
        | E::CollateralAdded { .. }
        | E::IdleCommitted { .. }
        | E::IdleDecided { .. } => of_miners(event, names),
        E::FileStored { .. }
        | E::OwnerAdded { .. }
        | E::OwnerRemoved { .. }
        | E::FileReassigned { .. }
        | E::FileDeleted { .. } => of_files(event, names),
        E::Answered { .. }
        | E::Proven { .. }
        | E::AuditDecided { .. }
        | E::AppealOpened { .. }
        | E::AppealDecided { .. }
        | E::AuditRefuted { .. }
        | E::VerifierFined { .. } => of_audits(event, names),
        E::WorkerRegistered { .. }
        | E::WorkerAttested { .. }
        | E::WorkerLeft { .. }
        | E::WorkerFined { .. }
        | E::BondReturned { .. }
        | E::MeasurementAllowed { .. }
        | E::MeasurementRevoked { .. }
        | E::CollateralPublished { .. }
        | E::EpochOpened { .. }
        | E::EpochClosed { .. }
        | E::EpochSuspended { .. }
        | E::KeyHandedOver { .. }
        | E::FileTagged { .. } => of_tee(event, names),
        E::ColumnSurrendered { .. }
        | E::RepairClaimed { .. }
        | E::ClaimSettled { .. }
        | E::RepairCompleted { .. }
        | E::RewardClaimed { .. } => of_repair_and_rewards(event, names),
        E::NameSet { .. } | E::NameRemoved { .. } | E::OperatorApproved { .. } => of_names(event, names),
        _ => of_territory(event, names),
    }
}

fn of_miners(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    let who = |account: &Address| format!("miner {}", names.who(*account));
    match event {
        E::MinerRegistered { account, operator, capacity, .. } => {
            let by =
                if operator == account { String::new() } else { format!(", operated by {}", names.who(*operator)) };
            format!("{} joined and lends {}{by}", who(account), ByteCount(*capacity))
        }
        E::MinerCapacityChanged { account, capacity } => format!("{} now lends {}", who(account), ByteCount(*capacity)),
        E::MinerExited { account, collateral } => {
            format!("{} left with its collateral of {}", who(account), format_tokens(*collateral))
        }
        E::MinerLeaving { account, held, withdrawable_from } => format!(
            "{} began to leave, {held} columns are to be repaired; it can withdraw from block {withdrawable_from}",
            who(account)
        ),
        E::MinerLost { account, held } => format!("{} is lost, {held} columns are to be repaired", who(account)),
        E::MinerReinstated { account, held, .. } => {
            format!("{} is back, it had been forced out wrongly; it holds {held} columns", who(account))
        }
        E::MinerFined { account, amount, burnt, bounty } => format!(
            "{} was fined {}: {} burnt, {} for who repairs",
            who(account),
            format_tokens(*amount),
            format_tokens(*burnt),
            format_tokens(*bounty)
        ),
        E::CollateralAdded { account, amount, collateral } => {
            format!(
                "{} added {} to its collateral, now {}",
                who(account),
                format_tokens(*amount),
                format_tokens(*collateral)
            )
        }
        E::IdleCommitted { account, batch, first, commitments } => {
            format!("{} committed to {} (batch {batch})", who(account), segments(*first, wide(commitments.len())))
        }
        E::IdleDecided { account, batch, first, count, accepted } => {
            let done = if *accepted { "certified" } else { "refused" };
            format!("{} of {} {} {done} (batch {batch})", segments(*first, *count), who(account), be(*count))
        }
        other => unnamed(other),
    }
}

fn of_files(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    match event {
        E::FileStored { id, owner, size, holders, .. } => {
            format!("{} stored {}, {} on {} miners", names.who(*owner), file(id), ByteCount(*size), holders.len())
        }
        E::OwnerAdded { id, owner } => format!("{} owns {}, too", names.who(*owner), file(id)),
        E::OwnerRemoved { id, owner } => format!("{} gave {} up", names.who(*owner), file(id)),
        E::FileReassigned { id, owner, territory } => {
            format!("{} moved {} to territory {territory}", names.who(*owner), file(id))
        }
        E::FileDeleted { id, size, holders } => {
            format!("{} was deleted, {} on {} miners", file(id), ByteCount(*size), holders.len())
        }
        other => unnamed(other),
    }
}

fn of_territory(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    let (who, tokens) = (|account: &Address| names.who(*account), |price: &U256| format_tokens(*price));
    match event {
        E::TerritoryMinted { token, owner, name, size, deadline, price } => format!(
            "{} leased territory {token} `{name}`, {} until block {deadline}, for {}",
            who(owner),
            ByteCount(*size),
            tokens(price)
        ),
        E::TerritoryExpanded { token, size, price } => {
            format!("territory {token} grew to {} for {}", ByteCount(*size), tokens(price))
        }
        E::TerritoryRenewed { token, deadline, price } => {
            format!("territory {token} lasts until block {deadline}, for {}", tokens(price))
        }
        E::TerritoryReactivated { token, deadline, price } => {
            format!("territory {token} is active again until block {deadline}, for {}", tokens(price))
        }
        E::TerritoryRenamed { token, name } => format!("territory {token} is called `{name}`"),
        E::TerritoryGranted { token, from, to } => format!("{} gave territory {token} to {}", who(from), who(to)),
        E::TerritoryConsigned { token, asked } => format!("territory {token} is on offer for {}", tokens(asked)),
        E::ConsignmentCancelled { token } => format!("territory {token} is not on offer any more"),
        E::ConsignmentBought { token, seller, buyer, name, price } => {
            format!("{} bought territory {token} as `{name}` from {} for {}", who(buyer), who(seller), tokens(price))
        }
        E::OrderPlaced { order, receiver, size, lease_days, expires, .. } => format!(
            "order {order} is open until block {expires}: {} for {lease_days} days for {}",
            ByteCount(*size),
            who(receiver)
        ),
        E::OrderPaid { order, token, payer } => format!("{} paid order {order}, it is territory {token}", who(payer)),
        E::SpaceCharged { token, file: id, amount, .. } => {
            format!("territory {token} is charged {} for {}", ByteCount(*amount), file(id))
        }
        E::SpaceFreed { token, file: id, amount, .. } => {
            format!("territory {token} got {} of {} back", ByteCount(*amount), file(id))
        }
        E::TerritoryPurged { token, owner, size } => {
            format!("territory {token} of {} is gone, {} can be leased again", who(owner), ByteCount(*size))
        }
        other => unnamed(other),
    }
}

/// What the chain verified and what it found, as the interface numbers them.
fn refuted(part: u8, outcome: u8) -> (&'static str, &'static str) {
    let part = if part == 0 { "data" } else { "idle space" };
    (part, if outcome == 1 { "passed" } else { "failed" })
}

fn of_audits(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    let who = |account: &Address| format!("miner {}", names.who(*account));
    match event {
        E::Answered { miner, round, spot, idle } => {
            let what = match (spot.is_zero(), idle.is_zero()) {
                (false, false) => "data and idle space",
                (false, true) => "data",
                (true, false) => "idle space",
                (true, true) => "nothing due",
            };
            format!("{} answered round {round}: {what}", who(miner))
        }
        E::Proven { miner, round, epochs, .. } => {
            format!("{} proved its tagged data in round {round}, {}", who(miner), key_epochs(epochs))
        }
        E::AuditDecided { miner, round, verdict, strikes, fined } => {
            let strike = if *strikes > 0 { format!("; strike {strikes}") } else { String::new() };
            let fine = if fined.is_zero() { String::new() } else { format!(", fined {}", format_tokens(*fined)) };
            let (verb, words) = said(*verdict);
            format!("{} {verb} round {round}: {words}{strike}{fine}", who(miner))
        }
        E::AppealOpened { appeal, miner, round, appellant, claimed } => format!(
            "{} appeals against round {round} of {}: {} (appeal {appeal})",
            names.who(*appellant),
            who(miner),
            said(*claimed).1
        ),
        E::AppealDecided { appeal, miner, round, verdict, upheld } => {
            let end = if *upheld { "upheld" } else { "dismissed" };
            format!("appeal {appeal} was {end}: round {round} of {} is {}", who(miner), said(*verdict).1)
        }
        E::AuditRefuted { miner, round, by, part, outcome, verdict } => {
            let (part, outcome) = refuted(*part, *outcome);
            let (by, (_, words)) = (names.who(*by), said(*verdict));
            format!("{by} showed that {} {outcome} round {round} with its {part}: {words}", who(miner))
        }
        E::VerifierFined { verifier, appeal, amount } => {
            let why = match *appeal {
                NO_APPEAL => "for what the chain itself refuted".to_owned(),
                appeal => format!("after appeal {appeal}"),
            };
            format!("verifier {} was fined {} {why}", names.who(*verifier), format_tokens(*amount))
        }
        other => unnamed(other),
    }
}

fn of_tee(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    let who = |account: &Address| format!("TEE worker {}", names.who(*account));
    match event {
        E::WorkerRegistered { account, id, kind, attested_until, .. } => {
            let kind = WorkerKind::of(*kind).map_or("of an unknown kind", WorkerKind::name);
            format!("{} joined ({kind}, {id}), until block {attested_until}", who(account))
        }
        E::WorkerAttested { account, attested_until } => {
            format!("{} renewed its attestation until block {attested_until}", who(account))
        }
        E::WorkerLeft { account, bond } => {
            format!("{} left, its bond of {} comes back when the lock is over", who(account), format_tokens(*bond))
        }
        E::BondReturned { account, bond } => format!("{} got its bond of {} back", who(account), format_tokens(*bond)),
        E::MeasurementAllowed { measurement, svn } => {
            format!("enclave {} is trusted from security version {svn} on", hash(measurement))
        }
        E::WorkerFined { account, amount } => format!("{} was fined {}", who(account), format_tokens(*amount)),
        E::MeasurementRevoked { measurement } => format!("enclave {} is trusted no more", hash(measurement)),
        E::CollateralPublished { digest, bytes } => {
            format!("DCAP collateral {} was published, {bytes} B", hash(digest))
        }
        E::EpochOpened { epoch, opener, .. } => format!("key epoch {epoch} was opened by {}", names.who(*opener)),
        E::EpochClosed { epoch } => format!("key epoch {epoch} is closed: no new tags, old ones count"),
        E::EpochSuspended { epoch } => format!("key epoch {epoch} is suspended: its tags count no more"),
        E::KeyHandedOver { epoch, from, to, .. } => {
            format!("{} handed the key of epoch {epoch} to {}", who(from), names.who(*to))
        }
        E::FileTagged { file: id, epoch, worker, columns } => {
            let count = columns.count_ones();
            let columns = if count == 1 { "column" } else { "columns" };
            format!("{} tagged {count} {columns} of {} (key epoch {epoch})", who(worker), file(id))
        }
        other => unnamed(other),
    }
}

fn of_repair_and_rewards(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    match event {
        E::ColumnSurrendered { file: id, column, holder } => {
            format!("miner {} gave column {column} of {} up", names.who(*holder), file(id))
        }
        E::RepairClaimed { file: id, column, claimer, until } => {
            format!("miner {} will repair column {column} of {} until block {until}", names.who(*claimer), file(id))
        }
        E::ClaimSettled { file: id, column, claimer, deposit, burnt } => {
            let end = if *burnt { "was burnt, the claim lapsed" } else { "came back" };
            let (who, deposit) = (names.who(*claimer), format_tokens(*deposit));
            format!("{deposit} that {who} deposited for column {column} of {} {end}", file(id))
        }
        E::RepairCompleted { file: id, column, to, from, bounty } => format!(
            "miner {} repaired column {column} of {}, held by {} before, for {}",
            names.who(*to),
            file(id),
            names.who(*from),
            format_tokens(*bounty)
        ),
        E::RewardClaimed { miner, to, amount, next_era } => {
            let to = if to == miner { String::new() } else { format!(" to {}", names.who(*to)) };
            let (who, amount) = (names.who(*miner), format_tokens(*amount));
            format!("miner {who} was paid {amount}{to}, eras before {next_era} are settled")
        }
        other => unnamed(other),
    }
}

fn of_names(event: &ChainEvent, names: &Names) -> String {
    use ChainEvent as E;
    match event {
        E::NameSet { namespace, owner, name, version, .. } => {
            format!("{} set {}, version {version}", names.who(*owner), name_in(name, namespace))
        }
        E::NameRemoved { namespace, owner, name, version } => {
            format!("{} removed {}, version {version}", names.who(*owner), name_in(name, namespace))
        }
        E::OperatorApproved { owner, operator, approved: true } => {
            format!("{} may act for {}", names.who(*operator), names.who(*owner))
        }
        E::OperatorApproved { owner, operator, approved: false } => {
            format!("{} may no longer act for {}", names.who(*operator), names.who(*owner))
        }
        other => unnamed(other),
    }
}

fn name_in(name: &[u8], namespace: &B256) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let name: String = String::from_utf8_lossy(name).chars().map(clean).collect();
    if namespace.is_zero() {
        format!("name `{name}`")
    } else {
        format!("name `{name}` of namespace {}", hash(namespace))
    }
}

fn said(verdict: u8) -> (&'static str, String) {
    match Verdict::decode(verdict) {
        Some(known) => (verb(known), words(known)),
        None => ("ended", format!("verdict {verdict}")),
    }
}

fn segments(first: u64, count: u64) -> String {
    match count {
        1 => format!("idle segment {first}"),
        _ => format!("idle segments {first} to {}", first.saturating_add(count.saturating_sub(1))),
    }
}

fn be(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn key_epochs(epochs: &[u64]) -> String {
    let list: Vec<String> = epochs.iter().map(u64::to_string).collect();
    let word = if epochs.len() == 1 { "key epoch" } else { "key epochs" };
    format!("{word} {}", list.join(", "))
}

fn file(id: &FileId) -> String {
    format!("file {}", short(&id.to_string()))
}

fn hash(hash: &B256) -> String {
    short(&hash.to_string())
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).expect("a length fits 64 bits")
}

/// An event that came to another group's sentences: it is shown as it is.
fn unnamed(event: &ChainEvent) -> String {
    format!("{event:?}")
}
