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
use crate::node::reclaim;
use crate::runtime::mailbox::{Input, Mailbox};

/// How often it is looked at what is needed, at least.
const LOOK: Duration = Duration::from_secs(1);

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
    retain_bytes: u64,
    mut history: Option<History>,
) -> Result<(Sender<()>, JoinHandle<()>), Error> {
    let (sender, receiver) = channel::<()>();
    let thread = std::thread::Builder::new()
        .name("journal-prepare".into())
        .spawn(move || {
            loop {
                match preparer.prepare_next() {
                    // The next segment and the headroom are there: that is room enough, also after somebody else made it.
                    Ok(()) => gate.set_full(false, &mailboxes),
                    Err(error) => tracing::debug!(%error, "no further journal segment could be made ready"),
                }
                reclaim(&preparer, &mailboxes, &gate, retain_bytes);
                let next = Instant::now() + LOOK;
                loop {
                    let pause = read_history(&mut history, &mailboxes, &gate).unwrap_or(LOOK);
                    let left = next.saturating_duration_since(Instant::now());
                    match receiver.recv_timeout(pause.min(left)) {
                        Err(RecvTimeoutError::Timeout) if pause < left => {}
                        Ok(()) | Err(RecvTimeoutError::Timeout) => break,
                        Err(RecvTimeoutError::Disconnected) => return,
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

/// Reads some of the history, as long as there is any, and says when to go on.
fn read_history(
    history: &mut Option<History>,
    mailboxes: &[Arc<Mailbox>],
    gate: &JournalGate,
) -> Option<Duration> {
    let begun = Instant::now();
    match history.as_mut()?.step() {
        Step::Read => {}
        Step::Past(worker, past) => mailboxes[worker].push(Input::Past(past)),
        Step::Done => *history = None,
    }
    let is_wanted = gate.past_wanted.load(Ordering::Relaxed);
    Some(if is_wanted { Duration::ZERO } else { (begun.elapsed() * PAUSES).max(PAUSE_MIN) })
}

fn reclaim(preparer: &Preparer, mailboxes: &[Arc<Mailbox>], gate: &JournalGate, retain_bytes: u64) {
    // What is kept for peers that were away gives way when its room is wanted.
    let retain_bytes = if gate.full.get() { 0 } else { retain_bytes };
    // What is said to be needed is looked at after where commits go to: what is written by then is accounted for, and what is not lies there or
    // behind.
    let active = preparer.active_generation();
    let needed = gate.needed.iter().map(|needed| needed.load(Ordering::Acquire)).min().unwrap_or(0);
    let plan = reclaim::plan(&preparer.segments(), retain_bytes, needed);
    if let Some(first) = plan.first {
        match preparer.reclaim(first.min(active)) {
            Ok(_) => {
                mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Reclaimed(first.0)));
            }
            Err(error) => tracing::debug!(%error, "segments could not be reclaimed"),
        }
    }
    if let Err(error) = preparer.replay_from(reclaim::replay_from(needed, active)) {
        tracing::debug!(%error, "from where to replay the journal could not be written down");
    }
    if plan.flush {
        mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Flush));
    }
}
