//! A file's columns: who holds each, where the file is among the holder's holdings, and what the repair module notes of it.
//!
//! Must not know why a column moves. Invariants: a miner holds at most one column of a file; with a column its bytes are taken of the
//! holder's space and the file is among its holdings, and both end together.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        miners,
    },
    file, head,
};
use crate::{
    ledger::audit::Rounds,
    types::{Address, FileId, params::FRAGMENTS},
};

/// Columns of a file, as they are numbered.
pub(super) const FRAGMENTS_U8: u8 = 12;
const _: () = assert!(FRAGMENTS_U8 as usize == FRAGMENTS);

/// What the repair module keeps of a column, so that a file that goes leaves nothing behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) enum Mark {
    /// Its holder gave it up.
    Surrendered,
    /// Somebody claimed its repair.
    Claimed,
}

impl Mark {
    fn bit(self) -> u32 {
        match self {
            Self::Surrendered => 1,
            Self::Claimed => 2,
        }
    }
}

/// Bits of a column's last word that are [`Mark`]s; the others are the round in which its holder got it.
const MARK_BITS: u32 = 8;
const MARK_MASK: u32 = (1 << MARK_BITS) - 1;
/// The last round that can be told from later ones: in 300 years on the main network.
const SINCE_MAX: u32 = u32::MAX >> MARK_BITS;

/// A column as found in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) struct Column {
    /// Who holds it.
    pub(in crate::ledger::modules) holder: Address,
    /// The file's index among the holder's holdings.
    place: u64,
    /// [`Mark`]s.
    pub(super) marks: u32,
    /// The round of audits in which its holder got it.
    since: u32,
}

impl Column {
    /// Column `index`, below [`FRAGMENTS`], of a file that exists.
    pub(super) fn read(host: &mut dyn ModuleHost, id: FileId, index: u8) -> Result<Self, ModuleError> {
        let (holder, place, word) = file(id).holders.item(index.into()).get(host)?;
        Ok(Self { holder, place, marks: word & MARK_MASK, since: word >> MARK_BITS })
    }

    fn write(&self, host: &mut dyn ModuleHost, id: FileId, index: u8) -> Result<(), ModuleError> {
        file(id).holders.item(index.into()).set(host, &(self.holder, self.place, self.marks | self.since << MARK_BITS))
    }

    /// Gives a column without holder to `holder`. `Ok(Err(free))` if it has only `free` left.
    pub(super) fn place(
        host: &mut dyn ModuleHost,
        id: FileId,
        index: u8,
        holder: Address,
        bytes: u64,
    ) -> Result<Result<(), u64>, ModuleError> {
        if let Err(free) = miners::take_space(host, holder, bytes)? {
            return Ok(Err(free));
        }
        let place = miners::hold(host, holder, id)?;
        let round = Rounds::of(host.params()).at(host.height());
        let since = u32::try_from(round).unwrap_or(SINCE_MAX).min(SINCE_MAX);
        Self { holder, place, marks: 0, since }.write(host, id, index)?;
        Ok(Ok(()))
    }

    /// Takes the column from its holder.
    pub(super) fn clear(
        &self,
        host: &mut dyn ModuleHost,
        id: FileId,
        index: u8,
        bytes: u64,
    ) -> Result<(), ModuleError> {
        miners::free_space(host, self.holder, bytes)?;
        if let Some(moved) = miners::drop_holding(host, self.holder, self.place)? {
            let other = column_of(host, moved, self.holder)?.ok_or_else(|| {
                ModuleError::Fatal(format!("miner {} lists file {moved}, of which it holds nothing", self.holder))
            })?;
            let column = Self::read(host, moved, other)?;
            Self { place: self.place, ..column }.write(host, moved, other)?;
        }
        file(id).holders.item(index.into()).clear(host)
    }

    /// Whether `miner` has had it since before `round` opened.
    pub(in crate::ledger::modules) fn is_held_in(&self, miner: Address, round: u64) -> bool {
        self.holder == miner && u64::from(self.since) < round
    }

    /// Whether the column has a mark.
    pub(in crate::ledger::modules) fn has(&self, mark: Mark) -> bool {
        self.marks & mark.bit() != 0
    }
}

/// A column of a file; nothing if there is no such file or column.
pub(in crate::ledger::modules) fn column(
    host: &mut dyn ModuleHost,
    id: FileId,
    index: u8,
) -> Result<Option<Column>, ModuleError> {
    if index >= FRAGMENTS_U8 || head(host, id)?.is_none() {
        return Ok(None);
    }
    Column::read(host, id, index).map(Some)
}

/// Who holds the columns of a file that exists.
pub(in crate::ledger::modules) fn holders(host: &mut dyn ModuleHost, id: FileId) -> Result<Vec<Address>, ModuleError> {
    (0..FRAGMENTS_U8).map(|index| Ok(Column::read(host, id, index)?.holder)).collect()
}

/// The column of a file that `holder` holds.
pub(in crate::ledger::modules) fn column_of(
    host: &mut dyn ModuleHost,
    id: FileId,
    holder: Address,
) -> Result<Option<u8>, ModuleError> {
    for index in 0..FRAGMENTS_U8 {
        if Column::read(host, id, index)?.holder == holder {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Bytes of each column of a file; nothing if there is no such file.
pub(in crate::ledger::modules) fn column_bytes(
    host: &mut dyn ModuleHost,
    id: FileId,
) -> Result<Option<u64>, ModuleError> {
    Ok(head(host, id)?.map(|head| head.column_bytes))
}

/// Marks a column.
pub(in crate::ledger::modules) fn mark(
    host: &mut dyn ModuleHost,
    id: FileId,
    index: u8,
    mark: Mark,
) -> Result<(), ModuleError> {
    let column = Column::read(host, id, index)?;
    let marks = column.marks | mark.bit();
    if marks == column.marks { Ok(()) } else { Column { marks, ..column }.write(host, id, index) }
}

/// Moves a column to a holder that has none of the file. Its marks go. `Ok(Err(free))` if the new holder has only `free` left.
pub(in crate::ledger::modules) fn replace_holder(
    host: &mut dyn ModuleHost,
    id: FileId,
    index: u8,
    holder: Address,
) -> Result<Result<(), u64>, ModuleError> {
    let bytes = column_bytes(host, id)?
        .ok_or_else(|| ModuleError::Fatal(format!("a column of file {id} moves, and there is no such file")))?;
    Column::read(host, id, index)?.clear(host, id, index, bytes)?;
    Column::place(host, id, index, holder, bytes)
}
