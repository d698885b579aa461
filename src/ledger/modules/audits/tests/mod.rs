//! The audits module: one file a subject.

mod appeals;
mod costs;
mod faults;
mod rounds;
mod votes;
pub mod world;
