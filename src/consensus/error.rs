//! Why something was refused by the rules of consensus.

use crate::types::{Address, BlockId, Height};

/// Why a committee, a certificate or a beacon contribution was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// Nobody could decide anything.
    #[error("committee is empty")]
    EmptyCommittee,
    /// More seats than the protocol allows.
    #[error("committee has {found} members, the limit is {max}")]
    TooManyMembers { found: usize, max: usize },
    /// Not strictly ascending by account.
    #[error("committee is not sorted by account, or lists {0} twice")]
    Unsorted(Address),
    /// A key that votes, proves or connects for two members.
    #[error("committee member {account} shares its {key} key with another member")]
    SharedKey { account: Address, key: &'static str },
    /// A seat without a vote.
    #[error("committee member {0} has no power")]
    NoPower(Address),
    /// The sum of powers must fit, with room for the quorum arithmetic.
    #[error("total power of the committee does not fit 62 bits")]
    PowerOverflow,
    /// Signed by somebody else.
    #[error("certificate of height {height} is signed by {account}, who is not in the committee")]
    UnknownSigner { height: Height, account: Address },
    /// Signatures must be strictly ascending by account.
    #[error("certificate of height {height} lists {account} twice or out of order")]
    RepeatedSigner { height: Height, account: Address },
    /// A signature over something else.
    #[error("certificate of height {height} for block {block} has a bad signature by {account}")]
    BadSignature { height: Height, block: BlockId, account: Address },
    /// Not more than two thirds.
    #[error("certificate of height {height} carries power {signed} of {total}, more than two thirds are needed")]
    NoQuorum { height: Height, signed: u64, total: u64 },
    /// An honest member votes for a block in its own round at the earliest.
    #[error("certificate of height {height} is of round {decided}, its block was built for round {built}")]
    DecidedBefore { height: Height, decided: u32, built: u32 },
    /// A key that is registered without holding it.
    #[error("account {account} does not prove that it holds its {key} key")]
    NotPossessed { account: Address, key: &'static str },
}
