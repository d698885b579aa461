//! The reference page of S3, made from the list of operations.

use super::{
    absent::OFF_ONLY,
    operations::{FORM, OPERATIONS, REFUSED},
};
use std::fmt::Write;

/// The page `docs/reference/s3.md`.
pub fn page() -> String {
    let mut out = String::from(
        "# S3 operations\n\n\
         Made from the list in `src/gateway/s3/operations.rs`; a test compares. How to use S3 is in [../s3.md](../s3.md).\n\n\
         ## Answered\n\n\
         | operation | permission | on a named version |\n|---|---|---|\n",
    );
    for operation in OPERATIONS.iter().chain([&FORM]) {
        let versioned =
            if operation.action_on_version == operation.action { "the same" } else { operation.action_on_version };
        // A text takes every line.
        let _ = writeln!(out, "| {} | {} | {versioned} |", operation.name, operation.action);
    }
    for (title, operations) in [("Refused with NotImplemented", REFUSED), ("Refused unless they switch off", OFF_ONLY)]
    {
        let _ = write!(out, "\n## {title}\n\n| operation | why |\n|---|---|\n");
        for refused in operations {
            let _ = writeln!(out, "| {} | {} |", refused.names.join(", "), refused.reason);
        }
    }
    out
}
