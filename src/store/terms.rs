//! What all calls have in common: they can be awaited as they are, and each has a deadline.

use std::pin::Pin;

use crate::error::Error;

/// What a call becomes when it is awaited: a boxed future, one allocation. `send()` does without.
pub type Sending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Makes a call awaitable, and gives it its deadline.
macro_rules! call {
    ($call:ident -> $output:ty) => {
        impl $call<'_> {
            /// How long this call may take: 1 ms to 10 minutes, to the millisecond below; the default is
            /// [`Config::deadline_default_ms`](crate::Config::deadline_default_ms), 5 s.
            #[must_use]
            pub fn deadline(mut self, deadline: std::time::Duration) -> Self {
                self.deadline = Some(deadline);
                self
            }
        }

        impl<'a> IntoFuture for $call<'a> {
            type Output = Result<$output, crate::error::Error>;
            type IntoFuture = $crate::store::terms::Sending<'a, $output>;

            /// [`send`](Self::send), boxed.
            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    };
}

pub(super) use call;
