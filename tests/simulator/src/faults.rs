//! How the scheduled faults begin and end.

use std::io::ErrorKind;

use thermocline_tiers::disk::Call;

use crate::fault::{Kind, Scheduled};
use crate::heal::Phase;
use crate::queue::{Event, Link};
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
        if strikes_process && !is_up {
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
                    | Kind::Reset
                    | Kind::Pause
                    | Kind::SlowDisk
                    | Kind::StuckDisk
                    | Kind::FullDisk
            );
            self.queue.push(self.now + lasts.max(20_000), Event::Mend { index });
            self.plan.faults[index].fault.amount =
                if fault.kind == Kind::CrashInWrite { fault.amount / 4 } else { fault.amount };
            return if strikes_again { self.strike(index) } else { Ok(()) };
        }
        self.trace.event(self.now, &[12, index as u64], format_args!("end of {}", fault.kind.name()));
        match fault.kind {
            Kind::Kill | Kind::PowerCut => self.queue.push(self.now, Event::Start { node }),
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
