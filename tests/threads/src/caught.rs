//! The models are checked: each bug that `build.rs` puts in must be found.

/// A copy with a bug, and the model that is to find it.
macro_rules! bug {
    ($name:ident($($needs:ident),+): $models:ident, $model:ident($($with:expr)?), $found:literal) => {
        #[allow(dead_code, reason = "each bug is for one of the models")]
        mod $name {
            use crate::{$($needs),+};

            mod copy {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
            }

            crate::$models::models!(self::copy);

            #[test]
            #[should_panic(expected = $found)]
            fn is_found() {
                $model($($with)?);
            }
        }
    };
}

bug!(first_input_wakes_nobody(sync): queue, calls_wake(), "deadlock");
bug!(urgent_input_gathers_too(sync): queue, what_is_urgent_ends_the_gathering(), "deadlock");
bug!(enough_gathers_too(sync): queue, enough_ends_the_gathering(), "deadlock");
bug!(gathering_goes_on(sync): queue, a_gathering_that_an_alarm_has_ended_is_over(), "deadlock");
bug!(killed_in_its_sleep(sync): queue, who_is_killed_wakes_and_leaves_nothing(), "deadlock");
bug!(announced_too_early(sync): announcing, the_last_announcement_finds_the_last_value(), "assertion");
bug!(number_read_last(layout, sync): numbers, the_first_kept_commit_is_the_next_to_come(true), "assertion");
