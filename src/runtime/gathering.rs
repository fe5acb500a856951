//! A queue of one worker, who is woken once for however much is in it.

use super::sync::{Mutex, Notify};

/// The queue. `T` is what waits in it, `A` the account of it that its owner keeps under the same lock.
pub(super) struct Gathering<T, A> {
    state: Mutex<State<T, A>>,
    wake: Notify,
}

/// How much a worker needs an input that comes while it lets inputs gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    Low,
    Middle,
    High,
}

/// What ends a gathering: an input that is as urgent as this, or so many inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) urgency: Urgency,
    pub(super) many: usize,
}

struct State<T, A> {
    inputs: Vec<T>,
    /// The most urgent of them.
    most_urgent: Option<Urgency>,
    account: A,
    /// The worker is gone: what comes is dropped, and with it the senders that callers wait for.
    closed: bool,
    /// The worker is to stop where it is.
    killed: bool,
    /// The worker lets inputs gather, and waits for this.
    gathering: Option<Until>,
}

impl<T, A> State<T, A> {
    /// Whether what is in the queue ends a gathering.
    fn is_enough(&self, until: Until) -> bool {
        self.most_urgent >= Some(until.urgency) || self.inputs.len() >= until.many
    }
}

impl<T, A> Gathering<T, A> {
    pub(super) fn new(account: A) -> Self {
        let state = State {
            inputs: Vec::new(),
            most_urgent: None,
            account,
            closed: false,
            killed: false,
            gathering: None,
        };
        Self { state: Mutex::new(state), wake: Notify::new() }
    }

    /// Adds an input that the account admits. The worker is woken by the first input of a batch, or, while it has them gather, by
    /// the one that ends that.
    pub(super) fn add<E>(
        &self,
        input: T,
        urgency: Urgency,
        admit: impl FnOnce(&mut A) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.state.lock();
        admit(&mut state.account)?;
        if state.closed {
            return Ok(());
        }
        state.inputs.push(input);
        state.most_urgent = state.most_urgent.max(Some(urgency));
        let gathered = state.gathering.is_some_and(|until| state.is_enough(until));
        if gathered {
            state.gathering = None;
        }
        let wake = gathered || (state.inputs.len() == 1 && state.gathering.is_none());
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Has inputs gather without waking the worker; says no when what ends that is there already.
    pub(super) fn gather(&self, until: Until) -> bool {
        let mut state = self.state.lock();
        let gathers = !(state.killed || state.is_enough(until));
        state.gathering = gathers.then_some(until);
        gathers
    }

    /// Exchanges the queue with an empty vector, whose memory is used from then on; says whether to go on at all.
    pub(super) fn take(&self, emptied: &mut Vec<T>, settle: impl FnOnce(&mut A)) -> bool {
        debug_assert!(emptied.is_empty());
        let mut state = self.state.lock();
        std::mem::swap(&mut state.inputs, emptied);
        (state.gathering, state.most_urgent) = (None, None);
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
