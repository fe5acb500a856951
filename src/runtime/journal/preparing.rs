//! The journal's second thread: makes segments ready ahead of need, and gives back those that nobody needs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use thermocline_tiers::hot::journal::Preparer;

use super::gate::JournalGate;
use crate::error::{Error, StorageKind};
use crate::node::reclaim;
use crate::runtime::mailbox::{Input, Mailbox};

/// Starts the thread. It ends when the sender that is returned is gone.
///
/// # Errors
/// When no thread can be made.
pub(super) fn spawn(
    preparer: Preparer,
    mailboxes: Vec<Arc<Mailbox>>,
    gate: Arc<JournalGate>,
    retain_bytes: u64,
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
                match receiver.recv_timeout(Duration::from_secs(1)) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => while receiver.try_recv().is_ok() {},
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|error| {
            Error::storage(StorageKind::System, format!("cannot start the journal's second thread: {error}"))
        })?;
    Ok((sender, thread))
}

fn reclaim(preparer: &Preparer, mailboxes: &[Arc<Mailbox>], gate: &JournalGate, retain_bytes: u64) {
    // What is kept for peers that were away gives way when its room is wanted.
    let retain_bytes = if gate.full.get() { 0 } else { retain_bytes };
    let needed = gate.needed.iter().map(|needed| needed.load(Ordering::Acquire)).min().unwrap_or(0);
    let plan = reclaim::plan(&preparer.segments(), retain_bytes, needed);
    if let Some(first) = plan.first {
        match preparer.reclaim(first) {
            Ok(_) => {
                mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Reclaimed(first.0)));
            }
            Err(error) => tracing::debug!(%error, "segments could not be reclaimed"),
        }
    }
    if plan.flush {
        mailboxes.iter().for_each(|mailbox| mailbox.push(Input::Flush));
    }
}
