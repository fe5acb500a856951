//! Who reclaims segments finds out which number the first commit that is kept has, or will have, while the writer goes on.

use crate::{layout, sync};

#[path = "../../../tiers/src/hot/journal/numbering.rs"]
mod numbering;

/// The model, over a copy of the numbers.
macro_rules! models {
    ($($numbering:tt)+) => {
        use loom::sync::Arc;
        use loom::thread;
        use $($numbering)+::{FirstSequence, NextSequence, first_kept};

        use crate::layout::Sequence;
        use crate::sync::Mutex;

        /// Two empty segments; two commits go to the first, one to the second. The writer takes the lock to go on to another segment.
        pub(crate) fn the_first_kept_commit_is_the_next_to_come(is_locked: bool) {
            loom::model(move || {
                let numbers = (NextSequence::new(Sequence(5)), [FirstSequence::none(), FirstSequence::none()]);
                let shared = Arc::new((numbers, Mutex::new(())));
                let writer = {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        let ((next, [first, second]), files) = &*shared;
                        for (segment, number) in [(first, 5), (first, 6), (second, 7)] {
                            if number == 7 {
                                drop(files.lock());
                            }
                            segment.started(Sequence(number));
                            next.set(Sequence(number + 1));
                        }
                    })
                };
                let ((next, segments), files) = &*shared;
                let lock = is_locked.then(|| files.lock());
                let found = first_kept(next, segments.iter());
                drop(lock);
                // Before the writer went on, or after it: the commit in the first segment is kept.
                assert_eq!(found, Sequence(5));
                writer.join().unwrap();
            });
        }
    };
}
pub(crate) use models;

mod product {
    models!(super::numbering);
}

#[test]
fn the_floor_of_a_reclaim_is_the_first_commit_that_is_kept() {
    product::the_first_kept_commit_is_the_next_to_come(true);
}

#[test]
#[should_panic(expected = "assertion")]
fn a_writer_that_goes_on_to_another_segment_meanwhile_is_found() {
    product::the_first_kept_commit_is_the_next_to_come(false);
}
