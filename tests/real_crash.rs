//! The real program on a real disk: killed at each of its system calls that change files, and with the power of its file system
//! cut. Both need root and tools of Linux, and say "skipped" where they are not.
//!
//! `cargo test --test real_crash -- --ignored --nocapture --test-threads=1`
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A node of its own: one replica, small files, so that flushes and new segments come soon.
struct Node {
    directory: PathBuf,
    topology: PathBuf,
    config: PathBuf,
    port: u16,
}

impl Node {
    fn new(root: &Path, directory: &Path) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [peer, port] = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let topology = root.join("topology.toml");
        let text = format!(
            "cluster = \"crash\"\nreplicas = 1\nbuckets = 1024\n[[node]]\nid = 1\nzone = \"a\"\naddress = \"127.0.0.1:{peer}\"\nredis = \"127.0.0.1:{port}\"\n"
        );
        fs::write(&topology, text).unwrap();
        let config = root.join("config.toml");
        let settings = "workers = 1\nparts = 1\nmemtable_bytes = 65536\nsegment_bytes = 1048576\n";
        fs::write(&config, format!("{settings}command_bytes_max = 65536\nvalue_bytes_max = 32768\n"))
            .unwrap();
        Self { directory: directory.to_path_buf(), topology, config, port }
    }

    /// Starts it, below `tracer` if there is one; `None` when it ended before it was up.
    fn start(&self, tracer: &[String]) -> (Child, Option<Client>) {
        let program = env!("CARGO_BIN_EXE_thermocline").to_owned();
        let words = [tracer, &[program]].concat();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["serve", "--node", "1", "--log", "error", "--topology"])
            .arg(&self.topology)
            .arg("--config")
            .arg(&self.config)
            .arg("--directory")
            .arg(&self.directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let _ = BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line);
        let client = line.starts_with("node ").then(|| Client::connect(self.port).ok()).flatten();
        (child, client)
    }
}

fn kill(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

/// A Redis client of a few lines.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The answer: a line, or the bytes of a string; `None` for nil.
    fn call(&mut self, words: &[&str]) -> io::Result<Option<String>> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        let Some(length) = line.strip_prefix('$') else { return Ok(Some(line)) };
        let Ok(length) = length.parse::<usize>() else { return Ok(None) };
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Some(String::from_utf8(bytes).unwrap()))
    }
}

/// What was written, and what of it was acknowledged.
#[derive(Default)]
struct Ledger {
    keys: BTreeMap<String, Written>,
    next: u64,
    acknowledged: u64,
}

#[derive(Default)]
struct Written {
    acknowledged: Option<String>,
    /// Written after that, with no answer or an error.
    unknown: Vec<String>,
}

impl Ledger {
    /// Writes values of some length, each to the next of `keys` keys, until something fails.
    fn write(&mut self, client: &mut Client, name: &str, keys: u64, writes: u64, bytes: usize) {
        for _ in 0..writes {
            self.next += 1;
            let value = format!("{name}-{}-{}", self.next, "x".repeat(bytes));
            let key = format!("{name}-{}", self.next % keys);
            let written = self.keys.entry(key.clone()).or_default();
            written.unknown.push(value.clone());
            match client.call(&["SET", &key, &value]) {
                Ok(Some(answer)) if answer == "+OK" => {
                    *written = Written { acknowledged: Some(value), unknown: Vec::new() };
                    self.acknowledged += 1;
                }
                _ => return,
            }
        }
    }

    /// What is read must be what was acknowledged last, or something of unknown outcome after it.
    fn check(&mut self, client: &mut Client) -> Result<(), String> {
        for (key, written) in &mut self.keys {
            let found = client.call(&["GET", key]).map_err(|error| format!("{key}: {error}"))?;
            let legal = found == written.acknowledged
                || found.as_ref().is_some_and(|found| written.unknown.contains(found));
            if !legal {
                let shown = |value: &Option<String>| {
                    value.as_ref().map(|value| value[..value.len().min(20)].to_owned())
                };
                return Err(format!(
                    "{key} is {:?}, acknowledged was {:?}",
                    shown(&found),
                    shown(&written.acknowledged)
                ));
            }
            *written = Written { acknowledged: found, unknown: Vec::new() };
        }
        Ok(())
    }
}

fn has(tool: &str) -> bool {
    Command::new(tool).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn is_root() -> bool {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Kills the program when one of its threads makes the `nth` call that changes files.
fn killer(nth: u64) -> Vec<String> {
    const CALLS: &str = "pwrite64,fsync,fdatasync,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat";
    let words = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend([
        format!("trace={CALLS}"),
        "-e".into(),
        format!("inject={CALLS}:signal=SIGKILL:when={nth}"),
    ]);
    words
}

#[test]
#[ignore = "needs strace; .ci/run has it"]
fn killed_at_every_system_call_nothing_acknowledged_is_lost() {
    let root = tempfile::tempdir().unwrap();
    if !has("strace")
        || !Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "true"])
            .status()
            .is_ok_and(|status| status.success())
    {
        println!("skipped: killed at every system call (no strace)");
        return;
    }
    let (mut points, mut acknowledged) = (0, 0);
    for nth in 1.. {
        let directory = root.path().join("data");
        let _ = fs::remove_dir_all(&directory);
        let node = Node::new(root.path(), &directory);
        let mut ledger = Ledger::default();
        let (child, client) = node.start(&killer(nth));
        let up = client.is_some();
        if let Some(mut client) = client {
            ledger.write(&mut client, "first", 7, 60, 4000);
        }
        let survived = up && ledger.acknowledged == 60;
        kill(child);
        // Once more, while it recovers or soon after.
        let (child, client) = node.start(&killer(1 + nth * 7 % 29));
        if let Some(mut client) = client {
            // It may be killed in the middle of this; what it answers until then counts.
            if let Err(wrong) = ledger.check(&mut client) {
                assert!(!wrong.contains("acknowledged"), "call {nth}, while it recovers: {wrong}");
            }
            ledger.write(&mut client, "second", 3, 5, 200);
        }
        kill(child);
        let (child, client) = node.start(&[]);
        let mut client = client.unwrap_or_else(|| panic!("call {nth}: it does not start again"));
        ledger.check(&mut client).unwrap_or_else(|wrong| panic!("call {nth}: {wrong}"));
        kill(child);
        points += 1;
        acknowledged += ledger.acknowledged;
        if survived {
            break;
        }
    }
    println!(
        "killed at {points} system calls and again soon after: none of {acknowledged} acknowledged writes lost"
    );
    assert!(points > 30, "{points}");
}

/// A file system of its own, whose power can be cut.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None` where this machine does not let us.
    fn make(root: &Path) -> Option<Self> {
        let (image, mount) = (root.join("disk.img"), root.join("disk"));
        fs::create_dir_all(&mount).ok()?;
        File::create(&image).and_then(|file| file.set_len(256 << 20)).ok()?;
        let disk = Self { image, mount };
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image).status();
        (made.is_ok_and(|status| status.success()) && disk.on()).then_some(disk)
    }

    fn on(&self) -> bool {
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount).status();
        mounted.is_ok_and(|status| status.success())
    }

    /// Nothing that is not synced by now will be there.
    fn cut(&self) {
        const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
        const NO_LOG_FLUSH: u32 = 2;
        let root = File::open(&self.mount).unwrap();
        // SAFETY: the request takes a pointer to a number, which outlives the call.
        let outcome = unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_SHUTDOWN, &NO_LOG_FLUSH) };
        assert_eq!(outcome, 0, "{}", io::Error::last_os_error());
    }

    fn off(&self) {
        assert!(Command::new("umount").arg(&self.mount).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.mount).stderr(Stdio::null()).status();
    }
}

#[test]
#[ignore = "needs root and loop devices; .ci/run has it"]
fn after_power_cuts_nothing_acknowledged_is_lost() {
    const CYCLES: u64 = 300;
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let disk = if is_root() { Disk::make(root.path()) } else { None };
    let Some(disk) = disk else {
        println!("skipped: power cuts (no root, or no loop device)");
        return;
    };
    let node = Node::new(root.path(), &disk.mount.join("data"));
    let mut ledgers: Vec<Ledger> = (0..4).map(|_| Ledger::default()).collect();
    let (mut random, mut lost) = (1_u64, 0);
    for cycle in 0..CYCLES {
        let (child, client) = node.start(&[]);
        let mut client = client.unwrap_or_else(|| panic!("cycle {cycle}: it does not start"));
        for ledger in &mut ledgers {
            ledger.check(&mut client).unwrap_or_else(|wrong| panic!("cycle {cycle}: {wrong}"));
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = Duration::from_millis(1 + (random >> 33) % 60);
        std::thread::scope(|scope| {
            for (number, ledger) in ledgers.iter_mut().enumerate() {
                let mut client = Client::connect(node.port).unwrap();
                scope
                    .spawn(move || ledger.write(&mut client, &format!("writer-{number}"), 5, u64::MAX, 1500));
            }
            std::thread::sleep(wait);
            // A name of its own: a file that is written over is put out at once when it is closed.
            fs::write(disk.mount.join(format!("unsynced-{cycle}")), b"this must not survive").unwrap();
            disk.cut();
            kill(child);
        });
        disk.off();
        assert!(disk.on());
        // Its name may have come along with somebody's sync, its bytes may not.
        let left = fs::read(disk.mount.join(format!("unsynced-{cycle}")));
        lost += u64::from(left.map_or(true, |bytes| bytes.is_empty()));
    }
    let acknowledged: u64 = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
    println!(
        "{CYCLES} power cuts, {lost} of them took unsynced bytes: none of {acknowledged} acknowledged writes lost"
    );
    assert!(acknowledged > CYCLES && lost > CYCLES / 2, "the cuts did not bite");
}
