//! Ethereum's own chains, for importing published ones: forks, genesis, transactions, blocks.
//!
//! Owns what differs from this chain around the EVM: fork schedule, rewards, withdrawals, system contracts, header rules. Must not know
//! where blocks are kept. Invariant: a block is accepted only if everything its header says about its execution came out the same.

mod around;
mod block;
mod forks;
mod genesis;
mod process;
mod requests;
#[cfg(test)]
mod tests;
mod tx;

pub use around::{begin, end};
pub use block::EthereumBlock;
pub use forks::Forks;
pub use genesis::{EthereumGenesis, GenesisFault};
pub use process::{
    BlockFault, Parent, Processed, base_fee_after, environment, excess_blob_gas_after, execute, process,
};
pub use tx::{decode, decode_all};
