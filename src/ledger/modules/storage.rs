//! Typed storage, laid out as Solidity lays it out, so that `eth_getStorageAt` and storage proofs mean what a contract's would.
//!
//! Owns layout only; gas and revert belong to the host. Must not know any module's rules. Invariants: every handle is a module
//! and a slot; values of a packed tuple fill a slot from its low-order end in declaration order; structs and arrays start a
//! fresh slot; mappings and dynamic data live at the Keccak slots of the Solidity documentation ("Layout of State Variables in
//! Storage").

use super::host::{ModuleError, ModuleHost};
use crate::types::{Address, B256, U256};
use alloy_primitives::keccak256;
use std::marker::PhantomData;

/// Longest byte string kept inside its own slot.
const SHORT_MAX_BYTES: usize = 31;
/// Bytes of a slot.
const SLOT_BYTES: usize = 32;

/// A value that fits into one slot.
pub(super) trait Word {
    /// Bytes it occupies in a packed slot.
    const BYTES: usize;
    /// The value in the low-order bytes of a word.
    fn to_word(&self) -> U256;
    /// Reads the low-order bytes and ignores the others.
    fn from_word(word: U256) -> Self;
}

impl Word for u64 {
    const BYTES: usize = 8;
    fn to_word(&self) -> U256 {
        U256::from(*self)
    }
    fn from_word(word: U256) -> Self {
        word.as_limbs()[0]
    }
}

impl Word for u32 {
    const BYTES: usize = 4;
    fn to_word(&self) -> U256 {
        U256::from(*self)
    }
    fn from_word(word: U256) -> Self {
        u32::try_from(word.as_limbs()[0] & u64::from(u32::MAX)).expect("masked to 32 bits")
    }
}

impl Word for U256 {
    const BYTES: usize = 32;
    fn to_word(&self) -> U256 {
        *self
    }
    fn from_word(word: U256) -> Self {
        word
    }
}

impl Word for B256 {
    const BYTES: usize = 32;
    fn to_word(&self) -> U256 {
        (*self).into()
    }
    fn from_word(word: U256) -> Self {
        word.into()
    }
}

impl Word for Address {
    const BYTES: usize = 20;
    fn to_word(&self) -> U256 {
        self.into_word().into()
    }
    fn from_word(word: U256) -> Self {
        Address::from_word(word.into())
    }
}

macro_rules! packed_tuple {
    ($($name:ident . $index:tt),+) => {
        impl<$($name: Word),+> Word for ($($name,)+) {
            const BYTES: usize = 0 $(+ $name::BYTES)+;
            fn to_word(&self) -> U256 {
                let (mut word, mut offset) = (U256::ZERO, 0);
                $(
                    word |= self.$index.to_word() << (8 * offset);
                    offset += $name::BYTES;
                )+
                debug_assert!(offset <= SLOT_BYTES);
                word
            }
            fn from_word(word: U256) -> Self {
                let mut offset = 0;
                ($({
                    let part = $name::from_word(word >> (8 * offset));
                    offset += $name::BYTES;
                    debug_assert!(offset <= SLOT_BYTES);
                    part
                },)+)
            }
        }
    };
}
packed_tuple!(A.0, B.1);
packed_tuple!(A.0, B.1, C.2);
packed_tuple!(A.0, B.1, C.2, D.3);
packed_tuple!(A.0, B.1, C.2, D.3, E.4);

/// A handle to a stored thing: where it starts and how many slots it takes there.
pub(super) trait Place: Copy {
    /// Slots it occupies in place.
    const SLOTS: u64;
    /// The handle of the thing starting at `slot`.
    fn at(module: Address, slot: U256) -> Self;
}

/// Hands out consecutive places, as a struct's fields or a contract's variables have them.
pub(super) struct Cursor {
    module: Address,
    next: U256,
}

impl Cursor {
    /// Starts at `slot`.
    pub(super) fn new(module: Address, slot: U256) -> Self {
        Self { module, next: slot }
    }

    /// The next place.
    pub(super) fn take<P: Place>(&mut self) -> P {
        let place = P::at(self.module, self.next);
        self.next = self.next.wrapping_add(U256::from(P::SLOTS));
        place
    }
}

/// Declares a struct of places in storage order.
macro_rules! layout {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        $vis struct $name { $($(#[$field_meta])* pub(super) $field: $kind,)+ }

        impl $crate::ledger::modules::storage::Place for $name {
            const SLOTS: u64 = 0 $(+ <$kind as $crate::ledger::modules::storage::Place>::SLOTS)+;
            fn at(module: $crate::types::Address, slot: $crate::types::U256) -> Self {
                let mut cursor = $crate::ledger::modules::storage::Cursor::new(module, slot);
                Self { $($field: cursor.take(),)+ }
            }
        }
    };
}
pub(super) use layout;

/// Declares a handle type: a module, a slot and what lies there.
macro_rules! handle {
    ($(#[$meta:meta])* $name:ident<$($param:ident $(: $bound:ident)?),*>) => {
        $(#[$meta])*
        pub(super) struct $name<$($param),*> {
            module: Address,
            slot: U256,
            kind: PhantomData<fn() -> ($($param,)*)>,
        }
        impl<$($param),*> Clone for $name<$($param),*> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<$($param),*> Copy for $name<$($param),*> {}
        impl<$($param $(: $bound)?),*> Place for $name<$($param),*> {
            const SLOTS: u64 = 1;
            fn at(module: Address, slot: U256) -> Self {
                Self { module, slot, kind: PhantomData }
            }
        }
    };
}

handle!(
    /// One value, or a packed tuple of small ones, in one slot.
    Slot<T: Word>
);
handle!(
    /// `mapping(K => …)`: the value of `k` starts at keccak256(k ‖ slot).
    Mapping<K, V>
);
handle!(
    /// A dynamic array: its length in the slot, its elements from keccak256(slot) on. Elements take whole slots.
    Vector<V: Place>
);
handle!(
    /// `bytes` or `string`: up to 31 bytes in the slot itself, longer ones from keccak256(slot) on.
    Text<>
);

impl<T: Word> Slot<T> {
    const FITS: () = assert!(T::BYTES <= SLOT_BYTES, "the value needs more than one slot");

    /// Reads the value; zero if never written.
    pub(super) fn get(&self, host: &mut dyn ModuleHost) -> Result<T, ModuleError> {
        let () = Self::FITS;
        Ok(T::from_word(host.sload(self.module, self.slot)?))
    }

    /// Writes the value.
    pub(super) fn set(&self, host: &mut dyn ModuleHost, value: &T) -> Result<(), ModuleError> {
        let () = Self::FITS;
        host.sstore(self.module, self.slot, value.to_word())
    }

    /// Writes zero.
    pub(super) fn clear(&self, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
        host.sstore(self.module, self.slot, U256::ZERO)
    }
}

impl<K: Word, V: Place> Mapping<K, V> {
    /// The place of `key`'s value.
    pub(super) fn at_key(&self, key: &K) -> V {
        let mut input = [0u8; 2 * SLOT_BYTES];
        input[..SLOT_BYTES].copy_from_slice(&key.to_word().to_be_bytes::<SLOT_BYTES>());
        input[SLOT_BYTES..].copy_from_slice(&self.slot.to_be_bytes::<SLOT_BYTES>());
        V::at(self.module, keccak256(input).into())
    }
}

impl<V: Place> Vector<V> {
    /// Number of elements.
    pub(super) fn len(&self, host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
        let length = host.sload(self.module, self.slot)?;
        u64::try_from(length).map_err(|_| ModuleError::Fatal(format!("array of {} has length {length}", self.module)))
    }

    /// The place of element `index`, whether or not it exists.
    pub(super) fn item(&self, index: u64) -> V {
        let base: U256 = keccak256(self.slot.to_be_bytes::<SLOT_BYTES>()).into();
        V::at(self.module, base.wrapping_add(U256::from(index) * U256::from(V::SLOTS)))
    }

    /// Sets the number of elements. Elements given up are the caller's to clear.
    pub(super) fn set_len(&self, host: &mut dyn ModuleHost, len: u64) -> Result<(), ModuleError> {
        host.sstore(self.module, self.slot, U256::from(len))
    }

    /// Lengthens the array by one and gives the new element's index.
    pub(super) fn grow(&self, host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
        let len = self.len(host)?;
        self.set_len(host, len + 1)?;
        Ok(len)
    }
}

impl<T: Word> Vector<Slot<T>> {
    /// Appends a value and gives its index.
    pub(super) fn push(&self, host: &mut dyn ModuleHost, value: &T) -> Result<u64, ModuleError> {
        let () = Self::WHOLE_SLOTS;
        let index = self.grow(host)?;
        self.item(index).set(host, value)?;
        Ok(index)
    }

    /// Fills the gap at `index` with the last value and shortens the array. Gives the value that moved there, if one did.
    pub(super) fn swap_remove(&self, host: &mut dyn ModuleHost, index: u64) -> Result<Option<T>, ModuleError> {
        let () = Self::WHOLE_SLOTS;
        let len = self.len(host)?;
        let last = len.checked_sub(1).filter(|last| index <= *last).ok_or_else(|| {
            ModuleError::Fatal(format!("array of {} has {len} elements, {index} is to be removed", self.module))
        })?;
        let moved = if index == last { None } else { Some(self.item(last).get(host)?) };
        if let Some(value) = &moved {
            self.item(index).set(host, value)?;
        }
        self.item(last).clear(host)?;
        self.set_len(host, last)?;
        Ok(moved)
    }

    /// Values from `skip` on, at most `limit`.
    pub(super) fn page(&self, host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<T>, ModuleError> {
        let () = Self::WHOLE_SLOTS;
        let end = self.len(host)?.min(skip.saturating_add(limit));
        (skip..end).map(|index| self.item(index).get(host)).collect()
    }

    /// Solidity packs several elements of up to 16 bytes into a slot; no module needs that.
    const WHOLE_SLOTS: () = assert!(T::BYTES > SLOT_BYTES / 2, "Solidity would pack several elements into a slot");
}

/// A fixed array of `N` elements, one after the other in place. Elements take whole slots.
pub(super) struct Array<V, const N: usize> {
    module: Address,
    slot: U256,
    kind: PhantomData<fn() -> V>,
}

impl<V, const N: usize> Clone for Array<V, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, const N: usize> Copy for Array<V, N> {}

impl<V: Place, const N: usize> Place for Array<V, N> {
    const SLOTS: u64 = N as u64 * V::SLOTS;
    fn at(module: Address, slot: U256) -> Self {
        Self { module, slot, kind: PhantomData }
    }
}

impl<V: Place, const N: usize> Array<V, N> {
    /// The place of element `index`. Panics beyond the end: an index is always bounded by its caller.
    pub(super) fn item(&self, index: u64) -> V {
        assert!(index < N as u64, "element {index} of an array of {N}");
        V::at(self.module, self.slot.wrapping_add(U256::from(index) * U256::from(V::SLOTS)))
    }
}

impl Text {
    /// Reads a string, replacing what is not UTF-8.
    pub(super) fn get(&self, host: &mut dyn ModuleHost) -> Result<String, ModuleError> {
        Ok(String::from_utf8_lossy(&self.get_bytes(host)?).into_owned())
    }

    /// Reads the bytes.
    pub(super) fn get_bytes(&self, host: &mut dyn ModuleHost) -> Result<Vec<u8>, ModuleError> {
        let head = host.sload(self.module, self.slot)?;
        let len = self.len_of(head)?;
        if len <= SHORT_MAX_BYTES {
            return Ok(head.to_be_bytes::<SLOT_BYTES>()[..len].to_vec());
        }
        let mut bytes = Vec::new();
        for chunk in 0..len.div_ceil(SLOT_BYTES) {
            let word = host.sload(self.module, self.chunk_slot(chunk))?;
            bytes.extend_from_slice(&word.to_be_bytes::<SLOT_BYTES>());
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Writes the bytes and clears what a longer former value leaves behind.
    pub(super) fn set(&self, host: &mut dyn ModuleHost, bytes: &[u8]) -> Result<(), ModuleError> {
        let head = host.sload(self.module, self.slot)?;
        let old_chunks = chunks(self.len_of(head)?);
        for (chunk, part) in bytes.chunks(SLOT_BYTES).enumerate().take(chunks(bytes.len())) {
            host.sstore(self.module, self.chunk_slot(chunk), left_aligned(part))?;
        }
        for chunk in chunks(bytes.len())..old_chunks {
            host.sstore(self.module, self.chunk_slot(chunk), U256::ZERO)?;
        }
        let head = if bytes.len() <= SHORT_MAX_BYTES {
            left_aligned(bytes) | U256::from(bytes.len() * 2)
        } else {
            U256::from(bytes.len()) * U256::from(2) + U256::ONE
        };
        host.sstore(self.module, self.slot, head)
    }

    fn len_of(&self, head: U256) -> Result<usize, ModuleError> {
        let broken = || ModuleError::Fatal(format!("byte string of {} has the head {head}", self.module));
        if !head.bit(0) {
            let len = usize::from(head.byte(0)) / 2;
            return if len <= SHORT_MAX_BYTES { Ok(len) } else { Err(broken()) };
        }
        usize::try_from(head >> 1).map_err(|_| broken())
    }

    fn chunk_slot(&self, chunk: usize) -> U256 {
        let base: U256 = keccak256(self.slot.to_be_bytes::<SLOT_BYTES>()).into();
        base.wrapping_add(U256::from(chunk))
    }
}

/// Slots a byte string of `len` takes outside its own.
fn chunks(len: usize) -> usize {
    if len <= SHORT_MAX_BYTES { 0 } else { len.div_ceil(SLOT_BYTES) }
}

fn left_aligned(part: &[u8]) -> U256 {
    let mut word = [0u8; SLOT_BYTES];
    word[..part.len()].copy_from_slice(part);
    U256::from_be_bytes(word)
}

#[cfg(test)]
mod tests;
