//! The process's log subscriber. Every task of a node logs inside a span that carries the node's name.
//!
//! Owns format and filter; the one thing in `runtime` that is global to the process.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Environment variable with the filter, in the syntax of `tracing_subscriber::EnvFilter`.
pub const LOG_VARIABLE: &str = "CESS_LOG";
/// Filter of one node when nobody says otherwise: our own news, only warnings of the libraries. The multiplexer calls every
/// connection that the other end closed first a warning, the gossip every message that a peer had sent already; the library of S3 calls every
/// refusal an error, of which the gateway itself says what is one, and the engine every task of its own that was cut off when it was closed.
pub const LOG_DEFAULT: &str = "warn,libp2p_gossipsub=error,s3s=off,slatedb::dispatcher=off,cess=info";
/// Filter of a process with many nodes: what they all have to say would bury what the user needs to see.
pub const LOG_MANY_NODES: &str = "warn,libp2p_gossipsub=error,s3s=off,slatedb::dispatcher=off";

/// Why logging could not be set up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("log filter `{filter}` is not valid: {reason}")]
    Filter { filter: String, reason: String },
    /// Something else in the process took the logs.
    #[error("log subscriber is already set")]
    AlreadySet,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends logs to standard error, filtered by `CESS_LOG` or else by `default`.
pub fn init(format: Format, default: &str) -> Result<(), TelemetryError> {
    init_filtered(format, &std::env::var(LOG_VARIABLE).unwrap_or_else(|_| default.to_owned()))
}

/// Sends logs to standard error, filtered by `filter` whatever the environment says.
pub fn init_filtered(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let registry = tracing_subscriber::registry().with(parse_filter(filter)?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let set = match format {
        Format::Text => registry.with(lines).try_init(),
        Format::Json => registry.with(lines.json()).try_init(),
    };
    set.map_err(|_| TelemetryError::AlreadySet)
}

fn parse_filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|error| TelemetryError::Filter { filter: text.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_filters_are_named() {
        assert!(parse_filter(LOG_DEFAULT).is_ok());
        assert!(parse_filter(LOG_MANY_NODES).is_ok());
        assert!(parse_filter("cess::chain=debug,info").is_ok());
        let error = parse_filter("cess=loud=9").expect_err("not a level");
        assert!(error.to_string().contains("`cess=loud=9`"), "{error}");
    }
}
