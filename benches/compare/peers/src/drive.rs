//! Clients in the process of the node that they call.

use std::sync::Arc;

use bytes::Bytes;
use clap::Parser;
use loadgen::{Failure, Plan, Session, run_with};
use tokio::sync::oneshot;

use crate::front::{Refusal, Store};

/// Runs a load generator on a thread of its own; its report as JSON, or what was wrong.
pub(crate) async fn drive<S: Store>(arguments: &[Bytes], store: Arc<S>) -> Result<String, String> {
    let words = arguments.iter().map(|argument| String::from_utf8_lossy(argument).into_owned());
    let plan = Plan::try_parse_from(std::iter::once("drive".to_owned()).chain(words))
        .map_err(|error| error.to_string())?;
    let (tell, told) = oneshot::channel();
    let clients = std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
        let report = run_with::<Embedded<S>>(plan, store).map_err(|error| error.to_string());
        let report =
            report.and_then(|report| serde_json::to_string(&report).map_err(|error| error.to_string()));
        // Whoever asked may have gone.
        drop(tell.send(report));
    });
    clients.map_err(|error| error.to_string())?;
    told.await.map_err(|_| "the clients panicked".to_owned())?
}

/// Calls of the store, with no connection between.
struct Embedded<S>(Arc<S>);

impl<S: Store> Session for Embedded<S> {
    type Place = Arc<S>;

    async fn open(place: &Arc<S>, _: usize) -> Result<Self, Failure> {
        Ok(Embedded(Arc::clone(place)))
    }

    async fn put(&mut self, key: &[u8], value: &[u8], _: u32) -> Result<(), Failure> {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.0.set(key, value).await.map_err(failure)
    }

    async fn get(&mut self, key: &[u8]) -> Result<bool, Failure> {
        Ok(self.0.get(Bytes::copy_from_slice(key)).await.map_err(failure)?.is_some())
    }
}

fn failure(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotLeader => Failure::NotLeader,
        Refusal::Unknown => Failure::Unknown,
        Refusal::Failed(why) => Failure::Other(why),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Refuses every other write.
    #[derive(Default)]
    struct Half {
        calls: AtomicU64,
        keys: Mutex<std::collections::BTreeSet<Bytes>>,
    }

    impl Store for Half {
        async fn set(&self, key: Bytes, _: Bytes) -> Result<(), Refusal> {
            if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                return Err(Refusal::Unknown);
            }
            self.keys.lock().unwrap().insert(key);
            Ok(())
        }

        async fn get(&self, key: Bytes) -> Result<Option<Bytes>, Refusal> {
            Ok(self.keys.lock().unwrap().get(&key).cloned())
        }

        fn info(&self) -> String {
            String::new()
        }
    }

    fn words(text: &str) -> Vec<Bytes> {
        text.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[tokio::test]
    async fn clients_in_the_process_are_counted_as_those_outside() {
        let store = Arc::new(Half::default());
        let pid = std::process::id();
        let fill = words(&format!("--endpoints here --operation fill --keys 20 --clients 3 --pids {pid}"));
        let report: serde_json::Value =
            serde_json::from_str(&drive(&fill, Arc::clone(&store)).await.unwrap()).unwrap();
        assert_eq!((&report["puts"]["count"], &report["unknown"]), (&20.into(), &20.into()));
        assert_eq!(report["client_cpu_seconds_per_million"], 0.0, "it is the server's");
        assert_eq!(store.keys.lock().unwrap().len(), 20);
        let wrong = drive(&words("--operation dance"), store).await.unwrap_err();
        assert!(wrong.contains("dance"), "{wrong}");
    }
}
