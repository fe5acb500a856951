//! Strings: undated records.

use bytes::Bytes;

use super::command::{number, shares, shown};
use super::frame::Request;
use super::reply::Reply;
use crate::error::Error;
use crate::key::{Key, Record, Version};
use crate::store::{BATCH_GET_KEYS_MAX, Store, each};
use crate::token::{Resolution, Token};

/// The most bytes of values in one reply.
const VALUES_BYTES_MAX: usize = 64 << 20;

/// `GET key`
pub(super) async fn get(store: &Store, key: Bytes) -> Reply {
    match store.get(&Key::undated(key)).send().await {
        Ok(Some(record)) => Reply::Bulk(record.value),
        Ok(None) => Reply::Nil,
        Err(error) => Reply::failure(&error),
    }
}

/// `SET key value`
pub(super) async fn set(store: &Store, key: Bytes, value: Bytes) -> Reply {
    match store.put(&Key::undated(key), value).send().await {
        Ok(_) => Reply::Word("OK"),
        Err(error) => Reply::failure(&error),
    }
}

/// Several `SET key value` of one key, in their order with nothing in between: the last value is what anybody sees. What becomes
/// of it becomes of all.
pub(super) async fn set_all(store: &Store, requests: &[Request]) -> Vec<Reply> {
    let Some(last) = requests.last() else { return Vec::new() };
    let outcome = store.put(&Key::undated(last.share(1)), last.share(2)).send().await;
    let reply = || match &outcome {
        Ok(_) => Reply::Word("OK"),
        Err(error) => Reply::failure(error),
    };
    requests.iter().map(|_| reply()).collect()
}

/// `SET key value NX` and `SET key value XX`
pub(super) async fn set_if(store: &Store, request: &Request) -> Reply {
    let key = Key::undated(request.share(1));
    let put = store.put(&key, request.share(2));
    let option = request.argument(3);
    let put = match (option.to_ascii_uppercase().as_slice(), request.len()) {
        (b"NX", 4) => put.if_absent(),
        (b"XX", 4) => put.if_present(),
        (b"NX" | b"XX", _) => {
            return Reply::err(format_args!(
                "SET: '{}' is not supported beside NX or XX",
                shown(request.argument(4))
            ));
        }
        (b"EX" | b"PX" | b"EXAT" | b"PXAT" | b"KEEPTTL" | b"GET", _) => {
            return Reply::err(format_args!("SET option {} is not supported; NX and XX are", shown(option)));
        }
        _ => return Reply::err(format_args!("syntax error: SET option '{}' is not known", shown(option))),
    };
    match put.send().await {
        Ok(_) => Reply::Word("OK"),
        Err(Error::Conflict { .. }) => Reply::Nil,
        Err(error) => Reply::failure(&error),
    }
}

/// `MGET key...`
pub(super) async fn mget(store: &Store, request: &Request) -> Reply {
    let (mut replies, mut bytes) = (Vec::with_capacity(request.len() - 1), 0);
    let outcome = each_of(store, request, |record| {
        bytes += record.as_ref().map_or(0, |record| record.value.len());
        replies.push(record.map_or(Reply::Nil, |record| Reply::Bulk(record.value)));
        bytes <= VALUES_BYTES_MAX
    });
    match outcome.await {
        Ok(true) => Reply::Array(replies),
        Ok(false) => Reply::err(format_args!(
            "the values are longer than {VALUES_BYTES_MAX} bytes together; ask for fewer keys at a time"
        )),
        Err(error) => Reply::failure(&error),
    }
}

/// `EXISTS key...`: how many there are, a key that is named twice counting twice.
pub(super) async fn exists(store: &Store, request: &Request) -> Reply {
    let mut there = 0;
    let outcome = each_of(store, request, |record| {
        there += u64::from(record.is_some());
        true
    });
    match outcome.await {
        Ok(_) => Reply::Number(there),
        Err(error) => Reply::failure(&error),
    }
}

/// Reads all keys that a request names, some at a time. Stops, with `false`, when `take` does not want any more.
async fn each_of(
    store: &Store,
    request: &Request,
    take: impl FnMut(Option<Record>) -> bool,
) -> Result<bool, Error> {
    let reads = shares(request, 1).map(|key| store.get(&Key::undated(key)).send());
    // However long their values are, those that are under way are no more than one reply may have.
    let at_a_time = (VALUES_BYTES_MAX / store.value_bytes_max()).clamp(1, BATCH_GET_KEYS_MAX);
    each(reads, at_a_time, take).await
}

/// `DEL key...`: how many there were. Each key for itself: they may be in different buckets.
pub(super) async fn del(store: &Store, request: &Request) -> Reply {
    remove_each(store, shares(request, 1).map(Key::undated)).await
}

/// Removes records one after the other and counts those that were there.
pub(super) async fn remove_each(store: &Store, keys: impl Iterator<Item = Key>) -> Reply {
    let mut removed = 0;
    for key in keys {
        match store.delete(&key).if_present().send().await {
            Ok(_) => removed += 1,
            Err(Error::Conflict { .. }) => {}
            Err(error) => {
                return match Reply::failure(&error) {
                    Reply::Error(text) if removed > 0 => Reply::Error(format!("PARTIAL {removed} {text}")),
                    reply => reply,
                };
            }
        }
    }
    Reply::Number(removed)
}

/// `TC.GET key`
pub(super) async fn get_versioned(store: &Store, key: Bytes) -> Reply {
    match store.get(&Key::undated(key)).send().await {
        Ok(Some(record)) => Reply::Array(vec![Reply::Bulk(record.value), Reply::Number(record.version.0)]),
        Ok(None) => Reply::NilArray,
        Err(error) => Reply::failure(&error),
    }
}

/// `TC.CAS key version value`
pub(super) async fn compare_and_set(store: &Store, request: &Request) -> Reply {
    let Some(expected) = number(request.argument(2)) else {
        let version = shown(request.argument(2));
        return Reply::err(format_args!(
            "invalid version: '{version}'; must be 0 (no value) or a version of TC.GET"
        ));
    };
    let expected = (expected != 0).then_some(Version(expected));
    match store.compare_and_set(&Key::undated(request.share(1)), expected, request.share(3)).send().await {
        Ok(version) => Reply::Number(version.0),
        Err(error) => Reply::failure(&error),
    }
}

/// `TC.RESOLVE token`
pub(super) async fn resolve(store: &Store, token: &[u8]) -> Reply {
    let token: Token = match String::from_utf8_lossy(token).parse() {
        Ok(token) => token,
        Err(error) => return Reply::failure(&error),
    };
    match store.resolve(&token).send().await {
        Ok(Resolution::Committed(version)) => {
            Reply::Array(vec![Reply::bulk("COMMITTED"), Reply::Number(version.0)])
        }
        Ok(Resolution::NotCommitted) => Reply::Array(vec![Reply::bulk("NOTCOMMITTED")]),
        Ok(Resolution::Forgotten) => Reply::Array(vec![Reply::bulk("FORGOTTEN")]),
        Err(error) => Reply::failure(&error),
    }
}
