//! A checksummed page of a file: the unit that is read, verified and decompressed.
//!
//! The checksum covers where the page belongs (whose file, which file, which offset) and not only what it says, so that a page read from a
//! wrong place, or left over from another file, is not accepted. Used by runs; nothing in here knows what a run is.

use crate::plant::{Plant, on};

/// The length of a page's header, in bytes.
pub(super) const PAGE_HEADER_BYTES: usize = 16;

const RAW: u8 = 0;
const LZ4: u8 = 1;
/// A byte of an LZ4 block stands for at most so many.
const LZ4_RATIO_MAX: usize = 255;

/// What the checksums of one file's pages start from.
#[derive(Clone, Copy)]
pub(super) struct PageSeed(u32);

impl PageSeed {
    /// The seed of a file, from bytes that name it.
    pub(super) fn new(name: &[u8]) -> PageSeed {
        PageSeed(crc32fast::hash(name))
    }

    pub(super) fn checksum(self, offset: u64, header: &[u8], payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        let offset = if on(Plant::ChecksumWithoutAddress) { 0 } else { offset };
        hasher.update(&offset.to_le_bytes());
        hasher.update(header);
        hasher.update(payload);
        hasher.finalize()
    }
}

/// Appends `raw` as the page at `offset` of the file; compressed if that saves a sixteenth.
pub(super) fn seal(seed: PageSeed, offset: u64, raw: &[u8], compress: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PAGE_HEADER_BYTES]);
    let mut codec = RAW;
    if compress && raw.len() >= 64 {
        let payload = out.len();
        out.resize(payload + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
        match lz4_flex::block::compress_into(raw, &mut out[payload..]) {
            Ok(len) if len < raw.len() - raw.len() / 16 => {
                out.truncate(payload + len);
                codec = LZ4;
            }
            _ => out.truncate(payload),
        }
    }
    if codec == RAW {
        out.extend_from_slice(raw);
    }
    let stored = out.len() - start - PAGE_HEADER_BYTES;
    let (header, payload) = out[start..].split_at_mut(PAGE_HEADER_BYTES);
    header[4] = codec;
    header[8..12].copy_from_slice(&(stored as u32).to_le_bytes());
    header[12..16].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    let checksum = seed.checksum(offset, &header[4..], payload);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// Verifies the page at `offset` of the file and returns what it says; the error says what is wrong with it.
pub(super) fn unseal(seed: PageSeed, offset: u64, page: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (header, payload) = page.split_at_checked(PAGE_HEADER_BYTES).ok_or("page cut short")?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(0) != seed.checksum(offset, &header[4..], payload) {
        return Err("wrong checksum");
    }
    if number(8) as usize != payload.len() {
        return Err("wrong length");
    }
    let raw_len = number(12) as usize;
    match header[4] {
        RAW if raw_len == payload.len() => Ok(payload.to_vec()),
        RAW => Err("wrong length"),
        // More than this, no payload of that length can hold.
        LZ4 if raw_len > payload.len().saturating_mul(LZ4_RATIO_MAX) => Err("wrong length"),
        LZ4 => {
            let mut raw = vec![0; raw_len];
            match lz4_flex::block::decompress_into(payload, &mut raw) {
                Ok(len) if len == raw_len => Ok(raw),
                Ok(_) => Err("wrong length"),
                Err(_) => Err("not to be decompressed"),
            }
        }
        _ => Err("unknown compression"),
    }
}
