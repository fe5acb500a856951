//! The nodes that callers send to: some may be down.

use parking_lot::RwLock;

use crate::store::Store;

/// The stores of a cluster's nodes, by place from 0.
#[derive(Debug)]
pub(super) struct Members {
    stores: Vec<RwLock<Option<Store>>>,
}

impl Members {
    /// All of them up.
    pub(super) fn new(stores: impl IntoIterator<Item = Store>) -> Self {
        Self { stores: stores.into_iter().map(|store| RwLock::new(Some(store))).collect() }
    }

    /// How many there are, up or down.
    pub(super) fn count(&self) -> usize {
        self.stores.len()
    }

    /// The first node that is up, beginning with `home` and going round.
    pub(super) fn near(&self, home: usize) -> Option<(usize, Store)> {
        (0..self.count())
            .map(|step| (home + step) % self.count())
            .find_map(|place| Some((place, self.at(place)?)))
    }

    /// The node at a place, if it is up.
    pub(super) fn at(&self, place: usize) -> Option<Store> {
        self.stores[place].read().clone()
    }

    /// Takes a node out, so that callers go elsewhere.
    pub(super) fn take(&self, place: usize) -> Option<Store> {
        self.stores[place].write().take()
    }

    /// Puts a node back.
    pub(super) fn put(&self, place: usize, store: Store) {
        *self.stores[place].write() = Some(store);
    }

    /// Closes all that are up.
    pub(super) async fn close(&self) {
        for place in 0..self.count() {
            if let Some(store) = self.take(place) {
                store.close().await;
            }
        }
    }
}
