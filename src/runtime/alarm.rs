//! A timer that costs next to nothing to set again.
//!
//! tokio wakes its own thread, with three system calls, each time a timer is set that is due before all others; a turn of a worker
//! would do so twice. An alarm that is set already, for no later than it is wanted now, is left as it is.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Goes off at or before the time that it is asked for: whoever is woken looks at the clock.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    is_set: bool,
}

impl Alarm {
    /// An alarm that is not set. To be made within a runtime.
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), is_set: false }
    }

    /// Waits for that long at most. May be dropped at any await; the alarm stays set then.
    pub(super) async fn wait(&mut self, at_most: Duration) {
        let wanted = Instant::now() + at_most;
        if !self.is_set || self.sleep.deadline() > wanted {
            self.sleep.as_mut().reset(wanted);
            self.is_set = true;
        }
        self.sleep.as_mut().await;
        self.is_set = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_goes_off_no_later_than_it_was_asked_for_last() {
        let mut alarm = Alarm::new();
        let start = Instant::now();
        let ms = Duration::from_millis;
        // Set for 100 ms, given up after 10; a longer wish leaves it as it is.
        assert!(tokio::time::timeout(ms(10), alarm.wait(ms(100))).await.is_err());
        alarm.wait(ms(500)).await;
        assert_eq!(start.elapsed().as_millis(), 100);
        // It has gone off: a new wish counts from now, and a shorter one sets it anew.
        assert!(tokio::time::timeout(ms(10), alarm.wait(ms(500))).await.is_err());
        alarm.wait(ms(20)).await;
        assert_eq!(start.elapsed().as_millis(), 130);
    }
}
