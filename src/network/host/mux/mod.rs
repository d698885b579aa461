//! Many streams over one connection: yamux (`/yamux/1.0.0`) with few copies.
//!
//! Owns frames, windows and the bounds of a connection's memory. Must not know what a stream carries, nor what secures the connection. The
//! connection has a task that alone touches the socket (`muxer`); streams share a state with it (`state`): what they write is copied once, next
//! to what others write, and goes out in large steps; what arrives lies in blocks that are used again. ADR 31 says why this is not the crate.

mod header;
mod muxer;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use muxer::Muxer;

use futures::{AsyncRead, AsyncWrite, future::Ready};
use libp2p::core::{
    UpgradeInfo,
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
};
use std::{convert::Infallible, io, sync::Arc};

/// The protocol's name in the negotiation of a connection.
const PROTOCOL: &str = "/yamux/1.0.0";

/// Why a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum MuxError {
    #[error("the connection failed: {0}")]
    Io(Arc<io::Error>),
    #[error("the peer ended the connection")]
    Ended,
    #[error("the peer ended the connection with code {0}")]
    GoAway(u32),
    #[error("this host ended the connection")]
    Closed,
    #[error("a frame has version {0}, this host speaks 0")]
    Version(u8),
    #[error("a frame has kind {0}, there are 0 to 3")]
    Kind(u8),
    #[error("the peer opened stream {0}, which is not one of its own")]
    NotItsStream(u32),
    #[error("the peer opened stream {0} twice")]
    OpenedTwice(u32),
    #[error("{sent} B were sent on stream {stream}, at most {allowed} B were allowed")]
    Window { stream: u32, sent: u32, allowed: u32 },
    #[error("stream {stream} was given credit of {credit} B on top of {had} B, at most 4 GiB are allowed")]
    Credit { stream: u32, had: u32, credit: u32 },
    #[error("the connection has used up its stream numbers")]
    Exhausted,
}

impl MuxError {
    /// Whether the peer broke the protocol.
    fn is_violation(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Ended | Self::GoAway(_) | Self::Closed | Self::Exhausted)
    }
}

impl From<io::Error> for MuxError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Offers the multiplexer when a connection is set up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mux;

impl UpgradeInfo for Mux {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<C> for Mux {
    type Output = Muxer;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, io: C, _: Self::Info) -> Self::Future {
        futures::future::ok(Muxer::start(io, state::Role::Listener))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<C> for Mux {
    type Output = Muxer;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, io: C, _: Self::Info) -> Self::Future {
        futures::future::ok(Muxer::start(io, state::Role::Dialer))
    }
}
