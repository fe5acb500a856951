//! Pages: one is in order and within its limit, and one of a series shows every record that was surely there. A series is only
//! appended to, so a page that shows a version shows all lower ones in its range, too.

use std::collections::BTreeMap;

use thermocline::{Position, Version};

use crate::history::{Action, Kind, Operation, Outcome, Read, changes, kind};

pub(crate) fn check(history: &[Operation]) -> Result<(), String> {
    let appends = appends(history);
    for scan in history {
        let (Action::Scan { entity, newest_first, limit }, Outcome::Page(page, end)) =
            (&scan.action, &scan.outcome)
        else {
            continue;
        };
        let at = |error: String| format!("entity {entity}: a scan {error}: {scan:?}");
        let ordered =
            page.windows(2).all(|two| (two[0].0 > two[1].0) == *newest_first && two[0].0 != two[1].0);
        if !ordered || page.len() > *limit as usize {
            return Err(at(String::from("is out of order or too long")));
        }
        let Some(appends) = appends.get(entity).filter(|_| kind(*entity) == Kind::Series) else { continue };
        check_complete(scan, page, *end, *newest_first, appends).map_err(at)?;
    }
    Ok(())
}

/// Every append of each entity that is known to be applied.
fn appends(history: &[Operation]) -> BTreeMap<u64, Vec<(&Operation, Position, Version)>> {
    let mut appends: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for operation in history {
        if let (Action::Write { entity, mutations }, Outcome::Written(version)) =
            (&operation.action, &operation.outcome)
        {
            for change in changes(mutations) {
                appends.entry(*entity).or_default().push((operation, change.position, *version));
            }
        }
    }
    appends
}

fn check_complete(
    scan: &Operation,
    page: &[Read],
    end: bool,
    newest_first: bool,
    appends: &[(&Operation, Position, Version)],
) -> Result<(), String> {
    let newest_seen = page.iter().map(|(_, version, _)| *version).max();
    for (append, position, version) in appends {
        let earlier = append.completed.is_some_and(|completed| completed < scan.invoked);
        let below = newest_seen.is_some_and(|seen| *version <= seen);
        let in_range = end
            || page
                .last()
                .is_some_and(|(last, ..)| if newest_first { position >= last } else { position <= last });
        let is_dated = *position != Position::Undated;
        if is_dated && (earlier || below) && in_range && !page.iter().any(|(seen, ..)| seen == position) {
            return Err(format!("misses version {version} at {position:?}"));
        }
    }
    Ok(())
}
