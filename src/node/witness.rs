//! Which life of a peer a frame is from, what is remembered of it, and what peers remember of this node (I6).

use bytes::Bytes;
use thermocline_paxos::NodeId;

use super::effects::{Job, Peer};
use super::lives::{Life, Lived, Reach};
use super::wire::{self, Item};
use super::witnessed::{Judgement, Witnessed, judge};
use super::worker::Worker;
use crate::error::Error;
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
            let hears = life.hears == self.kept.life.id || plant::on(Plant::DeafCounted);
            self.items(now, from, hears, rest);
        }
    }

    /// Whether a frame can be taken now. If its life is new, that is written down first, and the frame waits.
    fn is_heard(&mut self, now: u64, from: NodeId, life: &Life, body: &Bytes) -> bool {
        self.heed_other_workers(now);
        let own = self.kept.life.id;
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == from) else { return false };
        // Who is not founded takes part in nothing, and knows of no disk whether it was replaced: a late frame of one would be the first
        // it hears, or the last. It waits for what others remember.
        if !self.founded || plant::on(Plant::AnyLifeHeard) {
            return true;
        }
        let mut said = Introduced::default();
        let mut judgement = judge(peer.known.as_ref(), life, &said.accounts);
        if judgement == Judgement::Unaccounted {
            said = Introduced::in_body(body, self.settings.me);
            judgement = judge(peer.known.as_ref(), life, &said.accounts);
        }
        match judgement {
            Judgement::Current => {
                let Some(known) = &mut peer.known else { return true };
                if let Some(head) = known.reach_mut(life) {
                    head.synced = head.synced.max(life.synced);
                }
                let is_heard_by_it = life.hears == own && known.hears != own;
                if is_heard_by_it && !std::mem::replace(&mut peer.remembering, true) {
                    known.hears = own;
                    self.remember(from, *life, Vec::new());
                }
                true
            }
            Judgement::New => {
                let held: usize = peer.held.iter().map(Bytes::len).sum();
                if peer.held.len() < HELD_FRAMES_MAX && held < HELD_BYTES_MAX {
                    peer.held.push(body.clone());
                }
                if !std::mem::replace(&mut peer.remembering, true) {
                    peer.to_spread = true;
                    self.remember(from, *life, said.accounts);
                }
                plant::on(Plant::HeardBeforeWritten)
            }
            Judgement::Unaccounted => {
                self.counters.frames_of_old_lives += 1;
                if now >= peer.complained + COMPLAIN_MS {
                    peer.complained = now;
                    self.ask_to_account(from);
                }
                // Who took a dead one's place cannot be asked anything where that one was.
                if let Some((epoch, address)) = said.address {
                    self.address_told(from, epoch, address);
                }
                // Two that do not hear each other would else never come to account for anything.
                if let Some(told) = said.asked
                    && !plant::on(Plant::QuestionOfTheUnheardIgnored)
                {
                    self.witnessed_as(now, from, told);
                }
                false
            }
        }
    }

    /// Tells a peer which of its lives are remembered here, so that it accounts for them, or learns what it has forgotten.
    fn ask_to_account(&mut self, node: NodeId) {
        let known = self.peers.iter().find(|peer| peer.node == node).and_then(|peer| peer.known.clone());
        if let Some(known) = known {
            self.say(node, &Item::Witnessed(vec![(node, known)]));
        }
    }

    fn remember(&mut self, node: NodeId, life: Life, accounts: Vec<Lived>) {
        let founder = self.founder_disk(node);
        let file = self.kept.peers.clone();
        self.effects.jobs.push(Job::Remember { file, node, life, accounts, founder });
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
        let to_spread = std::mem::take(&mut peer.to_spread);
        match result {
            Ok(known) => {
                let held = std::mem::take(&mut peer.held);
                self.take_memory(node, known.clone());
                if to_spread && !plant::on(Plant::NewLifeNotSpread) {
                    self.spread(node, &known);
                }
                for body in held {
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

    /// Another worker of this node has had something written down of its peers.
    pub(super) fn remember_as_other_workers(&mut self) {
        let nodes: Vec<NodeId> = self.peers.iter().map(|peer| peer.node).collect();
        for node in nodes {
            let Some(written) = self.kept.peers.of(node.0) else { continue };
            if self.take_memory(node, written.clone()) && !plant::on(Plant::NewLifeNotSpread) {
                // Its links may reach whom those of the other worker do not.
                self.spread(node, &written);
            }
            let known = self.peers.iter().find(|peer| peer.node == node).and_then(|peer| peer.known.clone());
            if let Some(told) = known.filter(|known| known.heads.len() > written.heads.len()) {
                // This worker has heard more of a life that is over than the next one accounts for.
                let (file, founder) = (self.kept.peers.clone(), self.founder_disk(node));
                self.effects.jobs.push(Job::HearOf { file, node, told, founder });
            }
        }
    }

    /// This is written down of a peer. Says whether another life of it is heard now.
    fn take_memory(&mut self, node: NodeId, written: Witnessed) -> bool {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return false };
        peer.reach_written = written.heads.first().map_or(Reach::default(), |head| head.synced);
        let address = |peer: &Peer| peer.known.as_ref().and_then(|known| known.address.clone());
        let (life, there) = (peer.life(), address(peer));
        peer.written(written);
        let (is_other_life, is_heard) = (peer.life() != life, peer.life().is_some());
        if let Some((_, dialled)) = address(peer).filter(|now_there| Some(now_there) != there.as_ref()) {
            self.effects.addresses.push((node, dialled));
        }
        if is_other_life {
            // It may have forgotten what the life before it told: what still holds, it tells again.
            self.core.disregard(node);
        }
        is_other_life && is_heard
    }

    /// Tells the others of a new life of a node: should its directory be put back while this node is away, they remember it.
    fn spread(&mut self, node: NodeId, known: &Witnessed) {
        let others: Vec<NodeId> =
            self.peers.iter().map(|peer| peer.node).filter(|other| *other != node).collect();
        for other in others {
            self.say(other, &Item::Witnessed(vec![(node, known.clone())]));
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
            let Some(head) = known.heads.first().filter(|head| known.heard() == Some(head.id)) else {
                continue;
            };
            if head.synced > peer.reach_written && !peer.remembering {
                peer.reach_written = head.synced;
                peer.remembering = true;
                let life = Life { disk: known.disk, id: head.id, synced: head.synced, ..Life::default() };
                later.push((peer.node, Life { hears: known.hears, ..life }));
            }
        }
        for (node, life) in later {
            self.remember(node, life, Vec::new());
        }
    }

    /// Tells a peer what is remembered of it and of all others.
    pub(super) fn tell_witnessed(&mut self, to: NodeId) {
        let known = self.peers.iter().filter_map(|peer| Some((peer.node, peer.known.clone()?))).collect();
        self.say(to, &Item::Witnessed(known));
    }

    /// A peer tells what it remembers of this node, and of others.
    pub(super) fn witnessed(&mut self, now: u64, from: NodeId, told: Vec<(NodeId, Witnessed)>) {
        for (node, told) in told {
            if node == self.settings.me {
                self.witnessed_as(now, from, told);
            } else {
                self.heard_of(node, told);
            }
        }
    }

    /// What a third node remembers of a peer is remembered here, too. What the peer does not account for stops it from being heard at once,
    /// before that is written down.
    fn heard_of(&mut self, node: NodeId, told: Witnessed) {
        let founder = self.founder_disk(node);
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        let heard = Witnessed::hearing(peer.known.as_ref(), &told, founder);
        if peer.known.as_ref().is_some_and(|known| !heard.asks_otherwise(known)) {
            return;
        }
        let is_heard_still = peer.known.is_none() || heard.heard().is_some();
        if peer.known.is_some() {
            peer.known = Some(heard);
        }
        peer.remembering = true;
        let file = self.kept.peers.clone();
        self.effects.jobs.push(Job::HearOf { file, node, told, founder });
        if !is_heard_still {
            if !plant::on(Plant::UnheardStillCounted) {
                self.core.disregard(node);
            }
            self.ask_to_account(node);
        }
    }

    fn witnessed_as(&mut self, now: u64, from: NodeId, told: Witnessed) {
        if told.retired.contains(&self.kept.life.disk) {
            return self.found_replaced(now, from);
        }
        // Lives of another disk are not accounted for either before they were admitted: this one may have been there before that.
        let is_other_disk = told.disk != self.kept.life.disk && plant::on(Plant::AnyDiskAccounts);
        if is_other_disk {
            let all = told.heads.iter().map(|head| Lived { synced: Reach::ALL, ..*head }).collect();
            self.say(from, &Item::Accounts(all));
        } else if told.heads.iter().all(|head| self.kept.lives.account_for(head)) {
            let asked = self.kept.lives.of(&told.heads);
            if !asked.is_empty() {
                self.say(from, &Item::Accounts(asked));
            }
        } else {
            self.admit(now, from, &told);
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
        match result {
            Ok(known) => {
                self.take_memory(node, known);
            }
            Err(error) => tracing::warn!(peer = node.0, %error, "a peer's address could not be written down"),
        }
    }
}

/// What a body says of lives, from a sender that is not heard.
#[derive(Default)]
struct Introduced {
    /// What the sender accounts for.
    accounts: Vec<Lived>,
    /// What it remembers of this node.
    asked: Option<Witnessed>,
    /// Where it says that it can be reached, as of which epoch.
    address: Option<(u64, String)>,
}

impl Introduced {
    fn in_body(body: &Bytes, me: NodeId) -> Self {
        let (mut rest, mut said) = (body.clone(), Self::default());
        while let Ok(Some(item)) = wire::take(&mut rest) {
            match item {
                Item::Accounts(lives) => said.accounts = lives,
                Item::Address { epoch, address } => said.address = Some((epoch, address)),
                Item::Witnessed(all) => {
                    let told = all.into_iter().find(|(node, _)| *node == me).map(|(_, told)| told);
                    said.asked = told.or(said.asked);
                }
                _ => {}
            }
        }
        said
    }
}
