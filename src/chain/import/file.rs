//! A file of blocks, each an RLP list, one after the other.

use super::error::ImportError;
use crate::ledger::ethereum::EthereumBlock;
use alloy_rlp::Decodable;
use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

/// Largest block that is read.
const BLOCK_MAX_BYTES: usize = 64 << 20;
/// First byte of a list whose length takes bytes of its own, less one.
const LONG_LIST: u8 = 0xf7;
/// First byte of a list.
const SHORT_LIST: u8 = 0xc0;

/// Blocks as they are read.
pub(super) struct BlockFile {
    path: PathBuf,
    reader: BufReader<File>,
    offset: u64,
}

impl BlockFile {
    /// Opens `path`.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let file = File::open(path).map_err(|e| ImportError::File { path: path.to_owned(), reason: e.to_string() })?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), offset: 0 })
    }

    /// The next block with its encoding, `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<(EthereumBlock, Vec<u8>)>, ImportError> {
        let mut first = [0];
        if self.read_some(&mut first)? == 0 {
            return Ok(None);
        }
        let mut raw = first.to_vec();
        let payload = match first[0] {
            ..SHORT_LIST => return Err(self.no_block("it is not a list")),
            SHORT_LIST..=LONG_LIST => usize::from(first[0] - SHORT_LIST),
            long => {
                let mut len = vec![0; usize::from(long - LONG_LIST)];
                self.read_all(&mut len)?;
                raw.extend(&len);
                len.iter()
                    .try_fold(0usize, |n, byte| n.checked_mul(256)?.checked_add(usize::from(*byte)))
                    .unwrap_or(usize::MAX)
            }
        };
        if payload > BLOCK_MAX_BYTES {
            return Err(self.no_block(&format!("it has {payload} B, the limit is {BLOCK_MAX_BYTES} B")));
        }
        let start = raw.len();
        raw.resize(start + payload, 0);
        let mut body = std::mem::take(&mut raw);
        self.read_all(&mut body[start..])?;
        let block = EthereumBlock::decode(&mut body.as_slice()).map_err(|e| self.no_block(&e.to_string()))?;
        self.offset += u64::try_from(body.len()).unwrap_or(u64::MAX);
        Ok(Some((block, body)))
    }

    fn no_block(&self, reason: &str) -> ImportError {
        ImportError::NoBlock { path: self.path.clone(), offset: self.offset, reason: reason.to_owned() }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, ImportError> {
        let failed = |e: std::io::Error| ImportError::File { path: self.path.clone(), reason: e.to_string() };
        self.reader.read(buffer).map_err(failed)
    }

    fn read_all(&mut self, buffer: &mut [u8]) -> Result<(), ImportError> {
        match self.reader.read_exact(buffer) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.no_block("the file ends within it")),
            Err(e) => Err(ImportError::File { path: self.path.clone(), reason: e.to_string() }),
        }
    }
}
