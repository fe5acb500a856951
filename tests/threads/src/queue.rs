//! A worker never sleeps while there is something in its queue that nobody else will wake it for.
//!
//! The worker here has no alarms: whatever only an alarm would end is a lost wake-up.

use crate::sync;

#[path = "../../../src/runtime/gathering.rs"]
mod gathering;

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// It may gather.
    Call,
    /// The worker waits for it: it is urgent.
    Synced,
}

/// The models, over a copy of the queue.
macro_rules! models {
    ($($gathering:tt)+) => {
        use loom::sync::Arc;
        use loom::thread;
        use $($gathering)+::{Gathering, Until, Urgency};

        use crate::queue::Input;
        use crate::sync::now;

        type Queue = Gathering<Input, usize>;

        fn push(queue: &Queue, input: Input) {
            let urgency = if input == Input::Synced { Urgency::High } else { Urgency::Low };
            let counted: Result<(), ()> = queue.add(input, urgency, |count| {
                *count += 1;
                Ok(())
            });
            assert!(counted.is_ok());
        }

        /// As `worker_thread.rs` goes about it, until it has so many inputs or is killed. `patient`: while it lets inputs gather until
        /// there are `many`, no alarm ends that.
        fn work(queue: &Queue, mut outstanding: u32, patient: bool, many: usize, wanted: usize) -> Vec<Input> {
            let until = Until { urgency: Urgency::Middle, many };
            let (mut seen, mut inputs) = (Vec::new(), Vec::new());
            while seen.len() < wanted {
                if outstanding > 0 && queue.gather(until) && patient {
                    now(queue.wait());
                }
                if !queue.take(&mut inputs, |count| *count = 0) {
                    break;
                }
                if inputs.is_empty() {
                    now(queue.wait());
                    if !queue.take(&mut inputs, |count| *count = 0) {
                        break;
                    }
                }
                outstanding -= inputs.iter().filter(|input| **input == Input::Synced).count() as u32;
                seen.append(&mut inputs);
            }
            seen
        }

        /// Two threads add an input each.
        fn two_inputs(inputs: [Input; 2], outstanding: u32, many: usize) {
            loom::model(move || {
                let queue = Arc::new(Queue::new(0));
                let threads = inputs.map(|input| {
                    let queue = Arc::clone(&queue);
                    thread::spawn(move || push(&queue, input))
                });
                let seen = work(&queue, outstanding, true, many, 2);
                assert_eq!(seen.iter().filter(|input| **input == Input::Call).count(), {
                    inputs.iter().filter(|input| **input == Input::Call).count()
                });
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                assert!(queue.is_empty() && queue.account(|count| *count) == 0);
            });
        }

        pub(crate) fn calls_wake() {
            two_inputs([Input::Call, Input::Call], 0, usize::MAX);
        }

        pub(crate) fn enough_ends_the_gathering() {
            two_inputs([Input::Call, Input::Call], 1, 1);
        }

        pub(crate) fn what_is_urgent_ends_the_gathering() {
            two_inputs([Input::Call, Input::Synced], 1, usize::MAX);
        }

        pub(crate) fn a_gathering_that_an_alarm_has_ended_is_over() {
            loom::model(|| {
                let queue = Arc::new(Queue::new(0));
                let calls = Arc::clone(&queue);
                let caller = thread::spawn(move || {
                    push(&calls, Input::Call);
                    push(&calls, Input::Call);
                });
                assert_eq!(work(&queue, 1, false, usize::MAX, 2), [Input::Call; 2]);
                caller.join().unwrap();
            });
        }

        pub(crate) fn who_is_killed_wakes_and_leaves_nothing() {
            loom::model(|| {
                let queue = Arc::new(Queue::new(0));
                let calls = Arc::clone(&queue);
                let kills = Arc::clone(&queue);
                let caller = thread::spawn(move || push(&calls, Input::Call));
                let killer = thread::spawn(move || kills.kill());
                work(&queue, 1, true, usize::MAX, usize::MAX);
                caller.join().unwrap();
                killer.join().unwrap();
                assert!(queue.is_empty());
            });
        }
    };
}
pub(crate) use models;

mod product {
    models!(super::gathering);
}

#[test]
fn a_worker_that_sleeps_is_woken_by_the_first_input() {
    product::calls_wake();
}

#[test]
fn a_worker_that_has_calls_gather_is_woken_by_what_is_urgent() {
    product::what_is_urgent_ends_the_gathering();
}

#[test]
fn a_worker_that_has_calls_gather_is_woken_when_there_are_enough() {
    product::enough_ends_the_gathering();
}

#[test]
fn a_worker_that_stopped_gathering_is_woken_by_calls() {
    product::a_gathering_that_an_alarm_has_ended_is_over();
}

#[test]
fn a_killed_worker_wakes_and_its_queue_is_empty_for_ever() {
    product::who_is_killed_wakes_and_leaves_nothing();
}
