//! Proofs about storage: that idle space is reserved. Pure: no clock, no randomness, no input or output.
//!
//! Knows nothing of the chain's state and of who checks what when; beacons, roots and ranges come from the caller.

pub mod pois;
