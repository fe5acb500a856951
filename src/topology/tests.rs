use super::*;

const HEAD: &str = "cluster = \"test\"\nreplicas = 3\n";

fn node(id: u32, zone: &str, group: u32) -> String {
    format!(
        "[[node]]\nid = {id}\nzone = \"{zone}\"\ngroup = {group}\naddress = \"127.0.0.1:{}\"\n",
        7_000 + id
    )
}

/// Three nodes in three zones.
fn three() -> String {
    [node(1, "a", 0), node(2, "b", 0), node(3, "c", 0)].concat()
}

/// Refused with this field and this value; what it may be is said too.
#[track_caller]
fn refuses(text: &str, field: &str, says: &str) {
    match Topology::from_toml(text) {
        Err(Error::Invalid { what, value, bound }) => {
            assert_eq!((what.as_str(), value.as_str()), (field, says));
            assert!(!bound.is_empty());
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_is_left_out_has_a_default() {
    let topology = Topology::from_toml(&format!("{HEAD}{}", three())).unwrap();
    assert_eq!((topology.epoch, topology.buckets, topology.window_ms), (1, 65_536, 86_400_000));
    assert_eq!((topology.groups(), topology.nodes_of(0).count()), (1, 3));
    let first = topology.node(1).unwrap();
    assert_eq!((first.redis.as_ref(), first.directory.as_ref()), (None, None));
    assert!(topology.node(4).is_none());
}

#[test]
fn everything_can_be_said() {
    let text = r#"
        cluster = "big-1"
        epoch = 9
        replicas = 1
        buckets = 1024
        window_ms = 60000
        [[node]]
        id = 65535
        zone = "a"
        group = 1
        address = "db-2.example.org:1"
        redis = "[::1]:65535"
        directory = "/data"
        [[node]]
        id = 1
        zone = "a"
        address = "[::1]:7201"
    "#;
    let topology = Topology::from_toml(text).unwrap();
    assert_eq!((topology.cluster.as_str(), topology.epoch, topology.groups()), ("big-1", 9, 2));
    let node = topology.nodes_of(1).next().unwrap();
    assert_eq!((node.id, node.redis.as_deref()), (65_535, Some("[::1]:65535")));
    assert_eq!(node.directory.as_deref(), Some(Path::new("/data")));
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    refuses(&format!("{HEAD}colour = 1\n{}", three()), "topology, line 3", "unknown field `colour`");
    refuses(&format!("{HEAD}{}port = 1\n", node(1, "a", 0)), "topology, line 8", "unknown field `port`");
    refuses("cluster = \"test\"\n[[node]]\n", "topology, line 2", "missing field `id`");
    refuses("replicas = 1\n", "topology, line 1", "missing field `cluster`");
}

#[test]
fn numbers_of_the_wrong_kind_are_refused() {
    let node = |id: &str| format!("{HEAD}[[node]]\nid = {id}\nzone = \"a\"\naddress = \"a:1\"\n");
    refuses(&node("65536"), "topology, line 4", "invalid value: integer `65536`");
    refuses(&node("-1"), "topology, line 4", "invalid value: integer `-1`");
    refuses(&node("'one'"), "topology, line 4", "invalid type: string \"one\"");
    refuses(&node("0"), "node id", "0");
}

#[test]
fn a_cluster_has_a_plain_name() {
    let named = |name: &str| format!("cluster = \"{name}\"\nreplicas = 3\n{}", three());
    let (longest, over) = ("n".repeat(64), "n".repeat(65));
    for name in ["a", "big-1", &longest] {
        assert!(Topology::from_toml(&named(name)).is_ok(), "{name}");
    }
    for name in ["", "Big", "a b", "a_b", "é", &over] {
        refuses(&named(name), "cluster", &quoted(name));
    }
}

#[test]
fn replicas_buckets_window_and_epoch_have_bounds() {
    let with = |line: &str| format!("cluster = \"test\"\n{line}\n{}", three());
    for replicas in [0, 2, 4, 6] {
        refuses(&with(&format!("replicas = {replicas}")), "replicas", &replicas.to_string());
    }
    let with = |line: &str| format!("{HEAD}{line}\n{}", three());
    for buckets in [0, 1_000, 512, 2_097_152] {
        refuses(&with(&format!("buckets = {buckets}")), "buckets", &buckets.to_string());
    }
    for window in [0_u64, 59_999, 366 * 86_400_000 + 1] {
        refuses(&with(&format!("window_ms = {window}")), "window_ms", &window.to_string());
    }
    refuses(&with("epoch = 0"), "epoch", "0");
}

#[test]
fn a_cluster_has_nodes() {
    refuses(HEAD, "node", "none");
}

#[test]
fn a_node_id_is_used_once() {
    refuses(&format!("{HEAD}{}{}", three(), node(2, "d", 0)), "node id", "2, twice");
}

#[test]
fn an_address_is_used_once() {
    let other = "[[node]]\nid = 4\nzone = \"d\"\naddress = \"127.0.0.1:7002\"\n";
    let says = "\"127.0.0.1:7002\", also the address of node 2";
    refuses(&format!("{HEAD}{}{other}", three()), "address of node 4", says);
    let redis = "redis = \"127.0.0.1:7002\"\n";
    refuses(&format!("{HEAD}{}{redis}", three()), "redis of node 3", says);
}

#[test]
fn an_address_is_host_and_port() {
    let with = |address: &str| {
        format!(
            "{HEAD}[[node]]\nid = 1\nzone = \"a\"\naddress = \"{address}\"\n{}{}",
            node(2, "b", 0),
            node(3, "c", 0)
        )
    };
    for address in ["localhost:1", "db-1.example.org:65535", "10.0.0.1:80", "[::1]:80", "under_score:1"] {
        assert!(Topology::from_toml(&with(address)).is_ok(), "{address}");
    }
    let long = format!("{}:1", "a.".repeat(200));
    for address in [
        "",
        "localhost",
        "localhost:",
        ":80",
        "localhost:0",
        "127.0.0.1:0",
        "localhost:65536",
        "localhost:-1",
        "localhost:+1",
        "10.0.0.256:80",
        "::1:80",
        "[::1]",
        "a b:80",
        "a..b:80",
        "é:80",
        "http://a:80",
        &long,
    ] {
        refuses(&with(address), "address of node 1", &quoted(address));
    }
}

#[test]
fn a_zone_has_a_name() {
    let long = "z".repeat(65);
    refuses(&format!("{HEAD}{}", node(1, "", 0)), "zone of node 1", "0 bytes");
    refuses(&format!("{HEAD}{}", node(1, &long, 0)), "zone of node 1", "65 bytes");
}

#[test]
fn a_directory_is_not_empty() {
    refuses(&format!("{HEAD}{}directory = \"\"\n", node(1, "a", 0)), "directory of node 1", "empty");
}

#[test]
fn groups_have_no_gap() {
    let second = |group| [node(4, "a", group), node(5, "b", group), node(6, "c", group)].concat();
    assert!(Topology::from_toml(&format!("{HEAD}{}{}", three(), second(1))).is_ok());
    refuses(&format!("{HEAD}{}{}", three(), second(2)), "group", "2, but no node is in group 1");
    refuses(&format!("{HEAD}{}", second(1)), "group", "1, but no node is in group 0");
}

#[test]
fn there_are_at_most_1000_groups() {
    let thousand: String = (0..1_000).map(|group| node(group + 1, "a", group)).collect();
    let head = "cluster = \"test\"\nreplicas = 1\n";
    assert_eq!(Topology::from_toml(&format!("{head}{thousand}")).unwrap().groups(), 1_000);
    refuses(&format!("{head}{thousand}{}", node(1_001, "a", 1_000)), "group of node 1001", "1000");
    refuses(&format!("{head}{}", node(1, "a", 65_535)), "group of node 1", "65535");
}

#[test]
fn a_group_has_a_zone_for_each_replica() {
    let two_zones = [node(1, "a", 0), node(2, "b", 0), node(3, "b", 0)].concat();
    refuses(&format!("{HEAD}{two_zones}"), "group 0", "nodes in 2 zones");
    let second = [node(4, "a", 1), node(5, "b", 1)].concat();
    refuses(&format!("{HEAD}{}{second}", three()), "group 1", "nodes in 2 zones");
}

#[test]
fn a_group_has_at_most_64_nodes() {
    let nodes = |count| (1..=count).map(|id| node(id, &format!("zone {}", id % 3), 0)).collect::<String>();
    assert!(Topology::from_toml(&format!("{HEAD}{}", nodes(64))).is_ok());
    refuses(&format!("{HEAD}{}", nodes(65)), "group 0", "65 nodes");
}

#[test]
fn a_file_is_read_or_the_cause_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("topology.toml");
    let Err(Error::Storage { kind: crate::StorageKind::Io, what }) = Topology::read(&path) else {
        panic!("a missing file was read")
    };
    assert!(what.contains("topology.toml"), "{what}");
    std::fs::write(&path, b"\xff").unwrap();
    assert!(matches!(Topology::read(&path), Err(Error::Storage { .. })));
    let text = format!("{HEAD}{}", three());
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Topology::read(&path), Topology::from_toml(&text));
}

#[test]
fn the_topology_of_one_process_is_possible_but_for_its_missing_address() {
    let mut embedded = Topology::embedded();
    embedded.nodes[0].address = "127.0.0.1:7201".to_owned();
    assert_eq!(embedded.validate(), Ok(()));
}
