//! The journal's second thread: makes segments ready ahead of need, gives back those that nobody needs, and reads what the start has left unread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thermocline_tiers::hot::journal::Preparer;

use super::gate::JournalGate;
use crate::error::{Error, StorageKind};
use crate::node::journal_index::{History, Step};
use crate::node::reclaim::{self, Retained};
use crate::runtime::mailbox::{Input, Mailbox};

/// How often it is looked at what is needed, at least.
const LOOK: Duration = Duration::from_secs(1);

/// Workers that were told to shorten the journal are told again after so long, if that has not helped.
const SHORTEN_AGAIN: Duration = Duration::from_secs(30);

/// After a part of the history is read, there is a pause of so many times as long, unless a peer waits for it; and at least as long as below.
const PAUSES: u32 = 49;
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Starts the thread. It ends when the sender that is returned is gone.
///
/// # Errors
/// When no thread can be made.
pub(super) fn spawn(
    preparer: Preparer,
    mailboxes: Vec<Arc<Mailbox>>,
    gate: Arc<JournalGate>,
    retain: Retained,
    history: Option<History>,
) -> Result<(Sender<()>, JoinHandle<()>), Error> {
    let (sender, receiver) = channel::<()>();
    let mut forced = Forced::default();
    let mut past = Indexing { history, next: Instant::now() };
    let thread = std::thread::Builder::new()
        .name("journal-prepare".into())
        .spawn(move || {
            loop {
                match preparer.prepare_next() {
                    // The next segment and the headroom are there: that is room enough, also after somebody else made it.
                    Ok(()) => gate.set_full(false, &mailboxes),
                    Err(error) => tracing::debug!(%error, "no further journal segment could be made ready"),
                }
                reclaim(&preparer, &mailboxes, &gate, retain, &mut forced);
                let look = Instant::now() + LOOK;
                while let Some(left) = look.checked_duration_since(Instant::now()) {
                    past.go_on(&mailboxes, &gate);
                    match receiver.recv_timeout(past.pause(&gate).map_or(left, |pause| pause.min(left))) {
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(()) => break,
                        Err(RecvTimeoutError::Disconnected) => {
                            if !gate.killed.load(Ordering::Acquire) {
                                // The workers have ended: what they needed last is what the next start does.
                                reclaim(&preparer, &mailboxes, &gate, retain, &mut forced);
                            }
                            return;
                        }
                    }
                }
                while receiver.try_recv().is_ok() {}
            }
        })
        .map_err(|error| {
            Error::storage(StorageKind::System, format!("cannot start the journal's second thread: {error}"))
        })?;
    Ok((sender, thread))
}

/// The journal's history, as long as it is not indexed, and when to go on with that.
struct Indexing {
    history: Option<History>,
    next: Instant,
}

impl Indexing {
    fn is_wanted(gate: &JournalGate) -> bool {
        gate.past_wanted.load(Ordering::Relaxed)
    }

    /// How long until it goes on, if it does.
    fn pause(&self, gate: &JournalGate) -> Option<Duration> {
        let pause = self.next.saturating_duration_since(Instant::now());
        self.history.as_ref().map(|_| if Self::is_wanted(gate) { Duration::ZERO } else { pause })
    }

    /// Reads some of it, when it is time to.
    fn go_on(&mut self, mailboxes: &[Arc<Mailbox>], gate: &JournalGate) {
        let begun = Instant::now();
        let Some(history) = self.history.as_mut().filter(|_| begun >= self.next || Self::is_wanted(gate))
        else {
            return;
        };
        match history.step() {
            Step::Read => {}
            Step::Past(worker, past) => mailboxes[worker].push(Input::Past(past)),
            Step::Done => self.history = None,
        }
        self.next = Instant::now() + (begun.elapsed() * PAUSES).max(PAUSE_MIN);
    }
}

/// When the workers were last told to shorten the journal.
#[derive(Default)]
struct Forced {
    last: Option<(u64, Instant)>,
}

impl Forced {
    /// Whether it is to be told again: what is needed begins elsewhere now, or it was long ago. What else keeps an old segment is not helped by telling them more often.
    fn is_due(&mut self, needed: u64) -> bool {
        let is_due = self.last.is_none_or(|(last, at)| last != needed || at.elapsed() >= SHORTEN_AGAIN);
        if is_due {
            self.last = Some((needed, Instant::now()));
        }
        is_due
    }
}

fn reclaim(
    preparer: &Preparer,
    mailboxes: &[Arc<Mailbox>],
    gate: &JournalGate,
    retain: Retained,
    forced: &mut Forced,
) {
    // What is kept for peers that were away gives way when its room is wanted.
    let retain = if gate.full.get() { Retained::NOTHING } else { retain.beside(preparer.room()) };
    // What is said to be needed is looked at after where commits go to: what is written by then is accounted for, and what is not lies there or
    // behind.
    let active = preparer.active_generation();
    gate.active.store(active.0, Ordering::Relaxed);
    let needed = gate.needed.iter().map(|needed| needed.load(Ordering::Acquire)).min().unwrap_or(0);
    let replayed = gate.replayed.iter().map(|replayed| replayed.load(Ordering::Acquire)).min().unwrap_or(0);
    let plan = reclaim::plan(&preparer.segments(), retain, needed, active);
    if let Some(first) = plan.first {
        match preparer.reclaim(first) {
            Ok(_) => {
                mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Reclaimed(first.0)));
            }
            Err(error) => tracing::debug!(%error, "segments could not be reclaimed"),
        }
    }
    if let Err(error) = preparer.replay_from(reclaim::replay_from(replayed, active)) {
        tracing::debug!(%error, "from where to replay the journal could not be written down");
    }
    if plan.shorten && forced.is_due(needed) {
        mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Shorten));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_were_told_to_shorten_the_journal_are_told_again_once_that_has_helped() {
        let mut forced = Forced::default();
        let told: Vec<bool> = [1, 1, 1, 2, 2].into_iter().map(|needed| forced.is_due(needed)).collect();
        assert_eq!(told, [true, false, false, true, false]);
        forced.last = Instant::now().checked_sub(SHORTEN_AGAIN).map(|at| (2, at));
        assert!(forced.is_due(2), "or long ago");
    }
}
