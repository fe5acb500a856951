//! Catching up by a stream.

use std::collections::VecDeque;

use hashbrown::HashMap;
use thermocline_paxos::{Bucket, NodeId, Slot};

use super::{Commands, PARTS_AHEAD, StreamPart, Streamed};
use crate::node::catch_up::Lack;
use crate::node::wire::{Item, Malformed};
use crate::node::worker::Worker;

/// So many buckets are named at a time.
const BUCKETS_AT_ONCE: usize = 8192;

/// So many commands are taken in at a time, so that the memory of their buckets is waited for once, and so many times in a turn, so that
/// those who call this node wait no longer than some milliseconds.
const COMMANDS_AT_ONCE: usize = 32;
const TIMES_A_TURN: usize = 64;

/// Parts that do not come are asked for again after three times what the last one took, within these bounds, in milliseconds; then after twice
/// as long, and so on. A source that was asked so often in vain is given up.
const AGAIN_MS: u64 = 100;
const AGAIN_MS_MAX: u64 = 500;
const AGAIN_MAX: u32 = 4;

/// A stream on its way here.
pub(super) struct Incoming {
    source: NodeId,
    number: u64,
    /// For each bucket, the next slot that was missing when the stream was opened and the last one that is.
    wants: HashMap<u32, (Slot, Slot)>,
    /// Parts that have come and are not taken in yet.
    came: VecDeque<Commands>,
    /// The next part that is to come, and the first one that is not asked for.
    part: u32,
    asked: u32,
    /// When the last one came, and how long it took.
    heard: u64,
    took: u64,
    /// How often those that do not come were asked for again, and when they are next.
    agains: u32,
    again_at: u64,
    /// Whether the source has no more.
    ended: bool,
}

impl Incoming {
    pub(super) fn has_come(&self) -> bool {
        !self.came.is_empty()
    }

    pub(super) fn buckets(&self) -> usize {
        self.wants.len()
    }

    pub(super) fn through(&self, bucket: Bucket) -> Option<Slot> {
        self.wants.get(&bucket.0).map(|(_, last)| *last)
    }

    pub(super) fn brings(&mut self, bucket: Bucket, through: Slot) -> bool {
        let want = self.wants.get_mut(&bucket.0);
        want.map(|(_, last)| *last = through.max(*last)).is_some()
    }

    /// Moves the next commands of a part.
    fn take(&mut self, count: usize, into: &mut Vec<Streamed>) -> Result<(), Malformed> {
        while let Some(part) = self.came.front_mut() {
            let taken = part.take(count, into);
            if taken.is_ok() && !into.is_empty() {
                break;
            }
            self.came.pop_front();
            taken?;
        }
        Ok(())
    }

    /// From now on parts are waited for.
    fn wait(&mut self, now: u64) {
        self.again_at = now + ((3 * self.took).clamp(AGAIN_MS, AGAIN_MS_MAX) << self.agains);
    }
}

impl Worker {
    /// Opens a stream if enough buckets of one peer wait to be fetched.
    pub(in crate::node) fn open_stream(&mut self, now: u64) {
        let enough = self.settings.stream_from;
        if !self.founded || !self.streams.is_idle() || self.catch_up.len() < enough {
            return;
        }
        let fits = |lack: &&Lack| !lack.alone && self.is_up(lack.peer);
        let Some(source) = self.catch_up.iter().find(fits).map(|lack| lack.peer) else { return };
        let is_of_it = |lack: &Lack| !lack.alone && lack.peer == source;
        if self.catch_up.iter().filter(|lack| is_of_it(lack)).count() < enough {
            return;
        }
        let (chosen, left): (VecDeque<Lack>, VecDeque<Lack>) = self.catch_up.drain(..).partition(is_of_it);
        self.catch_up = left;
        let mut wants = HashMap::with_capacity(chosen.len());
        for Lack { bucket, through, .. } in chosen {
            self.catch_up_holds.remove(&bucket.0);
            let reached = self.applied(bucket);
            if reached < through && !self.transfers.concerns(bucket) {
                wants.insert(bucket.0, (reached.next(), through));
            }
        }
        if wants.is_empty() {
            return;
        }
        self.counters.streams += 1;
        let number = self.draw(u64::MAX);
        self.streams.incoming = Some(Incoming {
            source,
            number,
            wants,
            came: VecDeque::new(),
            part: 0,
            asked: 0,
            heard: now,
            took: 0,
            agains: 0,
            again_at: 0,
            ended: false,
        });
        self.name_what_is_wanted();
        self.take_streamed(now);
    }

    fn name_what_is_wanted(&mut self) {
        let Some(Incoming { source, number, wants, .. }) = &self.streams.incoming else { return };
        let (source, stream, of) = (*source, *number, wants.len() as u32);
        let mut wanted: Vec<(Bucket, Slot)> =
            wants.iter().map(|(bucket, (first, _))| (Bucket(*bucket), *first)).collect();
        wanted.sort_unstable();
        for some in wanted.chunks(BUCKETS_AT_ONCE) {
            self.say(source, &Item::StreamAsk { stream, of, buckets: some.to_vec() });
        }
    }

    /// A part has come; it is taken in with the next turns.
    pub(in crate::node) fn part_came(&mut self, now: u64, from: NodeId, part: StreamPart) {
        let Some(incoming) = &mut self.streams.incoming else { return };
        let is_of_it = (incoming.source, incoming.number) == (from, part.stream);
        // One that was not asked for, or comes before its turn, counts as lost.
        if is_of_it && part.part == incoming.part && part.part < incoming.asked {
            incoming.part += 1;
            (incoming.took, incoming.heard) = (now - incoming.heard.min(now), now);
            incoming.agains = 0;
            incoming.wait(now);
            incoming.ended = part.ended;
            incoming.came.push_back(part.commands);
        }
    }

    /// Takes in what has come, asks for more, and again for what does not come.
    pub(in crate::node) fn look_after_stream(&mut self, now: u64) {
        self.take_streamed(now);
        let Some(incoming) = &mut self.streams.incoming else { return };
        if incoming.has_come() || now < incoming.again_at {
            return;
        }
        let source = incoming.source;
        if incoming.agains >= AGAIN_MAX {
            return self.stream_from_others(now, source);
        }
        incoming.agains += 1;
        incoming.wait(now);
        let (stream, part, through) = (incoming.number, incoming.part, incoming.asked);
        if part == 0 {
            self.name_what_is_wanted();
        }
        self.say(source, &Item::StreamNext { stream, part, through, again: true });
    }

    /// Takes in what has come, unless the journal is behind, and asks for more.
    fn take_streamed(&mut self, now: u64) {
        if !self.founded {
            return;
        }
        let mut some = std::mem::take(&mut self.streams.some);
        for _ in 0..TIMES_A_TURN {
            if self.journal_is_behind() {
                break;
            }
            let Some(incoming) = &mut self.streams.incoming else { break };
            if incoming.take(COMMANDS_AT_ONCE, &mut some).is_err() {
                // What follows in that part counts as lost.
                self.counters.malformed_items += 1;
            } else if some.is_empty() {
                break;
            }
            self.core.warm(some.iter().map(|streamed| streamed.bucket));
            for Streamed { bucket, slot, command } in some.drain(..) {
                if !self.owns(bucket) || self.failed.contains(&bucket.0) {
                    continue;
                }
                if self.is_saturated(bucket) {
                    // As if it had been lost: what follows in this bucket is, too, and asked for again later.
                    self.counters.dropped_full += 1;
                    continue;
                }
                self.learn_missing(now, bucket, slot, command);
            }
            self.pump(now);
        }
        self.streams.some = some;
        let Some(incoming) = &mut self.streams.incoming else { return };
        if incoming.has_come() {
            incoming.wait(now);
        } else if incoming.ended {
            return self.end_stream(now);
        }
        let through = incoming.part.saturating_add(PARTS_AHEAD.saturating_sub(incoming.came.len() as u32));
        if through > incoming.asked && !incoming.ended {
            incoming.asked = through;
            incoming.wait(now);
            let (source, stream, part) = (incoming.source, incoming.number, incoming.part);
            self.say(source, &Item::StreamNext { stream, part, through, again: false });
        }
    }

    /// The stream has ended: what is still missing is asked for anew, one by one where nothing came.
    fn end_stream(&mut self, now: u64) {
        let Some(incoming) = self.streams.incoming.take() else { return };
        let peer = incoming.source;
        for (bucket, first, through) in self.close_stream(incoming) {
            let reached = self.applied(bucket);
            if reached < through {
                self.lacks(Lack { bucket, peer, through, alone: reached < first });
            }
        }
        self.continue_catch_up(now);
    }

    /// A peer is gone, or silent: what it was to stream is fetched from others.
    pub(in crate::node) fn stream_from_others(&mut self, now: u64, lost: NodeId) {
        let incoming = self.streams.incoming.take_if(|incoming| incoming.source == lost);
        let Some(incoming) = incoming else { return };
        for (bucket, _, through) in self.close_stream(incoming) {
            if let Some(other) = self.another_source(bucket, lost) {
                self.behind(now, bucket, other, through);
            }
        }
    }

    /// Tells the source that no more is wanted. Returns what the stream was to bring, in the order of the buckets.
    fn close_stream(&mut self, incoming: Incoming) -> Vec<(Bucket, Slot, Slot)> {
        let Incoming { source, number, wants, .. } = incoming;
        self.say(source, &Item::StreamAsk { stream: number, of: 0, buckets: Vec::new() });
        let mut wants: Vec<_> =
            wants.into_iter().map(|(bucket, (first, last))| (Bucket(bucket), first, last)).collect();
        wants.sort_unstable();
        wants
    }
}
