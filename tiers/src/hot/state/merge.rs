//! Many sorted sources as one.

use std::sync::Arc;

use super::cursor::{RunCursor, Via};
use super::entry::{Entry, EntryKey};
use super::error::StateError;
use super::manifest::Marks;
use super::memtable::{Half, Memtable, TableCursor};
use super::run::{Age, Run};
use super::tokens::TokensCursor;
use crate::hot::Bucket;

/// A sorted source of entries, all of them older or all of them newer than any other source's entry of the same key.
pub(super) struct Source {
    cursor: Cursor,
    /// The newest age in it.
    newest: Age,
    /// The bound, exclusive, on keys: what the source is not asked for.
    end: Option<Bucket>,
}

enum Cursor {
    Table(TableCursor),
    Tokens(TokensCursor),
    Run(RunCursor),
}

impl Source {
    /// One half of a memtable.
    pub(super) fn memtable(
        memtable: &Arc<Memtable>,
        half: Half,
        from: &EntryKey<'_>,
    ) -> impl Iterator<Item = Source> + use<> {
        let table = Cursor::Table(TableCursor::at_or_after(memtable, half, from));
        // Outcomes are meta entries in a table of their own.
        let tokens = (half == Half::Meta).then(|| Cursor::Tokens(TokensCursor::at_or_after(memtable, from)));
        let newest = memtable.age;
        std::iter::once(table).chain(tokens).map(move |cursor| Source { cursor, newest, end: None })
    }

    pub(super) fn run(run: &Arc<Run>, from: &EntryKey<'_>) -> Result<Source, StateError> {
        let cursor = Cursor::Run(RunCursor::at_or_after(run, from, Via::File)?);
        Ok(Source { cursor, newest: run.meta.newest, end: None })
    }

    /// Ends before this bucket.
    pub(super) fn until(mut self, end: Option<Bucket>) -> Source {
        self.end = end;
        self
    }

    /// Whether it has nothing left.
    pub(super) fn is_at_end(&self) -> bool {
        self.key().is_none()
    }

    fn key(&self) -> Option<EntryKey<'_>> {
        let key = match &self.cursor {
            Cursor::Table(cursor) => cursor.key(),
            Cursor::Tokens(cursor) => cursor.key(),
            Cursor::Run(cursor) => cursor.key(),
        }?;
        self.end.is_none_or(|end| key.bucket < end).then_some(key)
    }

    fn entry(&self) -> Option<Entry<'_>> {
        match &self.cursor {
            Cursor::Table(cursor) => cursor.entry(),
            Cursor::Tokens(cursor) => cursor.entry(),
            Cursor::Run(cursor) => cursor.entry(),
        }
    }

    fn next(&mut self) -> Result<(), StateError> {
        match &mut self.cursor {
            Cursor::Table(cursor) => {
                cursor.next();
                Ok(())
            }
            Cursor::Tokens(cursor) => {
                cursor.next();
                Ok(())
            }
            Cursor::Run(cursor) => cursor.next(),
        }
    }
}

/// Walks several sources at once: for each key its newest entry alone, less what buckets were wiped of.
pub(super) struct Merge {
    /// A binary heap, the least key first and of equal keys the newest source.
    heap: Vec<Source>,
    marks: Arc<Marks>,
    /// The key that was handed out last, so that older entries of it are passed over.
    last: LastKey,
}

#[derive(Default)]
struct LastKey {
    bucket: Bucket,
    entity: Vec<u8>,
    place: Option<super::key::Place>,
}

impl Merge {
    /// `marks` say what was wiped.
    pub(super) fn new(sources: Vec<Source>, marks: Arc<Marks>) -> Result<Merge, StateError> {
        let heap = sources.into_iter().filter(|source| source.key().is_some()).collect();
        let mut merge = Merge { heap, marks, last: LastKey::default() };
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sink(at);
        }
        merge.settle()?;
        Ok(merge)
    }

    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        self.heap.first().and_then(Source::entry)
    }

    /// Goes to the next key.
    pub(super) fn next(&mut self) -> Result<(), StateError> {
        let Some(key) = self.heap.first().and_then(Source::key) else { return Ok(()) };
        if self.heap.len() > 1 {
            let last = &mut self.last;
            last.bucket = key.bucket;
            last.place = Some(key.place);
            if last.entity != key.entity {
                last.entity.clear();
                last.entity.extend_from_slice(key.entity);
            }
        } else {
            self.last.place = None;
        }
        self.step()?;
        self.settle()
    }

    /// Passes over what is older than what was handed out, and over what was wiped.
    fn settle(&mut self) -> Result<(), StateError> {
        loop {
            let Some(top) = self.heap.first() else { return Ok(()) };
            let Some(key) = top.key() else { return Ok(()) };
            let last = &self.last;
            let older =
                last.place == Some(key.place) && last.bucket == key.bucket && last.entity == key.entity;
            let wiped = self.marks.get(&key.bucket).is_some_and(|mark| top.newest < mark.wiped_below);
            if !older && !wiped {
                return Ok(());
            }
            self.step()?;
        }
    }

    fn step(&mut self) -> Result<(), StateError> {
        self.heap[0].next()?;
        if self.heap[0].key().is_none() {
            self.heap.swap_remove(0);
        }
        self.sink(0);
        Ok(())
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.is_before(child, least) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    fn is_before(&self, left: usize, right: usize) -> bool {
        let (left, right) = (&self.heap[left], &self.heap[right]);
        match left.key().cmp(&right.key()) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => left.newest > right.newest,
        }
    }
}
