//! Nodes: how they start, take a turn, sync and crash.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use thermocline_paxos::NodeId;
use thermocline_tiers::disk::{AlignedBuffer, Disk, MemoryDisk, Unsynced};
use thermocline_tiers::hot::journal::{Journal, JournalBatch, JournalConfig, JournalReader};
use thermocline_tiers::hot::state::StateConfig;

use super::{BUCKETS, World};
use crate::error::Error;
use crate::node::effects::{Job, Submission};
use crate::node::founding::{Founder, Told};
use crate::node::identity::Identity;
use crate::node::journal_index::{History, Step};
use crate::node::reclaim::{self, Retained};
use crate::node::recovery::{Plan, recover};
use crate::node::worker::{Settings, Worker};

/// A node: its worker, its journal, and what its disk has.
pub(in crate::node::tests) struct Node {
    pub(in crate::node::tests) disk: Arc<MemoryDisk>,
    pub(in crate::node::tests) running: Option<Running>,
    /// The random number of its next new directory.
    pub(super) disk_id: u64,
    /// How much damage its last start found.
    pub(in crate::node::tests) damage: usize,
}

pub(in crate::node::tests) struct Running {
    pub(in crate::node::tests) worker: Worker,
    pub(super) journal: Journal,
    reader: JournalReader,
    founder: Founder,
    history: Option<History>,
    /// Submissions that are on their way to the disk.
    writing: VecDeque<Submission>,
}

impl World {
    pub(in crate::node::tests) fn start(&mut self, index: usize) {
        self.try_start(index).unwrap();
    }

    pub(in crate::node::tests) fn try_start(&mut self, index: usize) -> Result<(), Error> {
        let node = index as u16 + 1;
        let disk: Arc<dyn Disk> = self.nodes[index].disk.clone();
        self.starts += 1;
        let identity = Identity {
            cluster: "sim".into(),
            node,
            disk: self.nodes[index].disk_id,
            buckets: BUCKETS,
            window_span_ms: 1000,
            table: 1,
            parts: 2,
            ..Identity::default()
        };
        let settings = Settings {
            command_bytes_max: 1 << 16,
            hedge_ms: 25,
            fetches_max: 4,
            stream_from: 2,
            stream_bytes: 32 << 10,
            ..Settings::new(NodeId(node), self.random)
        };
        let all = 1..=self.nodes.len() as u16;
        let others: Vec<u16> = all.filter(|peer| *peer != node).collect();
        let plan = Plan {
            disk,
            identity,
            workers: 1,
            journal: JournalConfig { segments_max: 65_536, ..JournalConfig::with_segment_bytes(1 << 20) },
            state: StateConfig {
                window_span_ms: 1000,
                sinks: false,
                memtable_bytes: self.shape.memtable_bytes,
                ..StateConfig::default()
            },
            route: self.route.clone(),
            peers: others.iter().copied().map(NodeId).collect(),
            settings,
            clients: vec![u64::from(node) << 32 | self.starts],
        };
        let mut recovered = recover(plan)?;
        self.nodes[index].damage = recovered.report.damage.len();
        recovered.write_first_commit().unwrap();
        let boot = recovered.boot();
        assert!(self.boots.insert((boot.disk, boot.count)), "a boot is repeated");
        let mut founder = Founder::new(recovered.identity, others);
        let Told { founding, late } = founder.begin().unwrap();
        let mut worker = recovered.workers.remove(0);
        worker.found(self.now, founding, late);
        let reader = recovered.journal.reader();
        let (journal, history) = (recovered.journal, recovered.history);
        let writing = VecDeque::new();
        self.nodes[index].running = Some(Running { worker, journal, reader, founder, history, writing });
        for other in 0..self.nodes.len() {
            if other != index && self.nodes[other].running.is_some() {
                let now = self.now;
                self.worker(other).peer_up(now, NodeId(index as u16 + 1));
                self.worker(index).peer_up(now, NodeId(other as u16 + 1));
            }
        }
        Ok(())
    }

    /// Power off: what was not synced may be gone, and what was sent may still come.
    pub(in crate::node::tests) fn crash(&mut self, index: usize) {
        self.nodes[index].running = None;
        let seed = self.random;
        self.nodes[index].disk.power_cut(Unsynced::Mixed(seed));
        let under_way = std::mem::take(&mut self.frames);
        for frame in under_way {
            match (frame.0 == index, frame.1 == index) {
                (true, _) => {}
                (_, true) if self.shape.trouble > 0 => {
                    let due = self.now + self.draw(600);
                    self.late.push((due, frame));
                }
                (_, true) => {}
                _ => self.frames.push(frame),
            }
        }
        for other in 0..self.nodes.len() {
            if let Some(running) = &mut self.nodes[other].running {
                running.worker.peer_down(self.now, NodeId(index as u16 + 1));
            }
        }
    }

    /// One turn of one node: what it wants is done, or is on its way.
    pub(super) fn turn(&mut self, index: usize) {
        let now = self.now;
        let Some(running) = &mut self.nodes[index].running else { return };
        running.worker.tick(now);
        running.worker.flush(now);
        let effects = running.worker.effects();
        running.writing.extend(effects.take_submissions());
        self.replies.extend(effects.replies.drain(..));
        let jobs: Vec<Job> = effects.jobs.drain(..).collect();
        let heard: Vec<_> = effects.founding.drain(..).collect();
        for (from, founding) in heard {
            for told in running.founder.hear(from.0, founding).unwrap() {
                running.worker.found(now, told.founding, told.late);
            }
        }
        for job in jobs {
            let done = job.run(&running.reader, &mut AlignedBuffer::new());
            running.worker.job_done(now, done);
        }
        let mut sent = Vec::new();
        for peer in running.worker.due_peers(now) {
            for body in peer.bodies() {
                sent.push((usize::from(peer.node.0) - 1, index, Bytes::copy_from_slice(body)));
            }
            peer.out.clear();
        }
        for frame in sent {
            self.send(frame);
        }
    }

    /// The disk syncs what waits, and gives back what nobody needs.
    pub(super) fn sync(&mut self, index: usize) {
        let now = self.now;
        let retain = self.shape.journal_retain_bytes;
        let Some(running) = &mut self.nodes[index].running else { return };
        let mut writing: Vec<Submission> = running.writing.drain(..).collect();
        if writing.is_empty() {
            return;
        }
        let mut batches: Vec<&mut JournalBatch> =
            writing.iter_mut().map(|submission| &mut submission.batch).collect();
        let committed = running.journal.commit(&mut batches).unwrap();
        for mut submission in writing {
            submission.place(committed.sequence);
            running.worker.journal_synced(now, submission);
        }
        running.read_history();
        if committed.rolled {
            running.reclaim(retain);
        }
    }
}

impl Running {
    /// As the runtime does it.
    fn reclaim(&mut self, retain_bytes: u64) {
        let preparer = self.journal.preparer();
        let needed = self.worker.needed_segment(!self.writing.is_empty());
        let active = preparer.active_generation();
        let retain = Retained::new(retain_bytes, true).beside(preparer.room());
        let plan = reclaim::plan(&preparer.segments(), retain, needed, active);
        let replayed = self.worker.replayed_segment(!self.writing.is_empty());
        preparer.replay_from(reclaim::replay_from(replayed, active)).unwrap();
        if let Some(first) = plan.first
            && preparer.reclaim(first).is_ok()
        {
            self.worker.segments_reclaimed(first.0);
        }
        if retain_bytes != u64::MAX {
            self.worker.flush_parts();
        }
    }

    fn read_history(&mut self) {
        match self.history.as_mut().map(History::step) {
            Some(Step::Past(0, past)) => self.worker.past_came(past),
            Some(Step::Done) => self.history = None,
            _ => {}
        }
    }
}
