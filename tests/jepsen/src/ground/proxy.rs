//! A proxy for each direction between two nodes, that can hold up, delay and break what passes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Way;
use crate::random::Random;

/// What a sender waits before it sends again what was lost.
const RESEND: Duration = Duration::from_millis(200);
/// How often a thread looks whether something has changed.
const TICK: Duration = Duration::from_millis(5);

/// All links.
pub(crate) struct Proxies {
    nodes: usize,
    /// From one node to another, a row for each.
    links: Vec<Arc<Link>>,
}

/// From one node to another.
struct Link {
    address: SocketAddr,
    /// Where it leads to.
    to: SocketAddr,
    cut: AtomicBool,
    delay_ms: AtomicU64,
    loss_percent: AtomicU64,
    /// Connections of an earlier generation are broken.
    generation: AtomicU64,
    bites: AtomicU64,
}

impl Proxies {
    /// Links between nodes that listen at these addresses.
    pub(super) fn start(nodes: &[SocketAddr]) -> io::Result<Self> {
        let mut links = Vec::new();
        for from in 0..nodes.len() {
            for (to, &address) in nodes.iter().enumerate() {
                // A node's own address is no link: it listens there.
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let link = Arc::new(Link {
                    address: if from == to { address } else { listener.local_addr()? },
                    to: address,
                    cut: AtomicBool::new(false),
                    delay_ms: AtomicU64::new(0),
                    loss_percent: AtomicU64::new(0),
                    generation: AtomicU64::new(0),
                    bites: AtomicU64::new(0),
                });
                if from != to {
                    let link = link.clone();
                    thread::spawn(move || link.accept(&listener));
                }
                links.push(link);
            }
        }
        Ok(Self { nodes: nodes.len(), links })
    }

    pub(super) fn address(&self, from: usize, to: usize) -> SocketAddr {
        self.link((from, to)).address
    }

    fn link(&self, (from, to): Way) -> &Link {
        &self.links[from * self.nodes + to]
    }

    pub(super) fn cut(&self, ways: &[Way]) {
        ways.iter().for_each(|&way| self.link(way).cut.store(true, Ordering::SeqCst));
    }

    pub(super) fn lose(&self, percent: u64) {
        self.links.iter().for_each(|link| link.loss_percent.store(percent, Ordering::SeqCst));
    }

    pub(super) fn delay(&self, milliseconds: u64) {
        self.links.iter().for_each(|link| link.delay_ms.store(milliseconds, Ordering::SeqCst));
    }

    pub(super) fn reset(&self) {
        for link in &self.links {
            link.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn heal(&self) {
        for link in &self.links {
            link.cut.store(false, Ordering::SeqCst);
            link.delay_ms.store(0, Ordering::SeqCst);
            link.loss_percent.store(0, Ordering::SeqCst);
        }
    }

    pub(super) fn bites(&self) -> u64 {
        self.links.iter().map(|link| link.bites.load(Ordering::SeqCst)).sum()
    }
}

impl Link {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for dialled in listener.incoming().map_while(Result::ok) {
            let link = self.clone();
            thread::spawn(move || link.join(dialled));
        }
    }

    /// Joins a connection with one to the other node. Each direction has a thread.
    fn join(self: Arc<Self>, dialled: TcpStream) {
        let generation = self.generation.load(Ordering::SeqCst);
        self.wait(generation);
        let Ok(onward) = TcpStream::connect_timeout(&self.to, Duration::from_secs(1)) else { return };
        let (Ok(back_from), Ok(back_to)) = (onward.try_clone(), dialled.try_clone()) else { return };
        let link = self.clone();
        thread::spawn(move || link.pump(back_from, back_to, generation));
        self.pump(dialled, onward, generation);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, generation: u64) {
        let mut bytes = vec![0; 64 << 10];
        let mut random = Random::new(u64::from(self.address.port()), generation);
        let quick = |stream: &TcpStream| {
            stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(Duration::from_millis(200))))
        };
        if quick(&from).and_then(|()| quick(&to)).is_ok() {
            while self.generation.load(Ordering::SeqCst) == generation {
                let count = match from.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
                    {
                        continue;
                    }
                    Err(_) => break,
                };
                self.hold_up(&mut random);
                self.wait(generation);
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            if self.generation.load(Ordering::SeqCst) != generation {
                self.bites.fetch_add(1, Ordering::SeqCst);
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn hold_up(&self, random: &mut Random) {
        let mut delay = Duration::from_millis(self.delay_ms.load(Ordering::SeqCst));
        if random.percent(self.loss_percent.load(Ordering::SeqCst)) {
            delay += RESEND;
        }
        if !delay.is_zero() {
            self.bites.fetch_add(1, Ordering::SeqCst);
            let until = Instant::now() + delay;
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Waits while the way is cut.
    fn wait(&self, generation: u64) {
        if self.cut.load(Ordering::SeqCst) {
            self.bites.fetch_add(1, Ordering::SeqCst);
        }
        while self.cut.load(Ordering::SeqCst) && self.generation.load(Ordering::SeqCst) == generation {
            thread::sleep(TICK);
        }
    }
}
