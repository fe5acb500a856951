//! A queue of one worker, who is woken once for however much is in it.

use super::sync::{Mutex, Notify};

/// The queue. `T` is what waits in it, `A` the account of it that its owner keeps under the same lock.
pub(super) struct Gathering<T, A> {
    state: Mutex<State<T, A>>,
    wake: Notify,
}

struct State<T, A> {
    inputs: Vec<T>,
    account: A,
    /// The worker is gone: what comes is dropped, and with it the senders that callers wait for.
    closed: bool,
    /// The worker is to stop where it is.
    killed: bool,
    /// The worker waits for something urgent, and lets everything else gather meanwhile.
    gathering: bool,
    /// Something urgent is in the queue.
    urgent: bool,
}

impl<T, A> Gathering<T, A> {
    pub(super) fn new(account: A) -> Self {
        let state = State {
            inputs: Vec::new(),
            account,
            closed: false,
            killed: false,
            gathering: false,
            urgent: false,
        };
        Self { state: Mutex::new(state), wake: Notify::new() }
    }

    /// Adds an input that the account admits. The worker is woken by the first input of a batch, or, while it has them gather, by
    /// the first urgent one.
    pub(super) fn add<E>(
        &self,
        input: T,
        urgent: bool,
        admit: impl FnOnce(&mut A) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.state.lock();
        admit(&mut state.account)?;
        if state.closed {
            return Ok(());
        }
        state.inputs.push(input);
        state.urgent |= urgent;
        let gathered = urgent && std::mem::take(&mut state.gathering);
        let wake = gathered || (state.inputs.len() == 1 && !state.gathering);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Has what is not urgent gather without waking the worker; says no when something urgent is there already.
    pub(super) fn gather(&self) -> bool {
        let mut state = self.state.lock();
        state.gathering = !(state.urgent || state.killed);
        state.gathering
    }

    /// Exchanges the queue with an empty vector, whose memory is used from then on; says whether to go on at all.
    pub(super) fn take(&self, emptied: &mut Vec<T>, settle: impl FnOnce(&mut A)) -> bool {
        debug_assert!(emptied.is_empty());
        let mut state = self.state.lock();
        std::mem::swap(&mut state.inputs, emptied);
        (state.gathering, state.urgent) = (false, false);
        settle(&mut state.account);
        !state.killed
    }

    /// Waits until something is added. It may already have been taken: then the worker finds nothing, and waits again.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().inputs.is_empty()
    }

    /// Reads the account.
    pub(super) fn account<R>(&self, read: impl FnOnce(&A) -> R) -> R {
        read(&self.state.lock().account)
    }

    /// Has the worker stop where it is, with no effect of what is queued.
    pub(super) fn kill(&self) {
        self.state.lock().killed = true;
        self.close();
        self.wake.notify_one();
    }

    /// Takes nothing more; what is in it is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.inputs);
        drop(state);
        drop(dropped);
    }
}
