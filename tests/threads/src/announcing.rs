//! Who has heard every announcement of a flag knows what it is, in whatever order two threads change and announce it.

use crate::sync;

#[path = "../../../src/runtime/announced.rs"]
mod announced;

/// The model, over a copy of the flag.
macro_rules! models {
    ($($announced:tt)+) => {
        use loom::sync::Arc;
        use loom::thread;
        use $($announced)+::Announced;

        use crate::sync::Mutex;

        pub(crate) fn the_last_announcement_finds_the_last_value() {
            loom::model(|| {
                let flag = Arc::new(Announced::new(false));
                // What whoever hears the announcements believes. They come one after the other, as through a mailbox.
                let believed = Arc::new(Mutex::new(false));
                let threads = [true, false].map(|value| {
                    let (flag, believed) = (Arc::clone(&flag), Arc::clone(&believed));
                    thread::spawn(move || {
                        flag.set(value, || {
                            let mut believed = believed.lock();
                            *believed = flag.get();
                        });
                    })
                });
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                assert_eq!(*believed.lock(), flag.get());
            });
        }
    };
}
pub(crate) use models;

mod product {
    models!(super::announced);
}

#[test]
fn who_has_heard_every_announcement_knows_what_the_flag_is() {
    product::the_last_announcement_finds_the_last_value();
}
