//! Reads that come back with what stands elsewhere.

use std::io;
use std::path::Path;

use super::world::World;

/// What a disk goes to the wrong place for at once.
const PAGE: u64 = 4096;

/// A read that is still to go wrong.
#[derive(Clone, Debug)]
pub(super) struct Misread {
    inode: u64,
    /// Where the page begins.
    offset: u64,
    /// What is read in its place.
    bytes: Vec<u8>,
}

impl World {
    pub(super) fn misdirect_read(
        &mut self,
        (path, offset): (&Path, u64),
        (source, source_offset): (&Path, u64),
    ) -> io::Result<()> {
        let inode = self.find(path)?;
        let other = self.find(source)?;
        let stands = self.contents(other);
        let start = stands.len().min(usize::try_from(source_offset / PAGE * PAGE).unwrap_or(usize::MAX));
        let bytes = stands[start..stands.len().min(start + PAGE as usize)].to_vec();
        self.misreads.push(Misread { inode, offset: offset / PAGE * PAGE, bytes });
        Ok(())
    }

    /// What was read of a file is what stands elsewhere, if that is due. Where the other place ends, what is right goes on.
    pub(super) fn misread(&mut self, inode: u64, buffer: &mut [u8], offset: u64) {
        let mut wrong = 0;
        self.misreads.retain(|due| {
            let begin = due.offset.max(offset);
            let end = (due.offset + due.bytes.len() as u64).min(offset + buffer.len() as u64);
            if due.inode != inode || begin >= end {
                return true;
            }
            let target = &mut buffer[(begin - offset) as usize..(end - offset) as usize];
            let source = &due.bytes[(begin - due.offset) as usize..(end - due.offset) as usize];
            // The same bytes from elsewhere are no fault.
            wrong += u64::from(target != source);
            target.copy_from_slice(source);
            false
        });
        self.calls.misread += wrong;
    }
}
