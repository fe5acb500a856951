//! Where the nodes live: a network that can be broken and a disk for each.
//!
//! As root, with `ip` and `nft`, each node has a network namespace of its own, and packets are dropped. Elsewhere all nodes are on
//! loopback, with a proxy for each direction between two of them. As root, with `mkfs.ext4` and `mount`, each node has a small
//! file system of its own; elsewhere a directory.

mod disk;
mod namespaces;
mod proxy;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use disk::Disk;
use namespaces::Namespaces;
use proxy::Proxies;

use crate::target::Place;

/// One direction between two nodes.
pub(crate) type Way = (usize, usize);

/// What the nodes live on.
pub(crate) struct Ground {
    pub(crate) root: PathBuf,
    pub(crate) places: Vec<Place>,
    pub(crate) network: Network,
    pub(crate) disks: Vec<Disk>,
}

/// What is between the nodes.
pub(crate) enum Network {
    Proxies(Proxies),
    Namespaces(Namespaces),
}

impl Ground {
    /// Makes room for so many nodes below a directory. `isolated` asks for namespaces and file systems, where they can be had.
    pub(crate) fn make(root: &Path, nodes: usize, isolated: bool) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let disks: Vec<Disk> =
            (0..nodes).map(|node| Disk::make(root, node, isolated)).collect::<io::Result<_>>()?;
        let directories = disks.iter().map(|disk| disk.directory().to_owned());
        if isolated && Namespaces::possible() {
            let namespaces = Namespaces::make(nodes)?;
            let place = |(node, directory)| Place {
                peers: vec![namespaces.address(node, 7000); nodes],
                clients: namespaces.address(node, 6379),
                directory,
            };
            let places = directories.enumerate().map(place).collect();
            return Ok(Self {
                root: root.to_owned(),
                places,
                network: Network::Namespaces(namespaces),
                disks,
            });
        }
        let ports = free_ports(2 * nodes)?;
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let proxies = Proxies::start(&ports[..nodes].iter().map(|&port| at(port)).collect::<Vec<_>>())?;
        let place = |(node, directory)| Place {
            peers: (0..nodes).map(|reader| proxies.address(reader, node)).collect(),
            clients: at(ports[nodes + node]),
            directory,
        };
        let places = directories.enumerate().map(place).collect();
        Ok(Self { root: root.to_owned(), places, network: Network::Proxies(proxies), disks })
    }
}

impl Network {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Proxies(_) => "proxies on loopback",
            Self::Namespaces(_) => "network namespaces",
        }
    }

    /// Lets nothing pass these ways, until `heal`.
    pub(crate) fn cut(&self, ways: &[Way]) {
        match self {
            Self::Proxies(proxies) => proxies.cut(ways),
            Self::Namespaces(namespaces) => namespaces.cut(ways),
        }
    }

    /// Loses so many percent of what passes; a proxy delays it as a sender would that has to send it again.
    pub(crate) fn lose(&self, percent: u64) {
        match self {
            Self::Proxies(proxies) => proxies.lose(percent),
            Self::Namespaces(namespaces) => namespaces.lose(percent),
        }
    }

    /// Delays everything; says whether it can.
    pub(crate) fn delay(&self, milliseconds: u64) -> bool {
        match self {
            Self::Proxies(proxies) => {
                proxies.delay(milliseconds);
                true
            }
            Self::Namespaces(_) => false,
        }
    }

    /// Breaks every connection between nodes; says whether it can.
    pub(crate) fn reset(&self) -> bool {
        match self {
            Self::Proxies(proxies) => {
                proxies.reset();
                true
            }
            Self::Namespaces(_) => false,
        }
    }

    /// Everything passes again.
    pub(crate) fn heal(&self) {
        match self {
            Self::Proxies(proxies) => proxies.heal(),
            Self::Namespaces(namespaces) => namespaces.heal(),
        }
    }

    /// How much was held up or dropped so far: a fault after which this has not grown never bit.
    pub(crate) fn bites(&self) -> u64 {
        match self {
            Self::Proxies(proxies) => proxies.bites(),
            Self::Namespaces(namespaces) => namespaces.bites(),
        }
    }

    /// Makes a command run where a node is.
    pub(crate) fn enter(&self, node: usize, command: &mut Command) -> io::Result<()> {
        match self {
            Self::Proxies(_) => Ok(()),
            Self::Namespaces(namespaces) => namespaces.enter(node, command),
        }
    }
}

fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(program).is_file())
}

pub(crate) fn is_root() -> bool {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Runs a program to its end; an error says what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} {}: {}", arguments.join(" "), complaint.trim())))
}
