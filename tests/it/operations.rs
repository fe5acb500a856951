//! What operators do to a running cluster: `replace`, `verify`, `lose-acknowledged-writes`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::process::{Client, Processes, ends, text};

/// Small, so that a few records reach the files of the state.
const SETTINGS: &str = "workers = 1\nparts = 2\nmemtable_bytes = 65536\ndeadline_default_ms = 2000\n";

/// Text that does not compress well, told by its number.
fn value(number: usize) -> String {
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    (0..128).map(|_| word()).collect()
}

fn write(client: &mut Client, number: usize) -> bool {
    client.call(&["SET", &format!("key-{number}"), &value(number)]) == "OK"
}

/// Writes keys until each is acknowledged.
fn write_all(cluster: &Processes, node: usize, numbers: std::ops::Range<usize>) {
    let mut client = cluster.client(node);
    for number in numbers {
        let set = ["SET", &format!("key-{number}"), &value(number)];
        assert_eq!(client.call_until_served(&set), "OK");
    }
}

/// Every one of these keys has its value, read through a node.
fn check(cluster: &Processes, node: usize, numbers: impl IntoIterator<Item = usize>) {
    let mut client = cluster.client(node);
    for number in numbers {
        let read = client.call_until_served(&["GET", &format!("key-{number}")]);
        assert!(read == value(number), "key-{number} at node {} is {read:?}", node + 1);
    }
}

/// The program's exit code, and all that it said.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = ends(arguments);
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

/// A client that writes until it is told to stop.
struct Writing {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<usize>>,
}

impl Writing {
    fn start(mut client: Client) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = thread::spawn(move || {
            let mut written = Vec::new();
            for number in (0..).take_while(|_| !stopped.load(Ordering::Relaxed)) {
                if write(&mut client, number) {
                    written.push(number);
                    count.store(written.len(), Ordering::Relaxed);
                }
            }
            written
        });
        Self { stop, acknowledged, thread }
    }

    /// Waits until so many more writes were acknowledged.
    fn wait_for_more(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        while self.acknowledged.load(Ordering::Relaxed) < enough {
            assert!(!self.thread.is_finished(), "the writer has ended");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The keys whose writes were acknowledged.
    fn stop(self) -> Vec<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn a_new_machine_takes_a_dead_one_s_place_while_a_client_writes() {
    let mut cluster = Processes::start_with(3, SETTINGS);
    let writing = Writing::start(cluster.client(0));
    writing.wait_for_more(100);
    cluster.kill(2);
    writing.wait_for_more(100);
    cluster.replace(2);
    cluster.wait_until(2, &["buckets_learning:0", "buckets_behind:0"]);
    writing.wait_for_more(100);
    let mut written = writing.stop();

    // Somebody switches the dead machine on again, with its disk: nobody hears it, so it has nothing to say.
    let mut ghost = cluster.raise(2);
    let answer = ghost.call(&["GET", "key-0"]);
    assert!(answer.starts_with("UNAVAILABLE"), "{answer:?}");
    // The new machine is one of the two that decide now.
    cluster.kill(1);
    let first = written.last().unwrap() + 1;
    write_all(&cluster, 2, first..first + 100);
    written.extend(first..first + 100);
    check(&cluster, 2, written.iter().copied());

    // The node that was away meanwhile remembers where the new machine is, or is told.
    cluster.restart(1);
    cluster.kill(0);
    check(&cluster, 1, written);
}

#[test]
fn a_taken_directory_or_an_unknown_node_is_not_replaced() {
    let cluster = Processes::start(3);
    let (topology, taken) = (text(&cluster.topology), cluster.directory(2));
    let replace = |node, directory| {
        said(&[
            "replace",
            "--topology",
            topology,
            "--node",
            node,
            "--address",
            "127.0.0.1:1",
            "--directory",
            directory,
        ])
    };
    let (code, what) = replace("3", text(&taken));
    assert!(code == Some(2) && what.contains("is not empty"), "{code:?} {what}");
    let new = cluster.root.path().join("new");
    let (code, what) = replace("9", text(&new));
    assert!(code == Some(2) && what.contains("node 9 is not in the topology"), "{code:?} {what}");
    assert!(!new.exists());
}

/// The largest file below a directory.
fn largest(directory: &Path) -> PathBuf {
    let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { largest(&path) } else { path }).max_by_key(size).unwrap()
}

#[test]
fn a_flipped_byte_in_a_file_of_the_state_is_found_and_repaired() {
    let mut cluster = Processes::start_with(3, SETTINGS);
    write_all(&cluster, 0, 0..300);
    let verify = ["verify", "--topology", text(&cluster.topology.clone())].map(str::to_owned);
    let verify = || said(&verify.each_ref().map(String::as_str));
    let (code, what) = verify();
    assert!(code == Some(0) && !what.contains("not readable"), "{code:?} {what}");

    assert!(cluster.terminate(2).success());
    let file = largest(&cluster.directory(2).join("state"));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();
    cluster.restart(2);

    let (code, what) = verify();
    assert!(code == Some(0) && what.contains("not readable at node 3"), "{code:?} {what}");
    check(&cluster, 2, 0..300);
    let (code, what) = verify();
    assert!(code == Some(0) && !what.contains("not readable"), "{code:?} {what}");
    // A node that does not answer keeps nobody from comparing the rest, and one that is not there is a mistake.
    let (code, what) = said(&["verify", "--topology", text(&cluster.topology.clone()), "--node", "9"]);
    assert!(code == Some(2) && what.contains("node 9 is not in the topology"), "{code:?} {what}");
    // What was repaired is there without the others.
    let read = cluster.client(2).call(&["INFO"]);
    assert!(read.contains("buckets_learning:0\r\n"), "{read}");
}

#[test]
fn a_lost_majority_is_given_up_only_by_who_names_the_cluster() {
    let mut cluster = Processes::start_with(3, SETTINGS);
    write_all(&cluster, 0, 0..50);
    let topology = text(&cluster.topology).to_owned();
    // So that the disk that will be left has all of it.
    assert_eq!(said(&["verify", "--topology", &topology]).0, Some(0));

    let lose = |node: &str, confirmation: &[&str]| {
        let command = ["lose-acknowledged-writes", "--topology", &topology, "--node", node];
        said(&[&command[..], confirmation].concat())
    };
    const MEANT: [&str; 2] = ["--i-accept-that-writes-are-lost-in", "processes"];
    let (code, what) = lose("2", &[]);
    assert!(code == Some(2) && what.contains(MEANT[0]), "{code:?} {what}");
    let (code, what) = lose("2", &[MEANT[0], "another"]);
    assert!(code == Some(1) && what.contains("must be the name of the cluster"), "{code:?} {what}");
    let (_, help) = said(&["lose-acknowledged-writes", "--help"]);
    assert!(help.contains("WHAT WAS ACKNOWLEDGED LATER THAN THAT IS GONE"), "{help}");
    let (code, what) = lose("2", &MEANT);
    assert!(code == Some(0) && what.contains("Nothing was given up"), "{code:?} {what}");

    for node in [1, 2] {
        cluster.kill(node);
        std::fs::remove_dir_all(cluster.directory(node)).unwrap();
    }
    cluster.start_together(&[1, 2]);
    cluster.wait_until(1, &["buckets_lost:1024"]);
    cluster.wait_until(2, &["buckets_lost:1024"]);
    let answer = cluster.client(0).call(&["SET", "key-0", "another"]);
    assert!(answer.starts_with("UNAVAILABLE") || answer.starts_with("UNKNOWN"), "{answer}");
    let (code, what) = lose("2", &[MEANT[0], "another"]);
    assert!(code == Some(1), "the name still counts: {what}");

    let (code, what) = lose("2", &MEANT);
    assert!(
        code == Some(0) && what.contains("in 1024 buckets. Acknowledged writes may be gone."),
        "{code:?} {what}"
    );
    assert_eq!(lose("3", &MEANT).0, Some(0));
    for node in 0..3 {
        cluster.wait_until(node, &["buckets_lost:0", "buckets_learning:0", "buckets_behind:0"]);
        check(&cluster, node, 1..50);
    }
    write_all(&cluster, 0, 50..60);
}
