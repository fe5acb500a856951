//! Tables in which each thing has a number, and the hashing of numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

/// Things, each of them once.
pub(super) struct Table<T> {
    ids: HashMap<Rc<T>, u32>,
    items: Vec<Rc<T>>,
}

impl<T: Eq + Hash> Table<T> {
    pub(super) fn new() -> Self {
        Self { ids: HashMap::new(), items: vec![] }
    }

    /// The number of a thing, and whether it is new.
    pub(super) fn id(&mut self, item: T) -> (u32, bool) {
        if let Some(id) = self.ids.get(&item) {
            return (*id, false);
        }
        let id = u32::try_from(self.items.len()).unwrap();
        let item = Rc::new(item);
        self.items.push(Rc::clone(&item));
        self.ids.insert(item, id);
        (id, true)
    }

    pub(super) fn get(&self, id: u32) -> &Rc<T> {
        &self.items[id as usize]
    }
}

/// Spreads the bits of a number (the finisher of splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Hashes one number.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number.wrapping_add(0x9e37_79b9_7f4a_7c15));
    }
}

pub(super) type Mixed = BuildHasherDefault<Mix>;
