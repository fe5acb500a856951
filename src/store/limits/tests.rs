use bytes::Bytes;

use super::*;
use crate::request::Expect;

fn limits() -> Limits {
    let config = Config::embedded("data").buckets(1 << 10).value_bytes_max(1 << 10).batch_bytes_max(2 << 10);
    Limits::of(&config.validated().unwrap()).unwrap()
}

/// The field, the value and the bound of a refusal.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, String, String) {
    match result {
        Err(Error::Invalid { what, value, bound }) => (what, value, bound),
        other => panic!("not refused: {other:?}"),
    }
}

fn says(what: &str, value: &str, bound: &str) -> (String, String, String) {
    (what.to_owned(), value.to_owned(), bound.to_owned())
}

fn put(position: impl Into<Position>, bytes: usize) -> Mutation {
    let value = Bytes::from(vec![7; bytes]);
    Mutation::Put { position: position.into(), value, expires_at: None, expect: Expect::Any }
}

fn delete(position: impl Into<Position>) -> Mutation {
    Mutation::Delete { position: position.into(), expect: Expect::Any }
}

#[test]
fn a_value_ends_at_its_bound() {
    assert_eq!(limits().value(&[]), Ok(()));
    assert_eq!(limits().value(&[7; 1_024]), Ok(()));
    let expected = says("value", "1025 bytes", "at most 1024 bytes (value_bytes_max)");
    assert_eq!(refused(limits().value(&[7; 1_025])), expected);
    assert_eq!(refused(limits().batch(&[put((1, 0), 1), put((2, 0), 1_025)])), expected);
}

#[test]
fn a_batch_has_1_to_1000_changes() {
    let changes = |count: u64| (0..count).map(|sequence| delete((1, sequence))).collect::<Vec<_>>();
    assert_eq!(limits().batch(&changes(1)), Ok(()));
    assert_eq!(limits().batch(&changes(1_000)), Ok(()));
    assert_eq!(refused(limits().batch(&changes(0))), says("batch", "0 changes", "1 to 1000 changes"));
    assert_eq!(refused(limits().batch(&changes(1_001))), says("batch", "1001 changes", "1 to 1000 changes"));
}

#[test]
fn the_values_of_a_batch_end_at_their_bound() {
    assert_eq!(limits().batch(&[put((1, 0), 1_024), put((2, 0), 1_024)]), Ok(()));
    let over = [put((1, 0), 1_024), put((2, 0), 1_024), put((3, 0), 1)];
    let expected = says("batch", "2049 bytes of values", "at most 2048 bytes of values (batch_bytes_max)");
    assert_eq!(refused(limits().batch(&over)), expected);
}

#[test]
fn a_value_alone_in_a_batch_may_be_as_long_as_anywhere() {
    let config = Config::embedded("data").value_bytes_max(4 << 10).batch_bytes_max(1 << 10);
    let limits = Limits::of(&config.validated().unwrap()).unwrap();
    assert_eq!(limits.batch(&[put((1, 0), 4 << 10)]), Ok(()));
}

#[test]
fn a_batch_changes_a_position_once() {
    let twice = |at: &str| says("batch", &format!("two changes at {at}"), "at most one change a position");
    assert_eq!(limits().batch(&[put((1, 0), 1), put((1, 1), 1), put(Position::Undated, 1)]), Ok(()));
    assert_eq!(refused(limits().batch(&[put((1, 0), 1), delete((2, 0)), put((1, 0), 1)])), twice("1-0"));
    assert_eq!(refused(limits().batch(&[put((1, 0), 1), delete((1, 0))])), twice("1-0"));
    let undated = [put(Position::Undated, 1), delete(Position::Undated)];
    assert_eq!(refused(limits().batch(&undated)), twice("undated"));
}

#[test]
fn a_batch_does_not_change_what_it_trims() {
    let trim = |through| Mutation::Trim { through };
    assert_eq!(limits().batch(&[trim(5), put((6, 0), 1), put(Position::Undated, 1)]), Ok(()));
    for covered in [put((5, 9), 1), delete((5, 9))] {
        let expected = says("batch", "two changes at 5-9", "at most one change a position");
        assert_eq!(refused(limits().batch(&[covered.clone(), trim(5)])), expected);
        assert_eq!(refused(limits().batch(&[trim(5), covered])), expected);
    }
    let expected = says("batch", "trims through 5 and through 6", "at most one trim");
    assert_eq!(refused(limits().batch(&[trim(5), trim(6)])), expected);
}

#[test]
fn a_deadline_lies_between_1_ms_and_10_minutes() {
    assert_eq!(limits().deadline_ms(None), Ok(5_000));
    assert_eq!(limits().deadline_ms(Some(DEADLINE_MIN)), Ok(1));
    assert_eq!(limits().deadline_ms(Some(Duration::from_micros(1_999))), Ok(1));
    assert_eq!(limits().deadline_ms(Some(DEADLINE_MAX)), Ok(600_000));
    for (deadline, value) in [
        (Duration::ZERO, "0ns"),
        (Duration::from_micros(999), "999µs"),
        (DEADLINE_MAX + Duration::from_nanos(1), "600.000000001s"),
    ] {
        let expected = says("deadline", value, "1 ms to 10 minutes");
        assert_eq!(refused(limits().deadline_ms(Some(deadline))), expected);
    }
    assert!(limits().deadline_ms(Some(Duration::MAX)).is_err());
}

#[test]
fn a_token_belongs_to_a_bucket_of_the_cluster_and_to_the_entity() {
    let bucket = BucketCount::MIN.bucket_of(b"alice").index();
    let token = |bucket| Token { client: 1, counter: 2, bucket, born: 3 };
    assert_eq!(limits().token(&token(1_023)), Ok(()));
    assert_eq!(limits().token_of(&token(bucket), b"alice"), Ok(()));
    let (what, value, bound) = refused(limits().token(&token(1_024)));
    assert_eq!((what.as_str(), value), ("token", token(1_024).to_string()));
    assert_eq!(bound, "a token of this cluster, which has 1024 buckets");
    let other = token(bucket ^ 1);
    let (what, value, bound) = refused(limits().token_of(&other, b"alice"));
    assert_eq!((what.as_str(), value), ("token", other.to_string()));
    assert_eq!(bound, format!("a token made for this entity, whose bucket is {bucket:x}"));
}

#[test]
fn an_expiry_is_a_time_after_the_epoch() {
    assert_eq!([None, Some(1), Some(u64::MAX)].map(expiry), [Ok(()), Ok(()), Ok(())]);
    let expected = says("expires_at", "0 ms", "1 ms after the Unix epoch, or later");
    assert_eq!(refused(expiry(Some(0))), expected);
    let (position, value) = (Position::Undated, Bytes::new());
    let in_batch = Mutation::Put { position, value, expires_at: Some(0), expect: Expect::Any };
    assert_eq!(refused(limits().batch(&[in_batch])), expected);
}

#[test]
fn a_batch_get_has_at_most_1000_keys() {
    assert_eq!(batch_get_keys(0), Ok(()));
    assert_eq!(batch_get_keys(1_000), Ok(()));
    let expected = says("batch_get", "more than 1000 keys", "at most 1000 keys");
    assert_eq!(refused(batch_get_keys(1_001)), expected);
}

#[test]
fn a_page_has_limits_within_bounds() {
    for limits in [(1, 1), (10_000, 16 << 20)] {
        assert_eq!(scan_limits(limits.0, limits.1), Ok(()));
    }
    let records = |value| says("limit", value, "1 to 10000 records");
    assert_eq!(refused(scan_limits(0, 1)), records("0 records"));
    assert_eq!(refused(scan_limits(10_001, 1)), records("10001 records"));
    let bytes = |value| says("limit_bytes", value, "1 to 16777216 bytes");
    assert_eq!(refused(scan_limits(1, 0)), bytes("0 bytes"));
    assert_eq!(refused(scan_limits(1, (16 << 20) + 1)), bytes("16777217 bytes"));
}
