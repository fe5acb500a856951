//! Whole buckets for replicas that lack them, from pinned snapshots.
//!
//! A copy is a *session*: one bucket at one slot for one replica, read piece by piece on a disk thread, each piece asked for by
//! number. What was sent last is kept, so that an answer that was lost is told again.
//!
//! **Only a replica that votes is copied from**: one that learns may itself lack what it should have, and one that is being
//! installed does.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use thermocline_paxos::{Bucket, NodeId, Slot};
use thermocline_tiers::hot::state::{Digest, Snapshot, SnapshotIter, StateError};

use super::copy_codec;
use super::effects::Job;
use super::wire::{BucketPiece, Item};
use super::worker::Worker;

/// At most so many pieces are read at the same time, so that copying does not stand in the way of reads.
const READING_MAX: usize = 4;

/// At most so many sessions; who asks for more asks again later. Those that are finished make room.
const SESSIONS_MAX: usize = 256;

/// A piece is closed when it has so many bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// A session that is not asked for its next piece for so long is forgotten, in milliseconds.
const SESSION_MS: u64 = 30_000;

/// A session whose last piece is sent is forgotten so long after, in milliseconds.
const FINISHED_MS: u64 = 2_000;

/// A snapshot serves sessions that begin within so long of its making, in milliseconds. Making one freezes a memtable, which is flushed then, and
/// a flush is felt by those who wait for the disk; keeping one keeps that memtable.
const PIN_MS: u64 = 2_000;

/// What is being copied from here.
#[derive(Default)]
pub(super) struct Copies {
    sessions: HashMap<(NodeId, u64), Session>,
    /// Sessions whose last piece is sent, the first of them first. They stay as long as there is room, should that piece be lost.
    finished: VecDeque<(NodeId, u64)>,
    /// The newest snapshot of each part, by place, and when it was made.
    pins: HashMap<usize, (Snapshot, u64)>,
    /// Sessions whose next piece is asked for.
    asked: VecDeque<(NodeId, u64)>,
    reading: usize,
    next_sweep: u64,
}

struct Session {
    bucket: Bucket,
    at: Slot,
    digest: Digest,
    /// `None` while a piece is being read.
    copying: Option<Box<Copying>>,
    /// The piece that was sent last.
    sent: Option<(u32, Item)>,
    used: u64,
}

/// A bucket being read.
pub(crate) struct Copying {
    snapshot: Snapshot,
    bucket: thermocline_tiers::hot::Bucket,
    items: SnapshotIter,
    /// A running hash over all pieces.
    sum: u64,
}

/// A piece of a bucket.
pub(crate) struct Piece {
    pub(crate) body: Bytes,
    pub(crate) sum: u64,
    pub(crate) last: bool,
}

impl Copying {
    /// Reads the next piece. Blocks.
    pub(crate) fn read(&mut self) -> Result<Piece, StateError> {
        let mut body = Vec::new();
        let mut last = false;
        while body.len() < CHUNK_BYTES && !last {
            match self.items.next() {
                Some(item) => copy_codec::put_item(&mut body, &item?),
                None => last = true,
            }
        }
        if last {
            for (token, outcome) in self.snapshot.outcomes(self.bucket)? {
                copy_codec::put_outcome(&mut body, &token, &outcome);
            }
            for (attribute, value) in self.snapshot.attributes(self.bucket)? {
                copy_codec::put_attribute(&mut body, attribute, &value);
            }
        }
        self.sum = next_sum(self.sum, &body);
        Ok(Piece { body: body.into(), sum: self.sum, last })
    }
}

/// The running hash over a bucket's pieces after one more.
pub(super) fn next_sum(sum: u64, body: &[u8]) -> u64 {
    super::entity_hash(body) ^ sum.rotate_left(1)
}

impl Copies {
    /// Whether one more session can begin.
    fn has_room(&mut self) -> bool {
        while self.sessions.len() >= SESSIONS_MAX
            && let Some(finished) = self.finished.pop_front()
        {
            self.sessions.remove(&finished);
        }
        self.sessions.len() < SESSIONS_MAX
    }
}

impl Worker {
    /// Another replica asks for a piece of a bucket that it lacks, of at least the slot `at_least`.
    pub(super) fn copy_asked(
        &mut self,
        now: u64,
        from: NodeId,
        session: u64,
        bucket: Bucket,
        chunk: u32,
        at_least: Slot,
    ) {
        let key = (from, session);
        if let Some(known) = self.copies.sessions.get_mut(&key) {
            known.used = now;
            match &known.sent {
                Some((sent, item)) if *sent == chunk => {
                    let item = item.clone();
                    self.say(from, &item);
                }
                Some((sent, _))
                    if sent + 1 == chunk && known.copying.is_some() && !self.copies.asked.contains(&key) =>
                {
                    self.copies.asked.push_back(key);
                }
                _ => {}
            }
        } else if chunk != 0 || !self.begin_copy(now, key, bucket, at_least) {
            self.say(from, &Item::CopyRefused { session, bucket });
        }
        self.read_copies();
    }

    /// Whether this replica has all of a bucket that it should have.
    pub(super) fn is_full_replica(&self, bucket: Bucket) -> bool {
        if !self.founded || !self.owns(bucket) {
            return false;
        }
        self.core.fresh(bucket).voting && !self.lacks_state(bucket)
    }

    fn begin_copy(&mut self, now: u64, key: (NodeId, u64), bucket: Bucket, at_least: Slot) -> bool {
        if !self.is_full_replica(bucket) || !self.route.holds(key.0, bucket) || !self.copies.has_room() {
            return false;
        }
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        let Some(snapshot) = self.pinned(now, bucket, at_least) else { return false };
        let (at, digest) = (Slot(snapshot.applied(state_bucket).0), snapshot.digest(state_bucket));
        let items = snapshot.bucket(state_bucket, &[]);
        let copying = Some(Box::new(Copying { snapshot, bucket: state_bucket, items, sum: 0 }));
        let session = Session { bucket, at, digest, copying, sent: None, used: now };
        self.copies.sessions.insert(key, session);
        self.copies.asked.push_back(key);
        true
    }

    /// A snapshot of the bucket's part, with the bucket at `at_least` or later.
    pub(super) fn pinned(&mut self, now: u64, bucket: Bucket, at_least: Slot) -> Option<Snapshot> {
        let place = self.settings.dealing.place(bucket);
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        if let Some((snapshot, made)) = self.copies.pins.get(&place)
            && now < made + PIN_MS
            && snapshot.applied(state_bucket).0 >= at_least.0
        {
            return Some(snapshot.clone());
        }
        if self.part(bucket).applied(state_bucket).0 < at_least.0 {
            return None;
        }
        // It fails while flushes do not keep up; who asked asks again.
        let snapshot = self.parts[place].snapshot().ok()?;
        self.copies.pins.insert(place, (snapshot.clone(), now));
        Some(snapshot)
    }

    fn read_copies(&mut self) {
        while self.copies.reading < READING_MAX
            && let Some(key) = self.copies.asked.pop_front()
        {
            let Some(session) = self.copies.sessions.get_mut(&key) else { continue };
            let Some(copying) = session.copying.take() else { continue };
            self.copies.reading += 1;
            self.effects.jobs.push(Job::Copy { to: key.0, session: key.1, copying });
        }
    }

    /// A piece was read.
    pub(super) fn copied(
        &mut self,
        now: u64,
        to: NodeId,
        session: u64,
        copying: Box<Copying>,
        piece: Result<Piece, StateError>,
    ) {
        self.copies.reading -= 1;
        if let Some(known) = self.copies.sessions.get_mut(&(to, session)) {
            let (bucket, at, digest) = (known.bucket, known.at, known.digest);
            match piece {
                Ok(Piece { body, sum, last }) => {
                    let chunk = known.sent.as_ref().map_or(0, |(sent, _)| sent + 1);
                    self.counters.copied_bytes += body.len() as u64;
                    let item =
                        Item::Copy(BucketPiece { session, bucket, chunk, at, digest, sum, last, body });
                    known.sent = Some((chunk, item.clone()));
                    known.copying = Some(copying);
                    known.used = now;
                    if last {
                        self.copies.finished.push_back((to, session));
                    }
                    self.say(to, &item);
                }
                Err(error) => {
                    self.copies.sessions.remove(&(to, session));
                    self.say(to, &Item::CopyRefused { session, bucket });
                    self.state_is_damaged(now, bucket, &error);
                }
            }
        }
        self.read_copies();
    }

    /// Lets go of what nobody asks for any more.
    pub(super) fn sweep_copies(&mut self, now: u64) {
        if now < self.copies.next_sweep {
            return;
        }
        self.copies.next_sweep = now + PIN_MS;
        self.copies.sessions.retain(|_, session| {
            let done = matches!(&session.sent, Some((_, Item::Copy(BucketPiece { last: true, .. }))));
            now < session.used + if done { FINISHED_MS } else { SESSION_MS }
        });
        self.copies.finished.retain(|session| self.copies.sessions.contains_key(session));
        self.copies.pins.retain(|_, (_, made)| now < *made + PIN_MS);
    }
}
