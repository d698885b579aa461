//! borsh forms of foreign types: an account is its 20 bytes, a word its 32.

use crate::{
    crypto::Signature,
    types::{Address, B256},
};
use borsh::{
    BorshDeserialize, BorshSerialize,
    io::{Read, Result, Write},
};

/// Field attribute target: writes an account.
pub fn put_address<W: Write>(address: &Address, writer: &mut W) -> Result<()> {
    writer.write_all(address.as_slice())
}

/// Field attribute target: reads an account.
pub fn get_address<R: Read>(reader: &mut R) -> Result<Address> {
    <[u8; 20]>::deserialize_reader(reader).map(Address::from)
}

/// Field attribute target: writes a word.
pub fn put_word<W: Write>(word: &B256, writer: &mut W) -> Result<()> {
    writer.write_all(word.as_slice())
}

/// Field attribute target: reads a word.
pub fn get_word<R: Read>(reader: &mut R) -> Result<B256> {
    <[u8; 32]>::deserialize_reader(reader).map(B256::from)
}

/// Field attribute target: writes signatures with their signers.
pub fn put_signatures<W: Write>(signatures: &[(Address, Signature)], writer: &mut W) -> Result<()> {
    let raw: Vec<([u8; 20], Signature)> = signatures.iter().map(|(a, s)| (a.into_array(), *s)).collect();
    raw.serialize(writer)
}

/// Field attribute target: reads signatures with their signers.
pub fn get_signatures<R: Read>(reader: &mut R) -> Result<Vec<(Address, Signature)>> {
    let raw = <Vec<([u8; 20], Signature)>>::deserialize_reader(reader)?;
    Ok(raw.into_iter().map(|(a, s)| (Address::from(a), s)).collect())
}
