//! Versions respect real time (I8): an operation that began after another had ended saw at least what that one had seen, and a
//! record that was surely there and surely not deleted is never missed.

use thermocline::Version;

use super::{Checked, KeyHistory};
use crate::queue::Time;

/// A moment at which a record surely had a version, or a later one.
struct Known {
    completed: Time,
    version: Version,
}

pub(super) fn check(key: &KeyHistory<'_>) -> Checked {
    let mut known: Vec<Known> = Vec::new();
    for write in &key.writes {
        if let (Some(version), Some(completed)) = (write.version(), write.operation.completed) {
            known.push(Known { completed, version });
        }
    }
    for read in &key.reads {
        if let Some((version, _)) = read.found {
            known.push(Known { completed: read.completed, version });
        }
    }
    known.sort_by_key(|known| known.completed);
    // From here on, the highest version that was known by each moment.
    let mut highest = Version(0);
    for known in &mut known {
        highest = highest.max(known.version);
        known.version = highest;
    }
    let before = |moment: Time| {
        let end = known.partition_point(|known| known.completed < moment);
        if end == 0 { Version(0) } else { known[end - 1].version }
    };
    for write in &key.writes {
        let floor = before(write.operation.invoked);
        if write.version().is_some_and(|version| version <= floor) {
            return Err(format!("{:?} came after version {floor} was known", write.operation));
        }
    }
    for read in &key.reads {
        let floor = before(read.operation.invoked);
        match read.found {
            Some((version, _)) if version < floor => {
                return Err(format!("{:?} came after version {floor} was known", read.operation));
            }
            None if floor > Version(0) && !may_be_gone(key, floor, read.completed) => {
                return Err(format!("{:?} found nothing, after version {floor} was known", read.operation));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a delete behind a version may have been applied by a moment.
fn may_be_gone(key: &KeyHistory<'_>, floor: Version, by: Time) -> bool {
    key.writes.iter().any(|write| {
        write.value.is_none()
            && write.may_be_applied()
            && write.operation.invoked < by
            && write.version().is_none_or(|version| version >= floor)
    })
}
