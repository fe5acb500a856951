//! What all calls have in common: they can be awaited as they are, and each has a deadline.

use std::pin::Pin;

use crate::error::Error;

/// What a call becomes when it is awaited as it is: a boxed future, for one allocation. `send().await` does without.
pub type Sending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Makes a call awaitable, and gives it its deadline.
macro_rules! call {
    ($call:ident, $send:ident -> $output:ty) => {
        impl $call<'_> {
            /// How long this call may take: 1 ms to 10 minutes, cut to whole milliseconds; the default is
            /// [`Config::deadline_default_ms`](crate::Config::deadline_default_ms), 5 s.
            pub fn deadline(mut self, deadline: std::time::Duration) -> Self {
                self.deadline = Some(deadline);
                self
            }
        }

        impl<'a> IntoFuture for $call<'a> {
            type Output = Result<$output, crate::error::Error>;
            type IntoFuture = $crate::store::terms::Sending<'a, $output>;

            #[doc = concat!("[`", stringify!($send), "`](Self::", stringify!($send), "), boxed.")]
            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.$send())
            }
        }
    };
}

/// Gives a mutation its token.
macro_rules! token {
    ($call:ident) => {
        impl $call<'_> {
            /// The token under which it is sent, from [`Store::new_token`](crate::Store::new_token) or an
            /// [`Error::Unknown`](crate::Error::Unknown); without it, a fresh one. Under one token at most one mutation
            /// is ever applied, so what is sent again must be the same.
            pub fn token(mut self, token: crate::token::Token) -> Self {
                self.token = Some(token);
                self
            }
        }
    };
}

pub(super) use {call, token};
