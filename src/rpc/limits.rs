//! Every bound of the JSON-RPC surface.

use crate::types::params::TX_MAX_BYTES;
use std::time::Duration;

/// Room for method names, ids and quoting around the largest transaction.
const ENVELOPE_BYTES: usize = 64 << 10;
/// Largest HTTP body or WebSocket message: a transaction is twice its size in hexadecimal, and we leave the same again.
pub const REQUEST_MAX_BYTES: usize = 4 * TX_MAX_BYTES + ENVELOPE_BYTES;
/// Largest answer over HTTP or WebSocket.
pub const ANSWER_MAX_BYTES: usize = 32 << 20;
/// Largest request or answer over a tunnel: a full block's events in hexadecimal.
pub const TUNNEL_MAX_BYTES: usize = 9 << 20;
/// Calls in one HTTP or WebSocket batch.
pub const BATCH_MAX_CALLS: u32 = 100;
/// Calls in one batch over a tunnel.
pub const TUNNEL_BATCH_MAX_CALLS: usize = 20;
/// Connections served at a time; a further one is refused with status 429.
pub const CONNECTIONS_MAX: u32 = 512;
/// Subscriptions of one WebSocket connection.
pub const SUBSCRIPTIONS_MAX: u32 = 64;
/// Messages waiting for a slow WebSocket reader before its subscriptions wait.
pub const MESSAGE_BUFFER: u32 = 256;
/// How long a client may take to send the first request of a connection.
pub const FIRST_REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long open calls may finish after the server stopped accepting.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(2);
/// Bytes of a reason kept in an error message.
pub const MESSAGE_MAX_BYTES: usize = 512;
