//! Frame headers of yamux: twelve bytes, big-endian.

use super::MuxError;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 12;

/// Opens a stream; of a ping, asks for an answer.
pub(super) const SYN: u16 = 1;
/// Accepts a stream; of a ping, is the answer.
pub(super) const ACK: u16 = 2;
/// The sender writes nothing more to the stream.
pub(super) const FIN: u16 = 4;
/// The stream is over in both directions.
pub(super) const RST: u16 = 8;

const VERSION: u8 = 0;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many bytes of a stream follow.
    Data,
    /// So many bytes more may be sent.
    Window,
    /// A number to be sent back.
    Ping,
    /// The connection ends, for a reason.
    GoAway,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u16,
    pub(super) stream: u32,
    /// Length, credit, number or reason, by kind.
    pub(super) value: u32,
}

impl Header {
    pub(super) fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.kind as u8;
        bytes[2..4].copy_from_slice(&self.flags.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.value.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, MuxError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, v0, v1, v2, v3] = bytes;
        if version != VERSION {
            return Err(MuxError::Version(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Window,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            other => return Err(MuxError::Kind(other)),
        };
        Ok(Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            value: u32::from_be_bytes([v0, v1, v2, v3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_specification() {
        let header = Header { kind: Kind::Window, flags: SYN | FIN, stream: 0x0102_0304, value: 0x0506_0708 };
        let bytes = [0, 1, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(bytes).unwrap(), header);
    }

    #[test]
    fn other_versions_and_kinds_are_refused() {
        let refused = |at: usize, value: u8| {
            let mut bytes = [0; HEADER_BYTES];
            bytes[at] = value;
            Header::decode(bytes).unwrap_err().to_string()
        };
        assert_eq!(refused(0, 7), "a frame has version 7, this host speaks 0");
        assert_eq!(refused(1, 4), "a frame has kind 4, there are 0 to 3");
    }
}
