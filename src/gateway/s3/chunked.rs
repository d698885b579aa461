//! The framing of `aws-chunked` bodies, before the library takes it off.
//!
//! The library keeps a chunk whole until its end has come, and a client may send its body as one chunk of gigabytes. Here longer chunks
//! are cut where nobody signed them, and refused where somebody did. Owns nothing but the lines between chunks; whether those make sense is
//! the library's to say. Invariant: no chunk that is passed on is longer than was allowed.

use crate::access::blobs::{BlobError, BodyStream};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::collections::VecDeque;

/// Longest chunk that is taken with a signature of its own. Clients send 64 KiB to 1 MiB.
pub const SIGNED_MAX_BYTES: u64 = 1 << 20;
/// What chunks without signatures are cut to.
pub const CUT_BYTES: u64 = 64 << 10;
/// Longest line before a chunk; the library takes no longer one either.
const LINE_MAX_BYTES: usize = 1_024;
/// What the reason of a refused chunk begins with.
pub const CHUNK_TOO_LARGE: &str = "ChunkTooLarge";

/// Where in a body the next byte is.
enum Place {
    /// In the line before a chunk, whose beginning is here.
    Line(Vec<u8>),
    /// In a chunk: so many bytes are left of it.
    Chunk(u64),
    /// In a chunk that is cut.
    Long(u64),
    /// In what ends a chunk that was cut: so many bytes of it are left.
    End(usize),
    /// Behind the last chunk, or behind what is none.
    Rest,
}

struct Framing {
    body: BodyStream,
    most: u64,
    place: Place,
    offset: u64,
    ready: VecDeque<Bytes>,
    over: bool,
}

/// The same body in chunks of at most so many bytes.
pub fn bounded(body: BodyStream, most: u64) -> BodyStream {
    let place = Place::Line(Vec::new());
    let framing = Framing { body, most, place, offset: 0, ready: VecDeque::new(), over: false };
    let next = |mut framing: Framing| async move {
        loop {
            if let Some(bytes) = framing.ready.pop_front() {
                return Some((Ok(bytes), framing));
            }
            if framing.over {
                return None;
            }
            let taken = match framing.body.next().await? {
                Ok(bytes) => framing.take(bytes),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                framing.over = true;
                return Some((Err(error), framing));
            }
        }
    };
    stream::unfold(framing, next).fuse().boxed()
}

impl Framing {
    fn take(&mut self, mut bytes: Bytes) -> Result<(), BlobError> {
        while !bytes.is_empty() {
            let before = bytes.len();
            match &mut self.place {
                Place::Line(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                    line.extend_from_slice(&bytes.split_to(end));
                    // The line between two chunks begins with what ends the first.
                    if (line.ends_with(b"\n") && *line != *b"\r\n") || line.len() > LINE_MAX_BYTES {
                        let line = std::mem::take(line);
                        self.begin(line)?;
                    }
                }
                Place::Chunk(left) => {
                    let piece = first_of(&mut bytes, *left);
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        self.place = Place::Line(Vec::new());
                    }
                    self.ready.push_back(piece);
                }
                Place::Long(left) => {
                    let piece = first_of(&mut bytes, (*left).min(self.most));
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        self.place = Place::End(2);
                    }
                    self.ready.extend([format!("{:x}\r\n", piece.len()).into(), piece, Bytes::from_static(b"\r\n")]);
                }
                Place::End(left) => {
                    let expected = &b"\r\n"[2 - *left..];
                    let found = first_of(&mut bytes, *left as u64);
                    if !expected.starts_with(&found) {
                        let reason = "FormatError: a chunk is longer than was said".to_owned();
                        return Err(BlobError::Body { offset: self.offset, reason });
                    }
                    *left -= found.len();
                    if *left == 0 {
                        self.place = Place::Line(Vec::new());
                    }
                }
                Place::Rest => self.ready.push_back(bytes.split_to(before)),
            }
            self.offset += (before - bytes.len()) as u64;
        }
        Ok(())
    }

    /// Goes on behind a line.
    fn begin(&mut self, line: Vec<u8>) -> Result<(), BlobError> {
        let Some((size, signed)) = chunk_of(&line) else {
            // Not ours to refuse.
            self.place = Place::Rest;
            self.ready.push_back(line.into());
            return Ok(());
        };
        if size <= self.most {
            self.place = if size == 0 { Place::Rest } else { Place::Chunk(size) };
            self.ready.push_back(line.into());
        } else if signed {
            let reason = format!("{CHUNK_TOO_LARGE}: a signed chunk of {size} B, at most {} B are taken", self.most);
            return Err(BlobError::Body { offset: self.offset, reason });
        } else {
            if line.starts_with(b"\r\n") {
                self.ready.push_back(Bytes::from_static(b"\r\n"));
            }
            self.place = Place::Long(size);
        }
        Ok(())
    }
}

/// The first bytes, `most` of them if there are so many.
fn first_of(bytes: &mut Bytes, most: u64) -> Bytes {
    bytes.split_to(usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len()))
}

/// The size in the line before a chunk, and whether the chunk is signed.
fn chunk_of(line: &[u8]) -> Option<(u64, bool)> {
    let line = line.strip_prefix(b"\r\n").unwrap_or(line);
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.trim_end_matches('\r');
    let (size, extension) = text.split_once(';').map_or((text, None), |(size, rest)| (size, Some(rest)));
    // `from_str_radix` would take a sign.
    if !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u64::from_str_radix(size, 16).ok()?, extension.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    async fn passed(body: &[u8], step: usize) -> Result<Vec<Bytes>, BlobError> {
        let pieces: Vec<_> = body.chunks(step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        bounded(stream::iter(pieces).boxed(), CUT_BYTES).try_collect().await
    }

    #[tokio::test]
    async fn short_chunks_and_what_is_none_pass_as_they_are() {
        let signed = format!("5;chunk-signature={}\r\nhello\r\n", "a".repeat(64));
        for body in [
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n",
            "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n",
            "+5\r\nhello",
            "no framing at all",
            "\r\n\r\n\r\n",
            "",
            &format!("{signed}0;chunk-signature={}\r\n\r\n", "b".repeat(64)),
            &"x".repeat(3 * LINE_MAX_BYTES),
        ] {
            for step in [1, 3, 4_096] {
                let pieces = passed(body.as_bytes(), step).await.unwrap();
                let all = pieces.concat();
                // A body that breaks off in a line is not told from one that ended before it: the library refuses either.
                assert!(body.as_bytes().starts_with(&all), "{body}");
                assert!(body.len() - all.len() <= "no framing at all".len(), "{body}");
            }
        }
    }

    #[tokio::test]
    async fn long_chunks_are_cut() {
        let most = usize::try_from(CUT_BYTES).unwrap();
        let data: Vec<u8> = (0..2 * most + 5).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let body = [format!("{:X}\r\n", data.len()).as_bytes(), &data, b"\r\n3\r\nabc\r\n0\r\nt:v\r\n\r\n"].concat();
        for step in [7_001, 300_000, body.len()] {
            let pieces = passed(&body, step).await.unwrap();
            let (mut rest, mut out) = (&pieces.concat()[..], Vec::new());
            loop {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..end - 1]).unwrap(), 16).unwrap();
                rest = &rest[end + 1..];
                assert!(size <= most);
                if size == 0 {
                    break;
                }
                out.extend_from_slice(&rest[..size]);
                assert_eq!(&rest[size..size + 2], b"\r\n");
                rest = &rest[size + 2..];
            }
            assert!(out == [&data[..], b"abc"].concat(), "in steps of {step} B");
            assert_eq!(rest, b"t:v\r\n\r\n");
        }
        let longer = [format!("{:x}\r\n", data.len() - 1).as_bytes(), &data, b"\r\n"].concat();
        assert!(matches!(passed(&longer, 300_000).await, Err(BlobError::Body { .. })));
    }

    #[tokio::test]
    async fn a_long_chunk_that_is_signed_is_refused() {
        let body = format!("{:x};chunk-signature={}\r\n", CUT_BYTES + 1, "a".repeat(64));
        let refused = passed(body.as_bytes(), 50).await.unwrap_err().to_string();
        assert!(refused.contains(CHUNK_TOO_LARGE) && refused.contains("65537 B"), "{refused}");
    }
}
