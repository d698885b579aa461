//! A pack that bodies are put into, and the door to the one that is open.
//!
//! Owns who may still add to a pack and when it is closed. Must not know the chain. Invariants: a closed pack takes nothing; a pack is
//! sealed only when nobody is adding to it; segments of a body that did not come to its end are left out.

use crate::{
    access::blobs::{BlobError, PackHead, PackId, Scope},
    ledger::manifest::fragment_len,
    storage::upload::Pack,
    types::{Address, FileId, params::FRAGMENTS},
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OnceCell, watch},
    time::timeout,
};

/// How much a pack takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub segments: usize,
    /// Bytes of the bodies.
    pub bytes: u64,
    /// How long it stays open; none for as long as its one body comes, before whose end it cannot be sealed.
    pub age: Option<Duration>,
}

/// A pack that is open, or being sealed.
pub(super) struct OpenPack {
    pub id: PackId,
    pub scope: Scope,
    pub pack: Pack,
    opened_ms: u64,
    gateway: Address,
    capacity: Capacity,
    /// Bytes each holder may take.
    room: u64,
    use_: watch::Sender<Use>,
    /// The file, once it is final.
    pub outcome: watch::Sender<Option<Result<FileId, BlobError>>>,
}

/// How far a pack is used.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    closed: bool,
    leases: usize,
    segments: usize,
    bytes: u64,
    column: u64,
}

impl OpenPack {
    pub fn new(pack: Pack, scope: Scope, gateway: Address, opened_ms: u64, capacity: Capacity) -> Self {
        let (id, room) = (PackId(pack.id()), pack.room());
        let (use_, outcome) = (watch::Sender::default(), watch::Sender::new(None));
        Self { id, scope, pack, opened_ms, gateway, capacity, room, use_, outcome }
    }

    /// The right to add a segment of `len` bytes; nothing if the pack is closed, which being full makes it.
    pub fn lease(self: &Arc<Self>, len: u64) -> Option<Lease> {
        let mut granted = false;
        self.use_.send_modify(|used| {
            let column = used.column + fragment_len(len);
            let fits = used.segments < self.capacity.segments
                && used.bytes.saturating_add(len) <= self.capacity.bytes
                && column <= self.room;
            // The first always fits: the pack was opened for it.
            granted = !used.closed && (fits || used.segments == 0);
            if granted {
                *used = Use {
                    leases: used.leases + 1,
                    segments: used.segments + 1,
                    bytes: used.bytes + len,
                    column,
                    ..*used
                };
            } else {
                used.closed = true;
            }
        });
        granted.then(|| Lease { pack: self.clone(), index: None, kept: false })
    }

    /// Takes nothing from now on.
    pub fn close(&self) {
        self.use_.send_modify(|used| used.closed = true);
    }

    pub fn is_closed(&self) -> bool {
        self.use_.borrow().closed
    }

    /// Closes the pack when its time is over, unless something closes it before.
    pub async fn closed(&self) {
        let mut use_ = self.use_.subscribe();
        let closed = async {
            // The sender is the pack's own, so that waiting cannot fail.
            let _ = use_.wait_for(|used| used.closed).await;
        };
        match self.capacity.age {
            Some(age) => {
                // Who comes too late finds it closed.
                let _ = timeout(age, closed).await;
            }
            None => closed.await,
        }
        self.close();
    }

    /// Resolves when nobody is adding to the pack.
    pub async fn unused(&self) {
        let _ = self.use_.subscribe().wait_for(|used| used.leases == 0).await;
    }

    /// The head as records have it.
    pub fn head(&self) -> PackHead {
        let placement = self.pack.placement();
        let mut holders = [[0; 20]; FRAGMENTS];
        holders.iter_mut().zip(&placement.holders).for_each(|(to, from)| *to = *from);
        let file = self.outcome.borrow().as_ref().and_then(|outcome| outcome.as_ref().ok()).copied();
        PackHead {
            beacon_height: placement.beacon_height,
            holders,
            former: placement.former,
            opened_ms: self.opened_ms,
            gateway: self.gateway.into(),
            file,
        }
    }
}

/// The right to add one segment. Unless it is kept, the segment is left out in the end.
pub(super) struct Lease {
    pub pack: Arc<OpenPack>,
    pub index: Option<u32>,
    kept: bool,
}

impl Lease {
    /// The body came to its end.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(index) = self.index.filter(|_| !self.kept) {
            self.pack.pack.discard(index);
        }
        self.pack.use_.send_modify(|used| used.leases -= 1);
    }
}

type Cell = Arc<OnceCell<Arc<OpenPack>>>;

/// The way to the pack that is open: of a scope, or of one large body. Closes it when dropped.
#[derive(Default)]
pub(super) struct Door {
    cell: Mutex<Cell>,
}

impl Door {
    /// The open pack, or the one being opened.
    pub fn cell(&self) -> Cell {
        self.cell.lock().clone()
    }

    /// Has the next one who comes open another pack, unless somebody did already.
    pub fn turn(&self, spent: &Arc<OpenPack>) {
        let mut cell = self.cell.lock();
        if cell.get().is_some_and(|current| Arc::ptr_eq(current, spent)) {
            *cell = Cell::default();
        }
    }

    /// Whether no pack is open.
    pub fn is_empty(&self) -> bool {
        self.cell.lock().get().is_none()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(pack) = self.cell.lock().get() {
            pack.close();
        }
    }
}
