//! What a disk in memory holds: names, contents, and what of both a power cut would leave.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inode::{Inode, SECTOR, sectors};
use super::misread::Misread;
use super::random::Random;
use super::{Call, Calls};

#[derive(Clone, Debug)]
pub(super) struct World {
    /// Raised whenever the process that uses the disk dies, so that its handles and locks are worthless.
    pub(super) process: u64,
    pub(super) rules: Vec<FailRule>,
    pub(super) misreads: Vec<Misread>,
    pub(super) capacity: Option<u64>,
    pub(super) calls: Calls,
    power: Power,
    random: Random,
    pub(super) inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// What a lookup sees.
    pub(super) names: BTreeMap<PathBuf, Entry>,
    /// What a power cut leaves, before `unsynced` changes are tossed for.
    pub(super) durable_names: BTreeMap<PathBuf, Entry>,
    pub(super) unsynced: Vec<Change>,
    pub(super) last_write: Option<(u64, usize, usize)>,
    locks: BTreeSet<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FailRule {
    pub(super) call: Call,
    pub(super) due_in: u64,
    pub(super) error: io::ErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// This many changes still happen.
    OnFor(u64),
    Off,
}

/// What becomes of a call.
enum Verdict {
    Happens,
    /// It fails after having happened in part.
    Fails(io::Error),
    /// The power goes while it runs.
    Interrupted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Add(PathBuf, Entry),
    Rename(PathBuf, PathBuf, Entry),
    Remove(PathBuf, Entry),
}

impl Change {
    fn is_in(&self, directory: &Path) -> bool {
        let within = |path: &PathBuf| path.parent() == Some(directory);
        match self {
            Change::Add(path, _) | Change::Remove(path, _) => within(path),
            Change::Rename(from, to, _) => within(from) || within(to),
        }
    }

    /// Whether it made a difference. It concerns the file that it was meant for, also when changes before it are lost.
    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) -> bool {
        match self {
            Change::Add(path, entry) => names.insert(path.clone(), *entry) != Some(*entry),
            Change::Rename(from, to, entry) => {
                let removed = remove(names, from, entry);
                names.insert(to.clone(), *entry) != Some(*entry) || removed
            }
            Change::Remove(path, entry) => remove(names, path, entry),
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let root = BTreeMap::from([(PathBuf::new(), Entry::Directory)]);
        World {
            process: 0,
            rules: Vec::new(),
            misreads: Vec::new(),
            capacity: None,
            calls: Calls::default(),
            power: Power::On,
            random: Random(seed),
            inodes: BTreeMap::new(),
            next_inode: 0,
            names: root.clone(),
            durable_names: root,
            unsynced: Vec::new(),
            last_write: None,
            locks: BTreeSet::new(),
        }
    }

    pub(super) fn freeze_after(&mut self, changes: u64) {
        self.power = Power::OnFor(changes);
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.power == Power::Off
    }

    pub(super) fn thaw(&mut self) {
        self.power = Power::On;
    }

    pub(super) fn forget_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        for inode in self.inodes.values_mut() {
            inode.handles = 0;
        }
        self.drop_orphans();
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes.values().map(|inode| inode.current.len() as u64).sum()
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        self.check_power()?;
        match self.names.get(path) {
            Some(Entry::File(inode)) => Ok(*inode),
            Some(Entry::Directory) => Err(failure(io::ErrorKind::IsADirectory, path)),
            None => Err(failure(io::ErrorKind::NotFound, path)),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        if self.names.contains_key(path) {
            return Err(failure(io::ErrorKind::AlreadyExists, path));
        }
        self.check_parent(path)?;
        let inode = self.next_inode;
        self.change(Change::Add(path.to_path_buf(), Entry::File(inode)))?;
        Ok(inode)
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        self.check_power()?;
        let mut missing: Vec<&Path> =
            path.ancestors().filter(|part| !self.names.contains_key(*part)).collect();
        missing.reverse();
        for part in missing {
            self.change(Change::Add(part.to_path_buf(), Entry::Directory))?;
        }
        match self.names.get(path) {
            Some(Entry::Directory) => Ok(()),
            _ => Err(failure(io::ErrorKind::AlreadyExists, path)),
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        self.check_parent(to)?;
        self.change(Change::Rename(from.to_path_buf(), to.to_path_buf(), Entry::File(inode)))
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        self.change(Change::Remove(path.to_path_buf(), Entry::File(inode)))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.check_power()?;
        self.check_directory(path)?;
        let inside = self
            .names
            .iter()
            .filter(|(name, entry)| matches!(entry, Entry::File(_)) && name.parent() == Some(path));
        Ok(inside.filter_map(|(name, _)| name.file_name().map(PathBuf::from)).collect())
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.check_directory(path)?;
        match self.admit(Call::Sync)? {
            Verdict::Happens => {}
            Verdict::Fails(error) => return Err(error),
            Verdict::Interrupted => return Err(power_is_off()),
        }
        for change in std::mem::take(&mut self.unsynced) {
            if change.is_in(path) {
                change.apply(&mut self.durable_names);
            } else {
                self.unsynced.push(change);
            }
        }
        self.drop_orphans();
        Ok(())
    }

    pub(super) fn take_lock(&mut self, path: &Path) -> io::Result<u64> {
        self.check_power()?;
        self.check_directory(path)?;
        if self.locks.insert(path.to_path_buf()) {
            return Ok(self.process);
        }
        Err(failure(io::ErrorKind::WouldBlock, path))
    }

    pub(super) fn release_lock(&mut self, process: u64, path: &Path) {
        if process == self.process {
            self.locks.remove(path);
        }
    }

    pub(super) fn handle_opened(&mut self, inode: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.handles += 1;
        }
    }

    pub(super) fn handle_closed(&mut self, process: u64, inode: u64) {
        if process != self.process {
            return;
        }
        let Some(closed) = self.inodes.get_mut(&inode) else { return };
        closed.handles -= 1;
        if closed.handles == 0 && !self.entries().any(|entry| entry == Entry::File(inode)) {
            self.inodes.remove(&inode);
        }
    }

    pub(super) fn read(
        &mut self,
        process: u64,
        inode: u64,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<()> {
        match self.admit(Call::Read)? {
            Verdict::Happens => {}
            Verdict::Fails(error) => return Err(error),
            Verdict::Interrupted => return Err(power_is_off()),
        }
        let number = inode;
        let inode = self.inode(process, inode)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(buffer.len()).filter(|end| *end <= inode.current.len());
        let Some(end) = end else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        if sectors(start, end).any(|sector| inode.broken.contains(&sector)) {
            return Err(io::Error::other("unreadable sector"));
        }
        buffer.copy_from_slice(&inode.current[start..end]);
        self.misread(number, buffer, offset);
        Ok(())
    }

    /// What a file's readers see.
    pub(super) fn contents(&self, inode: u64) -> &[u8] {
        self.inodes.get(&inode).map_or(&[], |inode| &inode.current)
    }

    pub(super) fn write(
        &mut self,
        process: u64,
        inode: u64,
        bytes: &[u8],
        offset: u64,
        direct: bool,
    ) -> io::Result<()> {
        let length = self.inode(process, inode)?.current.len() as u64;
        let (verdict, random) = (self.admit(Call::Write)?, self.random.next());
        self.check_capacity(length, offset.saturating_add(bytes.len() as u64))?;
        let start = usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let landed = match &verdict {
            Verdict::Happens | Verdict::Interrupted => bytes.len(),
            Verdict::Fails(_) => (random % (bytes.len() as u64 + 1)) as usize,
        };
        self.last_write = Some((inode, start, start + landed));
        let inode = self.inode(process, inode)?;
        inode.write(&bytes[..landed], start);
        match verdict {
            Verdict::Happens => {
                if direct {
                    if inode.length_dirty {
                        inode.persist_length();
                    }
                    for sector in sectors(start, start + landed) {
                        inode.dirty.remove(&sector);
                        inode.persist(sector);
                    }
                    self.last_write = None;
                }
                Ok(())
            }
            Verdict::Fails(error) => Err(error),
            Verdict::Interrupted => Err(power_is_off()),
        }
    }

    pub(super) fn set_len(&mut self, process: u64, inode: u64, len: u64) -> io::Result<()> {
        let length = self.inode(process, inode)?.current.len() as u64;
        let verdict = self.admit(Call::Write)?;
        if let Verdict::Fails(error) = verdict {
            return Err(error);
        }
        self.check_capacity(length, len)?;
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.inode(process, inode)?.set_len(len);
        if matches!(verdict, Verdict::Interrupted) { Err(power_is_off()) } else { Ok(()) }
    }

    pub(super) fn sync(&mut self, process: u64, inode: u64) -> io::Result<()> {
        self.inode(process, inode)?;
        let verdict = self.admit(Call::Sync)?;
        let inode = self.inode(process, inode)?;
        match verdict {
            Verdict::Happens => {
                inode.persist_all();
                Ok(())
            }
            Verdict::Fails(error) => {
                inode.look_clean();
                Err(error)
            }
            Verdict::Interrupted => Err(power_is_off()),
        }
    }

    pub(super) fn len(&mut self, process: u64, inode: u64) -> io::Result<u64> {
        self.check_power()?;
        Ok(self.inode(process, inode)?.current.len() as u64)
    }

    pub(super) fn flip_bits(&mut self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let inode = self.find(path)?;
        let inode = self.inode(self.process, inode)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let byte = Arc::make_mut(&mut inode.current)
            .get_mut(offset)
            .ok_or_else(|| failure(io::ErrorKind::UnexpectedEof, path))?;
        *byte ^= mask;
        if let Some(byte) = Arc::make_mut(&mut inode.durable).get_mut(offset) {
            *byte ^= mask;
        }
        Ok(())
    }

    pub(super) fn break_sector(&mut self, path: &Path, offset: u64) -> io::Result<()> {
        let inode = self.find(path)?;
        let sector = usize::try_from(offset).unwrap_or(usize::MAX) / SECTOR;
        self.inode(self.process, inode)?.broken.insert(sector);
        Ok(())
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        let interrupted = match self.admit(Call::Entry)? {
            Verdict::Happens => false,
            Verdict::Fails(error) => return Err(error),
            Verdict::Interrupted => true,
        };
        if let Change::Add(_, Entry::File(inode)) = &change {
            self.inodes.insert(*inode, Inode::default());
            self.next_inode = *inode + 1;
        }
        change.apply(&mut self.names);
        self.unsynced.push(change);
        if interrupted { Err(power_is_off()) } else { Ok(()) }
    }

    /// Counts a call and decides what becomes of it.
    fn admit(&mut self, call: Call) -> io::Result<Verdict> {
        self.check_power()?;
        let counter = match call {
            Call::Read => &mut self.calls.reads,
            Call::Write => &mut self.calls.writes,
            Call::Sync => &mut self.calls.syncs,
            Call::Entry | Call::Any => &mut self.calls.entries,
        };
        *counter += 1;
        let mut failing = None;
        for rule in &mut self.rules {
            if rule.call == call || rule.call == Call::Any {
                rule.due_in = rule.due_in.saturating_sub(1);
                if rule.due_in == 0 {
                    failing = Some(rule.error);
                }
            }
        }
        self.rules.retain(|rule| rule.due_in > 0);
        self.calls.failed += u64::from(failing.is_some());
        if call != Call::Read {
            match self.power {
                Power::OnFor(0) => {
                    self.power = Power::Off;
                    return Ok(Verdict::Interrupted);
                }
                Power::OnFor(changes) => self.power = Power::OnFor(changes - 1),
                Power::On | Power::Off => {}
            }
        }
        Ok(match failing {
            Some(kind) => Verdict::Fails(io::Error::new(kind, "failure on cue")),
            None => Verdict::Happens,
        })
    }

    fn check_power(&self) -> io::Result<()> {
        if self.power == Power::Off { Err(power_is_off()) } else { Ok(()) }
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        self.check_directory(path.parent().unwrap_or(Path::new("")))
    }

    fn check_directory(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(failure(io::ErrorKind::NotADirectory, path)),
            None => Err(failure(io::ErrorKind::NotFound, path)),
        }
    }

    pub(super) fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }

    fn check_capacity(&mut self, length: u64, wanted: u64) -> io::Result<()> {
        let grown = self.used_bytes() + wanted.saturating_sub(length);
        match self.capacity {
            Some(capacity) if wanted > length && grown > capacity => {
                self.calls.without_room += 1;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            _ => Ok(()),
        }
    }

    fn inode(&mut self, process: u64, inode: u64) -> io::Result<&mut Inode> {
        if process != self.process {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the process that opened this file has ended",
            ));
        }
        self.inodes.get_mut(&inode).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// What any name leads to, now or after a power cut.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        let added = self.unsynced.iter().filter_map(|change| match change {
            Change::Add(_, entry) | Change::Rename(_, _, entry) => Some(*entry),
            Change::Remove(..) => None,
        });
        self.names.values().chain(self.durable_names.values()).copied().chain(added)
    }

    /// Frees the contents of files that no name leads to, now or after a power cut, and that nobody has open.
    fn drop_orphans(&mut self) {
        let mut named: Vec<u64> = self
            .entries()
            .filter_map(|entry| if let Entry::File(inode) = entry { Some(inode) } else { None })
            .collect();
        named.sort_unstable();
        self.inodes.retain(|id, inode| inode.handles > 0 || named.binary_search(id).is_ok());
    }
}

/// Removes a name if it leads there.
fn remove(names: &mut BTreeMap<PathBuf, Entry>, path: &Path, entry: &Entry) -> bool {
    let leads_there = names.get(path) == Some(entry);
    if leads_there {
        names.remove(path);
    }
    leads_there
}

fn failure(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, path.display().to_string())
}

fn power_is_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the power is off")
}
