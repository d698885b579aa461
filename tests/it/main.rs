//! Stories against real nodes: a whole localnet in this process, or the binary as a user runs it.

mod binary;
mod bucket_store;
mod clients;
mod cluster;
mod damage;
mod deoss;
mod dev;
mod examples;
mod failures;
mod files;
mod full_disk;
mod ledger;
mod light;
mod market;
mod names;
mod process;
mod s3;
mod soak;
mod solidity;
mod space;
mod stop;
mod sync;
mod tee;
mod tools;
