//! Which life of a peer a frame is from, what is remembered of it, and what peers remember of this node (I6).

use bytes::Bytes;
use thermocline_paxos::{Bucket, NodeId};

use super::effects::Job;
use super::lives::{self, Judgement, Life, Reach, Witnessed, judge};
use super::wire::{self, Item};
use super::worker::Worker;
use crate::error::{Error, StorageKind};
use crate::plant::{self, Plant};

/// Frames of a life that is being written down wait; at most so many of a peer, and about so many bytes.
const HELD_FRAMES_MAX: usize = 256;
const HELD_BYTES_MAX: usize = 8 << 20;

/// How often a peer that is not heard is told so, in milliseconds.
const COMPLAIN_MS: u64 = 50;

/// How often it is written down how far the peers' journals are, in milliseconds.
const REACH_MS: u64 = 10_000;

impl Worker {
    /// A frame's body from another node.
    pub(crate) fn frame(&mut self, now: u64, from: NodeId, body: Bytes) {
        let mut rest = body.clone();
        let life = match wire::take(&mut rest) {
            Ok(Some(Item::Life(life))) => life,
            _ => {
                self.counters.malformed_items += 1;
                tracing::warn!(from = from.0, "dropped a frame that does not say whose it is");
                return;
            }
        };
        if self.is_heard(now, from, &life, &body) {
            let hears = life.hears == self.kept.life.start || plant::on(Plant::DeafCounted);
            self.items(now, from, hears, rest);
        }
    }

    /// Whether a frame can be taken now. If its life is new, that is written down first, and the frame waits.
    fn is_heard(&mut self, now: u64, from: NodeId, life: &Life, body: &Bytes) -> bool {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == from) else { return false };
        // Who is not founded takes part in nothing, and knows of no disk whether it was replaced: a late frame of one would be the first
        // it hears, or the last. It waits for what others remember.
        if !self.founded || plant::on(Plant::AnyLifeHeard) {
            return true;
        }
        match judge(peer.known.as_ref(), life) {
            Judgement::Current => {
                if let Some(known) = &mut peer.known {
                    known.synced = known.synced.max(life.synced);
                }
                true
            }
            Judgement::New => {
                let held: usize = peer.held.iter().map(Bytes::len).sum();
                if peer.held.len() < HELD_FRAMES_MAX && held < HELD_BYTES_MAX {
                    peer.held.push(body.clone());
                }
                if !std::mem::replace(&mut peer.remembering, true) {
                    self.remember(from, *life);
                }
                false
            }
            Judgement::Old => {
                self.counters.frames_of_old_lives += 1;
                if now >= peer.complained + COMPLAIN_MS {
                    peer.complained = now;
                    if let Some(known) = peer.known.clone() {
                        self.say(from, &Item::Witnessed(vec![(from, known)]));
                    }
                }
                false
            }
        }
    }

    fn remember(&mut self, node: NodeId, life: Life) {
        let founder = self.founder_disk(node);
        let file = self.kept.peers.clone();
        self.effects.jobs.push(Job::Remember { file, node, life, founder });
    }

    /// The disk that a node had when the group was founded.
    fn founder_disk(&self, node: NodeId) -> Option<u64> {
        let members = self.founding.as_ref()?.members.as_ref()?;
        members.iter().find(|(member, _)| *member == node.0).map(|(_, disk)| *disk)
    }

    /// A life is written down, or it could not be.
    pub(super) fn remembered(&mut self, now: u64, node: NodeId, result: Result<Witnessed, Error>) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        peer.remembering = false;
        match result {
            Ok(known) => {
                peer.known = Some(known);
                for body in std::mem::take(&mut peer.held) {
                    self.frame(now, node, body);
                }
            }
            Err(error) => {
                // The next frame tries again.
                peer.held.clear();
                tracing::warn!(peer = node.0, %error, "a peer is not heard, because it cannot be remembered");
            }
        }
    }

    /// Writes down, now and then, how far the peers' journals are.
    pub(super) fn remember_reach(&mut self, now: u64) {
        if now < self.next_reach {
            return;
        }
        self.next_reach = now + REACH_MS;
        let mut later = Vec::new();
        for peer in &mut self.peers {
            let Some(known) = &peer.known else { continue };
            if known.synced > peer.reach_written && !peer.remembering {
                peer.reach_written = known.synced;
                peer.remembering = true;
                later.push((peer.node, known.as_life()));
            }
        }
        for (node, life) in later {
            self.remember(node, life);
        }
    }

    /// Tells a peer what is remembered of it, and, once for the whole node, of all others.
    pub(super) fn tell_witnessed(&mut self, to: NodeId) {
        let all = self.settings.index == 0;
        let known = self
            .peers
            .iter()
            .filter(|peer| all || peer.node == to)
            .filter_map(|peer| Some((peer.node, peer.known.clone()?)))
            .collect();
        self.say(to, &Item::Witnessed(known));
    }

    /// A peer tells what it remembers of this node, and of others.
    pub(super) fn witnessed(&mut self, now: u64, from: NodeId, told: Vec<(NodeId, Witnessed)>) {
        for (node, known) in told {
            if node == self.settings.me {
                self.witnessed_as(now, from, &known);
                continue;
            }
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { continue };
            let is_news = lives::is_news(peer.known.as_ref(), &known)
                || peer.known.as_ref().is_some_and(|own| own.lacks(&known));
            if is_news && !std::mem::replace(&mut peer.remembering, true) {
                let (file, founder) = (self.kept.peers.clone(), self.founder_disk(node));
                self.effects.jobs.push(Job::HearOf { file, node, told: known, founder });
            }
        }
    }

    fn witnessed_as(&mut self, now: u64, from: NodeId, known: &Witnessed) {
        if known.retires(&self.kept.life) {
            if !std::mem::replace(&mut self.replaced, true) {
                tracing::error!(
                    from = from.0,
                    "this directory was replaced by another one; it takes no part any more. Empty it to come back in it as a new one"
                );
                self.stop_taking_part(StorageKind::Foreign, "another directory has taken this one's place");
            }
            return;
        }
        if !known.shows_amnesia_of(&self.kept.life) || std::mem::replace(&mut self.admitting, true) {
            return;
        }
        tracing::error!(
            from = from.0,
            remembered = ?known,
            here = ?self.kept.life,
            "a peer remembers more of this directory than it does itself: it was put back to an earlier copy, or has lost its end. \
             All buckets only learn until they have a vote floor"
        );
        self.counters.amnesias += 1;
        for bucket in (0..self.route.buckets()).map(Bucket) {
            if self.owns(bucket) {
                self.core.forget(bucket, &mut self.out);
            }
        }
        self.pump(now);
        let Life { era: own_era, recovered, synced, .. } = self.kept.life;
        self.effects.jobs.push(Job::Admit {
            file: self.kept.identity.clone(),
            own_era,
            remembered: (known.era, known.count),
            behind: recovered.max(synced),
        });
    }

    /// The amnesia is written down: from here on peers listen again.
    pub(super) fn admitted(&mut self, now: u64, result: Result<(u32, u32), Error>) {
        self.admitting = false;
        match result {
            Ok((era, count)) => {
                (self.kept.life.era, self.kept.life.count) = (era, count);
                self.to_lift = true;
                self.next_floor_question = now;
            }
            // The next complaint of a peer tries again.
            Err(error) => tracing::error!(%error, "the amnesia could not be written down"),
        }
    }

    /// How far the journal is synced, for all that this worker knows.
    pub(super) fn reached(&mut self, reach: Reach) {
        self.kept.life.synced = self.kept.life.synced.max(reach);
    }

    /// A peer says where it can be reached. Who took a dead one's place says so as of a later epoch than this node's topology; all
    /// others are where the topology says, which may name a proxy before them.
    pub(super) fn address_told(&mut self, from: NodeId, epoch: u64, address: String) {
        let Some(peer) = self.peers.iter().find(|peer| peer.node == from) else { return };
        let known = peer.known.as_ref().and_then(|known| known.address.as_ref());
        let own = self.settings.address.as_ref().map_or(0, |(epoch, _)| *epoch);
        let is_later = epoch > own || plant::on(Plant::AddressOfAnyEpoch);
        if is_later && known.is_none_or(|(earlier, there)| *earlier <= epoch && *there != address) {
            let file = self.kept.peers.clone();
            self.effects.jobs.push(Job::RememberAddress { file, node: from, epoch, address });
        }
    }

    /// An address is written down: from here on the peer is dialled there.
    pub(super) fn address_remembered(&mut self, node: NodeId, result: Result<Witnessed, Error>) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        match result {
            Ok(known) => {
                if let Some((_, address)) = &known.address {
                    self.effects.addresses.push((node, address.clone()));
                }
                peer.known = Some(known);
            }
            Err(error) => tracing::warn!(peer = node.0, %error, "a peer's address could not be written down"),
        }
    }
}
