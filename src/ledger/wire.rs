//! borsh forms of foreign types: a word is its 32 bytes, a number its 32 big-endian bytes.

use crate::types::{B256, U256};
use borsh::{
    BorshDeserialize,
    io::{Error, ErrorKind, Read, Result, Write},
};

/// Field attribute target: writes a word.
pub fn put_word<W: Write>(word: &B256, writer: &mut W) -> Result<()> {
    writer.write_all(word.as_slice())
}

/// Field attribute target: reads a word.
pub fn get_word<R: Read>(reader: &mut R) -> Result<B256> {
    <[u8; 32]>::deserialize_reader(reader).map(B256::from)
}

/// Field attribute target: writes a number.
pub fn put_number<W: Write>(number: &U256, writer: &mut W) -> Result<()> {
    writer.write_all(&number.to_be_bytes::<32>())
}

/// Field attribute target: reads a number.
pub fn get_number<R: Read>(reader: &mut R) -> Result<U256> {
    <[u8; 32]>::deserialize_reader(reader).map(U256::from_be_bytes)
}

/// An encoding that is not the one this program writes.
pub fn malformed(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason.to_owned())
}
