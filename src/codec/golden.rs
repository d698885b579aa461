//! Golden bytes: what a wire type's encoding was when it was released, so that no change of code changes it unnoticed.
//!
//! `tests/golden/wire.txt` has a line `name⇥version⇥hexadecimal bytes` for each type. The hygiene test demands one for every type.

use super::{Wire, decode, encode};
use std::{fmt::Debug, path::PathBuf};

/// Checks that `sample` has its golden bytes and is read back from them. The failure prints the line to add for a new type;
/// the line of a released type never changes: raise its version instead.
pub(crate) fn check<T: Wire + PartialEq + Debug>(sample: &T) {
    let path = checkout().join("tests/golden/wire.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = format!("{}\t{}\t{}", T::NAME, T::VERSION, hex::encode(encode(sample)));
    let golden = text.lines().find(|line| line.split('\t').next() == Some(T::NAME));
    assert_eq!(
        golden,
        Some(line.as_str()),
        "golden bytes of `{}` in {}; the line is:\n{line}",
        T::NAME,
        path.display()
    );
    assert_eq!(decode::<T>(&encode(sample)).as_ref(), Ok(sample));
}

/// The checkout under test. Cargo names it when it runs the tests; the one they were compiled in may be another, where two
/// share a target folder.
pub(crate) fn checkout() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("tests are run by cargo").into()
}
