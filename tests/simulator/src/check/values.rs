//! A version has one value, a value has one version, and every value that is read was written by somebody who was not told
//! that it failed (I10, I13, I15; a token applied twice shows here, as one value with two versions).

use std::collections::BTreeMap;

use bytes::Bytes;
use thermocline::Version;

use super::{Checked, KeyHistory};
use crate::history::{Operation, Outcome};

pub(super) fn check(key: &KeyHistory<'_>) -> Checked {
    let mut of_version: BTreeMap<Version, Option<&Bytes>> = BTreeMap::new();
    let mut of_value: BTreeMap<&Bytes, Version> = BTreeMap::new();
    for write in &key.writes {
        if let Some(version) = write.version() {
            note(&mut of_version, &mut of_value, version, write.value)?;
        }
    }
    let reads = key.reads.iter().filter_map(|read| read.found.map(|found| (read.operation, found)));
    let seen = key.seen.iter().map(|(operation, version, value)| (*operation, (*version, *value)));
    for (operation, (version, value)) in reads.chain(seen) {
        note(&mut of_version, &mut of_value, version, Some(value))?;
        check_origin(key, operation, value)?;
    }
    Ok(())
}

fn note<'a>(
    of_version: &mut BTreeMap<Version, Option<&'a Bytes>>,
    of_value: &mut BTreeMap<&'a Bytes, Version>,
    version: Version,
    value: Option<&'a Bytes>,
) -> Checked {
    let known = *of_version.entry(version).or_insert(value);
    if known != value {
        return Err(format!("version {version} has two values: {known:?} and {value:?}"));
    }
    if let Some(value) = value {
        let known = *of_value.entry(value).or_insert(version);
        if known != version {
            return Err(format!("{value:?} was written twice, as version {known} and as version {version}"));
        }
    }
    Ok(())
}

fn check_origin(key: &KeyHistory<'_>, read: &Operation, value: &Bytes) -> Checked {
    let Some(write) = key.writes.iter().find(|write| write.value == Some(value)) else {
        return Err(format!("{value:?} was read, and never written"));
    };
    if matches!(write.operation.outcome, Outcome::NotApplied | Outcome::Conflict) {
        return Err(format!("{value:?} was read, though its writer was told {:?}", write.operation.outcome));
    }
    if read.completed.is_some_and(|completed| completed < write.operation.invoked) {
        return Err(format!("{value:?} was read before it was written"));
    }
    Ok(())
}
