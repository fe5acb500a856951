//! Reading all segments in order, delivering what verifies.

use super::super::catalog::CatalogState;
use super::super::layout::{BLOCK_BYTES, CommitHeader, Generation, JournalIdentity, Seed, Sequence};
use super::super::scan::{Part, Scan};
use super::super::segment::Position;
use super::super::{Found, Record};
use super::survey::{FoundSegment, Survey};
use super::{DAMAGES_MAX, Damage, DamageReason, DamageScope, Damages, Tail};
use crate::disk::Disk;
use crate::plant::{Plant, on};

/// What the segments hold.
pub(super) struct Replayed {
    pub(super) tail: Tail,
    /// The segment with the last commit.
    pub(super) tail_index: usize,
    pub(super) damages: Damages,
    pub(super) records: u64,
    /// The number for the next commit.
    pub(super) next: Sequence,
    /// The checksum of the last commit's header.
    pub(super) previous: u32,
    /// For each segment of the survey.
    pub(super) contents: Vec<Contents>,
    /// The last whole commit: which segment, where, how long.
    pub(super) last: Option<(usize, u32, u32)>,
    /// The torn commit, if its header is all that proves damage before it: which segment, where, its number.
    pub(super) proof: Option<(usize, u32, Sequence)>,
}

/// What one segment holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    pub(super) end: u32,
    pub(super) records: u64,
    pub(super) first_sequence: Option<Sequence>,
    /// The last block that the disk could not read.
    pub(super) unreadable: Option<u32>,
    /// Whether a commit seems to have begun at the end.
    pub(super) resembles_commit: bool,
}

impl Contents {
    /// Whether nothing was ever written there, as far as can be seen.
    pub(super) fn is_blank(&self) -> bool {
        self.first_sequence.is_none() && self.unreadable.is_none() && !self.resembles_commit
    }
}

/// Reads everything; changes nothing.
pub(super) fn replay(
    disk: &dyn Disk,
    survey: &Survey,
    identity: JournalIdentity,
    synced: Sequence,
    visit: &mut dyn FnMut(Found<'_>),
) -> Replayed {
    let expected = match survey.catalog {
        CatalogState::Present { label, .. } => Some(label.replay_sequence),
        CatalogState::Absent if survey.is_empty() => Some(Sequence(1)),
        CatalogState::Absent | CatalogState::Corrupt => None,
    };
    let mut replay = Replay::new(disk, &survey.segments, identity, expected, visit);
    for index in 0..survey.segments.len() {
        if is_loss_before(survey, index) {
            (replay.visit)(Found::Lost(DamageScope::AllBuckets));
        }
        replay.segment(index);
        if replay.torn.is_some() {
            break;
        }
    }
    replay.finish(survey, synced)
}

/// Where a series goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// The next commit's number, when it is known.
    pub(super) expected: Option<Sequence>,
    /// The checksum of the header of the commit before it, 0 when that is not known.
    previous: u32,
}

/// Reads a segment that others follow, of which nothing is needed, and tells where in it something may be lost: what is missing at its end, the
/// chain tells at the next one. Changes nothing.
pub(super) fn read_closed(
    disk: &dyn Disk,
    segment: &FoundSegment,
    identity: JournalIdentity,
    chain: &mut Chain,
    visit: &mut dyn FnMut(Found<'_>),
) -> Contents {
    let mut replay = Replay::new(disk, std::slice::from_ref(segment), identity, chain.expected, visit);
    replay.previous = chain.previous;
    replay.segment(0);
    if !on(Plant::HistoryChainIgnored) {
        *chain = Chain { expected: replay.expected, previous: replay.previous };
    }
    replay.contents[0]
}

struct Replay<'a> {
    disk: &'a dyn Disk,
    segments: &'a [FoundSegment],
    identity: JournalIdentity,
    /// The next commit's number, when it is known.
    expected: Option<Sequence>,
    highest: Sequence,
    previous: u32,
    damages: Damages,
    contents: Vec<Contents>,
    records: u64,
    last: Option<(usize, u32, u32)>,
    /// The commit that was cut off: its header verifies, its records do not, and nothing follows.
    torn: Option<(usize, u32)>,
    /// Whether there is damage since the last whole commit: what proves it may be the header of the torn one alone.
    unproven: bool,
    proof: Option<(usize, u32, Sequence)>,
    visit: &'a mut dyn FnMut(Found<'_>),
}

impl<'a> Replay<'a> {
    fn new(
        disk: &'a dyn Disk,
        segments: &'a [FoundSegment],
        identity: JournalIdentity,
        expected: Option<Sequence>,
        visit: &'a mut dyn FnMut(Found<'_>),
    ) -> Self {
        let empty = Contents {
            end: BLOCK_BYTES,
            records: 0,
            first_sequence: None,
            unreadable: None,
            resembles_commit: false,
        };
        Self {
            disk,
            segments,
            identity,
            expected,
            highest: expected.map_or(Sequence(0), |first| Sequence(first.0.saturating_sub(1))),
            previous: 0,
            damages: Damages::default(),
            contents: vec![empty; segments.len()],
            records: 0,
            last: None,
            torn: None,
            unproven: false,
            proof: None,
            visit,
        }
    }

    fn segment(&mut self, index: usize) {
        let mut scan = self.scan(index);
        let mut offset = BLOCK_BYTES;
        while offset < self.segments[index].capacity {
            offset = match scan.commit_at(offset) {
                Some((header, checksum)) => match self.commit(index, &mut scan, &header, checksum) {
                    Some(next) => next,
                    None => {
                        self.torn = Some((index, offset));
                        self.proof = self.unproven.then_some((index, offset, header.sequence));
                        break;
                    }
                },
                None => match next_commit(&mut scan, offset + BLOCK_BYTES) {
                    Some((next, _)) => {
                        self.damage(
                            index,
                            offset,
                            DamageScope::AllBuckets,
                            DamageReason::CorruptCommitHeader,
                        );
                        // How many commits were lost in between is not worth a second report.
                        self.expected = None;
                        self.unproven = true;
                        next
                    }
                    // The end of this segment, or a commit that lost its header: the next segment's first number tells.
                    None => break,
                },
            };
            self.contents[index].end = offset;
        }
        self.contents[index].resembles_commit = scan.resembles_commit(offset);
        self.contents[index].unreadable = scan.unreadable();
    }

    /// Judges a commit whose header verifies; returns where the next one begins, `None` when this is the torn tail.
    fn commit(&mut self, index: usize, scan: &mut Scan, header: &CommitHeader, checksum: u32) -> Option<u32> {
        let length = CommitHeader::padded_bytes(header.body_bytes.into()) as u32;
        let next = header.offset + length;
        if header.sequence <= self.highest {
            self.damage(index, header.offset, DamageScope::AllBuckets, DamageReason::BrokenChain);
            return Some(next);
        }
        let mut other = false;
        let whole = scan.walk(header, |part, _| other |= matches!(part, Part::OtherRecords { .. }));
        if !whole && !self.something_follows(index, scan, next) {
            return None;
        }
        self.check_chain(index, header);
        self.contents[index].first_sequence.get_or_insert(header.sequence);
        (self.visit)(Found::Commit(header.sequence));
        self.deliver(index, scan, header, other);
        self.expected = Some(header.sequence.next());
        self.highest = header.sequence;
        self.previous = checksum;
        self.unproven = !whole;
        if whole {
            self.last = Some((index, header.offset, length));
        }
        Some(next)
    }

    fn check_chain(&mut self, index: usize, header: &CommitHeader) {
        let Some(expected) = self.expected else { return };
        if header.sequence > expected {
            let last = Sequence(header.sequence.0 - 1);
            let reason = DamageReason::MissingCommits { first: expected, last };
            self.damage(index, header.offset, DamageScope::AllBuckets, reason);
        } else if self.previous != 0 && header.previous != self.previous {
            self.damage(index, header.offset, DamageScope::AllBuckets, DamageReason::BrokenChain);
        }
    }

    /// Hands out the records of a commit that verify and reports those that do not. `other`: what was between them is not known.
    fn deliver(&mut self, index: usize, scan: &mut Scan, header: &CommitHeader, other: bool) {
        let generation = self.segments[index].generation;
        let mut bad = Vec::new();
        let mut records = 0;
        let visit = &mut *self.visit;
        scan.walk(header, |part, payload| {
            let (offset, scope, reason) = match part {
                Part::Record { head, offset, length } => {
                    records += 1;
                    visit(Found::Record(Record { head, payload }, Position { generation, offset, length }));
                    if other {
                        visit(Found::Lost(DamageScope::AllBuckets));
                    }
                    return;
                }
                Part::BadPayload { head, offset } => {
                    (offset, DamageScope::Bucket(head.bucket), DamageReason::CorruptPayload)
                }
                Part::BadHeader { offset } => {
                    (offset, DamageScope::AllBuckets, DamageReason::CorruptRecordHeader)
                }
                Part::OtherRecords { offset } => {
                    (offset, DamageScope::AllBuckets, DamageReason::ForeignRecords)
                }
            };
            visit(Found::Lost(scope));
            // Bounded, as each of them takes at least a header in the commit; past the bound one stands for the rest.
            if bad.len() <= DAMAGES_MAX {
                bad.push((offset, scope, reason));
            }
        });
        self.records += records;
        self.contents[index].records += records;
        if on(Plant::BadRecordSkipped) {
            bad.clear();
        }
        for (offset, scope, reason) in bad {
            self.list(index, offset, scope, reason);
        }
    }

    /// Whether a commit lies behind `offset`: then the one before was acknowledged, and is corrupt rather than torn. Its
    /// header is proof enough, whatever became of its records.
    fn something_follows(&mut self, index: usize, scan: &mut Scan, offset: u32) -> bool {
        if on(Plant::AnythingIsATornTail) {
            return false;
        }
        if on(Plant::TornTailDelivered) {
            return true;
        }
        if next_commit(scan, offset).is_some() {
            return true;
        }
        for index in index + 1..self.segments.len() {
            let mut scan = self.scan(index);
            if next_commit(&mut scan, BLOCK_BYTES).is_some() {
                return true;
            }
            self.contents[index].unreadable = scan.unreadable();
        }
        false
    }

    fn scan(&self, index: usize) -> Scan {
        let segment = &self.segments[index];
        let seed = Seed::new(self.identity, segment.generation);
        // Past the page cache, if that can be: it has nothing of a journal, and would get all of it, to be read once.
        let file = self.disk.open_direct(&segment.path).unwrap_or_else(|_| segment.file.clone());
        Scan::new(file, seed, segment.generation, segment.capacity)
    }

    /// Something was lost at this point of the series.
    fn damage(&mut self, index: usize, offset: u32, scope: DamageScope, reason: DamageReason) {
        (self.visit)(Found::Lost(scope));
        self.list(index, offset, scope, reason);
    }

    fn list(&mut self, index: usize, offset: u32, scope: DamageScope, reason: DamageReason) {
        let segment = &self.segments[index];
        let path = segment.path.clone();
        self.damages.add(Damage {
            scope,
            reason,
            path,
            generation: segment.generation,
            offset: offset.into(),
        });
    }

    /// Decides how the series ends.
    fn finish(mut self, survey: &Survey, synced: Sequence) -> Replayed {
        let tail_index =
            self.contents.iter().rposition(|contents| contents.first_sequence.is_some()).unwrap_or(0);
        let mut torn = self.torn;
        for index in tail_index..self.segments.len() {
            let Contents { end, unreadable, resembles_commit, .. } = self.contents[index];
            if let Some(block) = unreadable.filter(|block| *block >= end) {
                // A torn write leaves something that can be read.
                self.damage(index, block, DamageScope::AllBuckets, DamageReason::Unreadable);
            }
            if resembles_commit {
                torn = torn.or(Some((index, end)));
            }
        }
        if let CatalogState::Present { label, .. } = survey.catalog {
            let newest = self.contents.iter().rposition(|contents| contents.first_sequence.is_some());
            if newest.is_some_and(|index| self.segments[index].generation > label.newest) {
                self.damages.all_buckets(DamageReason::OldCatalog, &survey.catalog_path, label.newest, 0);
            }
        }
        let last = self.segments.get(tail_index).map_or(Generation(0), |segment| segment.generation);
        let lacks_end = synced > self.highest && !on(Plant::LostEndIgnored);
        if lacks_end {
            let reason = DamageReason::MissingCommits { first: self.highest.next(), last: synced };
            let (path, end) = match self.segments.get(tail_index) {
                Some(segment) => (segment.path.as_path(), self.contents[tail_index].end),
                None => (survey.catalog_path.as_path(), 0),
            };
            self.damages.all_buckets(reason, path, last, end.into());
        }
        let mut damages = survey.damages.0.iter().chain(&self.damages.0);
        let may_be_hidden = damages.any(|damage| may_hide_the_end(damage, last));
        let is_hidden = lacks_end || may_be_hidden && !on(Plant::EndTakenForWhole);
        if is_hidden {
            // What was recorded behind the last record may have been the last word on it.
            (self.visit)(Found::Lost(DamageScope::AllBuckets));
        }
        // Then what is recorded from now on must not seem to follow.
        let in_doubt = is_hidden || survey.in_doubt;
        let tail = match torn {
            _ if in_doubt => Tail::InDoubt,
            Some((index, offset)) => Tail::Torn { generation: self.segments[index].generation, offset },
            None => Tail::Clean,
        };
        Replayed {
            tail,
            tail_index,
            damages: self.damages,
            records: self.records,
            next: self.highest.next(),
            previous: self.previous,
            contents: self.contents,
            last: self.last,
            proof: self.proof.filter(|_| !in_doubt),
        }
    }
}

/// Whether commits behind those of the last segment that has any may be gone, without a trace but this damage.
fn may_hide_the_end(damage: &Damage, last: Generation) -> bool {
    match damage.reason {
        DamageReason::CorruptPayload
        | DamageReason::CorruptRecordHeader
        | DamageReason::CorruptCommitHeader
        | DamageReason::ForeignRecords
        | DamageReason::MissingCommits { .. }
        | DamageReason::BrokenChain => false,
        DamageReason::MissingSegment { last: missing, .. } => missing >= last,
        DamageReason::TruncatedSegment
        | DamageReason::CorruptLabel
        | DamageReason::MisplacedSegment { .. }
        | DamageReason::Unreadable
        | DamageReason::EarlierDamage => damage.generation >= last,
        DamageReason::MissingCatalog
        | DamageReason::CorruptCatalog
        | DamageReason::OldCatalog
        | DamageReason::MoreDamage => true,
    }
}

/// Whether names, catalog or labels say that commits may have been lost between a segment's and those of the one before it.
fn is_loss_before(survey: &Survey, index: usize) -> bool {
    let Some(before) = index.checked_sub(1) else { return false };
    let between = survey.segments[before].generation..=survey.segments[index].generation;
    survey.damages.0.iter().any(|damage| {
        between.contains(&damage.generation) || matches!(damage.reason, DamageReason::MoreDamage)
    })
}

fn next_commit(scan: &mut Scan, offset: u32) -> Option<(u32, CommitHeader)> {
    if on(Plant::AnythingIsATornTail) {
        return None;
    }
    scan.next_commit(offset)
}
