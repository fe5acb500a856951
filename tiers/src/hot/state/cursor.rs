//! Walking a run, in both directions.

use std::sync::Arc;

use super::entry::{Block, Entry, EntryKey};
use super::error::StateError;
use super::run::{Reader, Run};

/// How a cursor gets at blocks: what is read once, in order, would only push others out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Cache,
    File,
}

/// A place in a run: at an entry, or past either end.
pub(super) struct RunCursor {
    run: Arc<Run>,
    reader: Arc<Reader>,
    via: Via,
    page: usize,
    block: Option<Arc<Block>>,
    at: usize,
}

impl RunCursor {
    /// At the first entry at or after a key.
    pub(super) fn at_or_after(run: &Arc<Run>, key: &EntryKey<'_>, via: Via) -> Result<RunCursor, StateError> {
        let mut cursor = RunCursor::in_page_of(run, key, via)?;
        if let Some(block) = &cursor.block {
            cursor.at = block.at_or_after(key);
            if cursor.at == block.len() {
                cursor.load(cursor.page + 1)?;
            }
        }
        Ok(cursor)
    }

    /// At the last entry at or before a key.
    pub(super) fn at_or_before(run: &Arc<Run>, key: &EntryKey<'_>) -> Result<RunCursor, StateError> {
        let mut cursor = RunCursor::in_page_of(run, key, Via::Cache)?;
        if let Some(block) = &cursor.block {
            // Only in the first page can everything lie after the key.
            match block.after(key).checked_sub(1) {
                Some(at) => cursor.at = at,
                None => cursor.block = None,
            }
        }
        Ok(cursor)
    }

    fn in_page_of(run: &Arc<Run>, key: &EntryKey<'_>, via: Via) -> Result<RunCursor, StateError> {
        let reader = run.reader()?;
        let page = reader.page_of(key);
        let mut cursor = RunCursor { run: Arc::clone(run), reader, via, page, block: None, at: 0 };
        cursor.load(page)?;
        Ok(cursor)
    }

    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        self.block.as_ref().map(|block| block.entry(self.at))
    }

    pub(super) fn key(&self) -> Option<EntryKey<'_>> {
        self.block.as_ref().map(|block| block.key(self.at))
    }

    pub(super) fn next(&mut self) -> Result<(), StateError> {
        let Some(block) = &self.block else { return Ok(()) };
        if self.at + 1 < block.len() {
            self.at += 1;
            return Ok(());
        }
        self.load(self.page + 1)
    }

    pub(super) fn previous(&mut self) -> Result<(), StateError> {
        if self.block.is_none() {
            return Ok(());
        }
        if self.at > 0 {
            self.at -= 1;
            return Ok(());
        }
        if self.page == 0 {
            self.block = None;
            return Ok(());
        }
        self.load(self.page - 1)?;
        if let Some(block) = &self.block {
            self.at = block.len() - 1;
        }
        Ok(())
    }

    fn load(&mut self, page: usize) -> Result<(), StateError> {
        self.block = None;
        self.at = 0;
        if page < self.reader.pages() {
            self.block = Some(match self.via {
                Via::Cache => self.run.cached_block(&self.reader, page)?,
                Via::File => self.run.block(&self.reader, page)?,
            });
            self.page = page;
        }
        Ok(())
    }
}
