//! Taking buckets over whole from other replicas: what their journals no longer have, and what is damaged here.
//!
//! A bucket is first gathered in memory. If it fits, it is wiped, filled and marked whole within one memtable, so that a crash
//! leaves what was there before or all of the new. A larger one is wiped first: from then on it is *installing*, durably, and
//! nobody takes it for whole; after a crash it begins anew.
//!
//! The journal gets a record before the state is wiped (see `Record::Installed`): what it had of the bucket counts for nothing, and the log
//! goes on from there. So a crash makes nobody forget: the next start has the votes, and takes the state over again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use thermocline_paxos::{Bucket, NodeId, Slot};
use thermocline_tiers::hot::state::Digest;

use super::copies::next_sum;
use super::copy_codec::{self, Entry};
use super::wire::{BucketPiece, Item};
use super::worker::Worker;
use crate::plant::{self, Plant};

/// At most so many buckets are taken over at the same time.
const RUNNING_MAX: usize = 32;

/// What a bucket costs beside its bytes, in bytes: its source has to look for it in each of its files.
const BUCKET_BYTES: u64 = 48 << 10;

/// A bucket is gathered in memory up to so many bytes.
const GATHERED_BYTES_MAX: usize = 512 << 10;

/// A piece that does not come is asked for again after so long, in milliseconds, and so often before another replica is asked.
const PIECE_MS: u64 = 300;
const ASKED_MAX: u32 = 5;

/// Where every replica has refused, they are asked again after so long at least, in milliseconds.
const REFUSED_MS: u64 = 50;

/// An empty bucket that lacks more slots than this is not filled from a journal, where each may lie in another place of the disk.
pub(super) const SLOTS_MAX: u64 = 8;

/// What is being taken over.
#[derive(Default)]
pub(super) struct Transfers {
    wanted: VecDeque<Bucket>,
    wants: HashMap<u32, Want>,
    running: HashMap<u32, Transfer>,
    /// What may be asked for at once, in bytes, and when that was reckoned.
    allowance: u64,
    reckoned: u64,
    sessions: u64,
    /// Something was installed that is not flushed yet.
    unflushed: bool,
}

/// A bucket that waits for its turn.
#[derive(Clone, Copy, Default)]
struct Want {
    /// The slot that it must have at least.
    at_least: Slot,
    /// The replica that could not give it last.
    asked_last: Option<NodeId>,
    /// A replica that is known to have it right.
    prefer: Option<NodeId>,
    /// How many have refused in turn, and when the next may be asked.
    refusals: usize,
    not_before: u64,
}

struct Transfer {
    source: NodeId,
    session: u64,
    at_least: Slot,
    /// How many have refused before.
    refusals: usize,
    /// The next piece.
    chunk: u32,
    /// When it was asked for, and how often.
    asked: u64,
    asks: u32,
    at: Slot,
    digest: Digest,
    sum: u64,
    /// What has come and is not in the state yet.
    entries: Vec<Entry>,
    bytes: usize,
    /// Whether all has come.
    complete: bool,
    /// Whether a part of it is in the state.
    poured: bool,
}

impl Transfers {
    pub(super) fn is_idle(&self) -> bool {
        self.wants.is_empty() && self.running.is_empty() && !self.unflushed
    }

    /// How many buckets are yet to be whole.
    pub(super) fn left(&self) -> usize {
        self.wants.len() + self.running.len()
    }

    pub(super) fn concerns(&self, bucket: Bucket) -> bool {
        self.wants.contains_key(&bucket.0) || self.running.contains_key(&bucket.0)
    }
}

/// Which of the other replicas is asked: the preferred one, else the one after whom was asked last.
fn next_source(
    mut others: Vec<NodeId>,
    prefer: Option<NodeId>,
    asked_last: Option<NodeId>,
    turn: usize,
    is_up: impl Fn(NodeId) -> bool,
) -> Option<NodeId> {
    if let Some(preferred) =
        prefer.filter(|node| others.contains(node) && Some(*node) != asked_last && is_up(*node))
    {
        return Some(preferred);
    }
    let after = others.iter().position(|node| Some(*node) == asked_last).map(|at| at + 1);
    let first = after.unwrap_or(turn) % others.len().max(1);
    others.rotate_left(first);
    others.into_iter().find(|node| is_up(*node))
}

impl Worker {
    /// A bucket is to be taken over from another replica, at a slot from `at_least` on.
    pub(super) fn want_transfer(&mut self, bucket: Bucket, at_least: Slot) {
        if self.transfers.running.contains_key(&bucket.0) || self.route.has_one_replica(bucket) {
            return;
        }
        // Who is waited for already is not asked any sooner, nor is another preferred.
        let known = self.transfers.wants.get(&bucket.0).filter(|_| !plant::on(Plant::WantBeginsAnew));
        let want = known.map_or(Want { at_least, ..Want::default() }, |known| Want {
            at_least: known.at_least.max(at_least),
            ..*known
        });
        self.want(bucket, want);
    }

    fn want(&mut self, bucket: Bucket, want: Want) {
        if self.transfers.wants.insert(bucket.0, want).is_none() {
            self.transfers.wanted.push_back(bucket);
        }
    }

    /// A wanted bucket is taken from this replica, if it is up.
    pub(super) fn prefer_source(&mut self, bucket: Bucket, source: NodeId) {
        if let Some(want) = self.transfers.wants.get_mut(&bucket.0) {
            want.prefer = Some(source);
        }
    }

    /// Begins what can begin, asks again for what did not come, installs what could not be installed before.
    pub(super) fn go_on_with_transfers(&mut self, now: u64) {
        if self.transfers.is_idle() || !self.founded {
            return;
        }
        self.reckon_allowance(now);
        let mut late: Vec<u32> = Vec::new();
        for (bucket, transfer) in &self.transfers.running {
            if !transfer.complete && now >= transfer.asked + PIECE_MS {
                late.push(*bucket);
            }
        }
        late.sort_unstable();
        for bucket in late {
            self.ask_again(now, Bucket(bucket));
        }
        self.install_gathered(now);
        let rounds = self.transfers.wanted.len();
        for _ in 0..rounds {
            if self.transfers.running.len() >= RUNNING_MAX || self.transfers.allowance == 0 {
                break;
            }
            let Some(bucket) = self.transfers.wanted.pop_front() else { break };
            self.begin_transfer(now, bucket);
        }
        if self.transfers.left() == 0 && std::mem::take(&mut self.transfers.unflushed) {
            // Until they are flushed, a start takes the buckets over again.
            self.flush_parts();
        }
    }

    fn reckon_allowance(&mut self, now: u64) {
        let per_second = self.settings.transfer_bytes_s_max;
        let passed = now.saturating_sub(std::mem::replace(&mut self.transfers.reckoned, now)).min(1_000);
        let more = per_second.saturating_mul(passed) / 1_000;
        self.transfers.allowance = (self.transfers.allowance + more).min(per_second / 4);
    }

    fn begin_transfer(&mut self, now: u64, bucket: Bucket) {
        let Some(want) = self.transfers.wants.get(&bucket.0).copied() else { return };
        let Want { at_least, asked_last, prefer, refusals, not_before } = want;
        if now < not_before {
            return self.transfers.wanted.push_back(bucket);
        }
        if !self.failed.contains(&bucket.0) && self.applied(bucket) >= at_least && at_least > Slot(0) {
            // A journal had it after all.
            self.transfers.wants.remove(&bucket.0);
            return;
        }
        // Several sources: neighbouring buckets are taken from different ones. Where one could not give the bucket the next is asked, until
        // all were: only some may be able to.
        let turn = (bucket.0 / self.settings.dealing.parts) as usize;
        let others = self.route.replicas(bucket).iter().copied().filter(|node| *node != self.settings.me);
        let source = next_source(others.collect(), prefer, asked_last, turn, |node| self.is_up(node));
        let Some(source) = source else {
            self.transfers.wants.insert(bucket.0, Want { at_least, ..Want::default() });
            self.transfers.wanted.push_back(bucket);
            return;
        };
        self.transfers.wants.remove(&bucket.0);
        self.transfers.sessions += 1;
        let session = self.settings.client ^ self.transfers.sessions;
        self.transfers.running.insert(
            bucket.0,
            Transfer {
                source,
                session,
                at_least,
                refusals,
                chunk: 0,
                asked: now,
                asks: 1,
                at: Slot(0),
                digest: Digest::default(),
                sum: 0,
                entries: Vec::new(),
                bytes: 0,
                complete: false,
                poured: false,
            },
        );
        self.counters.transfers += 1;
        self.transfers.allowance = self.transfers.allowance.saturating_sub(BUCKET_BYTES);
        self.ask_for_piece(bucket);
    }

    /// Asks for the next piece, unless the state cannot take more of the bucket for the moment.
    fn ask_for_piece(&mut self, bucket: Bucket) {
        if self.is_held_back(bucket) {
            return;
        }
        let Some(transfer) = self.transfers.running.get(&bucket.0) else { return };
        let Transfer { source, session, chunk, at_least, .. } = *transfer;
        self.say(source, &Item::CopyAsk { session, bucket, chunk, at_least });
    }

    fn is_held_back(&self, bucket: Bucket) -> bool {
        let running = self.transfers.running.get(&bucket.0);
        running.is_some_and(|transfer| transfer.bytes > GATHERED_BYTES_MAX) && self.part(bucket).is_full()
    }

    fn ask_again(&mut self, now: u64, bucket: Bucket) {
        // What was not asked for is nobody's fault but this disk's: another source would have to wait for it too.
        let asks = u32::from(!self.is_held_back(bucket));
        let Some(transfer) = self.transfers.running.get_mut(&bucket.0) else { return };
        transfer.asked = now;
        transfer.asks += asks;
        let (source, asks) = (transfer.source, transfer.asks);
        if asks > ASKED_MAX || !self.is_up(source) {
            self.give_up_transfer(now, bucket);
        } else {
            self.ask_for_piece(bucket);
        }
    }

    /// Begins anew with another replica. What was poured into the state already is wiped then.
    fn give_up_transfer(&mut self, now: u64, bucket: Bucket) {
        let Some(transfer) = self.transfers.running.remove(&bucket.0) else { return };
        let refusals = transfer.refusals + 1;
        let all_have = refusals.is_multiple_of(self.route.replicas(bucket).len() - 1);
        let not_before = if all_have { now + REFUSED_MS } else { now };
        let (at_least, asked_last) = (transfer.at_least, Some(transfer.source));
        self.want(bucket, Want { at_least, asked_last, refusals, not_before, ..Want::default() });
    }

    /// The source does not have the bucket, or not any more.
    pub(super) fn copy_refused(&mut self, now: u64, from: NodeId, session: u64, bucket: Bucket) {
        let running = self.transfers.running.get(&bucket.0);
        if running.is_some_and(|transfer| transfer.source == from && transfer.session == session) {
            self.give_up_transfer(now, bucket);
        }
    }

    /// A piece has come.
    pub(super) fn copy_came(&mut self, now: u64, from: NodeId, piece: BucketPiece) {
        let BucketPiece { session, bucket, chunk, at, digest, sum, last, body } = piece;
        let Some(transfer) = self.transfers.running.get_mut(&bucket.0) else { return };
        if transfer.source != from
            || transfer.session != session
            || transfer.chunk != chunk
            || transfer.complete
        {
            return;
        }
        self.transfers.allowance = self.transfers.allowance.saturating_sub(body.len() as u64);
        let bytes = body.len();
        let is_whole = next_sum(transfer.sum, &body) == sum
            && at >= transfer.at_least
            && (chunk == 0 || (at, digest) == (transfer.at, transfer.digest));
        let part = &self.parts[self.settings.dealing.place(bucket)];
        let bound = part.config().value_bytes_max;
        let entries = copy_codec::entries(body, thermocline_tiers::hot::Slot(at.0), bound);
        let (true, Ok(entries)) = (is_whole, entries) else {
            self.counters.malformed_items += 1;
            tracing::warn!(from = from.0, bucket = bucket.0, "a piece of a bucket is not what it should be");
            return self.give_up_transfer(now, bucket);
        };
        let Some(transfer) = self.transfers.running.get_mut(&bucket.0) else { return };
        (transfer.at, transfer.digest, transfer.sum) = (at, digest, sum);
        transfer.entries.extend(entries);
        transfer.bytes += bytes;
        transfer.chunk += 1;
        (transfer.asked, transfer.asks) = (now, 1);
        transfer.complete = last;
        if transfer.complete || transfer.bytes > GATHERED_BYTES_MAX {
            self.install_gathered(now);
        }
        if !last {
            self.ask_for_piece(bucket);
        }
    }

    /// Puts into the state what is complete, or too large to wait for the rest.
    fn install_gathered(&mut self, now: u64) {
        // What this very frame has decided is applied first: a log must not go on while a copy takes its place.
        self.pump(now);
        let mut places: BTreeMap<usize, Vec<Bucket>> = BTreeMap::new();
        for (bucket, transfer) in &self.transfers.running {
            if transfer.complete || transfer.bytes > GATHERED_BYTES_MAX {
                places.entry(self.settings.dealing.place(Bucket(*bucket))).or_default().push(Bucket(*bucket));
            }
        }
        for (place, mut buckets) in places {
            buckets.sort_unstable();
            self.install_in(now, place, &buckets);
        }
    }

    fn install_in(&mut self, now: u64, place: usize, buckets: &[Bucket]) {
        if self.parts[place].is_full() {
            return self.flush_part(place);
        }
        // What a journal has brought meanwhile, further than the copy, is better than the copy.
        let (stale, wanted): (Vec<Bucket>, Vec<Bucket>) = buckets.iter().partition(|bucket| {
            let at = self.transfers.running.get(&bucket.0).map_or(Slot(0), |transfer| transfer.at);
            !self.failed.contains(&bucket.0) && self.applied(**bucket) >= at
        });
        for bucket in stale {
            self.transfers.running.remove(&bucket.0);
        }
        // The records of what the state has durably, or will soon, may be gone: with an older copy in its place, nobody would know that votes are
        // forgotten. That is remembered for the copy after this one, too: what is wiped has nothing durable.
        let (too_old, wanted): (Vec<Bucket>, Vec<Bucket>) = wanted.into_iter().partition(|bucket| {
            let has = self.durable(*bucket).max(self.applied(*bucket));
            let begins = self.transfers.running.get_mut(&bucket.0).filter(|transfer| !transfer.poured);
            begins.is_some_and(|transfer| {
                if plant::on(Plant::InstallsOlder) {
                    return false;
                }
                transfer.at_least = transfer.at_least.max(has);
                transfer.at < has
            })
        });
        for bucket in too_old {
            self.give_up_transfer(now, bucket);
        }
        let state_bucket = |bucket: &Bucket| thermocline_tiers::hot::Bucket(bucket.0);
        let fresh = |bucket: &&Bucket| !self.transfers.running.get(&bucket.0).is_some_and(|t| t.poured);
        let touched: Vec<_> = wanted
            .iter()
            .filter(fresh)
            .filter(|bucket| {
                let complete = self.transfers.running.get(&bucket.0).is_some_and(|t| t.complete);
                !complete
                    || self.failed.contains(&bucket.0)
                    || !self.parts[place].is_untouched(state_bucket(bucket))
            })
            .map(state_bucket)
            .collect();
        if !touched.is_empty() && self.parts[place].wipe_all(&touched).is_err() {
            return self.flush_part(place);
        }
        for bucket in wanted {
            self.pour(now, bucket);
        }
    }

    /// Moves what has come into the state.
    fn pour(&mut self, now: u64, bucket: Bucket) {
        let Some(transfer) = self.transfers.running.get_mut(&bucket.0) else { return };
        let entries = std::mem::take(&mut transfer.entries);
        transfer.bytes = 0;
        let complete = transfer.complete || plant::on(Plant::InstallingLooksWhole);
        let (at, digest, source) = (transfer.at, transfer.digest, transfer.source);
        let begins = !std::mem::replace(&mut transfer.poured, true);
        let place = self.settings.dealing.place(bucket);
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        if complete || begins && !plant::on(Plant::WipedBeforeRecorded) {
            // Asked for before the state says so, or has nothing any more: a flush waits for all that is recorded before it.
            self.core.install(bucket, at, &mut self.out);
            self.pump(now);
        }
        if begins && !complete {
            self.failed.insert(bucket.0);
        }
        let mut restore = self.parts[place].restore(state_bucket);
        for entry in &entries {
            match entry {
                Entry::Item(item) => restore.item(item),
                Entry::Outcome(token, outcome) => restore.outcome(*token, *outcome),
                Entry::Attribute(attribute, value) => restore.attribute(*attribute, value),
            }
        }
        if complete {
            restore.finish(thermocline_tiers::hot::Slot(at.0), digest);
            self.installed(now, bucket, at, source);
        }
    }

    fn installed(&mut self, now: u64, bucket: Bucket, at: Slot, source: NodeId) {
        self.transfers.running.remove(&bucket.0);
        self.transfers.unflushed = true;
        if let Some(active) = self.active.get_mut(bucket) {
            // What was open through this slot is decided.
            active.open = active.open.filter(|open| open.slot > at);
            self.active.leave(bucket);
        }
        self.failed.remove(&bucket.0);
        self.counters.buckets_installed += 1;
        self.slot_applied(now, bucket, at);
        let chosen = self.core.status(bucket).chosen;
        // What came after the copy is in journals, one hopes.
        self.behind(now, bucket, source, chosen.max(at.next()));
    }

    /// Whether nothing is left to be fetched, copied or mended.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        let is_caught_up = self.fetches == 0 && self.catch_up.is_empty() && self.streams.is_idle();
        self.transfers.left() == 0 && self.failed.is_empty() && is_caught_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_replicas_are_asked_in_turn_for_a_bucket_that_some_cannot_give() {
        let others: Vec<NodeId> = [1, 3, 4, 5].map(NodeId).into();
        for turn in 0..8 {
            let mut asked = Vec::new();
            for _ in 0..4 {
                let last = asked.last().copied();
                asked.extend(next_source(others.clone(), None, last, turn, |_| true));
            }
            asked.sort_unstable();
            assert_eq!(asked, others, "turn {turn}");
        }
        let only_3 = |node| node == NodeId(3);
        assert_eq!(next_source(others.clone(), None, Some(NodeId(3)), 0, only_3), Some(NodeId(3)));
        assert_eq!(next_source(others.clone(), Some(NodeId(5)), None, 0, |_| true), Some(NodeId(5)));
        assert_eq!(
            next_source(others.clone(), Some(NodeId(5)), Some(NodeId(5)), 0, |_| true),
            Some(NodeId(1))
        );
        assert_eq!(next_source(others, None, None, 0, |_| false), None);
        assert_eq!(next_source(Vec::new(), None, None, 3, |_| true), None);
    }
}
