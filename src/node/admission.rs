//! How a node admits that its directory has forgotten something: all its workers together, and once.
//!
//! A peer may tell any worker of a life that the directory lacks. What follows has an order, and PROTOCOL.md says why it is this one
//! (*Lives*): every worker forgets what it promised; then that is written down, together with a new life; then each worker goes on in that life, and no
//! frame names it before. A worker forgets twice: at once, and again when all that it had recorded until then is synced, as a vote floor may have been
//! among it. So whatever the life before it did is in the journal before the place that the admission names.
//!
//! What the workers share is behind a lock that only admissions take. Whether there is one is a number that each compares with its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use thermocline_paxos::{Bucket, NodeId};

use super::effects::Job;
use super::identity::IdentityFile;
use super::lives::{Life, Lives, Reach};
use super::peer_file::PeerFile;
use super::timers::Timer;
use super::witnessed::Witnessed;
use super::worker::Worker;
use crate::error::{Error, StorageKind};
use crate::plant::{self, Plant};

/// An admission that could not be written down is tried again after so long, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// So many lives are admitted at once; of others the peers tell again.
const ADMITTED_MAX: usize = 256;

/// What the workers of a node share of its admissions.
pub(crate) struct Admission {
    workers: u32,
    /// Even: no admission is under way, and half of it is how many there were in this start. Odd: one is.
    step: AtomicU64,
    /// Whether another directory has taken this one's place.
    replaced: AtomicBool,
    under_way: Mutex<UnderWay>,
    /// What the directory accounts for since the last one.
    lives: Mutex<Arc<Lives>>,
}

/// The admission that is under way.
#[derive(Default)]
struct UnderWay {
    /// Lives that peers remember and the directory lacks, behind those that were over before them.
    remembered: Vec<u64>,
    /// How many workers have forgotten, and how far the journal was synced then.
    forgotten: u32,
    behind: Reach,
}

/// Whether an admission is under way at that step.
const fn is_under_way(step: u64) -> bool {
    step % 2 == 1
}

impl Admission {
    /// For a node of so many workers.
    pub(crate) fn new(workers: u32) -> Arc<Self> {
        let (step, replaced) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { workers, step, replaced, under_way: Mutex::default(), lives: Mutex::default() })
    }

    fn step(&self) -> u64 {
        self.step.load(Ordering::Acquire)
    }

    /// A peer has told of lives that the directory lacks.
    fn begin(&self, told: &Witnessed) {
        let mut under_way = self.under_way.lock();
        if !is_under_way(self.step()) {
            *under_way = UnderWay::default();
            self.step.fetch_add(1, Ordering::AcqRel);
        }
        for id in told.lives() {
            if under_way.remembered.len() < ADMITTED_MAX && !under_way.remembered.contains(&id) {
                under_way.remembered.push(id);
            }
        }
    }

    /// A worker has forgotten all that it promised; its journal was synced as far as this. Says whether all have.
    fn forgotten(&self, synced: Reach) -> bool {
        let mut under_way = self.under_way.lock();
        under_way.behind = under_way.behind.max(synced);
        under_way.forgotten += 1;
        under_way.forgotten == self.workers || plant::on(Plant::AdmittedByOneWorker)
    }

    /// Writes it down: from here on the node leads another life.
    ///
    /// # Errors
    /// [`Error::Storage`]; then it is still under way.
    pub(crate) fn write(&self, identity: &IdentityFile, peers: &PeerFile) -> Result<(), Error> {
        let (remembered, behind) = {
            let under_way = self.under_way.lock();
            (under_way.remembered.clone(), under_way.behind)
        };
        let lives = identity.admit(&remembered, behind, &peers.heard_lives())?;
        *self.lives.lock() = Arc::new(lives);
        self.step.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn lives(&self) -> Arc<Lives> {
        self.lives.lock().clone()
    }
}

impl Worker {
    /// Whether an amnesia is being written down.
    pub(crate) fn is_admitting(&self) -> bool {
        is_under_way(self.admissions)
    }

    /// What other workers of this node were told concerns this one, too. To be called before anything that a peer said, or the disk, can have an
    /// effect.
    pub(super) fn heed_other_workers(&mut self, now: u64) {
        let is_heeding = !plant::on(Plant::OtherWorkersUnheeded);
        let version = self.kept.peers.version();
        if version != self.peers_version && is_heeding {
            self.peers_version = version;
            self.remember_as_other_workers();
        }
        let step = self.kept.admission.step();
        if step != self.admissions {
            self.admissions = step;
            if self.is_admitting() { self.forget_all(now) } else { self.begin_new_life(now) }
        }
        self.go_on_to_forget(now);
        if !self.replaced && is_heeding && self.kept.admission.replaced.load(Ordering::Relaxed) {
            self.replaced = true;
            self.stop_taking_part(StorageKind::Foreign, "another directory has taken this one's place");
        }
    }

    /// A peer remembers lives that this directory does not account for: of its own, or of one that it was put in the place of.
    pub(super) fn admit(&mut self, now: u64, from: NodeId, told: &Witnessed) {
        if !self.is_admitting() {
            self.counters.amnesias += 1;
            if told.disk == self.kept.life.disk {
                tracing::error!(
                    from = from.0,
                    remembered = ?told,
                    here = ?self.kept.life,
                    "a peer remembers more of this directory than it does itself: it was put back to an earlier copy, or has lost its \
                     end. All buckets only learn until they have a vote floor"
                );
            } else {
                tracing::warn!(
                    from = from.0,
                    remembered = ?told,
                    "a peer remembers another directory in this one's place. All buckets only learn until they have a vote floor"
                );
            }
        }
        self.kept.admission.begin(told);
        self.heed_other_workers(now);
    }

    /// Every worker forgets what it promised, before that is written down.
    fn forget_all(&mut self, now: u64) {
        self.forget_buckets(now);
        self.forgetting = Some(self.last_ticket);
    }

    fn forget_buckets(&mut self, now: u64) {
        for bucket in (0..self.route.buckets()).map(Bucket) {
            if self.owns(bucket) && !plant::on(Plant::AdmittedNotForgotten) {
                self.core.forget(bucket, &mut self.out);
                // Nor is it certain that what the journal has of it is the last word.
                self.index.forget(bucket);
            }
        }
        self.rounds.begin_anew();
        self.pump(now);
    }

    /// What was recorded before is synced: a floor among it is of before the admission.
    pub(super) fn go_on_to_forget(&mut self, now: u64) {
        if self.forgetting.is_none_or(|through| self.synced < through) {
            return;
        }
        self.forgetting = None;
        if !plant::on(Plant::FloorUnderWayCounted) {
            self.forget_buckets(now);
        }
        if self.kept.admission.forgotten(self.kept.life.synced) {
            self.write_admission();
        }
    }

    /// All workers have forgotten: that is written down, by the last of them.
    pub(super) fn write_admission(&mut self) {
        self.effects.jobs.push(Job::Admit {
            admission: self.kept.admission.clone(),
            identity: self.kept.identity.clone(),
            peers: self.kept.peers.clone(),
        });
    }

    /// The amnesia is written down, or could not be.
    pub(super) fn admitted(&mut self, now: u64, result: Result<(), Error>) {
        if let Err(error) = result {
            tracing::error!(%error, "the amnesia could not be written down; until it is, all buckets only learn");
            self.timers.at(now + AGAIN_MS, Timer::Admit);
        }
        self.heed_other_workers(now);
    }

    /// The amnesia is written down: from here on peers listen again.
    fn begin_new_life(&mut self, now: u64) {
        let Life { disk, synced, .. } = self.kept.life;
        self.kept.lives = self.kept.admission.lives();
        self.kept.life = self.kept.lives.life(disk, synced);
        self.to_lift = true;
        self.next_floor_question = now;
        // What others tell the life before counts no more: neither how much they know, nor their answers to what they were passed.
        self.forget_what_was_told_of_losses();
        let peers: Vec<NodeId> = self.peers.iter().map(|peer| peer.node).collect();
        for peer in peers {
            self.reroute_forwarded(now, Some(peer));
        }
    }

    /// A peer knows that another directory has taken this one's place.
    pub(super) fn found_replaced(&mut self, now: u64, from: NodeId) {
        if !self.kept.admission.replaced.swap(true, Ordering::Relaxed) {
            tracing::error!(
                from = from.0,
                "this directory was replaced by another one; it takes no part any more. Empty it to come back in it as a new one"
            );
        }
        self.heed_other_workers(now);
    }
}
