//! What a start has not replayed: records that only peers may want, read behind the start, a segment at a time.

use hashbrown::HashMap;
use thermocline_paxos::{Bucket, Slot};
use thermocline_tiers::hot::journal::{DamageScope, Found, HistoryReader};

use super::Commands;
use crate::node::effects::Placed;
use crate::node::holes::Holes;
use crate::node::route::Dealing;

/// At most so many buckets are given to a worker at a time.
const PIECE_BUCKETS: usize = 1024;

/// Indexes what opening the journal has left unread.
pub(crate) struct History {
    reader: HistoryReader,
    dealing: Dealing,
    holes: Holes,
    /// For each worker, what was found, as long as something is left to be read.
    found: Vec<HashMap<u32, Commands>>,
    /// Then, for each worker that has not got all of it, what is to be given to it.
    pieces: Vec<(usize, Vec<(Bucket, Commands)>)>,
    /// In how many places records may be missing, as far as nobody was told yet.
    losses: u64,
}

/// A part of what a worker has in the history, to be [joined](super::JournalIndex::join) to its index.
pub(crate) struct Past {
    pub(super) buckets: Vec<(Bucket, Commands)>,
    /// In how many places records may be missing: told to one worker for all.
    pub(crate) losses: u64,
    /// Whether it is the last one.
    pub(super) is_last: bool,
}

/// What came of a step.
pub(crate) enum Step {
    /// A segment was read, or could not be.
    Read,
    /// This is for that worker.
    Past(usize, Past),
    /// All is done.
    Done,
}

impl History {
    /// The history that the reader reads, for these workers. What `holes` cover serves nobody.
    pub(crate) fn new(reader: HistoryReader, dealing: Dealing, holes: Holes) -> Self {
        let found = (0..dealing.workers).map(|_| HashMap::new()).collect();
        Self { reader, dealing, holes, found, pieces: Vec::new(), losses: 0 }
    }

    /// Reads the next segment, or hands out what was found once all are read.
    pub(crate) fn step(&mut self) -> Step {
        if self.read_next() {
            return Step::Read;
        }
        let found = std::mem::take(&mut self.found).into_iter().enumerate();
        self.pieces.extend(found.map(|(worker, found)| {
            (worker, found.into_iter().map(|(bucket, commands)| (Bucket(bucket), commands)).collect())
        }));
        let Some((worker, left)) = self.pieces.last_mut() else { return Step::Done };
        let (worker, rest) = (*worker, left.len().saturating_sub(PIECE_BUCKETS));
        let losses = std::mem::take(&mut self.losses);
        let past = Past { buckets: left.split_off(rest), losses, is_last: rest == 0 };
        if past.is_last {
            self.pieces.pop();
        }
        Step::Past(worker, past)
    }

    fn read_next(&mut self) -> bool {
        let Self { reader, dealing, holes, found: workers, losses, .. } = self;
        if workers.is_empty() {
            return false;
        }
        if reader.pass_over_released() {
            workers.iter_mut().for_each(HashMap::clear);
        }
        let before = *losses;
        let is_read = reader.read_next(|found| match found {
            Found::Record(record, position) => {
                let (bucket, slot) = (Bucket(record.head.bucket.0), Slot(record.head.slot.0));
                let placed = Placed::new(bucket, slot, record.head.kind.0);
                if !placed.has_command || !holes.cover(bucket, slot, position) {
                    let of_worker = &mut workers[dealing.worker(bucket) as usize];
                    of_worker.entry(bucket.0).or_default().take(&placed, position, 0);
                }
            }
            // What was recorded last may have lost. Before it, as much is left out: that is rare, and peers have copies.
            Found::Commit(_) => {}
            Found::Lost(scope) => {
                *losses += 1;
                match scope {
                    DamageScope::AllBuckets => workers.iter_mut().for_each(HashMap::clear),
                    DamageScope::Bucket(bucket) => {
                        workers.iter_mut().for_each(|found| drop(found.remove(&bucket.0)));
                    }
                }
            }
        });
        if *losses > before {
            tracing::warn!(
                places = *losses - before,
                "some of what the journal keeps for peers cannot be read"
            );
        }
        is_read
    }
}
