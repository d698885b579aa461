//! Formats that pages may show, by a name's ending.

/// What is shown of any other: its text.
const TEXT: &str = "text/plain; charset=utf-8";
/// Endings and media types. What could act in a page, such as HTML, is not among them.
const KINDS: [(&str, &str); 34] = [
    ("aac", "audio/aac"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("csv", "text/csv"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/opus"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type of a format: `png`, `.png`, or a name that ends in it.
pub fn kind_of(format: &str) -> &'static str {
    let ending = format.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    KINDS.iter().find(|(known, _)| *known == ending).map_or(TEXT, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_decide_and_pages_are_text() {
        for (format, kind) in [
            ("png", "image/png"),
            (".PNG", "image/png"),
            ("a.tar.gz", "application/gzip"),
            ("html", TEXT),
            ("", TEXT),
            ("no ending", TEXT),
        ] {
            assert_eq!(kind_of(format), kind, "{format}");
        }
    }
}
