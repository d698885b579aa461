//! The `cess` binary.

fn main() {}
