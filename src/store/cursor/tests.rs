use super::*;

const ORDERS: [Order; 2] = [Order::OldestFirst, Order::NewestFirst];

fn cursor(order: Order) -> Cursor {
    Cursor::at(&Key::new("alice", 1_700_000_000_000, 7), order).unwrap()
}

/// The bytes with a checksum that fits them.
fn sealed(mut bytes: [u8; CURSOR_BYTES]) -> [u8; CURSOR_BYTES] {
    let checksum = crc32fast::hash(&bytes[..CHECKED_BYTES]);
    bytes[CHECKED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn refused(result: Result<Cursor, Error>) -> String {
    match result {
        Err(Error::Invalid { what, value, .. }) => {
            assert_eq!(what, "cursor");
            value
        }
        other => panic!("taken as {other:?}"),
    }
}

#[test]
fn a_cursor_survives_as_bytes_and_as_text() {
    for order in ORDERS {
        for (timestamp, sequence) in [(0, 0), (1_700_000_000_000, 7), (u64::MAX, u64::MAX)] {
            let cursor = Cursor::at(&Key::new("alice", timestamp, sequence), order).unwrap();
            assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Ok(cursor));
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            assert_eq!(cursor.order(), order);
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_first_release() {
    let expected = "0100e4184c4c328c445a0068e5cf8b0100000700000000000000915ec83c";
    assert_eq!(cursor(Order::OldestFirst).to_string(), expected);
}

#[test]
fn any_changed_bit_is_refused() {
    let bytes = cursor(Order::NewestFirst).to_bytes();
    for bit in 0..8 * CURSOR_BYTES {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refused(Cursor::from_bytes(&changed)), "wrong checksum", "bit {bit}");
    }
}

#[test]
fn a_wrong_length_is_refused() {
    let bytes = cursor(Order::OldestFirst).to_bytes();
    for length in 0..CURSOR_BYTES {
        assert_eq!(refused(Cursor::from_bytes(&bytes[..length])), format!("{length} bytes, not 30"));
    }
    assert_eq!(refused(Cursor::from_bytes(&[0; 100_000])), "100000 bytes, not 30");
}

#[test]
fn a_foreign_version_or_order_is_refused_even_with_a_good_checksum() {
    let mut bytes = cursor(Order::OldestFirst).to_bytes();
    bytes[0] = 2;
    assert_eq!(refused(Cursor::from_bytes(&sealed(bytes))), "version 2, not 1");
    bytes[0] = 1;
    bytes[1] = 2;
    assert_eq!(refused(Cursor::from_bytes(&sealed(bytes))), "order 2, not 0 or 1");
}

#[test]
fn text_that_is_no_cursor_is_refused() {
    let text = cursor(Order::OldestFirst).to_string();
    let (spaced, upper) = (format!(" {}", &text[1..]), text.to_uppercase());
    let (long, signed) = ("0".repeat(100_000), format!("+1{}", &text[2..]));
    let accents = "é".repeat(30);
    for hostile in ["", "01", &text[1..], &spaced, &upper, &long, &signed, &accents] {
        let value = refused(hostile.parse());
        assert!(value.len() < 200, "{value}");
    }
}

#[test]
fn an_undated_key_or_an_entity_out_of_bounds_makes_no_cursor() {
    assert_eq!(refused(Cursor::at(&Key::undated("alice"), Order::OldestFirst)), "an undated key");
    let empty = Cursor::at(&Key::new("", 1, 0), Order::OldestFirst);
    assert_eq!(empty, Err(Error::invalid("entity", "0 bytes", "1 to 1024 bytes")));
}
