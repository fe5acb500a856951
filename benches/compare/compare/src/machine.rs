//! What was measured, and on what.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::build::Binaries;
use crate::target::{Program, Target};

const LOCK: &str = include_str!("../../Cargo.lock");

/// The machine and the versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// File system type, device and options under the clusters' files.
    pub(crate) file_system: String,
    /// Whether that file system is memory, which makes every sync free and every figure worthless.
    pub(crate) in_memory: bool,
    pub(crate) rustc: String,
    /// A version for each program that ran.
    pub(crate) versions: Vec<String>,
}

/// Describes this machine and the programs of `targets`.
pub(crate) fn describe(data: &Path, binaries: &Binaries, targets: &[Target]) -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let meminfo = read("/proc/meminfo");
    let (file_system, in_memory) = file_system(data);
    Machine {
        processor: field(&cpuinfo, "model name").unwrap_or("unknown processor").to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_gib: field(&meminfo, "MemTotal")
            .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
            .map_or(0.0, |kib| kib / f64::from(1 << 20)),
        kernel: format!(
            "{} {}",
            read("/proc/sys/kernel/ostype").trim(),
            read("/proc/sys/kernel/osrelease").trim()
        ),
        file_system,
        in_memory,
        rustc: said(Command::new("rustc").arg("--version")).unwrap_or_else(|| "unknown".to_owned()),
        versions: versions(binaries, targets),
    }
}

fn versions(binaries: &Binaries, targets: &[Target]) -> Vec<String> {
    let mut versions = Vec::new();
    let runs = |program| targets.iter().any(|target| target.program == program);
    if let Some(path) = binaries.thermocline.as_ref().filter(|_| runs(Program::Thermocline)) {
        let version = said(Command::new(path).arg("--version")).unwrap_or_else(|| "thermocline".to_owned());
        versions.push(match commit() {
            Some(commit) => format!("{version} ({commit})"),
            None => version,
        });
    }
    if runs(Program::Raftrs) {
        versions.push(format!("raft-rs {}", locked("raft")));
    }
    if runs(Program::Openraft) {
        versions.push(format!("openraft {}", locked("openraft")));
    }
    versions.push(format!("tokio {}", locked("tokio")));
    if let Some(path) = binaries.redis.as_ref().filter(|_| runs(Program::Redis)) {
        let said = said(Command::new(path).arg("--version")).unwrap_or_default();
        let version =
            said.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("of unknown version");
        versions.push(format!("redis {version}"));
    }
    versions
}

/// The version of a package in this workspace's lock file.
fn locked(package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    version.map_or_else(|| "of unknown version".to_owned(), |quoted| quoted.trim_matches('"').to_owned())
}

/// The commit of the tree this was built from, with a word on changes since.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        said(Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments))
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{commit}, changed") } else { commit })
}

/// The mount that holds `path`: the longest mount point that is a prefix of it.
fn file_system(path: &Path) -> (String, bool) {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = read("/proc/self/mounts");
    let holding = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (device, point, kind, options) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            path.starts_with(point).then(|| (PathBuf::from(point), device, kind, options))
        })
        .max_by_key(|(point, ..)| point.components().count());
    match holding {
        Some((_, device, kind, options)) => {
            (format!("{kind} on {device} ({options})"), matches!(kind, "tmpfs" | "ramfs"))
        }
        None => ("unknown file system".to_owned(), false),
    }
}

/// `name : value`, the first of them.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What a command prints, if it succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_what_is_compared() {
        for package in ["openraft", "raft", "tokio"] {
            assert!(locked(package).starts_with(|first: char| first.is_ascii_digit()), "{package}");
        }
        assert_eq!(locked("no-such-package"), "of unknown version");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotal:       24 kB\nmodel name\t: Some CPU\nmodel\t: 3\n";
        assert_eq!(field(text, "model name"), Some("Some CPU"));
        assert_eq!(field(text, "model"), Some("3"));
        assert_eq!(field(text, "Mem"), None);
    }
}
