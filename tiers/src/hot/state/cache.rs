//! Decoded blocks in memory, for reads that come again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::entry::Block;
use super::run::RunId;

/// Which page of which run.
pub(super) type PageName = (RunId, u32);

/// First in, first out, with a second chance for what was used in between (the clock of Corbato, 1968). Always the same for the same calls.
pub(super) struct BlockCache {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    blocks: HashMap<PageName, Cached>,
    queue: VecDeque<PageName>,
    bytes: usize,
}

struct Cached {
    block: Arc<Block>,
    used: AtomicBool,
}

impl BlockCache {
    pub(super) fn new(bytes_max: usize) -> BlockCache {
        BlockCache { bytes_max, held: Mutex::default() }
    }

    pub(super) fn get(&self, name: PageName) -> Option<Arc<Block>> {
        let held = self.held.lock();
        let cached = held.blocks.get(&name)?;
        cached.used.store(true, Ordering::Relaxed);
        Some(Arc::clone(&cached.block))
    }

    pub(super) fn insert(&self, name: PageName, block: &Arc<Block>) {
        let weight = block.weight();
        if weight > self.bytes_max {
            return;
        }
        let mut held = self.held.lock();
        let cached = Cached { block: Arc::clone(block), used: AtomicBool::new(false) };
        if held.blocks.insert(name, cached).is_some() {
            return;
        }
        held.queue.push_back(name);
        held.bytes += weight;
        while held.bytes > self.bytes_max
            && let Some(oldest) = held.queue.pop_front()
        {
            let spared =
                held.blocks.get(&oldest).is_some_and(|cached| cached.used.swap(false, Ordering::Relaxed));
            if spared {
                held.queue.push_back(oldest);
            } else if let Some(gone) = held.blocks.remove(&oldest) {
                held.bytes -= gone.block.weight();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Arc<Block> {
        Arc::new(Block::decode(vec![]).unwrap())
    }

    #[test]
    fn what_was_used_stays_and_the_bytes_are_bounded() {
        let weight = block().weight();
        let cache = BlockCache::new(3 * weight);
        for page in 0..3 {
            cache.insert((RunId(1), page), &block());
        }
        assert!(cache.get((RunId(1), 0)).is_some());
        cache.insert((RunId(1), 3), &block());
        let there: Vec<u32> = (0..4).filter(|page| cache.get((RunId(1), *page)).is_some()).collect();
        assert_eq!(there, [0, 2, 3]);
        assert_eq!(cache.held.lock().bytes, 3 * weight);
    }

    #[test]
    fn a_cache_of_no_bytes_holds_nothing() {
        let cache = BlockCache::new(0);
        cache.insert((RunId(1), 0), &block());
        assert!(cache.get((RunId(1), 0)).is_none());
    }
}
