//! Where the bytes come from: any reader, unpacked on the way when it is a zstd stream.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The first bytes of a zstd frame (RFC 8878, section 3.1.1), and of a frame to be skipped (any low nibble).
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// The largest window a zstd stream may ask for, in bytes: what unpacking it may hold in memory.
const WINDOW_BYTES_MAX: u64 = 128 << 20;

/// Reads on as it is, or unpacked when it begins like a zstd stream.
pub(crate) fn unpacked(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut first = Vec::with_capacity(FRAME_MAGIC.len());
    reader.by_ref().take(FRAME_MAGIC.len() as u64).read_to_end(&mut first)?;
    let packed = first == FRAME_MAGIC || is_skippable(&first);
    let whole = Cursor::new(first).chain(reader);
    Ok(if packed { Box::new(Unpacker::new(whole)) } else { Box::new(whole) })
}

fn is_skippable(first: &[u8]) -> bool {
    <[u8; 4]>::try_from(first).is_ok_and(|bytes| u32::from_le_bytes(bytes) & !0xF == SKIPPABLE_MAGIC)
}

/// Unpacks all frames of a zstd stream, one after the other, and compares their checksums.
struct Unpacker<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: Read> Unpacker<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self { source: BufReader::with_capacity(1 << 17, source), decoder, in_frame: false }
    }

    /// Goes into the next frame; `false` when there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(damaged(error)),
            }
        }
        Ok(false)
    }

    fn end(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let (stored, computed) =
            (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        match stored {
            Some(_) if stored != computed => Err(damaged("the checksum of a zstd frame does not match")),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin()? {
                return Ok(0);
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            if self.decoder.is_finished() {
                self.end()?;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(damaged)?;
            }
        }
    }
}

impl<R> fmt::Debug for Unpacker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").field("in_frame", &self.in_frame).finish_non_exhaustive()
    }
}

fn damaged(cause: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the zstd stream is damaged: {cause}"))
}
