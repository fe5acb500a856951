//! How the scheduled faults begin and end.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thermocline_paxos::NodeId;
use thermocline_tiers::disk::{Call, Disk, MemoryDisk, OpenMode, Unsynced};

use crate::fault::{Fault, Kind, Scheduled};
use crate::heal::Phase;
use crate::node::{Earlier, Node};
use crate::queue::{Event, Link};
use crate::random::Random;
use crate::world::{Checked, World};

impl World {
    /// A fault begins.
    pub(crate) fn fault(&mut self, index: usize) -> Checked {
        let scheduled = self.plan.faults[index].clone();
        let fault = scheduled.fault;
        let node = fault.node;
        if !matches!(self.phase, Phase::Faults) {
            return Ok(());
        }
        self.trace.event(
            self.now,
            &[11, index as u64],
            format_args!(
                "FAULT {} at {} {:?} for {} us",
                fault.kind.name(),
                node + 1,
                fault.cuts,
                scheduled.lasts
            ),
        );
        let is_up = self.nodes[node].process.is_some();
        let strikes_process =
            matches!(fault.kind, Kind::Kill | Kind::PowerCut | Kind::CrashInWrite | Kind::Pause);
        let waits = matches!(fault.kind, Kind::Wipe | Kind::RollBack) && !self.all_founded();
        if strikes_process && !is_up || waits {
            // It waits for a process to strike.
            self.queue.push(self.now + 50_000, Event::Fault { index });
            return Ok(());
        }
        self.queue.push(self.now + scheduled.lasts, Event::Mend { index });
        self.strike(index)
    }

    /// What a fault does when it begins, and again when it had no effect so far.
    fn strike(&mut self, index: usize) -> Checked {
        let Scheduled { fault, lasts, .. } = self.plan.faults[index].clone();
        let node = fault.node;
        let is_up = self.nodes[node].process.is_some();
        self.nodes[node].has_failed |=
            fault.kind.loses() || matches!(fault.kind, Kind::FailedRead | Kind::MisdirectedRead);
        match fault.kind {
            Kind::Kill => {
                self.bit(index);
                self.end_process(node, None, "killed");
            }
            Kind::PowerCut => {
                self.bit(index);
                self.end_process(node, Some(fault.unsynced), "its power is cut");
            }
            Kind::PowerCutOfAll => {
                self.bit(index);
                for node in self.up() {
                    self.end_process(node, Some(fault.unsynced), "all power is cut");
                }
            }
            Kind::CrashInWrite => self.nodes[node].disk.freeze_after(fault.amount),
            Kind::CrashInRecovery => {
                self.bit(index);
                self.nodes[node].recovery_cut = Some(fault.amount);
                if is_up {
                    self.crash(node, Some(fault.unsynced), "its power is cut, and will be again")?;
                }
            }
            Kind::Pause => {
                self.nodes[node].paused_until = self.now + lasts;
            }
            Kind::CutOff | Kind::Halves | Kind::Bridge | Kind::Ring | Kind::OneWay => self.cut(&fault.cuts),
            Kind::Flapping => self.flap(index, false),
            Kind::Reset => {
                for (from, to) in fault.cuts {
                    for worker in 0..self.plan.machine.workers as usize {
                        if self.break_link(Link { from, to, worker }, false) {
                            self.bit(index);
                        }
                    }
                }
            }
            Kind::ClockJump => {
                self.bit(index);
                let by = fault.amount as i64;
                self.nodes[node].clock.skew_ms += if by % 2 == 0 { by } else { -by };
            }
            Kind::SlowDisk => self.nodes[node].slowness = fault.amount,
            Kind::StuckDisk => self.nodes[node].stuck_until = self.now + lasts.max(20_000),
            Kind::Rot | Kind::BrokenSector => self.damage(index)?,
            Kind::StateRot | Kind::Misdirected | Kind::MisdirectedRead => self.spoil(index)?,
            Kind::Wipe => self.wipe(index),
            Kind::RollBack if self.nodes[node].earlier.is_none() => self.copy_disk(node)?,
            Kind::RollBack => self.put_back(index),
            Kind::FailedSync => self.nodes[node].disk.fail(Call::Sync, fault.amount, ErrorKind::Other),
            Kind::FailedWrite => self.nodes[node].disk.fail(Call::Write, fault.amount, ErrorKind::Other),
            Kind::FailedRead => {
                self.nodes[node].disk.fail(Call::Read, fault.amount, ErrorKind::Other);
                // A recovery reads for certain.
                if is_up {
                    self.crash(node, None, "killed, and its disk will not be read well")?;
                }
            }
            Kind::FullDisk => {
                self.nodes[node].is_full = true;
                let used = self.nodes[node].disk.used_bytes();
                self.nodes[node].disk.set_capacity(Some(used));
            }
        }
        Ok(())
    }

    /// A fault ends.
    pub(crate) fn mend(&mut self, index: usize) -> Checked {
        let Scheduled { fault, lasts, .. } = self.plan.faults[index].clone();
        let node = fault.node;
        self.look_for_bites();
        if !self.bitten[index] && matches!(self.phase, Phase::Faults) {
            // It lasts until it has had an effect.
            let strikes_again = matches!(
                fault.kind,
                Kind::CrashInWrite
                    | Kind::Rot
                    | Kind::BrokenSector
                    | Kind::Reset
                    | Kind::Pause
                    | Kind::SlowDisk
                    | Kind::StuckDisk
                    | Kind::FullDisk
                    | Kind::RollBack
                    | Kind::StateRot
                    | Kind::Misdirected
                    | Kind::MisdirectedRead
            );
            self.queue.push(self.now + lasts.max(20_000), Event::Mend { index });
            self.plan.faults[index].fault.amount =
                if fault.kind == Kind::CrashInWrite { fault.amount / 4 } else { fault.amount };
            return if strikes_again { self.strike(index) } else { Ok(()) };
        }
        self.trace.event(self.now, &[12, index as u64], format_args!("end of {}", fault.kind.name()));
        match fault.kind {
            Kind::Kill | Kind::PowerCut | Kind::Wipe => self.queue.push(self.now, Event::Start { node }),
            Kind::PowerCutOfAll => {
                for node in 0..self.nodes.len() {
                    let delay = self.random.below(100_000);
                    self.queue.push(self.now + delay, Event::Start { node });
                }
            }
            Kind::CutOff | Kind::Halves | Kind::Bridge | Kind::Ring | Kind::OneWay => {
                self.mend_cuts(&fault.cuts);
            }
            Kind::SlowDisk => self.nodes[node].slowness = 1,
            Kind::FullDisk => self.mend_full(node),
            _ => {}
        }
        Ok(())
    }

    /// Damages an old segment of a node's journal, if it has one, and restarts the node. The newest are spared: a commit that
    /// rots before there is another cannot be told from one that was never finished.
    fn damage(&mut self, index: usize) -> Checked {
        let Fault { kind, node, .. } = self.plan.faults[index].fault;
        let disk = self.nodes[node].disk.clone();
        let segments = self.old_segments(node);
        if segments.is_empty() {
            return Ok(());
        }
        let path = self.random.pick(&segments).clone();
        let offset = self.random.below(u64::from(self.plan.machine.segment_bytes));
        let damaged = if kind == Kind::Rot {
            let mask = 1 << self.random.below(8);
            disk.flip_bits(&path, offset, mask)
        } else {
            disk.break_sector(&path, offset)
        };
        if damaged.is_ok() {
            self.bit(index);
            self.trace.note(self.now, format_args!("{} is damaged at {offset}", path.display()));
            if self.nodes[node].process.is_some() {
                self.crash(node, None, "killed, and its journal is damaged")?;
            }
        }
        Ok(())
    }

    /// The segments of a node's journal that are not in use any more.
    fn old_segments(&self, node: usize) -> Vec<PathBuf> {
        let mut segments = self.files(node, "journal");
        segments.retain(|path| path.to_string_lossy().contains("segment-"));
        // Up to two at the end are made ready only, and the one before is in use.
        segments.truncate(segments.len().saturating_sub(3));
        segments
    }

    fn files(&self, node: usize, directory: &str) -> Vec<PathBuf> {
        let names = self.nodes[node].disk.list(Path::new(directory)).unwrap_or_default();
        names.into_iter().map(|name| Path::new(directory).join(name)).collect()
    }

    /// Flips a bit of a file of the state, or writes a page of a file over another, or has the next read of a page find another;
    /// and restarts the node.
    fn spoil(&mut self, index: usize) -> Checked {
        const PAGE: u64 = 4096;
        let Fault { kind, node, .. } = self.plan.faults[index].fault;
        let mut files: Vec<PathBuf> = (0..self.plan.machine.parts)
            .flat_map(|part| self.files(node, &format!("state/{part:03}")))
            .collect();
        if kind != Kind::StateRot {
            files.extend(self.old_segments(node));
        }
        let disk = self.nodes[node].disk.clone();
        let length =
            |path: &PathBuf| disk.open(path, OpenMode::Read).and_then(|file| file.len()).unwrap_or_default();
        files.retain(|path| length(path) > 0);
        if files.is_empty() {
            return Ok(());
        }
        if self.nodes[node].process.is_some() {
            self.crash(node, None, "killed, and one of its files is spoilt")?;
        }
        let path = self.random.pick(&files).clone();
        if kind == Kind::StateRot {
            let (offset, mask) = (self.random.below(length(&path)), 1 << self.random.below(8));
            if disk.flip_bits(&path, offset, mask).is_ok() {
                self.bit(index);
            }
            self.trace.note(self.now, format_args!("{} has rotted at {offset}", path.display()));
            return Ok(());
        }
        let from = self.random.pick(&files).clone();
        let page = |random: &mut Random, length: u64| random.below(length.div_ceil(PAGE)) * PAGE;
        let (source, target) = (page(&mut self.random, length(&from)), page(&mut self.random, length(&path)));
        if kind == Kind::MisdirectedRead {
            self.nodes[node].misreads_noted = disk.calls().misread;
            // It has an effect when that page is read.
            let _ = disk.misdirect_read(&path, target, &from, source);
        } else {
            let mut bytes = vec![0; (length(&from) - source).min(length(&path) - target).min(PAGE) as usize];
            let written = disk
                .open(&from, OpenMode::Read)
                .and_then(|file| file.read_exact_at(&mut bytes, source))
                .and_then(|()| disk.open(&path, OpenMode::ReadWrite))
                .and_then(|file| file.write_all_at(&bytes, target).and_then(|()| file.sync()));
            if written.is_ok() {
                self.bit(index);
            }
        }
        let (path, from) = (path.display(), from.display());
        self.trace.note(self.now, format_args!("{path} has at {target} what {from} has at {source}"));
        Ok(())
    }

    /// A node's disk is copied, as it is without what is not synced. The node goes on in another start.
    fn copy_disk(&mut self, node: usize) -> Checked {
        let Some(process) = &self.nodes[node].process else { return Ok(()) };
        let accounts = process.machine.lives();
        let disk = self.nodes[node].disk.fork();
        disk.power_cut(Unsynced::Lost);
        self.nodes[node].earlier = Some(Earlier { disk, accounts });
        self.crash(node, None, "killed, and its disk was copied")
    }

    /// A node's disk is what it was when it was copied, if all others are there and remember more: else it waits.
    fn put_back(&mut self, index: usize) {
        let node = self.plan.faults[index].fault.node;
        let Some(earlier) = &self.nodes[node].earlier else { return };
        let id = NodeId(node as u16 + 1);
        let remembers = |other: &Node| {
            let process = other.process.as_ref();
            process.is_some_and(|process| process.machine.remembers_beyond(id, &earlier.accounts))
        };
        let mut others = self.nodes.iter().enumerate().filter(|(other, _)| *other != node);
        if !others.all(|(_, other)| remembers(other)) {
            return;
        }
        self.bit(index);
        if self.nodes[node].process.is_some() {
            self.end_process(node, None, "its disk is put back");
        }
        if let Some(earlier) = self.nodes[node].earlier.take() {
            self.nodes[node].disk = Arc::new(earlier.disk);
        }
        // How much room there is belongs to the disk and not to the copy.
        let room = self.nodes[node].is_full.then(|| self.nodes[node].disk.used_bytes());
        self.nodes[node].disk.set_capacity(room);
        self.invariants.note_put_back(node);
        let takes = self.random.spread(1_000, 2_000_000);
        self.queue.push(self.now + takes, Event::Start { node });
    }

    /// A node's disk is gone, and an empty one is there.
    fn wipe(&mut self, index: usize) {
        let node = self.plan.faults[index].fault.node;
        self.bit(index);
        if self.nodes[node].process.is_some() {
            self.end_process(node, None, "its disk is lost");
        }
        let seed = self.random.number();
        self.nodes[node].disk = Arc::new(MemoryDisk::new(seed));
        self.invariants.note_lost_disk(node);
    }

    /// Whether every node is up, and knows its group to be founded.
    fn all_founded(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| node.process.as_ref().is_some_and(|process| process.machine.is_founded()))
    }

    pub(crate) fn mend_full(&mut self, node: usize) {
        self.nodes[node].is_full = false;
        self.nodes[node].disk.set_capacity(None);
    }

    fn cut(&mut self, cuts: &[(usize, usize)]) {
        for (from, to) in cuts {
            self.network.cut(*from, *to);
            // A connection may outlive the cut, without what was sent into it; or break, before its ends know.
            for worker in 0..self.plan.machine.workers as usize {
                if self.random.coin() {
                    self.break_link(Link { from: *from, to: *to, worker }, true);
                }
            }
        }
    }

    /// A flapping link is cut for a while, and whole for a while.
    pub(crate) fn flap(&mut self, index: usize, is_cut: bool) {
        let scheduled = self.plan.faults[index].clone();
        let is_over = self.now >= scheduled.at + scheduled.lasts && self.bitten[index];
        if is_over || !matches!(self.phase, Phase::Faults) {
            if is_cut {
                self.mend_cuts(&scheduled.fault.cuts);
            }
            return;
        }
        if is_cut {
            self.mend_cuts(&scheduled.fault.cuts);
        } else {
            self.cut(&scheduled.fault.cuts);
        }
        let delay = self.random.spread(1_000, scheduled.lasts.max(2_000) / 2);
        self.queue.push(self.now + delay, Event::Flap { index, is_cut: !is_cut });
    }

    fn mend_cuts(&mut self, cuts: &[(usize, usize)]) {
        for (from, to) in cuts {
            self.network.mend(*from, *to);
        }
    }
}
