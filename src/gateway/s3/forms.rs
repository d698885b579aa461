//! The name of a browser form's file, which keys may take in as `${filename}`.
//!
//! The library reads forms and leaves that out, so the name is looked for in the form's bytes as they pass.

use crate::access::blobs::BodyStream;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::sync::Arc;

/// What stands for the name in a key.
pub const VARIABLE: &str = "${filename}";
/// Bytes of a form that are searched: all its fields and the head of its file fit.
const SEARCHED_MAX_BYTES: usize = 320 << 10;
/// What stands before the name.
const FIELD: &[u8] = b"name=\"file\"; filename=\"";
/// Longest name that is taken.
const NAME_MAX_BYTES: usize = 1_024;

/// The name, once it has passed.
#[derive(Debug, Clone, Default)]
pub struct FileName(Arc<Mutex<Option<String>>>);

impl FileName {
    /// The name without the folders a browser may tell.
    pub fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }

    /// `text` with the name in its place.
    pub fn put_into(&self, text: &str) -> String {
        text.replace(VARIABLE, &self.get().unwrap_or_default())
    }
}

/// The same form; the name of its file is noted.
pub fn noted(form: BodyStream, name: FileName) -> BodyStream {
    let mut seen: Option<Vec<u8>> = Some(Vec::new());
    let look = move |part: &Result<Bytes, _>| {
        let (Some(bytes), Ok(part)) = (&mut seen, part) else { return };
        // What was searched already is searched again only as far back as the name may begin.
        let from = bytes.len().saturating_sub(FIELD.len() + NAME_MAX_BYTES);
        bytes.extend_from_slice(&part[..part.len().min(SEARCHED_MAX_BYTES - bytes.len())]);
        let found = find(&bytes[from..]);
        if found.is_some() || bytes.len() >= SEARCHED_MAX_BYTES {
            *name.0.lock() = found;
            seen = None;
        }
    };
    form.inspect(look).boxed()
}

/// The name in `Content-Disposition: form-data; name="file"; filename="…"`.
fn find(form: &[u8]) -> Option<String> {
    let at = form.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let rest = &form[at..];
    let end = rest.iter().take(NAME_MAX_BYTES).position(|byte| *byte == b'"')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    Some(name.rsplit(['/', '\\']).next().unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_name_is_found_wherever_the_form_is_cut() {
        let form = b"--X\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nup/${filename}\r\n--X\r\nContent-Disposition: form-data; \
            name=\"file\"; filename=\"C:\\dir\\a.txt\"\r\n\r\nbytes\r\n--X--";
        for size in [1, 7, 50, 1_000] {
            let name = FileName::default();
            let parts = form.chunks(size).map(|part| Ok(Bytes::copy_from_slice(part))).collect::<Vec<_>>();
            let passed: Vec<_> = noted(futures::stream::iter(parts).boxed(), name.clone()).collect().await;
            assert_eq!(passed.into_iter().flatten().collect::<Vec<_>>().concat(), form);
            assert_eq!(name.get().as_deref(), Some("a.txt"), "{size}");
            assert_eq!(name.put_into("up/${filename}"), "up/a.txt");
        }
    }
}
