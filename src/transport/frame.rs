//! Frames: how a byte stream is cut into messages. Pure: no socket, no clock. Bytes: `FORMAT.md`.
//!
//! **No body reaches anybody before its checksum was verified, and nothing is allocated because a header
//! claims it.** The header has a checksum of its own, so that a damaged length is an error at once, not a
//! wait for bytes that never come.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 16;

/// The first two bytes of each frame.
pub(crate) const MAGIC: [u8; 2] = *b"Tc";

/// The version of the frame layout: the third byte.
pub(crate) const VERSION: u8 = 1;

/// How much is asked for in one read, in bytes.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A read buffer that held a longer body than this is not used again, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A dialler's facts: the first frame of a connection.
    Hello = 1,
    /// An acceptor's facts: the answer to a hello.
    Welcome = 2,
    /// The other answer to a hello.
    Refusal = 3,
    /// A body of the node's, opaque here.
    Body = 4,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Hello),
            2 => Some(Self::Welcome),
            3 => Some(Self::Refusal),
            4 => Some(Self::Body),
            _ => None,
        }
    }
}

/// What is wrong with a frame. After one the stream is worth nothing: there is no way to find the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not a frame at all.
    #[error("a frame starts with the bytes {found:02x?} instead of {MAGIC:02x?}")]
    Magic {
        /// The bytes in its place.
        found: [u8; 2],
    },
    /// A frame of another version.
    #[error("frame version {found}; this side speaks {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// The header does not match its checksum.
    #[error("frame header checksum {found:08x}; computed {computed:08x}")]
    HeaderChecksum {
        /// The checksum in the header.
        found: u32,
        /// The checksum of the header's bytes.
        computed: u32,
    },
    /// A kind that does not exist.
    #[error("frame kind {found}, which does not exist")]
    UnknownKind {
        /// The kind in the header.
        found: u8,
    },
    /// A kind that has no business here.
    #[error("a frame of kind {found:?} where only {expected} may come")]
    UnexpectedKind {
        /// The kind in the header.
        found: Kind,
        /// What may come.
        expected: &'static str,
    },
    /// A longer body than allowed.
    #[error("frame body of {body_bytes} bytes; the frame may have {frame_bytes_max} bytes with its header")]
    TooLong {
        /// The body's length.
        body_bytes: usize,
        /// The limit, which includes the header.
        frame_bytes_max: usize,
    },
    /// The body does not match its checksum.
    #[error("frame body of {body_bytes} bytes has checksum {computed:08x}; the header says {found:08x}")]
    BodyChecksum {
        /// The body's length.
        body_bytes: usize,
        /// The checksum in the header.
        found: u32,
        /// The checksum of the body's bytes.
        computed: u32,
    },
}

/// A header that passed every check that a header can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the frame is for.
    pub(crate) kind: Kind,
    /// How long its body is; within the limit.
    pub(crate) body_bytes: usize,
    body_checksum: u32,
}

impl Header {
    /// Reads and checks a header.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], frame_bytes_max: usize) -> Result<Self, FrameError> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..2] != MAGIC {
            return Err(FrameError::Magic { found: [bytes[0], bytes[1]] });
        }
        if bytes[2] != VERSION {
            return Err(FrameError::Version { found: bytes[2] });
        }
        let (found, computed) = (word(12), crc32fast::hash(&bytes[..12]));
        if found != computed {
            return Err(FrameError::HeaderChecksum { found, computed });
        }
        let kind = Kind::of(bytes[3]).ok_or(FrameError::UnknownKind { found: bytes[3] })?;
        let body_bytes = word(4) as usize;
        if body_bytes.saturating_add(HEADER_BYTES) > frame_bytes_max {
            return Err(FrameError::TooLong { body_bytes, frame_bytes_max });
        }
        Ok(Self { kind, body_bytes, body_checksum: word(8) })
    }

    /// Checks the body that came with this header.
    pub(crate) fn verify(&self, body: &[u8]) -> Result<(), FrameError> {
        debug_assert_eq!(body.len(), self.body_bytes);
        let computed = crc32fast::hash(body);
        if computed != self.body_checksum {
            let (body_bytes, found) = (self.body_bytes, self.body_checksum);
            return Err(FrameError::BodyChecksum { body_bytes, found, computed });
        }
        Ok(())
    }
}

/// Starts a frame at the end of `buffer`, by making room for its header, and says where it starts. The body
/// is then appended to the same buffer, and [`finish`] makes a frame of it: no byte is copied.
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

/// Ends the frame that [`begin`] started at `start`: everything after its header is its body.
///
/// # Errors
///
/// [`FrameError::TooLong`]; the buffer is then cut back to `start`.
pub(crate) fn finish(
    buffer: &mut Vec<u8>,
    start: usize,
    kind: Kind,
    frame_bytes_max: usize,
) -> Result<(), FrameError> {
    assert!(buffer.len() >= start + HEADER_BYTES, "no frame was begun at {start} of {} bytes", buffer.len());
    let (header, body) = buffer[start..].split_at_mut(HEADER_BYTES);
    let fits = body.len().saturating_add(HEADER_BYTES) <= frame_bytes_max;
    let length = u32::try_from(body.len()).ok().filter(|_| fits);
    let Some(length) = length else {
        let body_bytes = body.len();
        buffer.truncate(start);
        return Err(FrameError::TooLong { body_bytes, frame_bytes_max });
    };
    header[..2].copy_from_slice(&MAGIC);
    header[2] = VERSION;
    header[3] = kind as u8;
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..12].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// A whole frame around a body that exists already.
pub(crate) fn encode(kind: Kind, body: &[u8], frame_bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    let mut buffer = Vec::with_capacity(HEADER_BYTES + body.len());
    let start = begin(&mut buffer);
    buffer.extend_from_slice(body);
    finish(&mut buffer, start, kind, frame_bytes_max)?;
    Ok(buffer)
}

/// Cuts a stream into bodies. Bytes go into [`Decoder::buffer`], bodies come out of [`Decoder::next`].
///
/// A body is a slice of the read buffer: while one is kept, the whole buffer (64 KiB, or up to twice the
/// frame) stays in memory. Whoever keeps a small part for long copies it.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// The header of the frame whose body is not complete yet.
    header: Option<Header>,
    frame_bytes_max: usize,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), header: None, frame_bytes_max }
    }

    /// Where to append what was read. There is room in it: 64 KiB, or as much as has already come of a longer
    /// body, so that the buffer grows with the bytes that arrive and not with those that are announced.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        let missing = self.header.map_or(0, |header| header.body_bytes.saturating_sub(self.buffer.len()));
        let room = missing.min(self.buffer.len()).max(READ_BYTES);
        if self.buffer.capacity() - self.buffer.len() < room.min(READ_BYTES / 4).max(missing.min(room)) {
            self.buffer.reserve(room);
        }
        &mut self.buffer
    }

    /// The next whole body; `None` when more bytes are needed. After an error it must not be asked again.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let header = match self.header {
            Some(header) => header,
            None => {
                let Some(bytes) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
                let header = body_header(bytes, self.frame_bytes_max)?;
                self.buffer.advance(HEADER_BYTES);
                self.header = Some(header);
                header
            }
        };
        if self.buffer.len() < header.body_bytes {
            return Ok(None);
        }
        self.header = None;
        let body = self.buffer.split_to(header.body_bytes).freeze();
        header.verify(&body)?;
        if body.len() > KEPT_BYTES {
            // Let go of the large buffer, which would otherwise be reused for ever.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Ok(Some(body))
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.header.is_some() || !self.buffer.is_empty()
    }
}

/// Cuts the first whole body off bytes that hold whole frames; `None` when they end inside one.
#[cfg(test)]
pub(super) fn take(bytes: &mut Bytes, frame_bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let header = body_header(header, frame_bytes_max)?;
    if bytes.len() - HEADER_BYTES < header.body_bytes {
        return Ok(None);
    }
    bytes.advance(HEADER_BYTES);
    let body = bytes.split_to(header.body_bytes);
    header.verify(&body)?;
    Ok(Some(body))
}

fn body_header(bytes: &[u8; HEADER_BYTES], frame_bytes_max: usize) -> Result<Header, FrameError> {
    let header = Header::decode(bytes, frame_bytes_max)?;
    if header.kind != Kind::Body {
        return Err(FrameError::UnexpectedKind { found: header.kind, expected: "a body" });
    }
    Ok(header)
}
