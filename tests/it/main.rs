//! Stories against real nodes: a whole localnet in this process, or the binary as a user runs it.

mod binary;
mod clients;
mod cluster;
mod damage;
mod dev;
mod examples;
mod failures;
mod files;
mod full_disk;
mod ledger;
mod light;
mod market;
mod process;
mod soak;
mod solidity;
mod space;
mod stop;
mod sync;
mod tools;
