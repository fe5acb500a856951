//! Streams: the dated records of an entity.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;

use super::command::{number, shown};
use super::frame::Request;
use super::id::{Id, Wanted};
use super::reply::Reply;
use super::{pairs, string};
use crate::error::Error;
use crate::key::{Key, Position, Record};
use crate::request::Expect;
use crate::store::{SCAN_BYTES_MAX, SCAN_RECORDS_DEFAULT, SCAN_RECORDS_MAX, Store};

/// The most bytes of values and ids that one XRANGE answers with.
const RANGE_BYTES_MAX: usize = 16 << 20;
/// The most entries that one XRANGE answers with.
const RANGE_ENTRIES_MAX: usize = 100_000;
/// How often XADD looks for a free id before it gives up.
const ADD_ATTEMPTS_MAX: u32 = 32;

/// `XADD name id field value ...`. An id must be free; `*` and `ms-*` take the next one that is.
pub(super) async fn add(store: &Store, request: &Request) -> Reply {
    let (wanted, value) = match read_add(request) {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    match add_value(store, request.share(1), wanted, value).await {
        Ok(id) => Reply::bulk(id.to_string()),
        Err(Error::Conflict { .. }) => Reply::err("the ID specified in XADD exists already"),
        Err(error) => Reply::failure(&error),
    }
}

/// Several XADD to one stream, in their order with nothing in between: all with `*`, or all with ids of their own. They are
/// one batch; where one of them is in the others' way, they are added one after the other.
pub(super) async fn add_all(store: &Store, requests: &[Request]) -> Vec<Reply> {
    if let Some(replies) = add_batch(store, requests).await {
        return replies;
    }
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        replies.push(add(store, request).await);
    }
    replies
}

async fn add_batch(store: &Store, requests: &[Request]) -> Option<Vec<Reply>> {
    let entity = requests.first()?.share(1);
    let adds: Vec<(Wanted, Bytes)> = requests.iter().map(read_add).collect::<Result<_, _>>().ok()?;
    for _ in 0..ADD_ATTEMPTS_MAX {
        let (mut ids, mut is_auto) = (Vec::with_capacity(adds.len()), false);
        for (wanted, _) in &adds {
            ids.push(match (wanted, ids.last()) {
                (Wanted::Exactly(id), _) => *id,
                (Wanted::Auto, Some(last)) => Id::next(*last)?,
                (Wanted::Auto, None) => {
                    is_auto = true;
                    free_now(store, &entity, adds.len()).await.ok()?
                }
                (Wanted::Within(_), _) => return None,
            });
        }
        let mut batch = store.batch(entity.clone());
        for (id, (_, value)) in ids.iter().zip(&adds) {
            batch = batch.put_with((id.timestamp, id.sequence), value.clone(), None, Expect::Absent);
        }
        match batch.commit().await {
            Ok(_) => return Some(ids.iter().map(|id| Reply::bulk(id.to_string())).collect()),
            // Another node took one of the ids.
            Err(Error::Conflict { .. }) if is_auto => {}
            // One of them alone is at fault: an id that is taken or comes twice, or more than fits a batch.
            Err(Error::Conflict { .. } | Error::Invalid { .. }) => return None,
            Err(error) => return Some(requests.iter().map(|_| Reply::failure(&error)).collect()),
        }
    }
    Some(requests.iter().map(|_| Reply::failure(&Error::Contended)).collect())
}

/// What an XADD asks for, or the reply that refuses it.
fn read_add(request: &Request) -> Result<(Wanted, Bytes), Reply> {
    let id = request.argument(2);
    if [&b"NOMKSTREAM"[..], b"MAXLEN", b"MINID"].iter().any(|option| option.eq_ignore_ascii_case(id)) {
        return Err(Reply::err(format_args!("XADD option {} is not supported", shown(id))));
    }
    let Some(wanted) = Wanted::parse(id) else {
        return Err(Reply::err(format_args!("invalid stream ID '{}'; must be ms-seq, ms-* or *", shown(id))));
    };
    if request.len().is_multiple_of(2) {
        return Err(Reply::err("wrong number of arguments for 'xadd' command: each field needs a value"));
    }
    Ok((wanted, pairs::encode((3..request.len()).map(|number| request.argument(number)))))
}

/// Adds at the wanted id, or at the first free one behind it. Ids that are taken at two nodes at the same time are distinct,
/// and in the order of the nodes' clocks.
async fn add_value(store: &Store, entity: Bytes, wanted: Wanted, value: Bytes) -> Result<Id, Error> {
    for _ in 0..ADD_ATTEMPTS_MAX {
        let id = match wanted {
            Wanted::Exactly(id) => id,
            Wanted::Within(timestamp) => free_within(store, &entity, timestamp).await?,
            Wanted::Auto => free_now(store, &entity, 1).await?,
        };
        let key = Key::new(entity.clone(), id.timestamp, id.sequence);
        match store.put(&key, value.clone()).if_absent().send().await {
            Ok(_) => return Ok(id),
            Err(Error::Conflict { .. }) if !matches!(wanted, Wanted::Exactly(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Contended)
}

async fn free_within(store: &Store, entity: &Bytes, timestamp: u64) -> Result<Id, Error> {
    let newest = newest(store, entity, timestamp, timestamp).await?;
    let sequence = newest.map_or(Some(0), |id| id.sequence.checked_add(1));
    let sequence = sequence.ok_or_else(|| full(format!("{timestamp}-*")))?;
    Ok(Id { timestamp, sequence })
}

/// The last id that this process made from its clock, whatever the stream: no two callers get the same one.
static LAST: Mutex<Id> = Mutex::new(Id::MIN);

/// Now, or behind the newest entry if a faster clock wrote that; with room for `count` ids one behind the other.
async fn free_now(store: &Store, entity: &Bytes, count: usize) -> Result<Id, Error> {
    let newest = newest(store, entity, 0, u64::MAX).await?;
    let now = now(count)?;
    match newest {
        Some(newest) if newest >= now => newest.next().ok_or_else(|| full("*".to_owned())),
        _ => Ok(now),
    }
}

/// The first of `count` ids that nobody else gets from this process.
#[expect(clippy::disallowed_methods, reason = "an id says the time to people")]
fn now(count: usize) -> Result<Id, Error> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let full = || full("*".to_owned());
    let mut last = LAST.lock();
    let first = last.next().ok_or_else(full)?.max(Id { timestamp, sequence: 0 });
    let mut id = first;
    for _ in 1..count {
        id = id.next().ok_or_else(full)?;
    }
    *last = id;
    Ok(first)
}

fn full(wanted: String) -> Error {
    Error::invalid("stream ID", wanted, "an ID behind the newest entry, which has the largest ID there is")
}

async fn newest(store: &Store, entity: &Bytes, from: u64, to: u64) -> Result<Option<Id>, Error> {
    let page = store.scan(entity.clone()).range(from..=to).newest_first().limit(1).page().await?;
    Ok(page.records.first().map(id_of))
}

fn id_of(record: &Record) -> Id {
    match record.key.position {
        Position::Dated { timestamp, sequence } => Id { timestamp, sequence },
        Position::Undated => unreachable!("a scan returned the undated record of {:?}", record.key.entity),
    }
}

/// `XRANGE name start end [COUNT n]`, and `XREVRANGE name end start [COUNT n]`
pub(super) async fn range(store: &Store, request: &Request, newest_first: bool) -> Reply {
    let count = match request.len() {
        4 => None,
        6 if request.argument(4).eq_ignore_ascii_case(b"COUNT") => match number(request.argument(5)) {
            Some(count) => Some(count as usize),
            None => return Reply::err("value is not an integer or out of range: COUNT"),
        },
        _ => return Reply::err("syntax error: behind the range, only COUNT and a number"),
    };
    let (start, end) = if newest_first { (3, 2) } else { (2, 3) };
    let bounds = Id::range_start(request.argument(start)).zip(Id::range_end(request.argument(end)));
    let Some((start, end)) = bounds else {
        return Reply::err("invalid stream ID specified as a bound; must be ms-seq, ms, - or +");
    };
    let range = start.zip(end).filter(|(start, end)| start <= end);
    let Some((start, end)) = range.filter(|_| count != Some(0)) else { return Reply::Array(Vec::new()) };
    match collect(store, request.share(1), start, end, newest_first, count).await {
        Ok(Some(records)) => Reply::Entries(records),
        Ok(None) => Reply::err(format_args!(
            "the range holds more than {RANGE_ENTRIES_MAX} entries or {RANGE_BYTES_MAX} bytes; use COUNT and go on behind the last ID"
        )),
        Err(error) => Reply::failure(&error),
    }
}

/// The records of a range; `None` when they are too many for one answer.
async fn collect(
    store: &Store,
    entity: Bytes,
    start: Id,
    end: Id,
    newest_first: bool,
    count: Option<usize>,
) -> Result<Option<Vec<Record>>, Error> {
    let mut scan = store.scan(entity).from(start.timestamp, start.sequence).to(end.timestamp, end.sequence);
    if newest_first {
        scan = scan.newest_first();
    }
    let (mut records, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
    loop {
        let wanted = count.map(|count| count - records.len());
        let limit = wanted.unwrap_or(SCAN_RECORDS_DEFAULT as usize).min(SCAN_RECORDS_MAX as usize);
        // Pages after the first are as long as they may be.
        let limit = if wanted.is_none() && !records.is_empty() { SCAN_RECORDS_MAX as usize } else { limit };
        let page = scan.clone().limit(limit as u32).page().await?;
        bytes += page.records.iter().map(|record| record.value.len() + 32).sum::<usize>();
        records.extend(page.records);
        if bytes > RANGE_BYTES_MAX || records.len() > RANGE_ENTRIES_MAX {
            return Ok(None);
        }
        match page.cursor {
            Some(cursor) if count != Some(records.len()) => scan = scan.after(&cursor),
            _ => return Ok(Some(records)),
        }
    }
}

/// `XLEN name`: reads the whole stream to count it.
pub(super) async fn len(store: &Store, entity: Bytes) -> Reply {
    let mut scan = store.scan(entity).limit(SCAN_RECORDS_MAX).limit_bytes(SCAN_BYTES_MAX);
    let mut count = 0;
    loop {
        let page = match scan.clone().page().await {
            Ok(page) => page,
            Err(error) => return Reply::failure(&error),
        };
        count += page.records.len() as u64;
        match page.cursor {
            Some(cursor) => scan = scan.after(&cursor),
            None => return Reply::Number(count),
        }
    }
}

/// `XDEL name id...`: how many there were.
pub(super) async fn del(store: &Store, request: &Request) -> Reply {
    let mut keys = Vec::with_capacity(request.len() - 2);
    for at in 2..request.len() {
        let Some(id) = Id::parse(request.argument(at), 0) else {
            return Reply::err(format_args!(
                "invalid stream ID '{}'; must be ms-seq",
                shown(request.argument(at))
            ));
        };
        keys.push(Key::new(request.share(1), id.timestamp, id.sequence));
    }
    string::remove_each(store, keys.into_iter()).await
}
