//! Answers from the applied state: at once where it is in memory, else by way of a disk job.

use bytes::Bytes;
use thermocline_tiers::hot::state::{
    Key as StateKey, Lookup, Page, Record as StateRecord, Scan, ScanRange, StateError,
};

use crate::error::Error;
use crate::key::{Key, Record, Version};
use crate::node::apply;
use crate::node::calls::{Call, CallKey, Read, Work};
use crate::node::command::EntryToken;
use crate::node::effects::Job;
use crate::node::worker::Worker;
use crate::request::{Answer, Outcome, ScanQuery};
use crate::token::{Resolution, Token};

impl Worker {
    /// Answers a read from the applied state.
    pub(in crate::node) fn serve(&mut self, now: u64, key: CallKey) {
        let Some(Call { bucket, work: Work::Read(read), .. }) = self.calls.get(key) else { return };
        let bucket = *bucket;
        if self.failed.contains(&bucket.0) {
            return self.read_elsewhere(now, key);
        }
        let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
        match read {
            Read::Get(wanted) => {
                let state_key = match StateKey::new(&wanted.entity, apply::state_position(wanted.position)) {
                    Ok(state_key) => state_key,
                    Err(error) => {
                        return self
                            .finish(key, Err(Error::invalid("key", error.to_string(), "a valid key")));
                    }
                };
                match self.part(bucket).get(state_bucket, &state_key) {
                    Lookup::Found(record) => self.got(now, key, Ok(Some(record))),
                    Lookup::Absent => self.got(now, key, Ok(None)),
                    Lookup::Deferred(job) => self.effects.jobs.push(Job::Get(key, job)),
                }
            }
            Read::Scan(query) => match self.part(bucket).scan(state_bucket, &query.entity, &range(query)) {
                Scan::Done(page) => self.scanned(now, key, Ok(page)),
                Scan::Deferred(job) => self.effects.jobs.push(Job::Scan(key, job)),
            },
            Read::Resolve(token) => {
                let token = *token;
                self.resolve(now, key, token);
            }
            Read::NewToken(_) => {
                let token = self.new_token(bucket);
                self.finish(key, Ok(Answer::Token(token)));
            }
        }
    }

    /// A get has its record.
    pub(in crate::node) fn got(
        &mut self,
        now: u64,
        key: CallKey,
        result: Result<Option<StateRecord>, StateError>,
    ) {
        let Some(Call { bucket, work: Work::Read(Read::Get(wanted)), .. }) = self.calls.get(key) else {
            return;
        };
        let outcome: Outcome = match result {
            Ok(record) => {
                let live = record.filter(|record| !is_expired(record.expires_ms, self.wall_ms));
                Ok(Answer::Got(live.map(|record| store_record(wanted.entity.clone(), record))))
            }
            Err(error) => {
                let bucket = *bucket;
                return self.read_failed(now, key, bucket, &error);
            }
        };
        self.finish(key, outcome);
    }

    /// A scan has its page.
    pub(in crate::node) fn scanned(&mut self, now: u64, key: CallKey, mut result: Result<Page, StateError>) {
        let wall_ms = self.wall_ms;
        // A loop, because a long stretch of expired records is many pages.
        let outcome = loop {
            let Some(Call { bucket, work: Work::Read(Read::Scan(query)), .. }) = self.calls.get_mut(key)
            else {
                return;
            };
            let page = match result {
                Ok(page) => page,
                Err(error) => {
                    let bucket = *bucket;
                    return self.read_failed(now, key, bucket, &error);
                }
            };
            let live = page.records.into_iter().filter(|record| !is_expired(record.expires_ms, wall_ms));
            let records: Vec<Record> =
                live.map(|record| store_record(query.entity.clone(), record)).collect();
            let next = match page.next.map(apply::store_position) {
                // Nothing of this stretch is live: the page begins behind it.
                Some(next) if records.is_empty() => next,
                next => break Ok(Answer::Page { records, end: next.is_none() }),
            };
            *(if query.newest_first { &mut query.to } else { &mut query.from }) = next;
            let part = &self.parts[self.settings.dealing.place(*bucket)];
            match part.scan(thermocline_tiers::hot::Bucket(bucket.0), &query.entity, &range(query)) {
                Scan::Done(page) => result = Ok(page),
                Scan::Deferred(job) => return self.effects.jobs.push(Job::Scan(key, job)),
            }
        };
        self.finish(key, outcome);
    }

    /// Says what became of a token's mutation as of the applied slot; if that is open, closes it.
    fn resolve(&mut self, now: u64, key: CallKey, token: Token) {
        let Some(call) = self.calls.get(key) else { return };
        let (source, deadline, bucket) = (call.source, call.deadline, call.bucket);
        let entry = EntryToken { client: token.client, counter: token.counter, born: token.born };
        let applied = self.applied(bucket);
        let verdict = match apply::remembered(self.part(bucket), bucket, &entry) {
            Ok(Some(verdict)) => Some(verdict),
            Ok(None) => apply::without_outcome(token.born, applied),
            Err(error) => return self.read_failed(now, key, bucket, &error),
        };
        match verdict {
            Some(apply::Verdict::Applied(version)) => {
                self.finish(key, Ok(Answer::Resolved(Resolution::Committed(version))))
            }
            Some(apply::Verdict::Forgotten) => self.finish(key, Ok(Answer::Resolved(Resolution::Forgotten))),
            Some(_) => self.finish(key, Ok(Answer::Resolved(Resolution::NotCommitted))),
            None => {
                // Still open. The question becomes a command that closes it, and whose outcome is the answer.
                self.calls.remove(key);
                self.burn(now, source, deadline, token);
            }
        }
    }
}

fn is_expired(expires_ms: Option<u64>, wall_ms: u64) -> bool {
    expires_ms.is_some_and(|expires| expires <= wall_ms)
}

fn range(query: &ScanQuery) -> ScanRange {
    ScanRange {
        from: apply::state_position(query.from),
        to: apply::state_position(query.to),
        newest_first: query.newest_first,
        limit_records: query.limit_records.max(1) as usize,
        limit_bytes: query.limit_bytes.max(1) as usize,
    }
}

fn store_record(entity: Bytes, record: StateRecord) -> Record {
    Record {
        key: Key { entity, position: apply::store_position(record.position) },
        value: record.value,
        version: Version(record.version.0),
        expires_at: record.expires_ms,
    }
}
