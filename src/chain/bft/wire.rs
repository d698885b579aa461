//! What committee members say to each other, for those who listen in: observers, and simulations of members that lie.
//!
//! Owns names only. A member opens one stream of [`BFT_PROTOCOL`] to every other; each frame on it is one encoded [`Message`]. Every
//! node gossips its [`Progress`] on [`PROGRESS_TOPIC`], after the bytes of its peer id, and asks for decided blocks over streams of
//! [`SYNC_PROTOCOL`], one request and one answer each.

pub use super::{
    codec::{Message, Polka, Progress, RoundProof, RoundVote},
    hub::{BFT_PROTOCOL, PROGRESS_TOPIC},
    sync::SYNC_PROTOCOL,
};
