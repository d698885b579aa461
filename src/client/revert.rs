//! Revert data as a sentence: the custom errors of the protocol modules, `Error(string)` and `Panic(uint256)`.

use crate::ledger::{
    abi::{IAudits, IEd25519, IFiles, IMiners, INames, IRepair, IRewards, IStaking, ITee, ITerritory},
    audit::Verdict,
    native::CallFailed,
};
use crate::types::{B256, FileId, format_tokens};
use alloy_sol_types::{Panic, Revert, SolError, SolInterface};

/// Characters of a foreign text kept in a sentence.
const TEXT_MAX_CHARS: usize = 256;
/// Bytes of unknown revert data shown.
const SHOWN_MAX_BYTES: usize = 32;

/// Says why a call was reverted.
pub fn explain(data: &[u8]) -> String {
    if data.is_empty() {
        return "no reason given".to_owned();
    }
    standard(data)
        .or_else(|| IFiles::IFilesErrors::abi_decode(data).ok().map(|e| of_files(&e)))
        .or_else(|| ITerritory::ITerritoryErrors::abi_decode(data).ok().map(|e| of_territory(&e)))
        .or_else(|| IMiners::IMinersErrors::abi_decode(data).ok().map(|e| of_miners(&e)))
        .or_else(|| IStaking::IStakingErrors::abi_decode(data).ok().map(|e| of_staking(&e)))
        .or_else(|| IAudits::IAuditsErrors::abi_decode(data).ok().map(|e| of_audits(&e)))
        .or_else(|| ITee::ITeeErrors::abi_decode(data).ok().map(|e| of_tee(&e)))
        .or_else(|| IRepair::IRepairErrors::abi_decode(data).ok().map(|e| of_repair(&e)))
        .or_else(|| IRewards::IRewardsErrors::abi_decode(data).ok().map(|e| of_rewards(&e)))
        .or_else(|| INames::INamesErrors::abi_decode(data).ok().map(|e| of_names(&e)))
        .or_else(|| IEd25519::CountMismatch::abi_decode(data).ok().map(|e| of_counts(&e)))
        .or_else(|| CallFailed::abi_decode(data).ok().map(|e| of_batch(&e)))
        .unwrap_or_else(|| unknown(data))
}

/// Says why a call was reverted, from revert data in hexadecimal or from a reason that is text already.
pub fn explain_text(text: &str) -> String {
    match text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()) {
        Some(data) => explain(&data),
        None => printable(text),
    }
}

/// Whether the data is the files module's `UnknownFile`.
pub fn is_unknown_file(data: &[u8]) -> bool {
    IFiles::UnknownFile::abi_decode(data).is_ok()
}

fn standard(data: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(data) {
        return Some(printable(&revert.reason));
    }
    Panic::abi_decode(data).ok().map(|panic| match panic.kind() {
        Some(kind) => format!("panic: {}", kind.as_str()),
        None => format!("panic {:#x}", panic.code),
    })
}

fn of_files(error: &IFiles::IFilesErrors) -> String {
    use IFiles::IFilesErrors as E;
    match error {
        E::UnknownFile(e) => format!("file `{}` is unknown", FileId::from(e.id)),
        E::NotOwner(e) => format!("{} does not own file `{}`", e.account, FileId::from(e.id)),
        E::AlreadyOwner(e) => format!("{} owns file `{}` already", e.account, FileId::from(e.id)),
        E::ManifestInvalid(e) => format!("the manifest is not valid: {}", printable(&e.reason)),
        E::HolderCount(e) => format!("{} holders were given, {} are required", e.given, e.required),
        E::HolderNotPlaced(e) => format!("holder {} ({}) is not one the placement rule allows", e.index, e.holder),
        E::ReceiptInvalid(e) => format!("receipt {} of holder {} is not valid", e.index, e.holder),
        E::HolderFull(e) => format!("holder {} has {} B free, {} B are needed", e.holder, e.free, e.needed),
        E::BeaconTooOld(e) => {
            format!("the beacon of block {} cannot be used, blocks {} to {} can", e.height, e.oldest, e.newest)
        }
    }
}

fn of_territory(error: &ITerritory::ITerritoryErrors) -> String {
    use ITerritory::ITerritoryErrors as E;
    match error {
        E::UnknownTerritory(e) => format!("territory {} is unknown", e.token),
        E::UnknownName(e) => format!("{} has no territory `{}`", e.owner, printable(&e.name)),
        E::NotLeaseholder(e) => format!("territory {} is not {}'s", e.token, e.account),
        E::TerritoryNameInvalid(e) => {
            format!("a name of {} B is not valid, it has 1 to {} B without control characters", e.length, e.maximum)
        }
        E::NameTaken(e) => format!("{} has a territory `{}` already, give another name", e.owner, printable(&e.name)),
        E::NotActive(e) => format!(
            "territory {} ended with block {}, this is block {} (`cess space reactivate` continues it until its files are released)",
            e.token, e.deadline, e.height
        ),
        E::NotFrozen(e) => format!(
            "territory {} can be reactivated from block {} until {}, this is block {}",
            e.token, e.deadline, e.purgeFrom, e.height
        ),
        E::OnOffer(e) => format!("territory {} is on offer (`cess space cancel` takes it back)", e.token),
        E::NotOnOffer(e) => format!("territory {} is not on offer", e.token),
        E::OwnOffer(e) => format!("territory {} is the buyer's own", e.token),
        E::AskedTooLow(e) => format!("a price is needed for territory {} (`cess space grant` gives it away)", e.token),
        E::NotEmpty(e) => format!("territory {} holds {} B of files, only empty ones change hands", e.token, e.used),
        E::ReceiverInvalid(e) => format!("a territory cannot be given to {}", e.receiver),
        E::SizeTooSmall(e) => format!("{} B cannot be leased, the minimum is {} B", e.size, e.minimum),
        E::SoldOut(e) => format!("{} B are wanted, {} B can be leased", e.wanted, e.available),
        E::LeaseInvalid(e) => {
            format!("the lease cannot be {} days longer, 1 to {} are possible", e.leaseDays, e.maximum)
        }
        E::PaymentTooLow(e) => {
            let (sent, required) = (format_tokens(e.sent), format_tokens(e.required));
            format!("{sent} tokens were sent, the price is {required}")
        }
        E::UnknownOrder(e) => format!("order {} is unknown, or paid or replaced", e.id),
        E::OrderExpired(e) => format!("order {} expired with block {}, this is block {}", e.id, e.expires, e.height),
        E::NoTerritory(e) => format!(
            "{} has no active territory for {} B of fragments (`cess space buy SIZE --days N` leases one)",
            e.account, e.needed
        ),
        E::TerritoryFull(e) => format!(
            "territory {} has {} B free, {} B of fragments are needed (`cess space expand` adds more)",
            e.token, e.free, e.needed
        ),
    }
}

fn of_counts(error: &IEd25519::CountMismatch) -> String {
    let (keys, bytes, messages) = (error.keys, error.signatureBytes, error.messages);
    format!("{keys} keys were given with {messages} messages and {bytes} B of signatures, a signature is 64 B")
}

fn of_batch(error: &CallFailed) -> String {
    // A call inside may be of a contract that puts a failed batch's data into its own: one level is told apart.
    let inner = match CallFailed::abi_decode(&error.reason) {
        Ok(nested) => unknown(&nested.reason),
        Err(_) => explain(&error.reason),
    };
    format!("call {} of the batch failed: {inner}", error.index)
}

fn of_miners(error: &IMiners::IMinersErrors) -> String {
    use IMiners::IMinersErrors as E;
    match error {
        E::UnknownMiner(e) => format!("miner {} is not registered", e.account),
        E::AlreadyRegistered(e) => format!("miner {} is registered already", e.account),
        E::KeyMismatch(e) => format!("key {} is not the key of account {}", e.accountKey, e.account),
        E::CollateralTooLow(e) => {
            let (sent, required) = (format_tokens(e.sent), format_tokens(e.required));
            format!("a collateral of {sent} tokens was sent, {required} are required")
        }
        E::CapacityTooLow(e) => format!("a capacity of {} B is below the minimum of {} B", e.capacity, e.minimum),
        E::NameInvalid(e) => format!("a name of {} B is not valid, the limit is {} B", e.length, e.maximum),
        E::StillHolding(e) => format!("miner {} still holds {} B", e.account, e.used),
        E::NotActive(e) => match e.state {
            1 => format!("miner {} is leaving (`cess miner withdraw` ends it)", e.account),
            _ => format!("miner {} was forced out (`cess miner withdraw` ends it)", e.account),
        },
        E::NotLeaving(e) => format!("miner {} is active (`cess miner exit` begins to leave)", e.account),
        E::Locked(e) => format!("the collateral of {} is locked until block {}", e.account, e.until),
        E::CommitmentCount(e) => format!("{} commitments were given, 1 to {} can be", e.given, e.maximum),
        E::CommitmentInvalid(e) => {
            format!("the commitment of segment {} is not valid: {}", e.segment, printable(&e.reason))
        }
        E::IdleExceedsSpace(e) => format!("{} B of idle space do not fit {} B that are free", e.idle, e.free),
        E::BatchWaiting(e) => format!("batch {} of {} is not verified yet", e.batch, e.account),
        E::UnknownBatch(e) => format!("miner {} has no batch {}", e.account, e.batch),
        E::RoundUnknown(e) => format!("round {} is not known, rounds {} to {} are", e.round, e.oldest, e.newest),
    }
}

fn of_audits(error: &IAudits::IAuditsErrors) -> String {
    use IAudits::IAuditsErrors as E;
    match error {
        E::RoundClosed(e) => {
            format!("round {} takes this in blocks {} to {}, this is block {}", e.round, e.from, e.until, e.height)
        }
        E::AlreadyAnswered(e) => format!("miner {} has answered round {} already", e.miner, e.round),
        E::NotDue(e) => format!("nothing of miner {} is due in round {}", e.miner, e.round),
        E::AlreadyProven(e) => format!("miner {} has handed proofs of round {} in already", e.miner, e.round),
        E::EpochsUnordered(e) => format!("epoch {} stands twice or out of order", e.epoch),
        E::NotInCommittee(e) => format!("{} does not verify miner {} in round {}", e.account, e.miner, e.round),
        E::AlreadyVoted(e) => format!("{} has voted about miner {} in round {} already", e.account, e.miner, e.round),
        E::CountMismatch(e) => format!("lists of {} and {} entries do not belong together", e.left, e.right),
        E::TooMany(e) => format!("{} entries were given, the limit is {}", e.given, e.maximum),
        E::VerdictInvalid(e) if Verdict::decode(e.verdict).is_none() => format!("{} is no verdict", e.verdict),
        E::VerdictInvalid(_) => {
            "the chain knows that verdict to be wrong: a part that was not answered on it is missed, and what it has \
                                 verified itself stands"
                .to_owned()
        }
        E::ProofLength(e) => format!("the proof of epoch {} is {} B, a proof is {} B", e.epoch, e.given, e.required),
        E::NotDecided(e) => format!("round {} of miner {} is not decided", e.round, e.miner),
        E::AppealLate(e) => {
            format!("appeals about round {} of miner {} were taken until block {}", e.round, e.miner, e.until)
        }
        E::AlreadyAppealed(e) => format!("an appeal about round {} of miner {} is there already", e.round, e.miner),
        E::DepositTooLow(e) => {
            format!("{} tokens were sent, the deposit is {}", format_tokens(e.sent), format_tokens(e.required))
        }
        E::UnknownAppeal(e) => format!("appeal {} is unknown", e.number),
        E::AppealClosed(e) => format!("appeal {} is closed", e.number),
        E::NotSeated(e) => format!("{} has no seat in this era", e.account),
        other => of_refutations(other),
    }
}

/// What is said of evidence that somebody shows.
fn of_refutations(error: &IAudits::IAuditsErrors) -> String {
    use IAudits::IAuditsErrors as E;
    match error {
        E::PartInvalid(e) => format!("the chain verifies parts 0 and 2 of a round, {} is none of them", e.part),
        E::AnswerUnknown(e) => format!("miner {} committed to no such answer to round {}", e.miner, e.round),
        E::EvidenceTooLong(e) => format!("{} B of manifests were given, the limit is {} B", e.given, e.maximum),
        E::EvidenceInvalid(e) => format!("manifest {} is not valid: {}", e.index, printable(&e.reason)),
        E::ColumnNotHeld(e) => {
            let file = FileId::from(e.file);
            format!("the miner did not hold column {} of file `{file}` before the round, or not since", e.column)
        }
        E::HoldingsIncomplete(e) => {
            format!("columns of {} B were shown, the miner held {} B: the chain cannot judge this", e.shown, e.held)
        }
        E::NothingRefuted(e) => {
            format!("round {} of miner {} says already what was shown", e.round, e.miner)
        }
        _ => "the audits module refused this".to_owned(),
    }
}

fn of_tee(error: &ITee::ITeeErrors) -> String {
    use ITee::ITeeErrors as E;
    match error {
        E::UnknownWorker(e) => format!("{} is no TEE worker", e.account),
        E::AlreadyRegistered(e) => format!("TEE worker {} is registered already", e.account),
        E::GroupFull(e) => format!("the group has {} TEE workers, and none of them is expired", e.maximum),
        E::KindInvalid(e) => format!("a TEE worker is of kind 0 to 2, {} is none", e.kind),
        E::NameInvalid(e) => format!("a name of {} B is not valid, the limit is {} B", e.length, e.maximum),
        E::BondTooLow(e) => {
            format!("a bond of {} tokens was sent, {} are required", format_tokens(e.sent), format_tokens(e.required))
        }
        E::AttestationRefused(e) => format!("the attestation is refused: {}", printable(&e.reason)),
        E::NotActive(e) => format!("TEE worker {} is not active (state {})", e.account, e.state),
        E::NotTagger(e) => format!("TEE worker {} does not tag", e.account),
        E::NotSeated(e) => format!("{} has no seat in this era", e.account),
        E::AlreadyVoted(e) => format!("{} has voted about {} already", e.account, e.measurement),
        E::CollateralInvalid(e) => format!("the collateral is not valid: {}", printable(&e.reason)),
        E::UnknownCollateral(e) => format!("collateral {} was not published", e.digest),
        E::UnknownEpoch(e) => format!("key epoch {} is unknown", e.number),
        E::EpochNotOpen(e) => format!("key epoch {} takes no tags (state {})", e.number, e.state),
        E::EpochStillOpen(e) => {
            format!("key epoch {} is open, another may be opened from block {} on", e.number, e.from)
        }
        E::NotKeyHolder(e) => format!("TEE worker {} does not have the key of epoch {}", e.account, e.number),
        E::SealKeyChanged(e) => {
            format!("TEE worker {} has seal key {}, a key was sealed to {}", e.worker, e.present, e.given)
        }
        E::KeyInvalid(e) => format!("the group's key is not valid: {}", printable(&e.reason)),
        E::SealedLength(e) => format!("a sealed key of {} B was given, the limit is {} B", e.given, e.maximum),
        E::CountMismatch(e) => format!("lists of {} and {} entries do not belong together", e.left, e.right),
        E::TooMany(e) => format!("{} entries were given, the limit is {}", e.given, e.maximum),
        E::ColumnsInvalid(e) => format!("columns {:#b} of file `{}` are not valid", e.columns, FileId::from(e.file)),
        E::ReceiptInvalid(e) => {
            let file = FileId::from(e.file);
            format!("the receipt of {} for the tags of column {} of file `{file}` is not valid", e.holder, e.column)
        }
        E::Locked(e) => format!("the bond of {} is locked until block {}", e.account, e.until),
    }
}

fn of_repair(error: &IRepair::IRepairErrors) -> String {
    use IRepair::IRepairErrors as E;
    match error {
        E::NotOpen(e) => format!("column {} of file `{}` needs no repair", e.column, FileId::from(e.file)),
        E::AlreadyClaimed(e) => {
            let file = FileId::from(e.file);
            format!("{} repairs column {} of file `{file}` until block {}", e.claimer, e.column, e.until)
        }
        E::ClaimLapsed(e) => {
            let file = FileId::from(e.file);
            format!(
                "{} let its claim of column {} of file `{file}` lapse, others come first until block {}",
                e.claimer, e.column, e.until
            )
        }
        E::ClaimBinds(e) => {
            format!("the claim of column {} of file `{}` binds until block {}", e.column, FileId::from(e.file), e.until)
        }
        E::NothingClaimed(e) => {
            format!("nothing is deposited for column {} of file `{}`", e.column, FileId::from(e.file))
        }
        E::DepositTooLow(e) => {
            format!("{} tokens were sent, the deposit is {}", format_tokens(e.sent), format_tokens(e.required))
        }
        E::NotClaimer(e) => {
            format!("{} has not claimed column {} of file `{}`", e.account, e.column, FileId::from(e.file))
        }
        E::NotEligible(e) => {
            format!("{} cannot hold a column of file `{}`: {}", e.account, FileId::from(e.file), printable(&e.reason))
        }
        E::NotHolder(e) => format!("{} holds no column of file `{}`", e.account, FileId::from(e.file)),
        E::TooEarly(e) => format!("this is taken from block {} on, this is block {}", e.from, e.height),
        E::SpotsInvalid(e) => {
            let (file, reason) = (FileId::from(e.file), printable(&e.reason));
            format!("the openings of column {} of file `{file}` are not valid: {reason}", e.column)
        }
        E::ManifestInvalid(e) => format!("the manifest is not valid: {}", printable(&e.reason)),
    }
}

fn of_rewards(error: &IRewards::IRewardsErrors) -> String {
    use IRewards::IRewardsErrors as E;
    match error {
        E::NothingDue(e) => format!("nothing is due to {} before era {} is settled", e.miner, e.nextEra),
        E::EraUnknown(e) => format!("era {} is not known yet", e.era),
        E::TooMany(e) => format!("{} eras were given, the limit is {}", e.given, e.maximum),
    }
}

fn of_names(error: &INames::INamesErrors) -> String {
    use INames::INamesErrors as E;
    match error {
        E::VersionMismatch(e) if e.present == 0 => {
            format!("there is no {}, version {} was expected", name_in(&e.name, e.namespace), e.expected)
        }
        E::VersionMismatch(e) if e.expected == 0 => {
            format!("{} is there already, in version {}", name_in(&e.name, e.namespace), e.present)
        }
        E::VersionMismatch(e) => {
            format!("{} has version {}, {} was expected", name_in(&e.name, e.namespace), e.present, e.expected)
        }
        E::NotNameOwner(e) => format!("{} is {}'s", name_in(&e.name, e.namespace), e.owner),
        E::NotOperator(e) => {
            format!("{} may not act for {}, which has to approve it as an operator", e.caller, e.owner)
        }
        E::NameLength(e) => format!("a name of {} B is not valid, it has 1 to {} B", e.length, e.maximum),
        E::LabelLength(e) => {
            format!("a namespace's label of {} B is not valid, the limit is {} B", e.length, e.maximum)
        }
        E::ValueLength(e) => format!("a value of {} B is not valid, the limit is {} B", e.length, e.maximum),
        E::NamespaceFull(e) => format!("namespace {} has {} names, the limit", e.namespace, e.maximum),
    }
}

fn name_in(name: &[u8], namespace: B256) -> String {
    let name = printable(&String::from_utf8_lossy(name));
    if namespace.is_zero() { format!("name `{name}`") } else { format!("name `{name}` in namespace {namespace}") }
}

fn of_staking(error: &IStaking::IStakingErrors) -> String {
    use IStaking::IStakingErrors as E;
    match error {
        E::AmountTooLow(e) => {
            format!("an amount of {} tokens is below {}", format_tokens(e.amount), format_tokens(e.minimum))
        }
        E::AmountTooHigh(e) => {
            format!("an amount of {} tokens is above {}", format_tokens(e.amount), format_tokens(e.maximum))
        }
        E::StakeTooLow(e) => {
            let (bonded, required) = (format_tokens(e.bonded), format_tokens(e.required));
            format!("{} has bonded {bonded} tokens, a candidate needs {required}", e.account)
        }
        E::NotCandidate(e) => format!("{} is not a candidate", e.account),
        E::KeysUnchanged(e) => format!("{} is registered with these keys already", e.account),
        E::KeyTaken(e) => format!("key {} belongs to {}", e.key, e.owner),
        E::KeyNotProven(e) => format!("{} does not prove that it holds its {} key", e.account, printable(&e.key)),
        E::TooManyCandidates(e) => format!("there are {} candidates already, the limit", e.maximum),
        E::NothingToWithdraw(e) => format!("{} has no unbonded stake", e.account),
        E::StakeLocked(e) => {
            format!("the stake of {} is locked until era {}, this is era {}", e.account, e.untilEra, e.currentEra)
        }
        E::NotSeated(e) => format!("{} had no seat at block {}", e.account, e.height),
        E::NotJailed(e) => format!("{} is not in jail", e.account),
        E::StillJailed(e) => {
            format!("{} is in jail up to era {}, this is era {}", e.account, e.untilEra, e.currentEra)
        }
        E::EraUnknown(e) => format!("the committee of era {} is not known, those up to {} are", e.era, e.newest),
        E::BeaconUnknown(e) => {
            format!("the beacon of block {} is not known, those of blocks {} to {} are", e.height, e.oldest, e.newest)
        }
        other => of_reveals_and_evidence(other),
    }
}

fn of_reveals_and_evidence(error: &IStaking::IStakingErrors) -> String {
    use IStaking::IStakingErrors as E;
    match error {
        E::WrongEra(e) => format!("a reveal for era {} came in era {}", e.era, e.currentEra),
        E::RevealClosed(e) => {
            format!("block {} is too late for a reveal, blocks {} to {} take one", e.height, e.first, e.last)
        }
        E::KeyTooYoung(e) => {
            format!(
                "the keys of {} are of block {}, younger than the seed of block {}",
                e.account, e.registeredAt, e.seedHeight
            )
        }
        E::AlreadyRevealed(e) => format!("{} has revealed for era {} already", e.account, e.era),
        E::ProofInvalid(e) => format!("the proof of {} for era {} is not valid", e.account, e.era),
        E::EvidenceMalformed(e) => format!("the evidence cannot be read: {}", printable(&e.reason)),
        E::EvidenceForeign(e) => format!("the evidence is of chain {}, this is chain {}", e.found, e.expected),
        E::EvidenceInvalid(e) => format!("the evidence convicts nobody: {}", printable(&e.reason)),
        E::EvidenceTooOld(e) => {
            format!("evidence of block {} is too old, it is taken from block {} on", e.height, e.oldest)
        }
        E::EvidenceAhead(e) => format!("evidence of block {} came at block {}", e.height, e.newest),
        E::EvidenceKnown(e) => format!("evidence against {} at block {} was taken already", e.account, e.height),
        _ => "the staking module refused".to_owned(),
    }
}

fn unknown(data: &[u8]) -> String {
    let shown = hex::encode(&data[..data.len().min(SHOWN_MAX_BYTES)]);
    let more = if data.len() > SHOWN_MAX_BYTES { "…" } else { "" };
    format!("unknown error 0x{shown}{more} ({} B)", data.len())
}

fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(TEXT_MAX_CHARS).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, U256};
    use proptest::prelude::*;

    #[test]
    fn custom_errors_become_sentences() {
        let unknown = IFiles::UnknownFile { id: B256::repeat_byte(0xab) }.abi_encode();
        assert_eq!(explain(&unknown), format!("file `{}` is unknown", "ab".repeat(32)));
        assert!(is_unknown_file(&unknown));
        let full = IFiles::HolderFull { holder: Address::ZERO, free: 1, needed: 2 }.abi_encode();
        assert!(explain(&full).ends_with("has 1 B free, 2 B are needed"));
        assert!(!is_unknown_file(&full));
        let token = U256::from(crate::types::Amount::tokens(1).0);
        let low = IMiners::CollateralTooLow { sent: U256::ZERO, required: token }.abi_encode();
        assert_eq!(explain(&low), "a collateral of 0 tokens was sent, 1 are required");
        let none = ITerritory::NoTerritory { account: Address::ZERO, needed: 7 }.abi_encode();
        assert!(
            explain(&none)
                .ends_with("no active territory for 7 B of fragments (`cess space buy SIZE --days N` leases one)")
        );
        let sold = ITerritory::SoldOut { wanted: 2, available: U256::ZERO }.abi_encode();
        assert_eq!(explain(&sold), "2 B are wanted, 0 B can be leased");
        let old = IStaking::BeaconUnknown { height: 1, oldest: 2, newest: 3 }.abi_encode();
        assert!(explain(&old).contains("blocks 2 to 3"));
    }

    #[test]
    fn refused_names_are_named_with_their_versions() {
        let (namespace, name) = (B256::repeat_byte(1), b"bucket/a".to_vec());
        let said = |namespace, expected, present| {
            let name = name.clone().into();
            explain(&INames::VersionMismatch { namespace, name, expected, present }.abi_encode())
        };
        assert_eq!(said(B256::ZERO, 4, 5), "name `bucket/a` has version 5, 4 was expected");
        assert_eq!(said(B256::ZERO, 0, 5), "name `bucket/a` is there already, in version 5");
        assert_eq!(said(B256::ZERO, 4, 0), "there is no name `bucket/a`, version 4 was expected");
        assert!(said(namespace, 4, 5).starts_with("name `bucket/a` in namespace 0x0101"));
        let refused = INames::NotOperator { owner: Address::ZERO, caller: Address::repeat_byte(1) }.abi_encode();
        assert!(explain(&refused).ends_with("which has to approve it as an operator"));
    }

    #[test]
    fn standard_reverts_become_sentences() {
        assert_eq!(explain(&Revert::from("no\nway").abi_encode()), "no way");
        assert_eq!(explain(&[]), "no reason given");
        let overflow = Panic { code: U256::from(0x11) }.abi_encode();
        assert!(explain(&overflow).starts_with("panic: arithmetic"), "{}", explain(&overflow));
        assert_eq!(explain(&[0xde, 0xad, 0xbe, 0xef]), "unknown error 0xdeadbeef (4 B)");
        assert_eq!(explain_text("out of gas"), "out of gas");
        assert_eq!(explain_text("0xdeadbeef"), "unknown error 0xdeadbeef (4 B)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_explained_briefly(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(explain(&data).len() < 2_000);
        }
    }
}
