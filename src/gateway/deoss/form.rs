//! Forms (`multipart/form-data`) as they arrive, part by part, without holding a part.
//!
//! Invariants: memory is bounded by one chunk of the body and [`HEAD_MAX_BYTES`]; a form that breaks off is an error, never a short file.

use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use std::io;

/// Largest head of a part, and longest text before the first.
const HEAD_MAX_BYTES: usize = 8 << 10;
/// Longest boundary, by RFC 2046.
const BOUNDARY_MAX_BYTES: usize = 70;
/// Parts of a form, files or not.
const PARTS_MAX: usize = 100;

/// Bytes as they arrive.
pub type Incoming = BoxStream<'static, io::Result<Bytes>>;

/// What stands over a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name.
    pub field: String,
    /// The file's name, if the part is a file.
    pub file_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a part's head: the rest of a boundary's line comes first.
    Between,
    Inside,
    Over,
}

/// A form that is being read.
pub struct Form {
    source: Incoming,
    buffer: BytesMut,
    /// Line end, two hyphens and the boundary.
    delimiter: Vec<u8>,
    place: Place,
    parts: usize,
}

fn broken(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the form is damaged: {}", reason.into()))
}

/// The boundary of a form's content type; none if it is not a form.
pub fn boundary(content_type: &str) -> Option<String> {
    let (kind, _) = content_type.split_once(';')?;
    let is_form = kind.trim().eq_ignore_ascii_case("multipart/form-data");
    let boundary = parameter(content_type, "boundary").filter(|_| is_form)?;
    (1..=BOUNDARY_MAX_BYTES).contains(&boundary.len()).then_some(boundary)
}

impl Form {
    /// A form whose boundary is known.
    pub fn new(source: Incoming, boundary: &str) -> Self {
        // The first boundary has no line before it; with one they are all alike.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Self { source, buffer, delimiter: format!("\r\n--{boundary}").into_bytes(), place: Place::Inside, parts: 0 }
    }

    /// The next part, after what is left of this one; none at the end.
    pub async fn next(&mut self) -> io::Result<Option<PartHead>> {
        let mut skipped = 0;
        while let Some(chunk) = self.chunk().await? {
            skipped += chunk.len();
            if skipped > HEAD_MAX_BYTES {
                return Err(broken(format!("over {HEAD_MAX_BYTES} B that are no file")));
            }
        }
        if self.place == Place::Over || self.ends().await? {
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(broken(format!("it has more than {PARTS_MAX} parts")));
        }
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break self.buffer.split_to(at + 4);
            }
            if self.buffer.len() > HEAD_MAX_BYTES {
                return Err(broken(format!("the head of a part is over {HEAD_MAX_BYTES} B")));
            }
            self.fill().await?;
        };
        self.place = Place::Inside;
        part_head(&head).map(Some)
    }

    /// More of the present part; none at its end.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        while self.place == Place::Inside {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                if at > 0 {
                    return Ok(Some(self.buffer.split_to(at).freeze()));
                }
                self.buffer.advance(self.delimiter.len());
                self.place = Place::Between;
                break;
            }
            // All but what may be the beginning of a delimiter.
            let sure = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.fill().await?;
        }
        Ok(None)
    }

    /// Whether two hyphens behind the boundary end the form.
    async fn ends(&mut self) -> io::Result<bool> {
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            self.place = Place::Over;
        }
        Ok(self.place == Place::Over)
    }

    async fn fill(&mut self) -> io::Result<()> {
        let chunk = self.source.next().await.ok_or_else(|| broken("it breaks off"))??;
        self.buffer.extend_from_slice(&chunk);
        Ok(())
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Words begin with a carriage return, which few bytes are.
    while let Some(next) = text[at..].iter().position(|byte| *byte == b'\r') {
        at += next;
        if text[at..].starts_with(word) {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn part_head(head: &[u8]) -> io::Result<PartHead> {
    let text = std::str::from_utf8(head).map_err(|_| broken("the head of a part is not UTF-8"))?;
    let disposition = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let disposition = disposition.ok_or_else(|| broken("a part has no Content-Disposition"))?;
    let field = parameter(disposition, "name").ok_or_else(|| broken("a part has no name"))?;
    Ok(PartHead { field, file_name: parameter(disposition, "filename") })
}

/// A parameter of a header, in quotes or not. Browsers write quotes within as %22.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim_end().to_owned());
        }
        rest = after.split_once(';')?.1;
    }
}
