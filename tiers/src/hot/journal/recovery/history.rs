//! Reading what opening has left unread: segments that nobody needs to start from.

use std::sync::Arc;

use super::super::Found;
use super::super::directory::Directory;
use super::super::layout::{Generation, Sequence};
use super::super::reader::JournalReader;
use super::super::segment::Segment;
use super::DamageScope;
use super::replay::{Chain, read_closed};
use super::survey::FoundSegment;

/// Where opening has begun to replay.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct ReplayedFrom {
    pub(in super::super) generation: Generation,
    /// The first commit at or after that segment's begin.
    pub(in super::super) sequence: Sequence,
    /// What lies in segments up to this one is not to be trusted.
    pub(in super::super) suspect: Generation,
}

/// Reads, one after the other, the segments that [`Journal::open`](super::super::Journal::open) has not replayed, oldest first. Until one is read, a
/// [`JournalReader`] finds nothing in it. Those that end in doubt are never read, nor any before them: what went on behind them has taken their
/// commits' numbers, and so nothing in them would tell that something is missing at their end.
pub struct HistoryReader {
    directory: Arc<Directory>,
    next: Generation,
    /// The last one that was read.
    last: Option<Arc<Segment>>,
    chain: Chain,
}

impl JournalReader {
    /// A reader of the segments that opening has not replayed.
    pub fn history(&self) -> HistoryReader {
        let next = Generation(self.directory.replayed_from.suspect.0 + 1);
        HistoryReader { directory: Arc::clone(&self.directory), next, last: None, chain: Chain::default() }
    }
}

impl HistoryReader {
    /// Whether all of them are read.
    pub fn is_done(&self) -> bool {
        let unread = self.next..self.directory.replayed_from.generation;
        unread.is_empty() || self.directory.segments.read().range(unread).next().is_none()
    }

    /// Passes over segments that were given back since, and says whether all that was read is gone with them.
    pub fn pass_over_released(&mut self) -> bool {
        let floor = self.directory.files.lock().catalog.label().floor;
        if floor <= self.next {
            return false;
        }
        (self.next, self.chain) = (floor, Chain::default());
        self.last.take().is_some()
    }

    /// Reads the next one, and gives `visit` what verifies in it, in the order of writing; says whether there was one. Damage is no error: `visit` is
    /// told where records may be missing, also those of segments that are not there any more, and those between the last one and what
    /// opening has replayed.
    pub fn read_next(&mut self, mut visit: impl FnMut(Found<'_>)) -> bool {
        let replayed_from = self.directory.replayed_from;
        let unread = self.next..replayed_from.generation;
        if unread.is_empty() {
            return false;
        }
        let next = self.directory.segments.read().range(unread).next().map(|(_, next)| Arc::clone(next));
        let found = next.as_ref().map_or(replayed_from.generation, |next| next.generation);
        let last = self.last.take();
        if found != self.next && last.is_some() {
            visit(Found::Lost(DamageScope::AllBuckets));
            self.chain = Chain::default();
        }
        self.next = Generation(found.0 + 1);
        if let Some(segment) = &next {
            let found = FoundSegment {
                generation: segment.generation,
                path: segment.path.clone(),
                file: Arc::clone(&segment.file),
                capacity: segment.capacity,
                sound: true,
            };
            let Directory { disk, identity, .. } = &*self.directory;
            let mut visit = |found: Found<'_>| {
                if let Found::Lost(scope) = found {
                    segment.spoil();
                    // What is missing at the end of one segment shows in the next.
                    let before = last.iter().filter(|_| scope == DamageScope::AllBuckets);
                    before.for_each(|before| before.spoil());
                }
                visit(found);
            };
            let contents = read_closed(&**disk, &found, *identity, &mut self.chain, &mut visit);
            segment.set_end(contents.end);
            segment.add_records(contents.records);
        }
        let is_last = self.next >= replayed_from.generation;
        if is_last && self.chain.expected.is_some_and(|expected| expected != replayed_from.sequence) {
            next.iter().for_each(|segment| segment.spoil());
            visit(Found::Lost(DamageScope::AllBuckets));
        }
        self.last = next;
        self.last.is_some()
    }
}
