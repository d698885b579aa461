//! Who may do what: one pure decision over bucket policy, access control lists, public access block and ownership.
//!
//! Owns the documents' meaning and the decision. Must not know HTTP, storage or the clock: everything it weighs is handed to it.
//! Invariants: nothing is allowed that no rule allows; an explicit deny wins; a document that cannot be understood fully is
//! refused when it is set, so that no deny is silently without effect.

mod acl;
mod condition;
mod decide;
mod document;
mod pattern;

#[cfg(test)]
mod tests;

pub use acl::{Acl, AclError, CannedAcl, Grant, Grantee, Permission};
pub use condition::Context;
pub use decide::{Decision, ObjectRights, Question, Rules, decide, is_about_objects};
pub use document::Policy;
pub use pattern::{account_of, account_text, matches as wildcard};
