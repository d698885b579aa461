//! The audits module: one file a subject.

mod appeals;
mod costs;
mod faults;
mod idle;
pub mod market;
mod refutations;
mod rounds;
mod votes;
pub mod world;
