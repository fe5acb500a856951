//! What has been applied and is not yet in a run.

use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use super::arena::{Arena, Location};
use super::entry::{Entry, EntryKey, Kind};
use super::key::Place;
use super::manifest::Mark;
use super::record::Version;
use super::run::Age;
use super::series::Series;
use super::tokens::Tokens;
use crate::hot::Bucket;
use crate::plant::{Plant, on};

/// The entries of one span of every bucket's slots: records and trim marks in `data`, attributes in `meta`, outcomes in
/// `tokens`.
pub(super) struct Memtable {
    pub(super) age: Age,
    pub(super) data: Table,
    pub(super) meta: Table,
    pub(super) tokens: Tokens,
    /// Which buckets' marks changed, by the part's numbers for them.
    pub(super) marked: Vec<u32>,
    /// Where those buckets stood when this was frozen; empty before.
    pub(super) marks: Vec<(Bucket, Mark)>,
}

impl Memtable {
    pub(super) fn new(age: Age, seed: u64) -> Memtable {
        Memtable {
            age,
            data: Table::new(seed),
            meta: Table::new(seed),
            tokens: Tokens::default(),
            marked: Vec::new(),
            marks: Vec::new(),
        }
    }

    pub(super) fn table(&self, half: Half) -> &Table {
        match half {
            Half::Data => &self.data,
            Half::Meta => &self.meta,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.data.bytes() + self.meta.bytes() + self.tokens.bytes() + self.marked.len() * MARK_COST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.meta.is_empty() && self.tokens.is_empty() && self.marked.is_empty()
    }
}

/// Entries by entity, found by hash and put in order only when asked to, once nothing is written to it any more.
#[derive(Default)]
pub(super) struct Table {
    arena: Arena,
    entities: Vec<Entity>,
    by_name: HashTable<u32>,
    seed: u64,
    entries: usize,
    order: OnceLock<Vec<u32>>,
}

/// All of an entity.
pub(super) struct Entity {
    bucket: Bucket,
    name: Location,
    name_len: u16,
    hash: u64,
    /// Furthest reaching first, and with it the oldest first: a mark that reaches less far is newer, or it would be redundant.
    pub(super) trims: Vec<(u64, Version)>,
    pub(super) undated: Option<Location>,
    pub(super) dated: Series,
}

/// What each entity and each entry cost besides their bytes, roughly, in bytes.
const ENTITY_COST: usize = size_of::<Entity>() + 16;
const ENTRY_COST: usize = 32;
const MARK_COST: usize = 64;

const EXPIRES: u8 = 1 << 1;
const PUT: u8 = 1;
/// Flags and version.
const HEAD_BYTES: usize = 1 + 8;

impl Table {
    /// The seed keeps callers from choosing entities that collide.
    pub(super) fn new(seed: u64) -> Table {
        Table { seed, ..Table::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.arena.bytes() + self.entities.len() * ENTITY_COST + self.entries * ENTRY_COST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(super) fn find(&self, bucket: Bucket, entity: &[u8]) -> Option<&Entity> {
        let hash = XxHash3_64::oneshot_with_seed(self.seed ^ u64::from(bucket.0), entity);
        let index = self.by_name.find(hash, |&index| self.is(index, bucket, entity))?;
        Some(&self.entities[*index as usize])
    }

    /// Which entity lies where this one should lie: it is not looked at whether it is the one.
    pub(super) fn locate(&self, bucket: Bucket, entity: &[u8]) -> Option<u32> {
        let hash = XxHash3_64::oneshot_with_seed(self.seed ^ u64::from(bucket.0), entity);
        self.by_name.find(hash, |_| true).copied()
    }

    /// Reads where that entity's name and records are.
    pub(super) fn approach(&self, index: u32) -> (Location, Option<Location>, usize) {
        let found = &self.entities[index as usize];
        (found.name, found.undated, found.dated.len())
    }

    /// Reads the first bytes there, and where the newest dated record is.
    pub(super) fn touch(&self, index: u32) -> (Option<u8>, Option<u8>, Option<Location>) {
        let found = &self.entities[index as usize];
        let first = |location| self.arena.from(location).first().copied();
        (first(found.name), found.undated.and_then(first), found.dated.last())
    }

    fn is(&self, index: u32, bucket: Bucket, entity: &[u8]) -> bool {
        let found = &self.entities[index as usize];
        found.bucket == bucket && self.name(found) == entity
    }

    fn name(&self, entity: &Entity) -> &[u8] {
        self.arena.slice(entity.name, usize::from(entity.name_len))
    }

    /// Writes an entry; nothing older in this table stays under its key.
    ///
    /// Panics when the table already has this version of the key, except for an attribute's.
    pub(super) fn write(&mut self, entry: &Entry<'_>, again: bool) {
        let key = &entry.key;
        let index = self.entity(key.bucket, key.entity);
        if let Some(through_ms) = key.place.trim_through() {
            add_trim(&mut self.entities[index].trims, through_ms, entry.version);
            self.entries += 1;
            return;
        }
        let mut head = [0; HEAD_BYTES + 8 + 4];
        let mut len = HEAD_BYTES;
        head[1..9].copy_from_slice(&entry.version.0.to_le_bytes());
        if let Some(expires_ms) = entry.expires_ms {
            head[0] |= EXPIRES;
            head[len..len + 8].copy_from_slice(&expires_ms.to_le_bytes());
            len += 8;
        }
        if entry.kind == Kind::Put {
            head[0] |= PUT;
            head[len..len + 4].copy_from_slice(&(entry.value.len() as u32).to_le_bytes());
            len += 4;
        }
        let parts = [&head[..len], entry.value];
        if let (2, timestamp_ms, sequence) = key.place.parts() {
            let location = self.arena.push(&parts);
            match self.entities[index].dated.insert((timestamp_ms, sequence), location) {
                Some(replaced) => self.check_newer(entry, replaced, again),
                None => self.entries += 1,
            }
            return;
        }
        let Some(replaced) = self.entities[index].undated else {
            self.entities[index].undated = Some(self.arena.push(&parts));
            self.entries += 1;
            return;
        };
        self.check_newer(entry, replaced, again);
        // Nobody else sees a table that is written to, so that what fits can take the older entry's bytes.
        if len + entry.value.len() <= self.len_at(replaced) {
            self.arena.overwrite(replaced, &parts);
        } else {
            self.entities[index].undated = Some(self.arena.push(&parts));
        }
    }

    fn check_newer(&self, entry: &Entry<'_>, replaced: Location, again: bool) {
        let older = self.entry(entry.key, replaced).version;
        assert!(
            older < entry.version || again && older == entry.version,
            "version {} of a key is written after version {}",
            entry.version.0,
            older.0
        );
    }

    /// How many bytes the entry takes that lies at a location.
    fn len_at(&self, location: Location) -> usize {
        let bytes = self.arena.from(location);
        let at = if bytes[0] & EXPIRES != 0 { HEAD_BYTES + 8 } else { HEAD_BYTES };
        if bytes[0] & PUT == 0 {
            return at;
        }
        at + 4 + u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
    }

    fn entity(&mut self, bucket: Bucket, name: &[u8]) -> usize {
        let hash = XxHash3_64::oneshot_with_seed(self.seed ^ u64::from(bucket.0), name);
        if let Some(index) = self.by_name.find(hash, |&index| self.is(index, bucket, name)) {
            return *index as usize;
        }
        let index = self.entities.len();
        let entity = Entity {
            bucket,
            name: self.arena.push(&[name]),
            name_len: name.len() as u16,
            hash,
            trims: Vec::new(),
            undated: None,
            dated: Series::default(),
        };
        self.entities.push(entity);
        let entities = &self.entities;
        self.by_name.insert_unique(hash, index as u32, |&index| entities[index as usize].hash);
        index
    }

    /// The entry that lies at a location, under the key it was written with.
    pub(super) fn entry<'a>(&'a self, key: EntryKey<'a>, location: Location) -> Entry<'a> {
        let bytes = self.arena.from(location);
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let version = Version(number(1));
        let mut at = HEAD_BYTES;
        let expires_ms = (bytes[0] & EXPIRES != 0).then(|| {
            at += 8;
            number(at - 8)
        });
        if bytes[0] & PUT == 0 {
            return Entry { key, kind: Kind::Delete, version, expires_ms, value: &[] };
        }
        let len = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        Entry { key, kind: Kind::Put, version, expires_ms, value: &bytes[at + 4..at + 4 + len] }
    }

    /// A record or tombstone.
    pub(super) fn get<'a>(&'a self, key: EntryKey<'a>) -> Option<Entry<'a>> {
        let entity = self.find(key.bucket, key.entity)?;
        let location = match key.place.parts() {
            (2, timestamp_ms, sequence) => entity.dated.get((timestamp_ms, sequence))?,
            _ => entity.undated?,
        };
        Some(self.entry(key, location))
    }

    /// The undated entries of a bucket whose names begin so, in no order. Walks the whole table.
    pub(super) fn undated_of<'a>(
        &'a self,
        bucket: Bucket,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = Entry<'a>> {
        let entities = self.entities.iter().filter(move |entity| entity.bucket == bucket);
        entities.filter_map(move |entity| {
            let key = EntryKey { bucket, entity: self.name(entity), place: Place::UNDATED };
            if !key.entity.starts_with(prefix) {
                return None;
            }
            Some(self.entry(key, entity.undated?))
        })
    }

    /// The entities in order of bucket and name.
    fn order(&self) -> &[u32] {
        self.order.get_or_init(|| {
            let mut order: Vec<(Bucket, u64, u32)> = (0_u32..)
                .zip(&self.entities)
                .map(|(index, entity)| (entity.bucket, prefix(self.name(entity)), index))
                .collect();
            order.sort_unstable_by(|left, right| {
                let name = |index: u32| self.name(&self.entities[index as usize]);
                (left.0, left.1).cmp(&(right.0, right.1)).then_with(|| name(left.2).cmp(name(right.2)))
            });
            order.into_iter().map(|(_, _, index)| index).collect()
        })
    }
}

/// The first bytes of a name as a number of the same order.
fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = name.len().min(8);
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}

/// Adds a trim mark, furthest reaching first, and takes out those that hide nothing of their own any more.
pub(super) fn add_trim(trims: &mut Vec<(u64, Version)>, through_ms: u64, version: Version) {
    if trims.iter().any(|(through, newer)| *through >= through_ms && *newer >= version) {
        return;
    }
    trims.retain(|(through, older)| *through > through_ms || *older > version);
    let at = trims.partition_point(|(through, _)| *through > through_ms);
    trims.insert(at, (through_ms, version));
}

/// The version below which trim marks hide what has this timestamp. `trims` as [`add_trim`] keeps them.
pub(super) fn hidden_below(trims: &[(u64, Version)], timestamp_ms: u64) -> Version {
    let reaching = trims.partition_point(|(through, _)| *through >= timestamp_ms);
    if reaching > 0 && on(Plant::TrimHidesLater) {
        return Version(u64::MAX);
    }
    trims[..reaching].last().map_or(Version(0), |(_, version)| *version)
}

/// Walks a table in order of keys.
pub(super) struct TableCursor {
    memtable: Arc<Memtable>,
    half: Half,
    /// Which entity, in order; and where in it.
    ordinal: usize,
    step: Step,
}

/// Which table of a memtable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Data,
    Meta,
}

#[derive(Clone, Copy)]
enum Step {
    Trim(usize),
    Undated,
    Dated { stamp: (u64, u64), location: Location, next: usize },
    End,
}

impl TableCursor {
    pub(super) fn at_or_after(memtable: &Arc<Memtable>, half: Half, key: &EntryKey<'_>) -> TableCursor {
        let table = memtable.table(half);
        let ordinal = table.order().partition_point(|&index| {
            let entity = &table.entities[index as usize];
            (entity.bucket, table.name(entity)) < (key.bucket, key.entity)
        });
        let mut cursor = TableCursor { memtable: Arc::clone(memtable), half, ordinal, step: Step::End };
        cursor.enter();
        while cursor.key().is_some_and(|found| found < *key) {
            cursor.next();
        }
        cursor
    }

    fn table(&self) -> &Table {
        self.memtable.table(self.half)
    }

    fn current(&self) -> Option<&Entity> {
        let table = self.table();
        let index = *table.order().get(self.ordinal)?;
        Some(&table.entities[index as usize])
    }

    pub(super) fn key(&self) -> Option<EntryKey<'_>> {
        let entity = self.current()?;
        let place = match self.step {
            Step::Trim(at) => Place::trim(entity.trims[at].0),
            Step::Undated => Place::UNDATED,
            Step::Dated { stamp: (timestamp_ms, sequence), .. } => Place::dated(timestamp_ms, sequence),
            Step::End => return None,
        };
        Some(EntryKey { bucket: entity.bucket, entity: self.table().name(entity), place })
    }

    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let key = self.key()?;
        let entity = self.current()?;
        let location = match self.step {
            Step::Trim(at) => {
                let version = entity.trims[at].1;
                return Some(Entry { key, kind: Kind::Trim, version, expires_ms: None, value: &[] });
            }
            Step::Undated => entity.undated?,
            Step::Dated { location, .. } => location,
            Step::End => return None,
        };
        Some(self.table().entry(key, location))
    }

    pub(super) fn next(&mut self) {
        let Some(entity) = self.current() else { return };
        let step = match self.step {
            Step::Trim(at) if at + 1 < entity.trims.len() => Step::Trim(at + 1),
            Step::Trim(_) if entity.undated.is_some() => Step::Undated,
            Step::Trim(_) | Step::Undated => dated(entity, (0, 0), 0),
            Step::Dated { stamp, next, .. } => match after(stamp) {
                Some(stamp) => dated(entity, stamp, next),
                None => Step::End,
            },
            Step::End => Step::End,
        };
        self.step = step;
        if matches!(step, Step::End) {
            self.ordinal += 1;
            self.enter();
        }
    }

    /// Stands at the first entry of the entity, or of the next one that has any.
    fn enter(&mut self) {
        while let Some(entity) = self.current() {
            self.step = match entity {
                entity if !entity.trims.is_empty() => Step::Trim(0),
                entity if entity.undated.is_some() => Step::Undated,
                entity => dated(entity, (0, 0), 0),
            };
            if !matches!(self.step, Step::End) {
                return;
            }
            self.ordinal += 1;
        }
        self.step = Step::End;
    }
}

fn dated(entity: &Entity, stamp: (u64, u64), guess: usize) -> Step {
    match entity.dated.at_or_after(stamp, guess) {
        Some((stamp, location, next)) => Step::Dated { stamp, location, next },
        None => Step::End,
    }
}

fn after((timestamp_ms, sequence): (u64, u64)) -> Option<(u64, u64)> {
    match sequence.checked_add(1) {
        Some(sequence) => Some((timestamp_ms, sequence)),
        None => Some((timestamp_ms.checked_add(1)?, 0)),
    }
}
