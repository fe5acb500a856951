//! A network namespace for each node, joined by a bridge whose filter drops what a fault wants dropped.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Way, has, is_root, run};

/// The namespaces of one run. Names carry the process's number and a letter, so that runs do not meet.
pub(crate) struct Namespaces {
    tag: String,
    nodes: usize,
    /// The third part of the addresses.
    subnet: u8,
}

impl Namespaces {
    pub(super) fn possible() -> bool {
        is_root() && has("ip") && has("nft") && {
            let probe = format!("tcp{}", std::process::id());
            let made = run("ip", &["netns", "add", &probe]);
            let deleted = run("ip", &["netns", "del", &probe]);
            made.and(deleted).is_ok()
        }
    }

    pub(super) fn make(nodes: usize) -> io::Result<Self> {
        // What a run leaves is gone only some time after it was deleted: the next one must not have the same names.
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let (process, run_number) = (std::process::id(), RUNS.fetch_add(1, Ordering::SeqCst));
        let letter = char::from(b'a' + (run_number % 26) as u8);
        let subnet = (process.wrapping_add(run_number) % 250) as u8;
        let this = Self { tag: format!("tc{process}{letter}"), nodes, subnet };
        let bridge = this.bridge();
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
        run("ip", &["addr", "add", &format!("{}/24", this.ip(253)), "dev", &bridge])?;
        run("ip", &["link", "set", &bridge, "up"])?;
        for node in 0..nodes {
            let (space, veth) = (this.space(node), format!("{}v{node}", this.tag));
            run("ip", &["netns", "add", &space])?;
            run("ip", &["link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
            run("ip", &["link", "set", &veth, "master", &bridge, "up"])?;
            let address = format!("{}/24", this.ip(node));
            run("ip", &["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            run("ip", &["-n", &space, "link", "set", "eth0", "up"])?;
            run("ip", &["-n", &space, "link", "set", "lo", "up"])?;
        }
        let table = &this.tag;
        run("nft", &["add", "table", "bridge", table])?;
        run("nft", &["add", "chain", "bridge", table, "f", "{ type filter hook forward priority 0; }"])?;
        run("nft", &["add", "chain", "bridge", table, "loss"])?;
        run("nft", &["add", "set", "bridge", table, "cut", "{ type ipv4_addr . ipv4_addr; }"])?;
        run("nft", &["add", "counter", "bridge", table, "bites"])?;
        run("nft", &["add", "rule", "bridge", table, "f", "jump", "loss"])?;
        run(
            "nft",
            &["add", "rule", "bridge", table, "f", "ip saddr . ip daddr @cut counter name bites drop"],
        )?;
        Ok(this)
    }

    fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    fn space(&self, node: usize) -> String {
        format!("{}n{node}", self.tag)
    }

    fn ip(&self, node: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, node as u8 + 1)
    }

    pub(super) fn address(&self, node: usize, port: u16) -> SocketAddr {
        (self.ip(node), port).into()
    }

    /// A fault that cannot be put in place is no fault: it is noticed because it never bites.
    fn filter(&self, arguments: &[&str]) {
        if let Err(error) = run("nft", arguments) {
            eprintln!("{error}");
        }
    }

    pub(super) fn cut(&self, ways: &[Way]) {
        let ways: Vec<String> =
            ways.iter().map(|&(from, to)| format!("{} . {}", self.ip(from), self.ip(to))).collect();
        self.filter(&["add", "element", "bridge", &self.tag, "cut", &format!("{{ {} }}", ways.join(", "))]);
    }

    pub(super) fn lose(&self, percent: u64) {
        let rule = format!("ip protocol tcp numgen random mod 100 < {percent} counter name bites drop");
        self.filter(&["add", "rule", "bridge", &self.tag, "loss", &rule]);
    }

    pub(super) fn heal(&self) {
        self.filter(&["flush", "set", "bridge", &self.tag, "cut"]);
        self.filter(&["flush", "chain", "bridge", &self.tag, "loss"]);
    }

    pub(super) fn bites(&self) -> u64 {
        let text = run("nft", &["list", "counter", "bridge", &self.tag, "bites"]).unwrap_or_default();
        let packets = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        packets.and_then(|packets| packets.parse().ok()).unwrap_or(0)
    }

    /// The command's process moves into the node's namespace before it becomes the program.
    pub(super) fn enter(&self, node: usize, command: &mut Command) -> io::Result<()> {
        let space = File::open(format!("/var/run/netns/{}", self.space(node)))?;
        // SAFETY: between fork and exec only `setns` is called, which is a bare system call.
        unsafe {
            command.pre_exec(move || match libc::setns(space.as_raw_fd(), libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let _ = run("nft", &["delete", "table", "bridge", &self.tag]);
        for node in 0..self.nodes {
            let _ = run("ip", &["link", "del", &format!("{}v{node}", self.tag)]);
            let _ = run("ip", &["netns", "del", &self.space(node)]);
        }
        let _ = run("ip", &["link", "del", &self.bridge()]);
    }
}
