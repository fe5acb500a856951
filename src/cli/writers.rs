//! Many callers that store records, spread over the nodes, and go elsewhere when their node is down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::exit::Failure;
use super::members::Members;
use super::tally::{Retry, Tally};
use crate::error::Error;
use crate::key::Key;
use crate::store::Store;
use crate::token::Token;

/// How many records a caller takes at once.
pub(super) const CHUNK_RECORDS: usize = 16;
/// How many chunks may wait for callers.
const CHUNKS_WAITING_MAX: usize = 256;
/// How long a record is tried before the whole load fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pauses between attempts grow from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A record to be stored.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The line of the source, from 1.
    pub(super) line: u64,
    pub(super) key: Key,
    pub(super) value: Bytes,
}

/// Where records are handed in; dropping it ends the work.
pub(super) type Inlet = mpsc::Sender<Vec<Job>>;

/// What happens to a record that the store refuses for what it is: the load goes on, or fails.
pub(super) type Refused = dyn Fn(&Job, &Error) -> Result<(), Failure> + Send + Sync;

/// Callers at work.
#[derive(Debug)]
pub(super) struct Writers {
    tasks: JoinSet<Result<(), Failure>>,
}

struct Shared {
    members: Arc<Members>,
    tally: Arc<Tally>,
    feed: Mutex<mpsc::Receiver<Vec<Job>>>,
    refused: Box<Refused>,
    /// Is told how many records are stored by now, after each.
    progress: Box<dyn Fn(u64) + Send + Sync>,
}

impl Writers {
    /// Starts so many callers. The caller's number decides which node it prefers.
    pub(super) fn start(
        callers: usize,
        members: Arc<Members>,
        tally: Arc<Tally>,
        refused: Box<Refused>,
        progress: Box<dyn Fn(u64) + Send + Sync>,
    ) -> (Self, Inlet) {
        let (inlet, feed) = mpsc::channel(CHUNKS_WAITING_MAX);
        let shared = Arc::new(Shared { members, tally, feed: Mutex::new(feed), refused, progress });
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move { shared.work(caller).await });
        }
        (Self { tasks }, inlet)
    }

    /// Waits for all of them; after the first failure the others stop.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        while let Some(end) = self.tasks.join_next().await {
            end.map_err(|error| Failure::other(format!("a caller ended: {error}")))??;
        }
        Ok(())
    }
}

impl Shared {
    async fn work(&self, caller: usize) -> Result<(), Failure> {
        loop {
            let chunk = self.feed.lock().await.recv().await;
            let Some(chunk) = chunk else { return Ok(()) };
            for job in chunk {
                self.store(caller, &job).await?;
            }
        }
    }

    /// Stores one record, however often it takes. An attempt whose outcome is unknown is repeated under its token, so that
    /// the record is stored once, whichever attempt it was.
    async fn store(&self, caller: usize, job: &Job) -> Result<(), Failure> {
        let begun = Instant::now();
        let (mut token, mut pause, mut home) = (None, PAUSE_MIN, caller);
        loop {
            let outcome = match self.members.near(home) {
                None => Err(Error::Closed),
                Some((place, store)) => {
                    home = place;
                    attempt(&store, job, token).await
                }
            };
            let error = match outcome {
                Ok(()) => {
                    (self.progress)(self.tally.succeeded(caller, begun.elapsed()));
                    return Ok(());
                }
                Err(error) => error,
            };
            let next = token_after(token, &error);
            let Some(why) = Retry::of(&error) else {
                if next == token {
                    return (self.refused)(job, &error);
                }
                token = next;
                continue;
            };
            if begun.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                return Err(Failure::from(error)
                    .during(format_args!("line {}, after {seconds} s of attempts", job.line)));
            }
            self.tally.retried(why);
            token = next;
            home += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// The token of the next attempt at a record, after an attempt under this one has failed.
fn token_after(token: Option<Token>, error: &Error) -> Option<Token> {
    match error {
        // Its outcome is forgotten, if it had one. To store the same record once more changes nothing.
        Error::Unknown(again) if token == Some(*again) => None,
        Error::Unknown(unknown) => Some(*unknown),
        // The bucket has gone on too far for it: it never applies, if it has not. Again, once more changes nothing.
        Error::Invalid { what, .. } if what == "token" => None,
        _ => token,
    }
}

async fn attempt(store: &Store, job: &Job, token: Option<Token>) -> Result<(), Error> {
    let mut put = store.put(&job.key, job.value.clone());
    if let Some(token) = token {
        put = put.token(token);
    }
    put.send().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::token::TOKEN_SLOTS;

    fn job() -> Job {
        Job { line: 1, key: Key::undated("alice"), value: Bytes::from_static(b"x") }
    }

    #[tokio::test]
    async fn a_record_whose_first_attempt_is_too_old_to_be_repeated_under_its_token_is_stored_without_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Config::embedded(directory.path())).await.unwrap();
        let token = store.new_token("alice").await.unwrap();
        for _ in 0..=TOKEN_SLOTS {
            attempt(&store, &job(), None).await.unwrap();
        }
        let error = attempt(&store, &job(), Some(token)).await.unwrap_err();
        assert!(Retry::of(&error).is_none(), "{error}");
        assert_eq!(token_after(Some(token), &error), None);
        store.close().await;
    }

    #[test]
    fn an_attempt_of_unknown_outcome_is_repeated_under_its_token_until_that_is_forgotten() {
        let [token, other] = [1, 2].map(|counter| Token { client: 9, counter, bucket: 3, born: 4 });
        assert_eq!(token_after(None, &Error::Unknown(token)), Some(token));
        assert_eq!(token_after(Some(token), &Error::Contended), Some(token));
        assert_eq!(token_after(Some(token), &Error::Unknown(other)), Some(other));
        assert_eq!(token_after(Some(token), &Error::Unknown(token)), None);
    }
}
