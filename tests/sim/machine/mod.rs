//! A machine that a seed decides: virtual time, one thread at a time, random numbers and fsync out of the seed.
//!
//! Owns what the program under test gets from libc. The symbols of [`interposed`] take the place of libc's in this test
//! binary, so that the product, tokio, the BFT engine and everything below them run unmodified. Must not know the product.
//! Invariants: of the simulated threads exactly one runs, until it blocks; time stands still while any of them can run and
//! then jumps to the next deadline; threads outside of a simulation notice nothing.

mod disk;
mod interposed;
mod random;
mod scheduler;
mod tsc;

pub use disk::Disk;
pub use random::Dice;
pub use scheduler::{now, pass, simulate, until};
