//! A compare-and-set succeeds on its predecessor only: no version of the record lies between the one it named and its own.

use std::collections::BTreeSet;

use thermocline::{Expect, Version};

use super::{Checked, KeyHistory};

pub(super) fn check(key: &KeyHistory<'_>) -> Checked {
    let mut versions: BTreeSet<Version> = key.writes.iter().filter_map(super::KeyWrite::version).collect();
    versions.extend(key.reads.iter().filter_map(|read| read.found.map(|(version, _)| version)));
    versions.extend(key.seen.iter().map(|(_, version, _)| *version));
    for write in &key.writes {
        let (Some(version), Expect::Version(expected)) = (write.version(), write.expect) else { continue };
        if expected >= version {
            return Err(format!("{:?} succeeded on a later version", write.operation));
        }
        let between = versions.range(Version(expected.0 + 1)..version).next();
        if let Some(between) = between {
            return Err(format!("{:?} succeeded, but version {between} came before", write.operation));
        }
    }
    Ok(())
}
