//! What happened, as a number and, if somebody reads it, as text.

use std::fmt::Arguments;

use crate::queue::Time;

/// The hash of everything that happened, and its text if it is wanted.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    /// How many things happened.
    pub(crate) events: u64,
    shown: bool,
}

impl Trace {
    /// An empty trace; `shown` prints each line.
    pub(crate) fn new(shown: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, shown }
    }

    /// Something happened: what it was goes into the hash, and the line to whoever reads.
    pub(crate) fn event(&mut self, at: Time, facts: &[u64], line: Arguments<'_>) {
        self.events += 1;
        self.mix(at);
        for fact in facts {
            self.mix(*fact);
        }
        self.note(at, line);
    }

    /// Whether somebody reads.
    pub(crate) fn is_shown(&self) -> bool {
        self.shown
    }

    /// A line for whoever reads, which follows from what happened.
    pub(crate) fn note(&self, at: Time, line: Arguments<'_>) {
        if self.shown {
            println!("{:5}.{:06}  {line}", at / 1_000_000, at % 1_000_000);
        }
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, fact: u64) {
        self.hash = (self.hash ^ fact).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// The hash of bytes, eight at a time.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    }
    hash
}
