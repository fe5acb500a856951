use super::*;

fn embedded() -> Config {
    Config::embedded("data")
}

fn topology() -> Topology {
    let text = r#"
        cluster = "test"
        replicas = 1
        buckets = 1024
        window_ms = 60000
        [[node]]
        id = 7
        zone = "a"
        address = "127.0.0.1:7201"
        directory = "from-topology"
    "#;
    Topology::from_toml(text).unwrap()
}

/// The field, the value and the bound of a refusal.
fn refused(config: &Config) -> [String; 3] {
    match config.validate() {
        Err(Error::Invalid { what, value, bound }) => [what, value, bound],
        other => panic!("not refused: {other:?}"),
    }
}

/// Sets one numeric setting to its bounds and beyond them, through its setter and through TOML.
macro_rules! bounds {
    ($($test:ident: $field:ident, $min:expr, $max:expr;)+) => {
        $(#[test]
        fn $test() {
            let (min, max) = ($min, $max);
            let set = |value| embedded().$field(value);
            assert_eq!(set(min).validate(), Ok(()));
            assert_eq!(set(max).validate(), Ok(()));
            let beyond = min.checked_sub(1).into_iter().chain(Some(max + 1));
            for value in beyond {
                let expected = [stringify!($field).to_owned(), value.to_string(), format!("{min} to {max}")];
                assert_eq!(refused(&set(value)), expected);
                let line = format!("{} = {value}", stringify!($field));
                assert_eq!(refused(&embedded().with_toml(&line).unwrap()), expected);
            }
        })+
    };
}

bounds! {
    window_span_ms_has_bounds: window_span_ms, 60_000_u64, 366 * 86_400_000;
    workers_has_bounds: workers, 1_u32, 64;
    parts_has_bounds: parts, 1_u32, 256;
    memtable_bytes_has_bounds: memtable_bytes, 64_u64 << 10, 1 << 30;
    segment_bytes_has_bounds: segment_bytes, 1_u64 << 20, 1 << 30;
    journal_retain_bytes_has_bounds: journal_retain_bytes, 0_u64, 1 << 40;
    journal_replay_bytes_has_bounds: journal_replay_bytes, 1_u64 << 20, 1 << 40;
    calls_max_has_bounds: calls_max, 1_u32, 1 << 20;
    command_bytes_max_has_bounds: command_bytes_max, 1_u32 << 10, 16 << 20;
    value_bytes_max_has_bounds: value_bytes_max, 1_u32 << 10, 16 << 20;
    batch_bytes_max_has_bounds: batch_bytes_max, 1_u32 << 10, 16 << 20;
    deadline_default_ms_has_bounds: deadline_default_ms, 1_u32, 600_000;
    hedge_ms_has_bounds: hedge_ms, 1_u32, 10_000;
    resend_ms_has_bounds: resend_ms, 1_u32, 60_000;
    peer_buffer_bytes_max_has_bounds: peer_buffer_bytes_max, 1_u64 << 20, 1 << 30;
    transfer_bytes_s_max_has_bounds: transfer_bytes_s_max, 64_u64 << 10, 64 << 30;
    audit_every_s_has_bounds: audit_every_s, 0_u32, 31_622_400;
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = embedded().validated().unwrap();
    assert!((1..=64).contains(&config.workers));
    assert_eq!((config.topology.buckets, config.topology.window_ms), (65_536, 86_400_000));
    assert_eq!((config.parts, config.calls_max), (16, 65_536));
    assert_eq!((config.memtable_bytes, config.segment_bytes), (16 << 20, 64 << 20));
    assert_eq!((config.journal_retain_bytes, config.peer_buffer_bytes_max), (1 << 30, 16 << 20));
    assert_eq!(config.journal_replay_bytes, 256 << 20);
    assert_eq!((config.transfer_bytes_s_max, config.audit_every_s), (64 << 20, 86_400));
    assert_eq!((embedded().command_bytes_max, config.value_bytes_max), (256 << 10, 1 << 20));
    assert_eq!((config.batch_bytes_max, config.deadline_default_ms), (4 << 20, 5_000));
    assert_eq!((config.hedge_ms, config.resend_ms, config.sync), (25, 100, Sync::Disk));
}

#[test]
fn buckets_are_a_power_of_two() {
    for count in [1 << 10, 1 << 16, 1 << 20] {
        let config = embedded().buckets(count).validated().unwrap();
        assert_eq!(config.bucket_count().unwrap().get(), count);
    }
    for count in [0, 1, 1_000, 512, 65_535, 1 << 21, u32::MAX] {
        let expected =
            ["buckets", &count.to_string(), "a power of two from 1024 to 1048576"].map(str::to_owned);
        assert_eq!(refused(&embedded().buckets(count)), expected);
    }
}

#[test]
fn a_directory_is_needed() {
    let expected = ["directory", "empty", "the path of a directory"].map(str::to_owned);
    assert_eq!(refused(&Config::embedded("")), expected);
    let mut topology = topology();
    topology.nodes[0].directory = None;
    let expected = ["directory", "none", "given here or in the topology"].map(str::to_owned);
    assert_eq!(refused(&Config::node(topology, 7)), expected);
}

#[test]
fn a_nodes_directory_comes_from_the_topology_unless_overridden() {
    let config = Config::node(topology(), 7);
    assert_eq!(config.data_directory(), Some(Path::new("from-topology")));
    let overridden = config.directory("here").validated().unwrap();
    assert_eq!(overridden.data_directory(), Some(Path::new("here")));
}

#[test]
fn a_node_is_one_of_the_topology() {
    let expected = ["node_id", "8", "the id of a node in the topology"].map(str::to_owned);
    assert_eq!(refused(&Config::node(topology(), 8)), expected);
}

#[test]
fn a_topology_that_was_changed_is_checked_again() {
    let mut topology = topology();
    topology.replicas = 2;
    assert_eq!(refused(&Config::node(topology, 7)), ["replicas", "2", "1, 3 or 5"].map(str::to_owned));
}

#[test]
fn a_node_does_not_contradict_its_topology() {
    let config = || Config::node(topology(), 7);
    assert_eq!(config().buckets(1_024).window_span_ms(60_000).validate(), Ok(()));
    let expected = ["buckets", "2048", "1024, as in the topology"].map(str::to_owned);
    assert_eq!(refused(&config().buckets(2_048)), expected);
    let expected = ["window_span_ms", "60001", "60000, as in the topology"].map(str::to_owned);
    assert_eq!(refused(&config().window_span_ms(60_001)), expected);
}

#[test]
fn every_setting_can_stand_in_a_file() {
    let text = r#"
        directory = "data"
        buckets = 2048
        window_span_ms = 3600000
        workers = 3
        parts = 5
        memtable_bytes = 1048576
        segment_bytes = 33554432
        journal_retain_bytes = 7
        journal_replay_bytes = 3145728
        calls_max = 11
        command_bytes_max = 2048
        value_bytes_max = 4096
        batch_bytes_max = 8192
        deadline_default_ms = 800
        hedge_ms = 13
        resend_ms = 17
        peer_buffer_bytes_max = 2097152
        transfer_bytes_s_max = 1048576
        audit_every_s = 60
        sync = "none"
    "#;
    let unchanged = Config::from_toml(text).unwrap();
    assert_eq!((unchanged.command_bytes_max, unchanged.value_bytes_max), (2_048, 4_096));
    let config = unchanged.validated().unwrap();
    assert_eq!(config.data_directory(), Some(Path::new("data")));
    assert_eq!((config.topology.buckets, config.topology.window_ms), (2_048, 3_600_000));
    assert_eq!((config.workers, config.parts, config.calls_max), (3, 5, 11));
    assert_eq!((config.memtable_bytes, config.segment_bytes), (1 << 20, 32 << 20));
    assert_eq!((config.journal_retain_bytes, config.peer_buffer_bytes_max), (7, 2 << 20));
    assert_eq!(config.journal_replay_bytes, 3 << 20);
    assert_eq!((config.transfer_bytes_s_max, config.audit_every_s), (1 << 20, 60));
    assert_eq!((config.batch_bytes_max, config.deadline_default_ms), (8_192, 800));
    assert_eq!((config.hedge_ms, config.resend_ms, config.sync), (13, 17, Sync::None));
}

#[test]
fn a_file_that_does_not_fit_is_refused_with_line_and_field() {
    let rows = [
        ("directory = 'd'\nworkrs = 4", "config, line 2", "unknown field `workrs`"),
        ("workers = 'four'", "config, line 1", "invalid type: string \"four\""),
        ("workers = -1", "config, line 1", "invalid value: integer `-1`"),
        ("sync = 'never'", "config, line 1", "unknown variant `never`"),
    ];
    for (text, line, says) in rows {
        let Err(Error::Invalid { what, value, bound }) = embedded().with_toml(text) else {
            panic!("{text} was taken");
        };
        assert_eq!((what.as_str(), value.as_str()), (line, says), "{text}");
        assert!(!bound.is_empty());
    }
    assert!(matches!(embedded().with_toml("workers ="), Err(Error::Invalid { .. })));
    assert!(matches!(embedded().with_toml("workers = 1\nworkers = 2"), Err(Error::Invalid { .. })));
}

#[test]
fn a_file_needs_a_directory_and_settings_within_bounds() {
    assert_eq!(
        Config::from_toml("workers = 1").map(drop),
        Err(Error::invalid("directory", "none", "given here or in the topology"))
    );
    let text = "directory = 'data'\nworkers = 65";
    assert_eq!(Config::from_toml(text).map(drop), Err(Error::invalid("workers", "65", "1 to 64")));
}

#[test]
fn a_command_holds_the_longest_write() {
    let command = |config: Config| config.validated().unwrap().command_bytes_max;
    assert_eq!(command(embedded()), (4 << 20) + (64 << 10));
    assert_eq!(command(embedded().value_bytes_max(8 << 20)), (8 << 20) + (64 << 10));
    assert_eq!(command(embedded().command_bytes_max(16 << 20)), 16 << 20);
    // 1,000 changes with their positions, conditions, expiries and lengths, an entity and a token.
    const { assert!(WRITE_OVERHEAD_BYTES_MAX > 1_000 * 48 + 1_024 + 64) };
}
