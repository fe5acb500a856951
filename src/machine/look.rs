//! What a test may look at, which no other node can see.

use thermocline_paxos::{Boot, Bucket, Freshness, NodeId, Slot, Status};

use super::Machine;

/// Which slots' commands a node can read back from its journal for others: all from `first` through `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The first one.
    pub first: Slot,
    /// The last one.
    pub last: Slot,
    /// How many there are.
    pub count: u64,
}

/// The lives that a directory accounts for, and how far each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts(crate::node::lives::Lives);

impl Machine {
    /// Which node it is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Which start of it this is.
    #[must_use]
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// What its directory accounts for of its lives.
    #[must_use]
    pub fn lives(&self) -> Accounts {
        Accounts(self.identity.read().lives)
    }

    /// Whether it remembers, durably, something of another node that a directory with these accounts lacks.
    #[must_use]
    pub fn remembers_beyond(&self, node: NodeId, accounts: &Accounts) -> bool {
        let known = self.peers.of(node.0);
        known.is_some_and(|known| known.heads.iter().any(|head| !accounts.0.account_for(head)))
    }

    /// Whether it knows, also after a crash, that it has forgotten what it did in the bucket: peers have told it in this start, or it began
    /// as a learner.
    #[must_use]
    pub fn knows_its_amnesia(&self, bucket: Bucket) -> bool {
        let worker = &self.workers[self.index(bucket)];
        let learns = self.status(bucket).vote == thermocline_paxos::Vote::LearnerOnly;
        worker.has_admitted() || learns && !worker.is_admitting()
    }

    /// Whether its group is founded, as far as it knows.
    #[must_use]
    pub fn is_founded(&self) -> bool {
        self.founder.is_founded()
    }

    /// How many workers it has.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The bucket of an entity.
    #[must_use]
    pub fn bucket_of(&self, entity: &[u8]) -> Bucket {
        self.route.bucket(crate::node::entity_hash(entity))
    }

    /// A bucket's replicas, the first one first.
    #[must_use]
    pub fn replicas(&self, bucket: Bucket) -> &[NodeId] {
        self.route.replicas(bucket)
    }

    /// How a bucket's replica is.
    #[must_use]
    pub fn status(&self, bucket: Bucket) -> Status {
        self.workers[self.index(bucket)].core().status(bucket)
    }

    /// What it would answer a read probe.
    #[must_use]
    pub fn fresh(&self, bucket: Bucket) -> Freshness {
        self.workers[self.index(bucket)].core().fresh(bucket)
    }

    /// The slot through which the bucket's state is applied.
    #[must_use]
    pub fn applied(&self, bucket: Bucket) -> Slot {
        let part = self.workers[self.index(bucket)].state_of(bucket);
        Slot(part.applied(thermocline_tiers::hot::Bucket(bucket.0)).0)
    }

    /// The slot through which a crash would leave it.
    #[must_use]
    pub fn durable(&self, bucket: Bucket) -> Slot {
        let part = self.workers[self.index(bucket)].state_of(bucket);
        Slot(part.durable(thermocline_tiers::hot::Bucket(bucket.0)).0)
    }

    /// The digest of the bucket's state at its applied slot.
    #[must_use]
    pub fn digest(&self, bucket: Bucket) -> u128 {
        let part = self.workers[self.index(bucket)].state_of(bucket);
        part.digest(thermocline_tiers::hot::Bucket(bucket.0)).0
    }

    /// What the journal's index has of the bucket.
    #[must_use]
    pub fn indexed(&self, bucket: Bucket) -> Option<Indexed> {
        self.workers[self.index(bucket)].indexed(bucket).map(|(first, last, count)| Indexed {
            first,
            last,
            count,
        })
    }

    /// What may keep a bucket from catching up.
    #[must_use]
    pub fn describe_catching_up(&mut self, bucket: Bucket) -> String {
        let worker = self.index(bucket);
        self.workers[worker].describe_catching_up(bucket)
    }

    /// Which buckets have anything in the journal or in the state.
    #[must_use]
    pub fn touched(&self) -> Vec<Bucket> {
        let all = self.workers.iter().flat_map(|worker| worker.parts()).flat_map(|part| part.buckets());
        let mut all: Vec<Bucket> = all.map(|bucket| Bucket(bucket.0)).collect();
        all.sort_unstable();
        all
    }

    /// What the node counts, over all workers.
    #[must_use]
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let mut sum = crate::node::counters::Counters::default();
        for worker in &self.workers {
            sum.add(worker.counters());
        }
        sum.list()
    }

    /// What recovery could not vouch for.
    #[must_use]
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Buckets that vote, and buckets that only learn.
    #[must_use]
    pub fn votes(&self) -> (u32, u32) {
        self.workers.iter().fold((0, 0), |sum, worker| {
            let votes = worker.votes();
            (sum.0 + votes.0, sum.1 + votes.1)
        })
    }

    /// Whether the journal's disk has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn index(&self, bucket: Bucket) -> usize {
        self.dealing.worker(bucket) as usize
    }
}
