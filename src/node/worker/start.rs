//! How a worker begins: over what recovery found, and when its group is founded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use thermocline_paxos::{Bucket, Core, NodeId, Output, Ticket};
use thermocline_tiers::hot::journal::Sequence;
use thermocline_tiers::hot::state::Part;

use super::{Kept, Settings, Worker};
use crate::node::active::ActiveBuckets;
use crate::node::asking::Asking;
use crate::node::audit::Audits;
use crate::node::bucket_set::BucketSet;
use crate::node::calls::Calls;
use crate::node::copies::Copies;
use crate::node::counters::Counters;
use crate::node::effects::{Effects, Peer};
use crate::node::journal_index::JournalIndex;
use crate::node::lives::Reach;
use crate::node::loss::Losses;
use crate::node::nudges::Nudges;
use crate::node::pace::Pace;
use crate::node::read::Rounds;
use crate::node::route::Route;
use crate::node::stream::Streams;
use crate::node::timers::Timers;
use crate::node::transfer::Transfers;
use crate::node::upkeep::Upkeep;
use crate::node::wire::{Founding, Item};

impl Worker {
    /// A worker over recovered replicas and parts.
    #[expect(clippy::too_many_arguments, reason = "what a worker is made of, once")]
    pub(crate) fn new(
        settings: Settings,
        route: Arc<Route>,
        core: Core,
        parts: Vec<Part>,
        peers: &[NodeId],
        mut index: JournalIndex,
        effects: Effects,
        founded: bool,
        kept: Kept,
    ) -> Self {
        index.recovered(|bucket| core.status(bucket));
        let buckets = route.buckets();
        let mut owned = BucketSet::new(buckets);
        for bucket in (0..buckets).map(Bucket) {
            if settings.dealing.worker(bucket) == settings.index && route.holds(settings.me, bucket) {
                owned.insert(bucket);
            }
        }
        let to_lift = !kept.identity.read().amnesia.is_empty();
        // Before it is read: what is newer is read again.
        let peers_version = kept.peers.version();
        let peer = |node: &NodeId| {
            let known = kept.peers.of(node.0);
            let heard = known.as_ref().and_then(|known| known.heads.first());
            let reach_written = heard.map_or(Reach::default(), |head| head.synced);
            let mut peer = Peer::new(*node);
            (peer.known, peer.reach_written) = (known, reach_written);
            peer
        };
        Self {
            owned,
            random: settings.seed | 1,
            route,
            core,
            last_flush: Vec::new(),
            upkeep: Upkeep::of_parts(parts.len(), &index),
            parts,
            peers: peers.iter().map(peer).collect(),
            asking: Asking::default(),
            calls: Calls::starting_at((settings.client >> 32) as u32),
            tokens: HashMap::new(),
            next_token: 1,
            active: ActiveBuckets::new(buckets),
            driven: Vec::new(),
            held_buckets: Vec::new(),
            failed: HashSet::new(),
            rounds: Rounds::starting_at(settings.client >> 1),
            timers: Timers::default(),
            index,
            effects,
            counters: Counters::default(),
            decisions: Vec::new(),
            out: Output::default(),
            spare: Output::default(),
            located: Vec::new(),
            items: Vec::new(),
            parked: Vec::new(),
            next_parked: 0,
            finishing: HashSet::new(),
            founded,
            founding: None,
            next_founding: 0,
            kept,
            audits: Audits::default(),
            losses: Losses::default(),
            learning: Pace::default(),
            copies: Copies::default(),
            transfers: Transfers::default(),
            admissions: 0,
            forgetting: None,
            peers_version,
            replaced: false,
            to_lift,
            next_reach: 0,
            next_hint: 0,
            // Not where the others begin: two who finish a slot at the same time hinder each other.
            hinted_through: (settings.seed % u64::from(buckets)) as u32,
            next_straggler: 0,
            next_floor_question: 0,
            nudges: Nudges::default(),
            active_segment: 0,
            next_decision_when_full: 0,
            let_in: HashSet::new(),
            renewal: None,
            next_sweep: 0,
            last_tick: 0,
            wall_ms: 0,
            news: VecDeque::new(),
            catch_up: VecDeque::new(),
            catch_up_holds: HashSet::new(),
            unapplied: HashSet::new(),
            stopped: false,
            fetches: 0,
            streams: Streams::default(),
            fetch_jobs: 0,
            fetches_asked: VecDeque::new(),
            held_jobs: VecDeque::new(),
            journal_full: false,
            syncing: false,
            decided_by_sync: true,
            last_ticket: Ticket::default(),
            synced: Ticket::default(),
            synced_commit: Sequence(0),
            settings,
        }
    }

    /// The group's founding is known here. When this node was not founded before, its replicas begin now: as voters, or, if
    /// the group was founded without this disk (`late`), as learners.
    pub(crate) fn found(&mut self, now: u64, founding: Founding, late: bool) {
        // Peers may have told it before that it has forgotten something.
        let late = late || self.admissions > 0;
        if !self.founded && !self.replaced && !self.stopped && founding.members.is_some() {
            self.founded = true;
            self.to_lift |= late;
            for bucket in (0..self.route.buckets()).map(Bucket) {
                if self.owns(bucket) {
                    self.core.found(bucket, !late);
                }
            }
        }
        self.founding = Some(founding);
        let up: Vec<NodeId> = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node).collect();
        for node in up {
            self.introduce(node);
        }
        self.next_floor_question = now;
        self.place_parked(now);
        self.pump(now);
    }

    /// Tells a node what this one knows: of the founding, and how far it is.
    pub(super) fn introduce(&mut self, node: NodeId) {
        self.tell_founding_to(node);
        self.tell_witnessed(node);
        if let Some((epoch, address)) = self.settings.address.clone() {
            self.say(node, &Item::Address { epoch, address });
        }
        self.hint_everything(node);
    }
}
