//! What a chosen command does to the state: the replicated state machine.
//!
//! **Nothing here depends on anything but the command, its slot and the state below it**, so that every replica decides
//! the same: conditions, token outcomes and refusals alike.

use thermocline_paxos::{Bucket, Slot};
use thermocline_tiers::hot::state::{
    Apply, Key, Located, Part, Position as StatePosition, StateError, TokenKey,
};

use super::command::{Change, Entry, EntryKind, EntryToken, entries};
use crate::key::{Position, Version};
use crate::plant::{self, Plant};
use crate::request::Expect;
use crate::token::{OUTCOME_SLOTS, TOKEN_SLOTS};

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Applied, now or by an earlier copy.
    Applied(Version),
    /// A condition did not hold.
    Conflict(Option<Version>),
    /// Its token had been taken out of use: it never applies.
    Burned,
    /// It came too many slots after its birth: this copy and every other one never apply.
    Expired,
    /// Its outcome, if it had one, is no longer remembered.
    Forgotten,
    /// Its token names a birth that had not come when the slot was decided: no node made it.
    Forged,
    /// Another entry of the same command changes the same record. It may be proposed again under a new token.
    Crowded,
}

/// What became of one entry, and whether this slot is where it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) token: EntryToken,
    pub(crate) verdict: Verdict,
    /// Decided here, not by an earlier slot or an earlier copy: only then it changes the state.
    fresh: bool,
}

#[cfg(test)]
impl Decision {
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// The outcome's status byte in the state.
mod status {
    pub(super) const APPLIED: u8 = 1;
    pub(super) const CONFLICT: u8 = 2;
    /// As `CONFLICT`, when there was no record.
    pub(super) const CONFLICT_ABSENT: u8 = 3;
    pub(super) const BURNED: u8 = 4;
}

/// Applies the command chosen at `slot`, which is the one after the bucket's applied slot, and says what became of each entry.
///
/// # Errors
/// When the state cannot be read; nothing was applied, and the replica must not go on with this bucket.
pub(crate) fn apply(
    part: &mut Part,
    bucket: Bucket,
    slot: Slot,
    payload: &[u8],
    decisions: &mut Vec<Decision>,
) -> Result<(), StateError> {
    decisions.clear();
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let mut seen = Seen::default();
    let mut decided = Decided::default();
    // First decide, reading only; then write. The state takes a command whole.
    for entry in entries(payload).map_while(Result::ok) {
        let (verdict, fresh) =
            decide(part, state_bucket, slot, &entry, &mut seen, decided.find(decisions, &entry.token))?;
        decisions.push(Decision { token: entry.token, verdict, fresh });
    }
    let mut batch = part.apply(state_bucket, thermocline_tiers::hot::Slot(slot.0));
    for (entry, decision) in entries(payload).map_while(Result::ok).zip(decisions.iter()) {
        if decision.fresh {
            write(&mut batch, &entry, decision.verdict);
        }
    }
    batch.finish();
    Ok(())
}

/// Finds what a command will touch first in the state, to bring it into the processor's caches.
pub(crate) fn locate(part: &Part, bucket: Bucket, payload: &[u8]) -> Option<Located> {
    match entries(payload).next() {
        Some(Ok(Entry { kind: EntryKind::Write { entity, .. }, .. })) => {
            Some(part.locate(thermocline_tiers::hot::Bucket(bucket.0), entity))
        }
        _ => None,
    }
}

/// What a token's remembered outcome says, for [`Resolution`](crate::Resolution) and for retries.
pub(crate) fn remembered(
    part: &Part,
    bucket: Bucket,
    token: &EntryToken,
) -> Result<Option<Verdict>, StateError> {
    let key = TokenKey { client: token.client, counter: token.counter };
    // A token is born before it is decided, so nothing older is its outcome. That holds at all replicas, wherever each of them
    // keeps what: also of a token that somebody has given another birth.
    let born = thermocline_tiers::hot::Slot(token.born);
    let outcome = part.outcome_after(thermocline_tiers::hot::Bucket(bucket.0), &key, born)?;
    Ok(outcome.map(|outcome| match outcome.status {
        status::APPLIED => Verdict::Applied(Version(outcome.slot.0)),
        status::CONFLICT => Verdict::Conflict(Some(Version(outcome.detail))),
        status::CONFLICT_ABSENT => Verdict::Conflict(None),
        _ => Verdict::Burned,
    }))
}

/// What can be said at `slot` of a token that has no remembered outcome; `None` while it may still be applied.
pub(crate) fn without_outcome(token_born: u64, slot: Slot) -> Option<Verdict> {
    if slot.0 > token_born.saturating_add(OUTCOME_SLOTS) {
        Some(Verdict::Forgotten)
    } else if slot.0 > token_born.saturating_add(TOKEN_SLOTS) {
        Some(Verdict::Expired)
    } else {
        None
    }
}

fn decide<'a>(
    part: &Part,
    bucket: thermocline_tiers::hot::Bucket,
    slot: Slot,
    entry: &Entry<'a>,
    seen: &mut Seen<'a>,
    earlier: Option<Verdict>,
) -> Result<(Verdict, bool), StateError> {
    // Two copies of one entry can ride in one command: the first decides for both.
    if let Some(verdict) = earlier {
        return Ok((verdict, false));
    }
    // A token is born at a slot that is chosen, and what it names is decided in a later one.
    if entry.token.born >= slot.0 {
        return Ok((Verdict::Forged, false));
    }
    if let Some(verdict) = remembered(part, Bucket(bucket.0), &entry.token)?
        && !plant::on(Plant::OutcomeIgnored)
    {
        return Ok((verdict, false));
    }
    if let Some(verdict) = without_outcome(entry.token.born, slot) {
        return Ok((verdict, false));
    }
    let EntryKind::Write { entity, mutations, asked_ms } = entry.kind else {
        return Ok((Verdict::Burned, true));
    };
    if !seen.admit(entity, mutations) {
        return Ok((Verdict::Crowded, false));
    }
    for change in mutations {
        let (position, expect) = match change {
            Change::Put { position, expect, .. } | Change::Delete { position, expect } => (position, expect),
            Change::Trim { .. } => continue,
        };
        if expect == Expect::Any {
            continue;
        }
        let key = Key::new(entity, state_position(position))?;
        let asked_ms = asked_ms.filter(|_| !plant::on(Plant::ExpiredIsThere));
        let current = part.version_of(bucket, &key, asked_ms)?.map(|version| Version(version.0));
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::Present => current.is_some(),
            Expect::Version(version) => current == Some(version) || plant::on(Plant::ConditionIgnored),
        };
        if !holds {
            return Ok((Verdict::Conflict(current), true));
        }
    }
    Ok((Verdict::Applied(Version(slot.0)), true))
}

fn write(batch: &mut Apply<'_>, entry: &Entry<'_>, verdict: Verdict) {
    let token = TokenKey { client: entry.token.client, counter: entry.token.counter };
    let (status, detail) = match verdict {
        Verdict::Expired | Verdict::Forgotten | Verdict::Forged | Verdict::Crowded => return,
        Verdict::Applied(_) => (status::APPLIED, 0),
        Verdict::Conflict(Some(version)) => (status::CONFLICT, version.0),
        Verdict::Conflict(None) => (status::CONFLICT_ABSENT, 0),
        Verdict::Burned => (status::BURNED, 0),
    };
    batch.outcome(token, status, detail, entry.token.born);
    let (Verdict::Applied(_), EntryKind::Write { entity, mutations, .. }) = (verdict, entry.kind) else {
        return;
    };
    for change in mutations.take(if plant::on(Plant::HalfABatch) { 1 } else { usize::MAX }) {
        match change {
            Change::Put { position, value, expires_at, .. } => {
                if let Ok(key) = Key::new(entity, state_position(position)) {
                    batch.put(&key, value, expires_at);
                }
            }
            Change::Delete { position, .. } => {
                if let Ok(key) = Key::new(entity, state_position(position)) {
                    batch.delete(&key);
                }
            }
            Change::Trim { through } => batch.trim(entity, through),
        }
    }
}

/// Finds what was decided for a token earlier in the same command.
#[derive(Default)]
struct Decided {
    /// Of the first so many decisions.
    by_token: std::collections::HashMap<(u64, u64), Verdict>,
    indexed: usize,
}

impl Decided {
    /// Up to so many decisions are looked through; nearly all commands have no more.
    const LOOKED_THROUGH_MAX: usize = 16;

    fn find(&mut self, earlier: &[Decision], token: &EntryToken) -> Option<Verdict> {
        let name = |token: &EntryToken| (token.client, token.counter);
        if earlier.len() <= Self::LOOKED_THROUGH_MAX {
            let same = |decision: &&Decision| name(&decision.token) == name(token);
            return earlier.iter().find(same).map(|decision| decision.verdict);
        }
        for decision in &earlier[self.indexed..] {
            self.by_token.entry(name(&decision.token)).or_insert(decision.verdict);
        }
        self.indexed = earlier.len();
        self.by_token.get(&name(token)).copied()
    }
}

/// The records that a command's entries have changed so far: a version names one value of a key, so a key changes at
/// most once per slot. Nodes do not build crowded commands; this holds even if one does.
#[derive(Default)]
struct Seen<'a> {
    first: Option<(&'a [u8], super::command::Mutations<'a>)>,
    all: std::collections::HashSet<(Vec<u8>, Option<Position>)>,
}

impl<'a> Seen<'a> {
    fn admit(&mut self, entity: &'a [u8], mutations: super::command::Mutations<'a>) -> bool {
        // Nearly all commands have one entry of one change, for which there is nothing to compare.
        match self.first.take() {
            None if self.all.is_empty() && mutations.count() == 1 => {
                self.first = Some((entity, mutations));
                return true;
            }
            None => {}
            Some((entity, mutations)) => {
                self.insert(entity, mutations);
            }
        }
        self.insert(entity, mutations)
    }

    fn insert(&mut self, entity: &[u8], mutations: super::command::Mutations<'_>) -> bool {
        let mut added = Vec::new();
        for change in mutations {
            let position = match change {
                Change::Put { position, .. } | Change::Delete { position, .. } => Some(position),
                Change::Trim { .. } => None,
            };
            let place = (entity.to_vec(), position);
            if !self.all.insert(place.clone()) {
                for place in added {
                    self.all.remove(&place);
                }
                return false;
            }
            added.push(place);
        }
        true
    }
}

/// A position in the state's terms.
pub(crate) fn state_position(position: Position) -> StatePosition {
    match position {
        Position::Undated => StatePosition::Undated,
        Position::Dated { timestamp, sequence } => StatePosition::Dated { timestamp_ms: timestamp, sequence },
    }
}

/// A position of the state in the store's terms.
pub(crate) fn store_position(position: StatePosition) -> Position {
    match position {
        StatePosition::Undated => Position::Undated,
        StatePosition::Dated { timestamp_ms, sequence } => {
            Position::Dated { timestamp: timestamp_ms, sequence }
        }
    }
}
