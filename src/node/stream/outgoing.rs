//! Serving a stream.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use thermocline_paxos::{Bucket, NodeId, Slot, Ticket};
use thermocline_tiers::disk::AlignedBuffer;
use thermocline_tiers::hot::journal::{
    Bookmark, Generation, JournalError, JournalReader, Position, RecordHead,
};

use super::{Commands, PART_BYTES, READ_BYTES, SENT_MAX, StreamPart};
use crate::node::bucket_set::BucketSet;
use crate::node::effects::Job;
use crate::node::journal_index::JournalIndex;
use crate::node::record_codec;
use crate::node::wire::Item;
use crate::node::worker::Worker;
use crate::plant::{self, Plant};

/// A stream that is not asked for its next part for so long is forgotten, in milliseconds.
const IDLE_MS: u64 = 10_000;

/// At most so many streams of one node are served; it reads one.
const STREAMS_MAX: usize = 4;

/// Where more of the journal would be read than this for each record that is wanted, in bytes, there is no stream: records are read one by one
/// for less.
const SPARSE_BYTES: u64 = 16 << 10;

/// A read counts as so many bytes at least, also where there was nothing to be read.
const READ_BYTES_MIN: u32 = 4 << 10;

/// A stream on its way to another node.
pub(super) struct Outgoing {
    /// No other one of this worker's has that number.
    serial: u64,
    /// For each bucket that was named, the first slot that is missing and the last one that was chosen then.
    wants: HashMap<u32, (Slot, Slot)>,
    /// How many buckets are named in all.
    of: u32,
    /// What must be synced first.
    after: Ticket,
    /// Whether much of it may lie in what of the journal is not indexed yet: not known until all are named.
    is_past: Option<bool>,
    /// What is being sent, once all are named and that is synced.
    sending: Option<Sending>,
    /// Whether a part is being read.
    reading: bool,
    /// The first part that is not asked for.
    asked: u32,
    used: u64,
}

struct Sending {
    /// The buckets of which something is wanted.
    buckets: Arc<BucketSet>,
    /// The last record that is wanted begins here.
    until: Bookmark,
    /// The next part, and where it begins if there is any.
    part: u32,
    at: Option<Bookmark>,
    /// Where the parts before it begin, the last of them last.
    sent: VecDeque<Bookmark>,
}

impl Sending {
    /// Leaves out what lies alone, far before the rest. `None` when the journal has nothing that is wanted, or too little in too many
    /// places.
    fn new(
        wants: &HashMap<u32, (Slot, Slot)>,
        index: &JournalIndex,
        buckets: u32,
        segment_bytes: u32,
    ) -> Option<Self> {
        let mut found: Vec<(Bookmark, Bookmark, u32, u64)> = Vec::with_capacity(wants.len());
        // Of some buckets the peer has all that is chosen.
        for (&bucket, &(first, last)) in wants.iter().filter(|(_, (first, last))| first <= last) {
            let place = |slot| index.place(Bucket(bucket), slot).map(Bookmark::from);
            if let (Some(begins), Some(ends)) = (place(first), place(last)) {
                found.push((begins, ends, bucket, last.0 - first.0 + 1));
            }
        }
        found.sort_unstable();
        let bytes_between = |from: Bookmark, to: Bookmark| {
            let segments = to.generation.0.saturating_sub(from.generation.0);
            let end = segments.saturating_mul(segment_bytes.into()).saturating_add(to.offset.into());
            end.saturating_sub(from.offset.into())
        };
        let is_sparse =
            |from, to, records: u64| bytes_between(from, to) > records.saturating_mul(SPARSE_BYTES);
        let (mut start, mut alone) = (0, 0);
        for (index, pair) in found.windows(2).enumerate() {
            alone += pair[0].3;
            if is_sparse(found[start].0, pair[1].0, alone) {
                (start, alone) = (index + 1, 0);
            }
        }
        let found = found.get(start..)?;
        let (at, records) = (found.first()?.0, found.iter().map(|found| found.3).sum());
        let until = found.iter().map(|found| found.1).max()?;
        if is_sparse(at, until, records) {
            return None;
        }
        let mut wanted = BucketSet::new(buckets);
        for (.., bucket, _) in found {
            wanted.insert(Bucket(*bucket));
        }
        Some(Self { buckets: Arc::new(wanted), until, part: 0, at: Some(at), sent: VecDeque::new() })
    }

    /// Begins again with an earlier part, if it is known where that begins.
    fn go_back(&mut self, part: u32) {
        while part < self.part
            && let Some(start) = self.sent.pop_back()
        {
            self.part -= 1;
            self.at = Some(start);
        }
    }

    /// A part was sent; the next one begins there.
    fn advance(&mut self, next: Option<Bookmark>) {
        if self.sent.len() >= SENT_MAX as usize {
            self.sent.pop_front();
        }
        self.sent.extend(self.at);
        self.part += 1;
        self.at = next.filter(|next| *next <= self.until);
    }
}

/// Whether half of the buckets of which something is wanted, or more, may have it in what is not indexed yet.
fn is_past(wants: &HashMap<u32, (Slot, Slot)>, index: &JournalIndex) -> bool {
    let wanted = wants.iter().filter(|(_, (first, last))| first <= last);
    let (mut past, mut all) = (0, 0);
    for (bucket, (first, _)) in wanted {
        past += usize::from(index.may_come(Bucket(*bucket), *first));
        all += 1;
    }
    past > 0 && past * 2 >= all
}

/// What is to be read for a part.
pub(crate) struct StretchWanted {
    pub(crate) to: NodeId,
    pub(crate) stream: u64,
    serial: u64,
    part: u32,
    from: Bookmark,
    bytes: u32,
    buckets: Arc<BucketSet>,
}

/// What was read for it.
pub(crate) struct Stretch {
    to: NodeId,
    stream: u64,
    serial: u64,
    part: u32,
    /// Commands, one behind the other, and what they are.
    bytes: Vec<u8>,
    found: Vec<Found>,
    /// Where the next one begins.
    next: Option<Bookmark>,
}

/// A command of a stretch: where it lies in the journal, and among the bytes that were read.
struct Found {
    bucket: Bucket,
    slot: Slot,
    position: Position,
    at: Range<usize>,
}

impl StretchWanted {
    /// Reads on in the journal, by way of the buffer, and takes out the commands of some buckets. Blocks.
    pub(crate) fn read(self, reader: &JournalReader, buffer: &mut AlignedBuffer) -> Stretch {
        let Self { to, stream, serial, part, from, bytes, buckets } = self;
        let (mut found, mut commands, mut read_bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(from);
        // What it was used for before is no part of what is read here.
        buffer.resize(0);
        while let Some(from) = next
            && commands.len() < PART_BYTES
            && read_bytes < bytes
        {
            let at_once = READ_BYTES.min(bytes);
            let read = reader.read_on(from, at_once, buffer, |record, position| {
                let RecordHead { bucket, slot, kind } = record.head;
                let (bucket, slot) = (Bucket(bucket.0), Slot(slot.0));
                if buckets.contains(bucket)
                    && let Some(command) = record_codec::command_bytes(kind.0, record.payload)
                {
                    let begins = commands.len();
                    Commands::put(&mut commands, bucket, slot, command);
                    found.push(Found { bucket, slot, position, at: begins..commands.len() });
                }
            });
            // A read ends with its segment, which may be much smaller.
            read_bytes += (buffer.as_slice().len() as u32).max(READ_BYTES_MIN);
            next = match read {
                Ok(next) => next,
                Err(JournalError::NoSuchRecord { .. }) => None,
                // Reclaimed meanwhile, or unreadable: who lacks what was in it finds out, and asks for it by itself.
                Err(error) => {
                    tracing::debug!(%error, "a part of the journal is left out of a stream");
                    Some(Bookmark { generation: Generation(from.generation.0 + 1), offset: 0 })
                }
            };
        }
        Stretch { to, stream, serial, part, bytes: commands, found, next }
    }
}

impl Worker {
    /// A peer lacks slots of these buckets, from these on, and of others: of `of` buckets in all. Nothing of them: it wants no more.
    pub(in crate::node) fn stream_asked(
        &mut self,
        now: u64,
        from: NodeId,
        stream: u64,
        of: u32,
        buckets: &[(Bucket, Slot)],
    ) {
        let key = (from, stream);
        if buckets.is_empty() {
            self.streams.outgoing.remove(&key);
            return;
        }
        let others =
            self.streams.outgoing.range((from, 0)..=(from, u64::MAX)).filter(|(other, _)| **other != key);
        if !self.founded || others.count() >= STREAMS_MAX {
            return;
        }
        self.pump(now);
        let named: Vec<(u32, (Slot, Slot))> = buckets
            .iter()
            .filter(|(bucket, _)| self.owns(*bucket))
            .map(|(bucket, first)| (bucket.0, (*first, self.core.status(*bucket).chosen)))
            .collect();
        self.streams.begun += 1;
        let serial = self.streams.begun;
        let outgoing = self.streams.outgoing.entry(key).or_insert_with(|| Outgoing {
            serial,
            wants: HashMap::new(),
            of,
            after: Ticket::default(),
            is_past: None,
            sending: None,
            reading: false,
            asked: 0,
            used: now,
        });
        // What is named a second time, because an answer was lost, is wanted as it was the first time.
        for (bucket, slots) in named {
            if outgoing.sending.is_none() && !outgoing.wants.contains_key(&bucket) {
                outgoing.wants.insert(bucket, slots);
                outgoing.after = self.last_ticket;
            }
        }
        self.read_for_streams();
    }

    /// A peer wants the parts of a stream before `through`, and has those before `part`. `again`: the next ones do not come.
    pub(in crate::node) fn part_asked(
        &mut self,
        now: u64,
        from: NodeId,
        stream: u64,
        part: u32,
        through: u32,
        again: bool,
    ) {
        let Some(outgoing) = self.streams.outgoing.get_mut(&(from, stream)) else { return };
        outgoing.used = now;
        if again && let Some(sending) = &mut outgoing.sending {
            sending.go_back(part);
        }
        let next = outgoing.sending.as_ref().map_or(0, |sending| sending.part);
        outgoing.asked = outgoing.asked.max(through).min(next.saturating_add(SENT_MAX));
        self.read_for_streams();
    }

    /// Reads the next parts of streams for which enough is synced.
    pub(in crate::node) fn read_for_streams(&mut self) {
        let (bytes, buckets) = (self.settings.stream_bytes, self.route.buckets());
        let segment_bytes = self.effects.segment_bytes();
        let mut empty = Vec::new();
        for (&(to, stream), outgoing) in &mut self.streams.outgoing {
            let is_synced = outgoing.after <= self.synced || plant::on(Plant::FetchServesUnsynced);
            let is_ready = outgoing.wants.len() >= outgoing.of as usize && is_synced;
            if outgoing.reading || outgoing.asked == 0 || !is_ready {
                continue;
            }
            if outgoing.sending.is_none() {
                let wants = &outgoing.wants;
                if *outgoing.is_past.get_or_insert_with(|| is_past(wants, &self.index))
                    && self.index.awaits_past()
                {
                    self.index.want_past();
                    continue;
                }
                outgoing.sending = Sending::new(&outgoing.wants, &self.index, buckets, segment_bytes);
            }
            let Some(sending) = &outgoing.sending else {
                empty.push((to, stream));
                continue;
            };
            if let Some(from) = sending.at
                && sending.part < outgoing.asked
            {
                outgoing.reading = true;
                let (serial, part, buckets) = (outgoing.serial, sending.part, Arc::clone(&sending.buckets));
                let wanted = StretchWanted { to, stream, serial, part, from, bytes, buckets };
                self.effects.jobs.push(Job::Stream(wanted));
            }
        }
        for (to, stream) in empty {
            self.streams.outgoing.remove(&(to, stream));
            let part = StreamPart { stream, part: 0, commands: Commands::default(), ended: true };
            self.say(to, &Item::StreamPart(part));
        }
    }

    /// A part of the journal has been read for a stream.
    pub(in crate::node) fn stretch_read(&mut self, stretch: Stretch) {
        let Stretch { to, stream, serial, part, bytes, found, next } = stretch;
        let Some(outgoing) = self.streams.outgoing.get_mut(&(to, stream)) else { return };
        if outgoing.serial != serial {
            return;
        }
        outgoing.reading = false;
        if let Some(sending) = outgoing.sending.as_mut().filter(|sending| sending.part == part) {
            sending.advance(next);
            let ended = sending.at.is_none();
            let is_wanted = |Found { bucket, slot, position, .. }: &Found| {
                let want = outgoing.wants.get(&bucket.0);
                let is_missing = want.is_some_and(|(first, last)| (first..=last).contains(&slot));
                let is_last_of_slot = self.index.place(*bucket, *slot) == Some(*position);
                is_missing && (is_last_of_slot || plant::on(Plant::AnyRecordStreamed))
            };
            // First all are judged, so that the memory of their buckets is waited for once.
            let found: Vec<_> = found.into_iter().filter(is_wanted).collect();
            let mut wanted = Vec::with_capacity(bytes.len());
            for Found { at, .. } in found {
                wanted.extend_from_slice(&bytes[at]);
            }
            let commands = Commands::new(wanted.into());
            self.say(to, &Item::StreamPart(StreamPart { stream, part, commands, ended }));
        }
        self.read_for_streams();
    }

    /// Forgets streams that nobody reads any more.
    pub(in crate::node) fn sweep_streams(&mut self, now: u64) {
        self.streams.outgoing.retain(|_, outgoing| now < outgoing.used + IDLE_MS);
    }

    /// Forgets the streams of a node that is gone.
    pub(in crate::node) fn forget_streams_of(&mut self, node: NodeId) {
        self.streams.outgoing.retain(|(to, _), _| *to != node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::effects::Placed;

    const SEGMENT_BYTES: u32 = 64 << 20;

    /// Slot 1 of each bucket lies here.
    fn sending(places: &[(u64, u32)], segment_bytes: u32, first_segment: u64) -> Option<Sending> {
        let mut index = JournalIndex::new(1024);
        let mut wants = HashMap::new();
        for (bucket, (generation, offset)) in (0..).zip(places) {
            let position = Position { generation: Generation(*generation), offset: *offset, length: 100 };
            index.insert(&Placed::of_command(Bucket(bucket), Slot(1), Some(position)));
            wants.insert(bucket, (Slot(1), Slot(1)));
        }
        index.reclaimed(first_segment);
        Sending::new(&wants, &index, 1024, segment_bytes)
    }

    fn wanted(sending: &Sending) -> usize {
        (0..1024).filter(|bucket| sending.buckets.contains(Bucket(*bucket))).count()
    }

    fn at(generation: u64, offset: u32) -> Bookmark {
        Bookmark { generation: Generation(generation), offset }
    }

    #[test]
    fn what_lies_alone_far_before_the_rest_is_no_part_of_a_stream() {
        let near: Vec<(u64, u32)> = (0..100).map(|index| (500, 5_000 + index * 10_000)).collect();
        let all = sending(&near, SEGMENT_BYTES, 0).unwrap();
        assert_eq!((wanted(&all), all.at, all.until), (100, Some(at(500, 5_000)), at(500, 995_000)));
        let with_far = [&[(1, 5_000), (7, 5_000)], &near[..]].concat();
        let all = sending(&with_far, SEGMENT_BYTES, 0).unwrap();
        assert_eq!((wanted(&all), all.at), (100, Some(at(500, 5_000))));
        // A stream that would read much for little is none: half of it lies far behind the rest.
        let far_behind: Vec<(u64, u32)> = (0..10).map(|index| (600, 5_000 + index * 100)).collect();
        let wide = HashMap::from([(0, (Slot(1), Slot(2)))]);
        let mut index = JournalIndex::new(8);
        for (slot, generation) in [(1, 1), (2, 600)] {
            let position = Position { generation: Generation(generation), offset: 5_000, length: 100 };
            index.insert(&Placed::of_command(Bucket(0), Slot(slot), Some(position)));
        }
        assert!(Sending::new(&wide, &index, 8, SEGMENT_BYTES).is_none());
        assert_eq!(wanted(&sending(&[&near[..], &far_behind].concat(), SEGMENT_BYTES, 0).unwrap()), 10);
    }

    #[test]
    fn what_was_reclaimed_is_no_part_of_a_stream() {
        let places = [(3, 5_000), (4, 5_000), (4, 6_000), (5, 4_200)];
        assert_eq!(wanted(&sending(&places, 8_192, 4).unwrap()), 3);
        assert_eq!(wanted(&sending(&places, 8_192, 5).unwrap()), 1);
        assert!(sending(&places, 8_192, 6).is_none());
    }

    #[test]
    fn a_part_is_sent_again_from_where_it_began() {
        let places: Vec<(u64, u32)> = (0..90).map(|index| (1, 5_000 + index * 10_000)).collect();
        let mut sending = sending(&places, SEGMENT_BYTES, 0).unwrap();
        let last = SENT_MAX + 4;
        for part in 1..=last {
            sending.advance(Some(at(1, part * 10_000)));
        }
        sending.go_back(last);
        assert_eq!((sending.part, sending.at), (last, Some(at(1, last * 10_000))));
        sending.go_back(last - 5);
        assert_eq!((sending.part, sending.at), (last - 5, Some(at(1, (last - 5) * 10_000))));
        // So far back nothing is remembered, and nothing is made up.
        sending.go_back(1);
        assert_eq!((sending.part, sending.at), (4, Some(at(1, 4 * 10_000))));
        sending.advance(Some(at(2, 0)));
        assert_eq!(sending.at, None, "there is no more that is wanted");
    }
}
