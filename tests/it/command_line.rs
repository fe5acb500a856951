//! `thermocline load` and `thermocline demo`.

use thermocline::{Config, Key, Store};

use crate::process::{ends, text};

const ROWS: &str = "who,when,what\nann,1000,one\nbob,2013-01-01T10:00:00Z,\"two, three\"\nann,1000,four\n";

#[tokio::test]
async fn a_file_is_loaded_and_loading_it_again_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (file, data) = (root.path().join("rows.csv"), root.path().join("data"));
    std::fs::write(&file, ROWS).unwrap();
    let load =
        ["load", text(&file), "--entity", "who", "--time", "when", "--value", "what", "--dir", text(&data)];
    for _ in 0..2 {
        let output = ends(&load);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("acknowledged writes         3 in"));
    }
    let store = Store::open(Config::embedded(&data)).await.unwrap();
    let ann = store.scan("ann").page().await.unwrap().records;
    let values: Vec<_> = ann.iter().map(|record| (record.key.clone(), record.value.clone())).collect();
    assert_eq!(values, [(Key::new("ann", 1000, 1), "one".into()), (Key::new("ann", 1000, 3), "four".into())]);
    let bob = store.get(&Key::new("bob", 1_357_034_400_000, 2)).await.unwrap().unwrap();
    assert_eq!(&bob.value[..], b"two, three");
    store.close().await;
}

#[tokio::test]
async fn a_faulty_row_stops_the_load_or_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    let (file, data) = (root.path().join("rows.jsonl"), root.path().join("data"));
    std::fs::write(
        &file,
        "{\"who\":\"ann\",\"when\":1}\n{\"who\":\"ann\",\"when\":\"soon\"}\n{\"who\":\"ann\",\"when\":3}\n",
    )
    .unwrap();
    let load = ["load", text(&file), "--entity", "who", "--time", "when", "--dir", text(&data)];
    let output = ends(&load);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 2, column when: \"soon\": not a time"), "{said}");
    assert!(said.contains("--on-error skip") && said.contains("1 records are stored"), "{said}");
    let output = ends(&[&load[..], &["--on-error", "skip"]].concat());
    assert!(output.status.success(), "{output:?}");
    let store = Store::open(Config::embedded(&data)).await.unwrap();
    let kept = store.scan("ann").page().await.unwrap().records.len();
    assert_eq!(kept, 2);
    store.close().await;
}

#[test]
fn a_wrong_column_is_refused_before_anything_is_made() {
    let root = tempfile::tempdir().unwrap();
    let (file, data) = (root.path().join("rows.csv"), root.path().join("data"));
    std::fs::write(&file, ROWS).unwrap();
    let output = ends(&["load", text(&file), "--entity", "whom", "--time", "when", "--dir", text(&data)]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no column whom; it has who, when, what"), "{said}");
    assert!(!data.exists());
}

#[test]
fn the_demonstration_finds_every_record_in_every_node() {
    let output = ends(&["demo", "--records", "6000", "--callers", "64"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("Node 2 is killed at record") && said.contains("Node 2 is open again at record"),
        "{said}"
    );
    assert!(said.contains("18,000 same, 0 different, 0 missing, 0 extra"), "{said}");
}
