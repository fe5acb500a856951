//! Bytes of a memtable, copied one behind the other into large chunks and given back all at once.

/// The size of the first chunk in bytes. Each next one is as large as all before it, up to [`CHUNK_BYTES_MAX`]: little is held for little.
const CHUNK_BYTES_MIN: usize = 4 * 1024;
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Where something begins in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    chunk: u32,
    at: u32,
}

#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    /// The chunk being filled.
    current: usize,
    bytes: usize,
}

impl Arena {
    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies the parts, one behind the other.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> Location {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let chunk = self.chunk_for(len);
        let bytes = &mut self.chunks[chunk];
        let at = bytes.len();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        Location { chunk: chunk as u32, at: at as u32 }
    }

    /// What begins there, to the end of its chunk.
    pub(super) fn from(&self, location: Location) -> &[u8] {
        &self.chunks[location.chunk as usize][location.at as usize..]
    }

    /// Writes the parts, one behind the other, over what begins there and is at least as long.
    pub(super) fn overwrite(&mut self, location: Location, parts: &[&[u8]]) {
        let mut rest = &mut self.chunks[location.chunk as usize][location.at as usize..];
        for part in parts {
            let (over, behind) = rest.split_at_mut(part.len());
            over.copy_from_slice(part);
            rest = behind;
        }
    }

    pub(super) fn slice(&self, location: Location, len: usize) -> &[u8] {
        &self.from(location)[..len]
    }

    /// A chunk with room for `len` more bytes. What is large gets one of its own, so that the current one is not left half empty.
    fn chunk_for(&mut self, len: usize) -> usize {
        if let Some(chunk) = self.chunks.get(self.current)
            && chunk.capacity() - chunk.len() >= len
        {
            return self.current;
        }
        let ordinary = self.bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let is_large = len > ordinary / 4;
        let capacity = if is_large { len } else { ordinary };
        self.chunks.push(Vec::with_capacity(capacity));
        self.bytes += capacity;
        let chunk = self.chunks.len() - 1;
        if !is_large {
            self.current = chunk;
        }
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_in_proportion_to_what_is_in_it() {
        let mut arena = Arena::default();
        let mut pushed = 0;
        for len in [1, 40, 900, 70, 5_000, 3, 200_000].iter().cycle().take(7_000) {
            let location = arena.push(&[&vec![b'x'; *len]]);
            assert!(arena.slice(location, *len).iter().all(|byte| *byte == b'x'));
            pushed += len;
            assert!(arena.bytes() <= 2 * pushed + CHUNK_BYTES_MIN + CHUNK_BYTES_MAX.min(pushed));
        }
    }
}
