//! The outcomes of tokens in a memtable: entries of one length, which nearly every command adds to.
//!
//! They are only ever appended, and looked for by going back from a bucket's newest command to those before it, in whichever memtable they are.
//! A token is nearly always new, and known not to be there because it was born after the last command: so nothing is looked for then, and
//! no index is kept. Who must look has to go back a few commands at most.

use std::cmp::Reverse;
use std::hint::black_box;
use std::sync::{Arc, OnceLock};

use super::entry::{Entry, EntryKey, Kind};
use super::key::Place;
use super::memtable::Memtable;
use super::meta::{self, OUTCOME_BYTES, OUTCOME_NAME_BYTES};
use super::record::{Outcome, TokenKey, Version};
use super::run::Age;
use crate::hot::{Bucket, Slot};

/// Outcomes, one behind the other as they came, and the commands that left them; put in order only when asked to, once nothing is written
/// any more.
#[derive(Default)]
pub(super) struct Tokens {
    held: Vec<Held>,
    /// A number for each one's token, to be compared before the token itself.
    tags: Vec<u32>,
    commands: Vec<Command>,
    order: OnceLock<Vec<Ordered>>,
}

/// An outcome, with name and value as they are in a run.
struct Held {
    name: [u8; OUTCOME_NAME_BYTES],
    value: [u8; OUTCOME_BYTES],
}

/// Which command an outcome is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) bucket: Bucket,
    /// It came from another replica: of those before it, others can be of later slots.
    pub(super) restored: bool,
    pub(super) slot: Slot,
}

/// What one command left: the outcomes from `first` to the first of the next command.
struct Command {
    origin: Origin,
    first: u32,
    /// The bucket's command before it that left any.
    before: Link,
}

/// Where the outcomes of a bucket's command are: in which memtable, and which of its commands it is. Without padding, as there is one for each
/// bucket and command.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(super) struct Link {
    age: Age,
    index: u32,
}

/// An outcome in the order of buckets and tokens: of which command it is, and its place.
struct Ordered {
    slot: Slot,
    bucket: Bucket,
    held: u32,
}

/// What an outcome and a command take in memory, in bytes.
const TOKEN_COST: usize = size_of::<Held>() + size_of::<u32>();
const COMMAND_COST: usize = size_of::<Command>();

/// So many outcomes are waited for at once by who walks them in order.
const OUTCOMES_AT_ONCE: usize = 32;

/// So many tags are compared at once.
const TAGS_AT_ONCE: usize = 16;

impl Link {
    /// Of a bucket without outcomes.
    pub(super) const NONE: Link = Link { age: Age(0), index: u32::MAX };
}

impl Default for Link {
    fn default() -> Link {
        Link::NONE
    }
}

impl Tokens {
    pub(super) fn bytes(&self) -> usize {
        self.held.len() * TOKEN_COST + self.commands.len() * COMMAND_COST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Keeps an outcome, encoded as in a run, in the memtable of this age; `newest` is the bucket's newest command, and becomes this one.
    pub(super) fn write(
        &mut self,
        newest: &mut Link,
        age: Age,
        origin: Origin,
        token: &TokenKey,
        value: [u8; OUTCOME_BYTES],
    ) {
        let last = Link { age, index: (self.commands.len() as u32).wrapping_sub(1) };
        let goes_on = *newest == last && self.commands.last().is_some_and(|command| command.origin == origin);
        if !goes_on {
            let command = Command { origin, first: self.held.len() as u32, before: *newest };
            *newest = Link { age, index: self.commands.len() as u32 };
            self.commands.push(command);
        }
        self.held.push(Held { name: meta::outcome_name(token), value });
        self.tags.push(tag(token));
    }

    /// The outcomes that a command left, as places.
    fn of(&self, command: usize) -> std::ops::Range<usize> {
        let next = self.commands.get(command + 1).map_or(self.held.len(), |next| next.first as usize);
        self.commands[command].first as usize..next
    }

    /// The outcomes of all commands in order of bucket and token, of each token the newest alone.
    fn order(&self) -> &[Ordered] {
        self.order.get_or_init(|| {
            let mut order: Vec<_> = (0..self.commands.len())
                .flat_map(|index| {
                    let Origin { bucket, slot, .. } = self.commands[index].origin;
                    self.of(index).map(move |held| (bucket, self.held[held].name, Reverse(slot), held as u32))
                })
                .collect();
            order.sort_unstable();
            order.dedup_by(|later, first| (later.0, later.1) == (first.0, first.1));
            order.into_iter().map(|(bucket, _, slot, held)| Ordered { slot: slot.0, bucket, held }).collect()
        })
    }
}

/// The newest outcome of a token that was decided after a slot, as far as memtables have it. `newest` is the bucket's newest command; `memtable`
/// finds one by its age, or none where that is durable, and all before it too.
pub(super) fn find<'a>(
    newest: Link,
    token: &TokenKey,
    after: Slot,
    memtable: impl Fn(Age) -> Option<&'a Memtable>,
) -> Option<Outcome> {
    let (name, tag) = (meta::outcome_name(token), tag(token));
    let mut found: Option<Outcome> = None;
    let mut link = newest;
    while link != Link::NONE {
        let age = link.age;
        let Some(memtable) = memtable(age) else { break };
        let tokens = &memtable.tokens;
        let Command { origin: Origin { slot, restored, .. }, before, .. } =
            tokens.commands[link.index as usize];
        if slot > after {
            let places = tokens.of(link.index as usize);
            // Most have another tag, which is seen for several at once.
            let first = places.start;
            for (many, tags) in tokens.tags[places.clone()].chunks(TAGS_AT_ONCE).enumerate() {
                if !tags.iter().fold(false, |any, other| any | (*other == tag)) {
                    continue;
                }
                let start = first + many * TAGS_AT_ONCE;
                let held = tokens.held[start..start + tags.len()].iter().rev().find(|held| held.name == name);
                let outcome = held.and_then(|held| meta::decode_outcome(slot, &held.value));
                if outcome.as_ref().map(|outcome| outcome.slot) > found.as_ref().map(|found| found.slot) {
                    found = outcome;
                }
            }
        }
        // Behind what is in order, all is older.
        if !restored && (found.is_some() || slot <= after) {
            break;
        }
        link = before;
    }
    found
}

fn tag(token: &TokenKey) -> u32 {
    // Clients count their tokens, and have random numbers.
    (token.counter ^ token.client ^ token.client >> 32) as u32
}

/// Walks the outcomes of a memtable in order of keys.
pub(super) struct TokensCursor {
    memtable: Arc<Memtable>,
    ordinal: usize,
}

impl TokensCursor {
    pub(super) fn at_or_after(memtable: &Arc<Memtable>, key: &EntryKey<'_>) -> TokensCursor {
        let tokens = &memtable.tokens;
        let ordinal = tokens.order().partition_point(|ordered| tokens.key(ordered) < *key);
        TokensCursor { memtable: Arc::clone(memtable), ordinal }
    }

    fn current(&self) -> Option<&Ordered> {
        self.memtable.tokens.order().get(self.ordinal)
    }

    pub(super) fn key(&self) -> Option<EntryKey<'_>> {
        self.current().map(|ordered| self.memtable.tokens.key(ordered))
    }

    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let (tokens, ordered) = (&self.memtable.tokens, self.current()?);
        let version = Version::from(ordered.slot);
        let value = &tokens.held[ordered.held as usize].value;
        Some(Entry { key: tokens.key(ordered), kind: Kind::Put, version, expires_ms: None, value })
    }

    pub(super) fn next(&mut self) {
        self.ordinal += 1;
        if self.ordinal.is_multiple_of(OUTCOMES_AT_ONCE) {
            self.warm();
        }
    }

    /// Has the memory of the next outcomes waited for together: they lie where they came.
    fn warm(&self) {
        let tokens = &self.memtable.tokens;
        for ordered in tokens.order().iter().skip(self.ordinal).take(OUTCOMES_AT_ONCE) {
            let Held { name, value } = &tokens.held[ordered.held as usize];
            black_box((name[0], value[OUTCOME_BYTES - 1]));
        }
    }
}

impl Tokens {
    fn key(&self, ordered: &Ordered) -> EntryKey<'_> {
        EntryKey {
            bucket: ordered.bucket,
            entity: &self.held[ordered.held as usize].name,
            place: Place::UNDATED,
        }
    }
}
