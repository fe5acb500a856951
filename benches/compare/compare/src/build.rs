//! The programs that are run, and building them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::arguments::{Arguments, binary_folder};

/// Where this workspace is.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Programs by path; `None`: not there.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) loadgen: PathBuf,
    pub(crate) raftrs: PathBuf,
    pub(crate) openraft: PathBuf,
    pub(crate) thermocline: Option<PathBuf>,
    pub(crate) embedded: Option<PathBuf>,
    pub(crate) redis: Option<PathBuf>,
}

/// Builds into the folder this program was built into, unless told not to, and finds redis-server on the PATH.
pub(crate) fn binaries(arguments: &Arguments) -> Result<Binaries, Failure> {
    let folder = binary_folder()?;
    let wants_thermocline = arguments.targets.is_empty()
        || arguments
            .targets
            .iter()
            .any(|name| name.starts_with("thermocline") && name != "thermocline-embedded");
    let build_thermocline = wants_thermocline && arguments.thermocline.is_none();
    let mut stale_thermocline = false;
    if !arguments.no_build {
        let into = folder.parent().ok_or("this program has no target folder")?;
        let here = Path::new(HERE).canonicalize()?;
        cargo_build(&here, into, &["-p", "loadgen", "-p", "peers"])?;
        if arguments.targets.iter().any(|name| name == "thermocline-embedded") {
            cargo_build(&here, into, &["-p", "embedded"])?;
        }
        let root = here.ancestors().nth(2).ok_or("this folder has no root above it")?;
        if build_thermocline
            && let Err(failure) = cargo_build(root, into, &["--bin", "thermocline", "--features", "server"])
        {
            eprintln!("thermocline: {failure}");
            stale_thermocline = true;
        }
    }
    let there = |path: PathBuf| path.is_file().then_some(path);
    let needed = |name: &str| {
        there(folder.join(name))
            .ok_or_else(|| format!("{name} is not in {}: run without --no-build", folder.display()))
    };
    Ok(Binaries {
        loadgen: needed("loadgen")?,
        raftrs: needed("raftrs-node")?,
        openraft: needed("openraft-node")?,
        thermocline: match &arguments.thermocline {
            Some(path) if path.is_file() => Some(std::path::absolute(path)?),
            Some(path) => return Err(format!("--thermocline {}: no such file", path.display()).into()),
            // What an earlier build has left is not what was asked for.
            None if stale_thermocline => None,
            None => there(folder.join("thermocline")),
        },
        embedded: there(folder.join("thermocline-embedded")),
        redis: on_path("redis-server"),
    })
}

fn cargo_build(workspace: &Path, into: &Path, what: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release"])
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(into)
        .args(what)
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo build {}: {status}", what.join(" ")).into()) }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
