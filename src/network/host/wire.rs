//! Bytes of requests, answers and stream greetings.
//!
//! A request is `len: u8, protocol name, len: u32, body`; an answer `status: u8, len: u32, body or reason`; lengths are
//! little-endian. Invariants: a length is checked against its cap before memory is reserved, memory grows only with the
//! bytes that have arrived, and the bodies of all inbound requests together stay within one budget.

use super::config::{MAX_INBOUND_BODY_BYTES, PROTOCOL_NAME_MAX_BYTES, REASON_MAX_BYTES, REQUEST_READ_DEADLINE};
use crate::network::port::REQUEST_MAX_BYTES;
use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use std::{io, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The one libp2p protocol of all requests.
pub(super) const REQUEST_PROTOCOL: StreamProtocol = StreamProtocol::new("/cess/req/1");
/// Memory is reserved in steps of this size.
const READ_STEP_BYTES: usize = 64 << 10;
/// Bodies up to this size travel in one write with their header.
const ONE_WRITE_BYTES: usize = 16 << 10;
const STATUS_DONE: u8 = 0;
const STATUS_REFUSED: u8 = 1;

/// A request on the wire.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) protocol: String,
    pub(super) body: Bytes,
    /// Room of an inbound body in the budget, held until the request is handled.
    pub(super) _room: Option<OwnedSemaphorePermit>,
    /// Cancelled when the caller of an outbound request does not wait any more.
    pub(super) abandoned: CancellationToken,
}

/// An answer on the wire.
pub(super) type Answer = Result<Bytes, String>;

/// Reads and writes requests. Clones share the budget.
#[derive(Clone)]
pub(super) struct RequestCodec {
    budget: Arc<Semaphore>,
    /// Of the request this clone has written.
    abandoned: CancellationToken,
}

impl RequestCodec {
    pub(super) fn new() -> Self {
        Self { budget: Arc::new(Semaphore::new(MAX_INBOUND_BODY_BYTES)), abandoned: CancellationToken::new() }
    }
}

#[async_trait]
impl request_response::Codec for RequestCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let read = async {
            let protocol = read_name(io).await?;
            let (body, room) = read_body(io, REQUEST_MAX_BYTES, Some(&self.budget)).await?;
            Ok(Request { protocol, body, _room: room, abandoned: CancellationToken::new() })
        };
        timeout(REQUEST_READ_DEADLINE, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let abandoned = self.abandoned.clone();
        let read = async {
            let mut status = [0];
            io.read_exact(&mut status).await?;
            match status[0] {
                STATUS_DONE => Ok(Ok(read_body(io, REQUEST_MAX_BYTES, None).await?.0)),
                STATUS_REFUSED => {
                    let (reason, _) = read_body(io, REASON_MAX_BYTES, None).await?;
                    Ok(Err(String::from_utf8_lossy(&reason).into_owned()))
                }
                other => Err(invalid(format!("answer of unknown status {other}"))),
            }
        };
        tokio::select! {
            () = abandoned.cancelled() => Err(io::ErrorKind::Interrupted.into()),
            answer = read => answer,
        }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.abandoned = request.abandoned.clone();
        let mut head = name_prefix(&request.protocol)?;
        put_len(&mut head, request.body.len())?;
        tokio::select! {
            () = request.abandoned.cancelled() => Err(io::ErrorKind::Interrupted.into()),
            written = write_message(io, head, &request.body) => written,
        }
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Answer) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let mut head = BytesMut::new();
        let body = match answer {
            Ok(body) => {
                head.put_u8(STATUS_DONE);
                body
            }
            Err(mut reason) => {
                head.put_u8(STATUS_REFUSED);
                reason.truncate(reason.floor_char_boundary(REASON_MAX_BYTES));
                Bytes::from(reason)
            }
        };
        put_len(&mut head, body.len())?;
        write_message(io, head, &body).await
    }
}

/// `name` with its length before it.
pub(super) fn name_prefix(name: &str) -> io::Result<BytesMut> {
    let len = u8::try_from(name.len()).ok().filter(|len| usize::from(*len) <= PROTOCOL_NAME_MAX_BYTES);
    let len = len.ok_or_else(|| invalid(format!("protocol name over {PROTOCOL_NAME_MAX_BYTES} B")))?;
    let mut head = BytesMut::with_capacity(name.len() + 8);
    head.put_u8(len);
    head.put_slice(name.as_bytes());
    Ok(head)
}

/// Reads what [`name_prefix`] wrote.
pub(super) async fn read_name<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<String> {
    let mut len = [0];
    io.read_exact(&mut len).await?;
    let len = usize::from(len[0]);
    if len == 0 || len > PROTOCOL_NAME_MAX_BYTES {
        return Err(invalid(format!("protocol name of {len} B, expected 1 to {PROTOCOL_NAME_MAX_BYTES} B")));
    }
    let mut name = vec![0; len];
    io.read_exact(&mut name).await?;
    String::from_utf8(name).map_err(|_| invalid("protocol name is not UTF-8".to_owned()))
}

fn put_len(head: &mut BytesMut, len: usize) -> io::Result<()> {
    head.put_u32_le(u32::try_from(len).map_err(|_| invalid(format!("body of {len} B")))?);
    Ok(())
}

async fn write_message<T: AsyncWrite + Unpin + Send>(io: &mut T, mut head: BytesMut, body: &Bytes) -> io::Result<()> {
    if body.len() <= ONE_WRITE_BYTES {
        head.put_slice(body);
        return io.write_all(&head).await;
    }
    io.write_all(&head).await?;
    io.write_all(body).await
}

/// Reads a length and as many bytes, taking their room from `budget` as they arrive.
async fn read_body<T: AsyncRead + Unpin + Send>(
    io: &mut T,
    max: usize,
    budget: Option<&Arc<Semaphore>>,
) -> io::Result<(Bytes, Option<OwnedSemaphorePermit>)> {
    let mut len = [0; 4];
    io.read_exact(&mut len).await?;
    let len =
        usize::try_from(u32::from_le_bytes(len)).map_err(|_| invalid("body over the address space".to_owned()))?;
    if len > max {
        return Err(invalid(format!("body of {len} B is over the limit of {max} B")));
    }
    let mut body = BytesMut::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while body.len() < len {
        let step = READ_STEP_BYTES.min(len - body.len());
        if let Some(budget) = budget {
            let more = budget.clone().try_acquire_many_owned(u32::try_from(step).expect("a step is 64 KiB"));
            let more = more.map_err(|_| io::Error::other("bodies of all requests are over their budget"))?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        let at = body.len();
        body.resize(at + step, 0);
        io.read_exact(&mut body[at..]).await?;
    }
    Ok((body.freeze(), room))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use proptest::prelude::*;
    use request_response::Codec;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    async fn round_trip(protocol: &str, body: &[u8]) -> Request {
        let mut codec = RequestCodec::new();
        let mut wire = Cursor::new(Vec::new());
        let request = Request {
            protocol: protocol.to_owned(),
            body: Bytes::copy_from_slice(body),
            _room: None,
            abandoned: CancellationToken::new(),
        };
        codec.write_request(&REQUEST_PROTOCOL, &mut wire, request).await.unwrap();
        wire.set_position(0);
        codec.read_request(&REQUEST_PROTOCOL, &mut wire).await.unwrap()
    }

    #[test]
    fn the_wire_has_its_golden_bytes() {
        block_on(async {
            let mut codec = RequestCodec::new();
            let mut wire = Cursor::new(Vec::new());
            let request = Request {
                protocol: "/cess/x/1".to_owned(),
                body: Bytes::from_static(b"hi"),
                _room: None,
                abandoned: CancellationToken::new(),
            };
            codec.write_request(&REQUEST_PROTOCOL, &mut wire, request).await.unwrap();
            assert_eq!(wire.into_inner(), b"\x09/cess/x/1\x02\0\0\0hi");
            let mut wire = Cursor::new(Vec::new());
            codec.write_response(&REQUEST_PROTOCOL, &mut wire, Ok(Bytes::from_static(b"ho"))).await.unwrap();
            codec.write_response(&REQUEST_PROTOCOL, &mut wire, Err("no".to_owned())).await.unwrap();
            assert_eq!(wire.into_inner(), b"\0\x02\0\0\0ho\x01\x02\0\0\0no");
        });
    }

    #[test]
    fn a_body_holds_room_until_it_is_dropped() {
        block_on(async {
            let mut codec = RequestCodec::new();
            let mut wire = name_prefix("/cess/x/1").unwrap();
            put_len(&mut wire, 100_000).unwrap();
            wire.resize(wire.len() + 100_000, 7);
            let request = codec.read_request(&REQUEST_PROTOCOL, &mut &wire[..]).await.unwrap();
            assert_eq!(codec.budget.available_permits(), MAX_INBOUND_BODY_BYTES - 100_000);
            drop(request);
            assert_eq!(codec.budget.available_permits(), MAX_INBOUND_BODY_BYTES);
        });
    }

    #[test]
    fn a_claimed_length_over_the_cap_is_refused_before_its_bytes() {
        block_on(async {
            let mut codec = RequestCodec::new();
            let mut wire = name_prefix("/cess/x/1").unwrap();
            put_len(&mut wire, REQUEST_MAX_BYTES + 1).unwrap();
            let error = codec.read_request(&REQUEST_PROTOCOL, &mut &wire[..]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(&format!("{} B", REQUEST_MAX_BYTES + 1)), "{error}");
        });
    }

    #[test]
    fn a_long_reason_is_cut_to_its_cap() {
        block_on(async {
            let mut codec = RequestCodec::new();
            let mut wire = Cursor::new(Vec::new());
            codec.write_response(&REQUEST_PROTOCOL, &mut wire, Err("ä".repeat(1000))).await.unwrap();
            wire.set_position(0);
            let answer = codec.read_response(&REQUEST_PROTOCOL, &mut wire).await.unwrap();
            assert_eq!(answer, Err("ä".repeat(512)));
        });
    }

    #[test]
    fn an_abandoned_request_stops_waiting() {
        block_on(async {
            let mut codec = RequestCodec::new();
            let abandoned = CancellationToken::new();
            let body = Bytes::from_static(b"x");
            let request = Request { protocol: "/cess/x/1".to_owned(), body, _room: None, abandoned: abandoned.clone() };
            codec.write_request(&REQUEST_PROTOCOL, &mut Cursor::new(Vec::new()), request).await.unwrap();
            abandoned.cancel();
            let (mut silent, _held) = tokio::io::duplex(16);
            let mut silent = tokio_util::compat::TokioAsyncReadCompatExt::compat(&mut silent);
            let error = codec.read_response(&REQUEST_PROTOCOL, &mut silent).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn requests_survive_the_wire(name in "[a-z/]{1,64}", len in 0..200_000usize, byte: u8) {
            let body = vec![byte; len];
            let request = block_on(round_trip(&name, &body));
            prop_assert_eq!(request.protocol, name);
            prop_assert_eq!(&request.body[..], &body[..]);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            block_on(async {
                let mut codec = RequestCodec::new();
                let _ = codec.read_request(&REQUEST_PROTOCOL, &mut &bytes[..]).await;
                let _ = codec.read_response(&REQUEST_PROTOCOL, &mut &bytes[..]).await;
            });
        }
    }
}
