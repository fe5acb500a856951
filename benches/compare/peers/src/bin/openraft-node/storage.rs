//! What openraft writes through: a log kept in memory and in a synced file, and a map.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bincode::config::standard;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine,
};
use openraft::{EntryPayload, OptionalSend};
use peers::GroupCommit;

use crate::Types;

/// The log: entries in memory for reading, the same in a file for keeping.
#[derive(Clone)]
pub(crate) struct Log {
    kept: Arc<Mutex<Kept>>,
    file: GroupCommit,
}

#[derive(Default)]
struct Kept {
    entries: BTreeMap<u64, EntryOf<Types>>,
    vote: Option<VoteOf<Types>>,
    purged: Option<LogIdOf<Types>>,
}

impl Log {
    pub(crate) fn new(file: GroupCommit) -> Log {
        Log { kept: Arc::default(), file }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<EntryOf<Types>>> {
        Ok(self.kept().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(self.kept().vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let kept = self.kept();
        let last = kept.entries.last_key_value().map(|(_, entry)| entry.log_id());
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id: last.or(kept.purged) })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        self.file.append_and_wait(encode(vote)?).await?;
        self.kept().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut record = Vec::with_capacity(4096);
        {
            let mut kept = self.kept();
            for entry in entries {
                bincode::serde::encode_into_std_write(&entry, &mut record, standard())
                    .map_err(io::Error::other)?;
                kept.entries.insert(entry.index(), entry);
            }
        }
        self.file.append(record, move |outcome| flushed.io_completed(outcome));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        let first_gone = last.map_or(0, |id| id.index() + 1);
        self.file.append_and_wait(first_gone.to_le_bytes().to_vec()).await?;
        self.kept().entries.split_off(&first_gone);
        Ok(())
    }

    async fn purge(&mut self, through: LogIdOf<Types>) -> io::Result<()> {
        let mut kept = self.kept();
        kept.entries = kept.entries.split_off(&(through.index() + 1));
        kept.purged = Some(through);
        Ok(())
    }
}

/// The replicated map.
#[derive(Clone, Default)]
pub(crate) struct Map(Arc<RwLock<Applied>>);

#[derive(Default)]
struct Applied {
    values: HashMap<Bytes, Bytes>,
    last: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl Map {
    /// The value this node has applied last under `key`.
    pub(crate) fn value(&self, key: &[u8]) -> Option<Bytes> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values.get(key).cloned()
    }
}

impl RaftStateMachine<Types> for Map {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Map;

    async fn applied_state(&mut self) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        let applied = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            {
                let mut applied = self.0.write().unwrap_or_else(PoisonError::into_inner);
                applied.last = Some(entry.log_id);
                match entry.payload {
                    EntryPayload::Blank => {}
                    EntryPayload::Normal(set) => drop(applied.values.insert(set.key, set.value)),
                    EntryPayload::Membership(members) => {
                        applied.membership = StoredMembershipOf::<Types>::new(Some(entry.log_id), members);
                    }
                }
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Map {
        self.clone()
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<Types>, _: Vec<u8>) -> io::Result<()> {
        Err(no_snapshots())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, Vec<u8>>>> {
        Ok(None)
    }
}

impl RaftSnapshotBuilder<Types> for Map {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Vec<u8>>> {
        Err(no_snapshots())
    }
}

fn no_snapshots() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this store takes no snapshots")
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, standard()).map_err(io::Error::other)
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    match bincode::serde::decode_from_slice(bytes, standard()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(io::Error::other(format!("{} bytes too many", bytes.len() - used))),
        Err(error) => Err(io::Error::other(error)),
    }
}
