//! Stories of the executor on a small chain in memory.

mod access_lists;
mod batches;
mod blocks;
mod contracts;
mod eras;
mod executors;
mod module_calls;
mod predeployed;
pub(super) mod rig;
