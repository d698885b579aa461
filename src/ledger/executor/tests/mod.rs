//! Stories of the executor on a small chain in memory.

mod blocks;
mod contracts;
mod eras;
mod module_calls;
mod rig;
