//! The codec.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::super::frame::{Decoder, FrameError, HEADER_BYTES, Kind, READ_BYTES, begin, encode, finish, take};
use super::framed;

const MAX: usize = 1 << 20;

/// Feeds a stream in pieces and returns all bodies, or the first error.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max: usize) -> Result<Vec<Bytes>, FrameError> {
    let mut decoder = Decoder::new(max);
    let mut bodies = Vec::new();
    for piece in pieces {
        decoder.buffer().extend_from_slice(piece);
        while let Some(body) = decoder.next()? {
            bodies.push(body);
        }
    }
    Ok(bodies)
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let bodies: [&[u8]; 4] = [b"one", b"", b"three", &[7; 100]];
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(decode(pieces, MAX).unwrap(), bodies, "cut at {first} and {second}");
        }
    }
    assert_eq!(decode(stream.chunks(1), MAX).unwrap(), bodies);
}

#[test]
fn a_stream_that_ends_early_has_only_its_whole_frames() {
    let stream = [framed(b"whole"), framed(b"not whole")].concat();
    let first = framed(b"whole").len();
    for end in 0..stream.len() {
        let found = decode([&stream[..end]], MAX).unwrap();
        assert_eq!(found.len(), usize::from(end >= first), "ends at {end}");
    }
}

#[test]
fn every_flipped_bit_is_noticed_at_once() {
    let frame = framed(b"some body that is sent");
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = decode([&damaged[..]], MAX);
        assert!(found.is_err(), "bit {bit}: {found:?}");
        assert!(take(&mut Bytes::from(damaged), MAX).is_err(), "bit {bit}");
    }
}

#[test]
fn each_error_names_what_it_found() {
    let with = |change: fn(&mut Vec<u8>)| {
        let mut frame = framed(b"abc");
        change(&mut frame);
        let sum = crc32fast::hash(&frame[..12]);
        frame[12..16].copy_from_slice(&sum.to_le_bytes());
        decode([&frame[..]], 1_000).unwrap_err()
    };
    assert_eq!(with(|frame| frame[0] = b'G'), FrameError::Magic { found: *b"Gc" });
    assert_eq!(with(|frame| frame[2] = 2), FrameError::Version { found: 2 });
    assert_eq!(with(|frame| frame[3] = 9), FrameError::UnknownKind { found: 9 });
    let unexpected = FrameError::UnexpectedKind { found: Kind::Hello, expected: "a body" };
    assert_eq!(with(|frame| frame[3] = 1), unexpected);
    let too_long = FrameError::TooLong { body_bytes: u32::MAX as usize, frame_bytes_max: 1_000 };
    assert_eq!(with(|frame| frame[4..8].fill(0xff)), too_long);
    let sum = with(|frame| frame[16] = b'x');
    assert!(matches!(sum, FrameError::BodyChecksum { body_bytes: 3, .. }), "{sum:?}");
}

#[test]
fn the_limit_includes_the_header_and_holds_on_both_sides() {
    let body = [1; 84];
    let frame = encode(Kind::Body, &body, 100).unwrap();
    assert_eq!(decode([&frame[..]], 100).unwrap(), [&body[..]]);
    let too_long = FrameError::TooLong { body_bytes: 84, frame_bytes_max: 99 };
    assert_eq!(decode([&frame[..]], 99), Err(too_long));
    let mut buffer = framed(b"before");
    let before = buffer.clone();
    let start = begin(&mut buffer);
    buffer.extend_from_slice(&body);
    assert_eq!(finish(&mut buffer, start, Kind::Body, 99), Err(too_long));
    assert_eq!(buffer, before, "the frame that did not fit is gone, the one before it is not");
    assert_eq!(encode(Kind::Body, b"", 15), Err(FrameError::TooLong { body_bytes: 0, frame_bytes_max: 15 }));
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let body = vec![3; 32 << 20];
    let frame = framed(&body);
    let mut decoder = Decoder::new(64 << 20);
    let mut fed = 0;
    while fed < frame.len() {
        let buffer = decoder.buffer();
        let room = buffer.capacity() - buffer.len();
        assert!(room > 0);
        assert!(buffer.capacity() <= 4 * fed + 2 * READ_BYTES, "{} for {fed} bytes", buffer.capacity());
        let more = room.min(frame.len() - fed);
        buffer.extend_from_slice(&frame[fed..fed + more]);
        fed += more;
        let found = decoder.next().unwrap();
        assert_eq!(found.is_some(), fed == frame.len());
        if let Some(found) = found {
            assert!(found == body);
        }
    }
    assert!(!decoder.is_inside_frame());
    assert!(decoder.buffer().capacity() <= 2 * READ_BYTES, "the large buffer is given back");
}

#[test]
fn the_read_buffer_is_used_again() {
    let frame = framed(&[5; 1_000]);
    let mut decoder = Decoder::new(MAX);
    let mut addresses = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let buffer = decoder.buffer();
        addresses.insert(buffer.as_ptr() as usize / (4 * READ_BYTES));
        buffer.extend_from_slice(&frame);
        assert_eq!(decoder.next().unwrap().unwrap().len(), 1_000);
    }
    assert!(addresses.len() <= 4, "{} places for buffers", addresses.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bodies_survive_any_cutting(
        bodies in vec(vec(any::<u8>(), 0..300), 0..20),
        cuts in vec(any::<u16>(), 0..20),
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut) % (stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
        prop_assert_eq!(&decode(pieces, MAX).unwrap(), &bodies);
        let mut whole = Bytes::from(stream);
        for body in &bodies {
            let taken = take(&mut whole, MAX).unwrap();
            prop_assert_eq!(taken.as_deref(), Some(&body[..]));
        }
        prop_assert_eq!(take(&mut whole, MAX).unwrap(), None);
    }

    #[test]
    fn any_bytes_are_refused_or_wait(bytes in vec(any::<u8>(), 0..200)) {
        let found = decode([&bytes[..]], MAX);
        prop_assert!(found.is_err() || found.unwrap().is_empty());
    }

    #[test]
    fn damage_anywhere_never_makes_a_body(
        body in vec(any::<u8>(), 0..200),
        at in any::<proptest::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let mut frame = framed(&body);
        let at = at.index(frame.len());
        frame[at] ^= change;
        prop_assert!(decode([&frame[..]], MAX).is_err());
    }
}

#[test]
fn frames_are_built_in_place_one_after_another() {
    let mut buffer = Vec::new();
    for body in [&b"first"[..], b"second"] {
        let start = begin(&mut buffer);
        assert_eq!(buffer.len(), start + HEADER_BYTES);
        buffer.extend_from_slice(body);
        finish(&mut buffer, start, Kind::Body, MAX).unwrap();
    }
    assert_eq!(decode([&BytesMut::from(&buffer[..])[..]], MAX).unwrap(), [&b"first"[..], b"second"]);
}
