//! Redis clients against nodes that are processes.

use std::process::Command;

use crate::process::{Processes, ends, text};

#[test]
fn what_one_node_acknowledged_every_node_serves() {
    let mut processes = Processes::start(3);
    let (mut one, mut two, mut three) = (processes.client(0), processes.client(1), processes.client(2));
    assert_eq!(one.call(&["PING"]), "PONG");
    assert_eq!(one.call(&["SET", "a", "1"]), "OK");
    assert_eq!(two.call(&["GET", "a"]), "1");
    assert_eq!(three.call(&["SET", "a", "2", "NX"]), "nil");
    assert_eq!(three.call(&["SET", "a", "3", "XX"]), "OK");
    assert_eq!(one.call(&["GET", "a"]), "3");
    let versioned = two.call(&["TC.GET", "a"]);
    let version = versioned.trim_matches(['[', ']']).split(' ').nth(1).unwrap().to_owned();
    assert_eq!(one.call(&["TC.CAS", "a", "0", "x"]), format!("CONFLICT {version}"));
    let newer: u64 = three.call(&["TC.CAS", "a", &version, "4"]).parse().unwrap();
    assert!(newer > version.parse().unwrap());
    assert_eq!(two.call(&["MGET", "a", "b"]), "[4 nil]");
    for sequence in 0..20 {
        let id = format!("7-{sequence}");
        let reply = [&mut one, &mut two, &mut three][sequence % 3].call(&["XADD", "s", &id, "n", &id]);
        assert_eq!(reply, id);
    }
    assert_eq!(one.call(&["XLEN", "s"]), "20");
    assert_eq!(two.call(&["XREVRANGE", "s", "+", "-", "COUNT", "2"]), "[[7-19 [n 7-19]] [7-18 [n 7-18]]]");
    assert_eq!(three.call(&["XRANGE", "s", "(7-17", "7-18"]), "[[7-18 [n 7-18]]]");
    assert!(three.call(&["INFO"]).contains("cluster:processes\r\n"));
    assert!(processes.terminate(0).success());
    assert!(processes.terminate(1).success());
    assert!(processes.terminate(2).success());
}

#[test]
fn a_killed_node_is_missed_by_nobody_and_remembers_when_it_is_back() {
    let mut processes = Processes::start(3);
    let mut one = processes.client(0);
    for number in 0..100 {
        assert_eq!(one.call_until_served(&["SET", &format!("before-{number}"), "x"]), "OK");
    }
    processes.kill(1);
    for number in 0..100 {
        assert_eq!(one.call_until_served(&["SET", &format!("during-{number}"), "y"]), "OK");
    }
    processes.restart(1);
    let mut two = processes.client(1);
    processes.kill(2);
    for number in 0..100 {
        assert_eq!(two.call_until_served(&["GET", &format!("before-{number}")]), "x");
        assert_eq!(two.call_until_served(&["GET", &format!("during-{number}")]), "y");
    }
}

#[test]
fn bytes_that_are_no_request_end_their_connection_only() {
    let processes = Processes::start(1);
    let mut good = processes.client(0);
    for bytes in
        [&b"*1\r\n:5\r\n"[..], b"*999999999\r\n", b"*1\r\n$99999999999\r\n", &b"*1\r\n".repeat(100_000)]
    {
        let mut bad = processes.client(0);
        bad.send_bytes(bytes);
        let rest = bad.rest();
        assert!(rest.starts_with("-ERR Protocol error: ") && rest.ends_with("\r\n"), "{rest:?}");
    }
    assert_eq!(good.call(&["ECHO", "still here"]), "still here");
}

#[test]
fn a_pipeline_over_a_socket_is_answered_in_order() {
    let processes = Processes::start(1);
    let mut client = processes.client(0);
    for number in 0..1_000 {
        client.send(&["SET", &format!("k{}", number % 10), &number.to_string()]);
        client.send(&["GET", &format!("k{}", number % 10)]);
    }
    for number in 0..1_000 {
        assert_eq!(client.reply(), "OK");
        assert_eq!(client.reply(), number.to_string());
    }
    let mut three = processes.client(0);
    assert!(three.call(&["HELLO", "3"]).contains("proto 3"));
    assert_eq!(three.call(&["GET", "nothing"]), "nil");
}

/// The tools that come with Redis, where they are installed.
#[test]
fn the_tools_of_redis_work() {
    if Command::new("redis-cli").arg("--version").output().is_err() {
        eprintln!("redis-cli is not installed: nothing to test");
        return;
    }
    let processes = Processes::start(1);
    let port = processes.redis_ports[0].to_string();
    let cli = |words: &[&str]| {
        let output = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(cli(&["SET", "a", "1"]), "OK\n");
    assert_eq!(cli(&["-3", "GET", "a"]), "1\n");
    assert_eq!(cli(&["XADD", "s", "1-1", "f", "v"]), "1-1\n");
    assert_eq!(cli(&["XRANGE", "s", "-", "+"]), "1-1\nf\nv\n");
    let benchmark = Command::new("redis-benchmark")
        .args(["-p", &port, "-t", "set,get", "-n", "500", "-c", "5", "-P", "4", "-r", "100", "--csv"])
        .output()
        .unwrap();
    let text = String::from_utf8(benchmark.stdout).unwrap();
    assert!(text.contains("\"SET\"") && text.contains("\"GET\""), "{text}");
}

#[test]
fn exit_codes() {
    let processes = Processes::start(1);
    let topology = text(&processes.topology);
    let code = |arguments: &[&str]| {
        let output = ends(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (in_use, said) = code(&["serve", "--topology", topology, "--node", "1"]);
    assert_eq!((in_use, said.contains("in use")), (Some(6), true), "{said}");
    let (no_node, said) = code(&["serve", "--topology", topology, "--node", "9"]);
    assert_eq!((no_node, said.contains("node_id: 9")), (Some(2), true), "{said}");
    let (no_file, said) = code(&["serve", "--topology", "missing.toml", "--node", "1"]);
    assert_eq!((no_file, said.contains("missing.toml")), (Some(2), true), "{said}");
    assert_eq!(code(&["serve"]).0, Some(2));
    assert_eq!(code(&["nonsense"]).0, Some(2));
}
