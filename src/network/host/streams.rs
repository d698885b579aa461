//! Opening and accepting bulk streams.
//!
//! All bulk streams share one libp2p protocol; the opener first says which service it wants (`len: u8, name`) and the
//! acceptor answers one status byte. libp2p drops an inbound stream without a word when its queue of one is full: the
//! acceptor here drains that queue at once, and an opener whose stream ends without a status tries again.

use super::{
    config::{GREETING_DEADLINE, MAX_GREETINGS},
    frames::{Closer, StreamFrames},
    state::Shared,
    wire::{name_prefix, read_name},
};
use crate::network::{
    port::{Frames, NetError, Protocol},
    registry::{OPEN_DEADLINE, Refusal},
};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, stream::FuturesUnordered};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The one libp2p protocol of all bulk streams.
pub(super) const BULK_PROTOCOL: StreamProtocol = StreamProtocol::new("/cess/bulk/1");
/// Attempts to open a stream that is dropped before its greeting.
const OPEN_ATTEMPTS: u32 = 6;
/// Pause before the second attempt; each further one is twice as long.
const OPEN_PAUSE: Duration = Duration::from_millis(5);

const STATUS_ACCEPTED: u8 = 1;
const STATUS_NO_ACCEPTOR: u8 = 2;
const STATUS_QUEUE_FULL: u8 = 3;

/// Greets every inbound stream and hands it to its acceptor, until the host stops.
pub(super) async fn run_acceptor(
    mut incoming: IncomingStreams,
    shared: Arc<Shared>,
    closer: Closer,
    halt: CancellationToken,
) {
    let mut greetings = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = halt.cancelled() => return,
            next = incoming.next() => {
                let Some((peer, stream)) = next else { return };
                if greetings.len() < MAX_GREETINGS {
                    greetings.push(timeout(GREETING_DEADLINE, greet(peer, stream, &shared, &closer)));
                }
            }
            Some(_) = greetings.next() => {}
        }
    }
}

/// Learns what the opener wants and answers it. An error only concerns this stream, which is dropped.
async fn greet(peer: PeerId, mut stream: Stream, shared: &Shared, closer: &Closer) -> std::io::Result<()> {
    let name = read_name(&mut stream).await?;
    let place = shared.registry.place(&name);
    let status = match &place {
        Ok(_) => STATUS_ACCEPTED,
        Err(Refusal::NoAcceptor) => STATUS_NO_ACCEPTOR,
        Err(Refusal::QueueFull) => STATUS_QUEUE_FULL,
    };
    stream.write_all(&[status]).await?;
    stream.flush().await?;
    match place {
        Ok(place) => {
            place.send(Box::new(StreamFrames::new(peer, stream, closer.clone(), shared.metrics.clone())));
            Ok(())
        }
        Err(_) => stream.close().await,
    }
}

/// How an attempt to open a stream failed.
enum Failure {
    /// The other end dropped the stream before it said anything.
    Dropped,
    Final(NetError),
}

/// Opens a stream of `protocol` on a standing connection.
pub(super) async fn open(
    control: &Control,
    peer: PeerId,
    protocol: Protocol,
    closer: &Closer,
    shared: &Shared,
) -> Result<Box<dyn Frames>, NetError> {
    let attempts = async {
        for attempt in 0..OPEN_ATTEMPTS {
            match try_open(control.clone(), peer, protocol).await {
                Ok(stream) => {
                    let frames = StreamFrames::new(peer, stream, closer.clone(), shared.metrics.clone());
                    return Ok(Box::new(frames) as Box<dyn Frames>);
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Dropped) => sleep(OPEN_PAUSE * 2u32.pow(attempt)).await,
            }
        }
        Err(NetError::refused(&peer, format!("dropped {OPEN_ATTEMPTS} streams of {} before accepting", protocol.0)))
    };
    timeout(OPEN_DEADLINE, attempts).await.unwrap_or_else(|_| Err(NetError::timeout(&peer, OPEN_DEADLINE)))
}

async fn try_open(mut control: Control, peer: PeerId, protocol: Protocol) -> Result<Stream, Failure> {
    let greeting = name_prefix(protocol.0).map_err(|error| Failure::Final(NetError::refused(&peer, error)))?;
    let mut stream = control.open_stream(peer, BULK_PROTOCOL).await.map_err(|error| match error {
        OpenStreamError::Io(error) => Failure::Final(NetError::Closed(format!("stream to {peer}: {error}"))),
        other => Failure::Final(NetError::refused(&peer, other)),
    })?;
    let mut status = [0];
    let answered = async {
        stream.write_all(&greeting).await?;
        stream.flush().await?;
        stream.read_exact(&mut status).await
    };
    answered.await.map_err(|_| Failure::Dropped)?;
    let refused = |reason: String| Err(Failure::Final(NetError::refused(&peer, reason)));
    match status[0] {
        STATUS_ACCEPTED => Ok(stream),
        STATUS_NO_ACCEPTOR => refused(Refusal::NoAcceptor.reason(protocol.0)),
        STATUS_QUEUE_FULL => refused(Refusal::QueueFull.reason(protocol.0)),
        other => refused(format!("unknown status {other}")),
    }
}
