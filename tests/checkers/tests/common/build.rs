//! Operations in few words.

use std::ops::Range;

use thermocline_checkers::{Call, Operation, Outcome, Reply};

/// An operation of process `process` on key 1, answered.
pub(crate) fn ok(process: u64, time: Range<u64>, call: Call, reply: Reply) -> Operation {
    let outcome = Outcome::Ok { at: time.end, reply };
    Operation { process, key: 1, call, invoked: time.start, outcome, token: None }
}

/// One that was not applied.
pub(crate) fn failed(process: u64, time: Range<u64>, call: Call) -> Operation {
    let outcome = Outcome::Failed { at: time.end };
    Operation { process, key: 1, call, invoked: time.start, outcome, token: None }
}

/// One of which nobody knows.
pub(crate) fn unknown(process: u64, invoked: u64, call: Call) -> Operation {
    Operation { process, key: 1, call, invoked, outcome: Outcome::Unknown, token: None }
}

/// The same under a token.
pub(crate) fn under(token: &str, operation: Operation) -> Operation {
    Operation { token: Some(token.into()), ..operation }
}

/// A change that was made.
pub(crate) fn done(version: u64) -> Reply {
    Reply::Done { version: Some(version) }
}

/// A value that was read, with its version.
pub(crate) fn value(value: u64, version: u64) -> Reply {
    Reply::Value { value: Some(value), version: Some(version) }
}

/// Nothing was read.
pub(crate) fn absent() -> Reply {
    Reply::Value { value: None, version: None }
}

/// A compare-and-set on a version.
pub(crate) fn cas(expected: u64, value: u64) -> Call {
    Call::CompareAndSetVersion { expected, value }
}

/// What was scanned.
pub(crate) fn elements(elements: &[u64]) -> Reply {
    Reply::Elements(elements.to_vec())
}
