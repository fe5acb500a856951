use super::*;

fn layout(format: Format, entity: &str, time: &str) -> Layout {
    let column = |name: &str| name.parse().unwrap();
    Layout {
        format,
        entity: column(entity),
        time: column(time),
        unit: TimeUnit::Ms,
        sequence: None,
        value: None,
    }
}

fn csv() -> Format {
    Format::Csv { delimiter: b',', header: true }
}

fn read(text: &'static str, layout: Layout) -> Vec<Result<Row, String>> {
    Rows::new(text.as_bytes(), layout).unwrap().map(|row| row.map_err(|error| error.to_string())).collect()
}

fn row(
    line: u64,
    entity: &'static str,
    timestamp: u64,
    sequence: u64,
    value: &'static str,
) -> Result<Row, String> {
    let (entity, value) = (Bytes::from(entity), Bytes::from(value));
    Ok(Row { line, entity, timestamp, sequence, value })
}

#[test]
fn csv_by_name_by_number_and_with_quotes() {
    let text = "who,when,what\nann,1700000000000,hello\nbob,2013-01-01T10:00:00Z,\"a, \"\"b\"\"\"\n";
    let rows = [
        row(2, "ann", 1_700_000_000_000, 1, "ann,1700000000000,hello"),
        row(3, "bob", 1_357_034_400_000, 2, "bob,2013-01-01T10:00:00Z,\"a, \"\"b\"\"\""),
    ];
    assert_eq!(read(text, layout(csv(), "who", "when")), rows);
    assert_eq!(read(text, layout(csv(), "1", "2")), rows);
    let what = Layout { value: Some("what".parse().unwrap()), ..layout(csv(), "who", "when") };
    let values: Vec<_> = read(text, what).into_iter().map(|row| row.unwrap().value).collect();
    assert_eq!(values, ["hello", "a, \"b\""]);
}

#[test]
fn csv_without_header_and_with_another_delimiter() {
    let format = Format::Csv { delimiter: b';', header: false };
    let rows = read(
        "5;ann;7\n6;bob;8\n",
        Layout { sequence: Some("3".parse().unwrap()), ..layout(format, "2", "1") },
    );
    assert_eq!(rows, [row(1, "ann", 5, 7, "5;ann;7"), row(2, "bob", 6, 8, "6;bob;8")]);
    assert_eq!(read("", layout(format, "2", "1")), []);
}

#[test]
fn a_column_that_is_not_there_is_named_with_those_that_are() {
    let refused = |text: &'static str, format, entity: &str| {
        Rows::new(text.as_bytes(), layout(format, entity, "1")).unwrap_err().to_string()
    };
    assert_eq!(refused("a,b\n1,2\n", csv(), "c"), "the file has no column c; it has a, b");
    assert_eq!(refused("a,b\n1,2\n", csv(), "3"), "the file has no column 3; it has a, b");
    let format = Format::Csv { delimiter: b',', header: false };
    assert_eq!(
        refused("a,b\n1,2\n", format, "a"),
        "the file has no column a; it has 2 columns without names, counted from 1"
    );
    assert_eq!(Column::from_str_error("0"), "columns are counted from 1");
}

impl Column {
    fn from_str_error(text: &str) -> String {
        text.parse::<Self>().unwrap_err()
    }
}

#[test]
fn a_faulty_csv_row_names_line_column_value_and_reason_and_the_rest_is_read() {
    let text = "who,when\nann,soon\n,5\nbob\n\"bob\nmarley\",6\ncat,-1\ncat,99999999999999999999\ndan,7\n";
    let rows = read(text, layout(csv(), "who", "when"));
    let faults: Vec<_> = rows.iter().filter_map(|row| row.clone().err()).collect();
    assert_eq!(faults.len(), 5);
    assert!(
        faults[0].starts_with("line 2, column when: \"soon\": not a time; write an integer"),
        "{}",
        faults[0]
    );
    assert_eq!(faults[1], "line 3, column who: \"\": the entity is empty; it must have 1 to 1024 bytes");
    assert_eq!(faults[2], "line 4: \"bob\": the row has 1 fields; the first one has 2");
    assert!(faults[3].starts_with("line 7, column when: \"-1\": not a time"), "{}", faults[3]);
    assert_eq!(faults[4], "line 8, column when: \"99999999999999999999\": more than 18446744073709551615");
    // A record over two lines counts both, and the number of the row is the sequence, faulty rows included.
    assert_eq!(rows[3], row(5, "bob\nmarley", 6, 4, "\"bob\nmarley\",6"));
    assert_eq!(rows[6], row(9, "dan", 7, 7, "dan,7"));
}

#[test]
fn a_file_ends_where_it_ends_with_any_delimiter() {
    for delimiter in (0..0x80).filter(|byte| !matches!(byte, b'"' | b'\r' | b'\n' | b'0'..=b'9')) {
        let between = char::from(delimiter);
        let text: &'static str = Box::leak(format!("0{between}7\n0{between}8").into_boxed_str());
        let rows = read(text, layout(Format::Csv { delimiter, header: false }, "1", "2"));
        let places: Vec<u64> = rows.iter().map(|row| row.as_ref().unwrap().timestamp).collect();
        assert_eq!(places, [7, 8], "{between:?}");
        let open: &'static str = Box::leak(format!("0{between}7\n0{between}\"8").into_boxed_str());
        let rows = read(open, layout(Format::Csv { delimiter, header: false }, "1", "2"));
        assert!(rows.len() == 2 && rows[1].is_err(), "{between:?}: {rows:?}");
    }
}

#[test]
fn a_quote_that_is_open_at_the_end_is_told_and_swallows_nothing() {
    let told = |line| {
        Err(format!(
            "line {line}: a quote that is opened in this row is not closed before the end of the file"
        ))
    };
    let (ann, open) = ("who,when\nann,1700000000000\n", "bob,\"1700000000000\ncal,1700000000001\n");
    let text: &'static str = Box::leak(format!("{ann}{open}").into_boxed_str());
    let first = Ok(row(2, "ann", 1_700_000_000_000, 1, "ann,1700000000000").unwrap());
    assert_eq!(read(text, layout(csv(), "who", "when")), [first.clone(), told(3)]);
    // With another number of fields than the header, too.
    assert_eq!(read("who,when\nbob,1,\"x\ny,2\n", layout(csv(), "who", "when")), [told(2)]);
    let refusal = Rows::new(&b"who,\"when\nann,5\n"[..], layout(csv(), "who", "when")).err().unwrap();
    assert_eq!(Err::<(), _>(refusal.to_string()), told(1).map(|_: Row| ()));
    // Quotes that open nothing are part of a field, at the end of a file as elsewhere.
    for end in ["", "\n", "\r\n", "\n\n"] {
        let text: &'static str = Box::leak(format!("who,when\n5\" pipe,7{end}").into_boxed_str());
        assert_eq!(read(text, layout(csv(), "who", "when")).len(), 1);
    }
    for nothing in ["", "\n", "who,when", "who,when\n"] {
        let rows = Rows::new(nothing.as_bytes(), layout(csv(), "1", "2"));
        assert_eq!(rows.unwrap().count(), 0, "{nothing:?}");
    }
}

#[test]
fn an_open_quote_does_not_pull_the_file_into_memory() {
    let endless = io::repeat(b'x').take(u64::MAX);
    let mut rows = Rows::new(b"who,when\n\"".chain(endless), layout(csv(), "who", "when")).unwrap();
    let error = rows.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "line 2: the row is longer than 16777216 bytes; is a quote left open?");
    assert!(rows.next().is_none());
}

#[test]
fn json_lines() {
    let text = "{\"who\":\"ann\",\"when\":1700000000000,\"what\":{\"a\":1}}\n\n{\"who\":7,\"when\":\"2013-01-01T10:00:00.5+01:00\",\"what\":\"x\\ny\"}";
    let rows = read(text, layout(Format::JsonLines, "who", "when"));
    assert_eq!(
        rows[0],
        row(1, "ann", 1_700_000_000_000, 1, "{\"who\":\"ann\",\"when\":1700000000000,\"what\":{\"a\":1}}")
    );
    let second = rows[1].clone().unwrap();
    assert_eq!((second.line, &second.entity[..], second.timestamp), (3, &b"7"[..], 1_357_030_800_500));
    let what = Layout { value: Some("what".parse().unwrap()), ..layout(Format::JsonLines, "who", "when") };
    let values: Vec<_> = read(text, what).into_iter().map(|row| row.unwrap().value).collect();
    assert_eq!(values, ["{\"a\":1}", "x\ny"]);
}

#[test]
fn a_faulty_json_line_names_line_member_value_and_reason_and_the_rest_is_read() {
    let text = "[1]\n{\"who\":\"ann\"}\n{\"who\":null,\"when\":1}\n{\"who\":\"\",\"when\":1}\n{\"who\":\"a\",\"when\":1.5}\n{\"who\":\"a\",\"when\":1}\n";
    let rows = read(text, layout(Format::JsonLines, "who", "when"));
    let faults: Vec<_> = rows.iter().filter_map(|row| row.clone().err()).collect();
    assert_eq!(faults.len(), 5);
    assert!(faults[0].starts_with("line 1: \"[1]\": not a JSON object"), "{}", faults[0]);
    assert_eq!(faults[1], "line 2, column when: \"\": the object has no such member; it has who");
    assert_eq!(faults[2], "line 3, column who: \"null\": neither a string nor a number");
    assert_eq!(faults[3], "line 4, column who: \"\": the entity is empty; it must have 1 to 1024 bytes");
    assert!(faults[4].starts_with("line 5, column when: \"1.5\": not a time"), "{}", faults[4]);
    assert_eq!(rows[5], row(6, "a", 1, 6, "{\"who\":\"a\",\"when\":1}"));
}

#[test]
fn a_json_line_that_is_too_long_is_passed_over() {
    let long = io::repeat(b'x').take(3 * ROW_BYTES_MAX as u64);
    let text = long.chain(&b"\n{\"who\":\"a\",\"when\":1}\n"[..]);
    let mut rows = Rows::new(text, layout(Format::JsonLines, "who", "when")).unwrap();
    let fault = rows.next().unwrap().unwrap_err().to_string();
    assert!(fault.ends_with("the line is longer than 16777216 bytes"), "{fault}");
    assert!(fault.len() < 300);
    assert_eq!(rows.next().unwrap().unwrap().line, 2);
    assert!(rows.next().is_none());
}

#[test]
fn times() {
    let ms = |text: &str| time::parse(text.as_bytes(), TimeUnit::Ms);
    assert_eq!(ms("0"), Ok(0));
    assert_eq!(ms(" 18446744073709551615 "), Ok(u64::MAX));
    assert_eq!(ms("1970-01-01T00:00:01.2349Z"), Ok(1234));
    assert_eq!(ms("1969-12-31T23:59:59Z"), Err("before 1970; times start at the Unix epoch".to_owned()));
    for bad in ["", "x", "1e3", "2013-01-01", "2013-13-01T00:00:00Z", "+5"] {
        assert!(ms(bad).unwrap_err().starts_with("not a time"), "{bad}");
    }
    let s = |text: &str| time::parse(text.as_bytes(), TimeUnit::S);
    assert_eq!(s("1700000000"), Ok(1_700_000_000_000));
    assert_eq!(s("2013-01-01T10:00:00Z"), Ok(1_357_034_400_000));
    assert!(s("18446744073709551615").unwrap_err().starts_with("more than"));
    assert_eq!(show_time(1_357_034_400_000), "2013-01-01T10:00:00Z");
    assert_eq!(show_time(u64::MAX), "18446744073709551615 ms");
}

#[test]
fn the_time_of_a_flight_is_its_hour_and_the_minutes_of_its_clock() {
    assert_eq!(minutes_after(b"2013-01-01T10:00:00Z", b"515"), Ok(1_357_034_400_000 + 15 * 60_000));
    assert_eq!(minutes_after(b"2013-01-01T10:00:00Z", b"2359"), Ok(1_357_034_400_000 + 59 * 60_000));
    for clock in [&b"560"[..], b"2401", b"NA", b"", b"-5"] {
        assert!(minutes_after(b"2013-01-01T10:00:00Z", clock).is_err());
    }
}

/// `zstd -3` of "hello hello hello hello\n", checksum included.
const PACKED: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x6d, 0x00, 0x00, 0x38, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x0a,
    0x01, 0x00, 0x99, 0x4b, 0x11, 0xa8, 0x7c, 0x2e, 0xa8,
];

fn unpack(bytes: Vec<u8>) -> io::Result<String> {
    let mut text = String::new();
    unpacked(io::Cursor::new(bytes))?.read_to_string(&mut text).map(|_| text)
}

#[test]
fn plain_and_packed_sources() {
    assert_eq!(unpack(b"abc".to_vec()).unwrap(), "abc");
    assert_eq!(unpack(Vec::new()).unwrap(), "");
    assert_eq!(unpack(b"plain text".to_vec()).unwrap(), "plain text");
    assert_eq!(unpack(PACKED.to_vec()).unwrap(), "hello hello hello hello\n");
    let skippable = [&0x184D_2A55_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"xyz"].concat();
    let frames = [PACKED, &skippable, PACKED].concat();
    assert_eq!(unpack(frames).unwrap(), "hello hello hello hello\nhello hello hello hello\n");
    assert_eq!(unpack([&skippable[..], PACKED].concat()).unwrap(), "hello hello hello hello\n");
}

#[test]
fn a_damaged_stream_is_an_error_wherever_the_damage_is() {
    for place in 4..PACKED.len() {
        let mut bytes = PACKED.to_vec();
        bytes[place] ^= 0x10;
        // A changed size field may only make the frame say less about itself; the text must then still be right.
        match unpack(bytes) {
            Ok(text) => assert_eq!(text, "hello hello hello hello\n", "byte {place}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    for length in 5..PACKED.len() {
        assert!(unpack(PACKED[..length].to_vec()).is_err(), "cut at {length}");
    }
}
