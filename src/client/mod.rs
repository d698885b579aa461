//! How every role and tool talks to the chain, wherever the chain runs.
//!
//! Owns the [`ChainClient`] port, its remote and light implementations, wallets and nonces, and the decoding of logs into events.
//! Must not know node internals. Invariant: callers cannot tell a local from a remote chain.

pub mod deoss;
mod dev_accounts;
mod events;
mod follower;
pub mod gateway;
pub mod light;
mod market;
mod names;
mod names_watch;
mod port;
mod reads;
mod remote;
pub mod revert;
pub mod s3;
mod serve;
mod space;
pub mod transport;
mod wallet;

pub use dev_accounts::{DevAccount, dev_accounts};
pub use events::ChainEvent;
pub use follower::{EventFollower, EventStep};
pub use light::LightChain;
pub use market::{
    Attestation, AuditRecord, AuditRound, AuditTerms, AuditVerdict, BatchState, EpochState, IdleBatch, KeyEpoch,
    MinerDetail, MinerStanding, MinerState, NextEpoch, RepairOrder, RewardAccount, RewardEra, RewardShare,
    TaggedColumns, TeeWorker, WorkerKind, WorkerStanding, ask_module, audit_committee, audit_record, audit_round,
    audit_round_at, audit_terms, audit_verdict, key_epochs, key_holders, miner_detail, miner_details,
    newest_idle_batch, next_key_epoch, repair_claim_blocks, repair_orders, required_collateral, reward_account,
    reward_era, reward_share, standing, tags_of, tee_worker, tee_workers,
};
pub use names::{
    NameChange, NameError, NameRecord, Namespace, approve_operator, change_names, is_operator, name_count, name_record,
    names_in, remove_name, set_name,
};
pub use names_watch::NamesWatch;
pub use port::{ChainClient, ChainError, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome};
pub use reads::{file_record, miner_record};
pub use remote::{EVENTS_MAX_BLOCKS, RemoteChain, check_event_span};
pub use serve::{TUNNEL_METHODS, register};
pub use space::{
    TerritoryRecord, TerritoryState, ask_territory, store_in, territories_of, territory, territory_for, territory_named,
};
pub use transport::{Fault, HttpTransport, RPC_PROTOCOL, RpcFailure, RpcTransport, TunnelTransport, serve_tunnel};
pub use wallet::{KeyError, Signer, Wallet};

#[cfg(test)]
pub(crate) mod tests;
