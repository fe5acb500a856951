//! What the product's files find as `super::sync`.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use loom::sync::{Condvar, MutexGuard};

/// As `parking_lot` has it.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|_| unreachable!("a model ends with its first panic"))
    }
}

/// As tokio has it, for one who waits: a notification that comes when nobody waits is kept for the next, and only one is.
pub(crate) struct Notify {
    kept: Mutex<bool>,
    came: Condvar,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::new(false), came: Condvar::new() }
    }

    pub(crate) fn notify_one(&self) {
        *self.kept.lock() = true;
        self.came.notify_one();
    }

    /// The thread sleeps meanwhile: there is nothing else for it to do.
    pub(crate) async fn notified(&self) {
        let mut kept = self.kept.lock();
        while !*kept {
            kept = self.came.wait(kept).unwrap_or_else(|_| unreachable!("a model ends with its first panic"));
        }
        *kept = false;
    }
}

/// The value of a future that never has to be polled twice.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("it sleeps instead"),
    }
}
