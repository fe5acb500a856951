//! Memory that a direct write may be made from.

use super::DIRECT_ALIGNMENT;

/// A growing byte buffer whose address and length are multiples of [`DIRECT_ALIGNMENT`].
///
/// It is made once and reused, so that a steady stream of writes allocates nothing.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    /// One alignment longer than asked for, so that an aligned start always exists in it.
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// An empty buffer; allocates nothing yet.
    pub fn new() -> AlignedBuffer {
        AlignedBuffer::default()
    }

    /// Gives the buffer at least `len` bytes (rounded up to the alignment) and returns exactly those.
    ///
    /// The contents are unspecified after growing; otherwise what was there before.
    pub fn resize(&mut self, len: usize) -> &mut [u8] {
        let len = len.next_multiple_of(DIRECT_ALIGNMENT);
        if self.memory.len() < self.start + len || self.memory.is_empty() {
            // Powers of two, so that slowly growing requests do not allocate each time.
            let room = len.next_power_of_two().max(DIRECT_ALIGNMENT) + DIRECT_ALIGNMENT;
            self.memory = vec![0; room];
            self.start =
                self.memory.as_ptr().addr().next_multiple_of(DIRECT_ALIGNMENT) - self.memory.as_ptr().addr();
        }
        self.len = len;
        &mut self.memory[self.start..self.start + len]
    }

    /// The memory it holds.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.capacity()
    }

    /// The bytes as of the last [`resize`](AlignedBuffer::resize).
    pub fn as_slice(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    /// The bytes as of the last [`resize`](AlignedBuffer::resize), to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_length_stay_aligned_while_it_grows() {
        let mut buffer = AlignedBuffer::new();
        assert!(buffer.as_slice().is_empty());
        for len in [1, 4096, 4097, 10, 1 << 20, 3 << 20, 1] {
            let bytes = buffer.resize(len);
            assert!(bytes.len() >= len && bytes.len() < len + DIRECT_ALIGNMENT);
            assert!(bytes.as_ptr().addr().is_multiple_of(DIRECT_ALIGNMENT));
            bytes.fill(7);
            assert_eq!(buffer.as_slice().len() % DIRECT_ALIGNMENT, 0);
            assert!(buffer.as_slice().iter().all(|byte| *byte == 7));
        }
    }
}
