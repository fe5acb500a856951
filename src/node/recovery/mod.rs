//! From a directory to workers: identity, state, journal, replicas, in that order.
//!
//! The state comes back as an exact prefix of each bucket's log; the journal is replayed above it. What the journal cannot
//! vouch for makes the buckets concerned learners (I6), never an error: the node starts and serves what it can.

mod replayer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use thermocline_paxos::{Boot, Bucket, Core, Limits, NodeId, Originator, Vote};
use thermocline_tiers::disk::{AlignedBuffer, Disk};
use thermocline_tiers::hot::journal::{
    Damage, DamageReason, DamageScope, Found, Journal, JournalConfig, JournalError, JournalIdentity,
    Position, Sequence,
};
use thermocline_tiers::hot::state::{Part, StateConfig};

use self::replayer::{Replayed, Replayer, applied, begun};
use super::admission::Admission;
use super::effects::Effects;
use super::holes::{Holes, HolesFile};
use super::identity::{Identity, IdentityFile};
use super::journal_index::{History, JournalIndex};
use super::lives::Reach;
use super::peer_file::PeerFile;
use super::reclaim::{self, Retained};
use super::route::{Dealing, Route};
use super::state_parts;
use super::worker::{Kept, Settings, Worker};
use crate::error::{Error, StorageKind};
use crate::plant::{self, Plant};

/// What recovery is told.
pub(crate) struct Plan {
    pub(crate) disk: Arc<dyn Disk>,
    /// What the directory should be; `disk`, `parts`, `boots`, `founding` and `amnesia` count only when it is made anew.
    pub(crate) identity: Identity,
    pub(crate) workers: u32,
    pub(crate) journal: JournalConfig,
    pub(crate) state: StateConfig,
    pub(crate) route: Arc<Route>,
    pub(crate) peers: Vec<NodeId>,
    /// The limits of each worker, but for its number, dealing and client.
    pub(crate) settings: Settings,
    /// Random, one for each worker.
    pub(crate) clients: Vec<u64>,
}

/// A node ready to be driven.
pub(crate) struct Recovered {
    pub(crate) identity: Arc<IdentityFile>,
    /// What is remembered of the other nodes.
    pub(crate) peers: Arc<PeerFile>,
    pub(crate) journal: Journal,
    pub(crate) workers: Vec<Worker>,
    /// What of the journal is still to be indexed, if there is any.
    pub(crate) history: Option<History>,
    pub(crate) dealing: Dealing,
    pub(crate) report: Report,
}

impl Recovered {
    /// Writes the first commit of this start: from then on, an unused journal means a lost one. On a disk that the journal has filled, what was
    /// replayed is written to the state first, and what only peers may still want gives way.
    ///
    /// # Errors
    /// [`Error::Storage`], of the kind full when there is no room all the same.
    pub(crate) fn write_first_commit(&mut self) -> Result<(), Error> {
        let mut written = self.journal.witness();
        if let Err(JournalError::Full { .. }) = written {
            self.make_room()?;
            written = self.journal.witness();
        }
        written.map(drop).map_err(|error| super::journal_error(&error))
    }

    fn make_room(&mut self) -> Result<(), Error> {
        let (reader, mut buffer) = (self.journal.reader(), AlignedBuffer::new());
        for worker in &mut self.workers {
            worker.flush_parts();
            for job in std::mem::take(&mut worker.effects().jobs) {
                worker.job_done(0, job.run(&reader, &mut buffer));
            }
        }
        let needed = self.workers.iter().map(|worker| worker.needed_segment(false)).fold(u64::MAX, u64::min);
        let preparer = self.journal.preparer();
        let active = preparer.active_generation();
        if let Some(first) = reclaim::plan(&preparer.segments(), Retained::NOTHING, needed, active).first {
            preparer.reclaim(first).map_err(|error| super::journal_error(&error))?;
            self.workers.iter_mut().for_each(|worker| worker.segments_reclaimed(first.0));
        }
        Ok(())
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Recovered {
    /// What names this start, in ballots and commands.
    pub(crate) fn boot(&self) -> Boot {
        self.workers[0].core.me().boot
    }
}

/// What recovery found, for the log and the status.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    /// Records read from the journal.
    pub(crate) records: u64,
    /// Commands applied to the state.
    pub(crate) replayed: u64,
    /// Damage found in the journal and in the state.
    pub(crate) damage: Vec<String>,
}

/// Opens a directory, or makes it.
///
/// # Errors
/// [`Error::Storage`] when the directory is another node's or in use, or the disk fails; [`Error::Corrupt`] when the identity
/// cannot be read.
pub(crate) fn recover(plan: Plan) -> Result<Recovered, Error> {
    let disk = &*plan.disk;
    let file = IdentityFile::new(plan.disk.clone(), open_identity(disk, &plan.identity)?);
    let peers = PeerFile::open(plan.disk.clone())?;
    let state_parts::Opened { mut parts, damage } = state_parts::open(&plan.disk, &plan.state, &file)?;
    let identity = file.read();
    let dealing = Dealing::new(identity.parts, plan.workers);
    let failed = installing(&parts, dealing, &plan.route);
    let known = Holes::read(disk)?;
    // The state was written once this was synced; if that is durable, and nothing is to be known otherwise.
    let is_durable = plan.settings.is_durable;
    let rests_on = parts.iter().map(Part::rests_on).max().filter(|_| is_durable);
    let mut replay =
        Replayer::new(&mut parts, dealing, &plan.route, &identity, known.clone(), failed, is_durable);
    let journal_identity = JournalIdentity {
        cluster: cluster_number(&identity.cluster),
        node: identity.node,
        disk: identity.disk,
    };
    let opened = Journal::open_and_follow(
        plan.disk.clone(),
        Path::new("journal"),
        plan.journal.clone(),
        journal_identity,
        Sequence(rests_on.unwrap_or_default()),
        |found| match found {
            Found::Commit(commit) => replay.commit(commit),
            Found::Record(record, position) => replay.take(record, position),
            Found::Lost(scope) => replay.lost(scope),
        },
    );
    let (journal, found) = opened.map_err(|error| super::journal_error(&error))?;
    if plant::on(Plant::IdentityAfterJournal) {
        file.read().write(&*plan.disk)?;
    }
    let Replayed { mut replicas, floors, mut holes, mut indexes, mut report, mut failed } =
        replay.finish()?;
    report.records = found.records;
    report.damage = found.damage.iter().map(|damage| format!("{damage:?}")).chain(damage).collect();
    let recovered = reach(&found);
    let oldest = found.segments.iter().map(|segment| segment.generation.0).min().unwrap_or_default();
    holes.trim(oldest, recovered);
    if holes != known {
        match holes.write(disk) {
            // The peers go on without this node's votes, and mostly with the same log.
            Err(error @ Error::Storage { kind: StorageKind::Full, .. }) => {
                tracing::error!(%error, "the disk is full: which records were lost could not be written down");
            }
            written => written?,
        }
    }
    let holes_file = HolesFile::new(plan.disk.clone(), holes.clone());
    let history = history(&journal, &found, dealing, holes, &mut indexes);
    let drawn = plan.clients.first().copied().unwrap_or_default();
    let identity = begin_life(&file, &found, &plan.route, (drawn.max(1), recovered), &peers)?;
    // What is lost is written down as forgotten; the next start is not to find it lost again, behind what is recorded from now on.
    for part in &mut parts {
        part.rest_on_no_more_than(found.sequence.0).map_err(|error| super::state_error(&error))?;
    }
    // A start is named by a random number, and not by the directory's: should this be an old copy of the directory, then no
    // ballot of it is one that was issued before (I4).
    let start = if plant::on(Plant::BootRepeated) { identity.disk } else { drawn };
    let me = Originator { node: NodeId(identity.node), boot: Boot { disk: start, count: identity.boots } };
    let life = identity.lives.life(identity.disk, recovered);
    let lives = Arc::new(identity.lives.clone());
    let admission = Admission::new(dealing.workers);
    let kept =
        Kept { life, lives, identity: file.clone(), peers: peers.clone(), holes: holes_file, admission };
    let founded = identity.founding.is_some();
    // Buckets that have forgotten votes, of which nothing else would tell at a later start.
    let mut forgetful = Vec::new();
    let mut cores = Vec::new();
    for index in 0..dealing.workers {
        let mut core = Core::new(me, index as u16, Limits::default());
        for bucket in (0..plan.route.buckets()).map(Bucket) {
            if dealing.worker(bucket) != index || !plan.route.holds(me.node, bucket) {
                continue;
            }
            let part = &parts[dealing.part(bucket) as usize];
            let applied = applied(part, bucket);
            let is_installing = part.is_installing(thermocline_tiers::hot::Bucket(bucket.0));
            let replay = replicas.remove(&bucket.0);
            let mut replay = replay.unwrap_or_else(|| begun(part, bucket, &plan.route));
            if is_installing {
                replay.wiped();
            }
            let mut restored = replay.finish();
            if restored.vote == Vote::LearnerOnly {
                // What is out of place is not kept until there is a floor.
                forgetful.push(bucket.0);
            }
            let is_ahead = restored.chosen > applied;
            if is_ahead || is_installing {
                // What was installed did not last, or cannot be read: it is taken over again.
                failed.insert(bucket.0);
            }
            if !founded {
                // Whether it is new or has lost everything, only the others can tell.
                restored.vote = Vote::LearnerOnly;
            }
            if is_installing && !is_ahead {
                // The journal does not tell how far the log is, of which the state should say more.
                restored.vote = Vote::LearnerOnly;
                if !plant::on(Plant::WipedIsNoAmnesia) {
                    // Once a copy is whole, which may be older than the log was, nothing else would tell.
                    forgetful.push(bucket.0);
                }
            }
            if identity.amnesia.concerns(bucket.0) && !matches!(restored.vote, Vote::From(_)) {
                restored.vote = Vote::LearnerOnly;
            }
            if has_lost(&found, bucket, floors.get(&bucket.0)) {
                // What was lost may be votes above the floor.
                restored.vote = Vote::LearnerOnly;
            }
            core.open(bucket, plan.route.replicas(bucket), restored).map_err(|error| {
                Error::storage(StorageKind::Foreign, format!("bucket {}: {error:?}", bucket.0))
            })?;
        }
        cores.push(core);
    }
    if !forgetful.is_empty() {
        file.update(|identity| forgetful.iter().for_each(|bucket| identity.amnesia.add(*bucket)))?;
    }
    let mut workers = Vec::new();
    let mut parts: Vec<Option<Part>> = parts.into_iter().map(Some).collect();
    let of_workers = (0..dealing.workers).zip(&plan.clients).zip(indexes).zip(cores);
    for (((index, client), journal_index), core) in of_workers {
        let own: Vec<Part> = (0..dealing.parts)
            .filter(|part| dealing.worker_of_part(*part) == index)
            .filter_map(|part| parts[part as usize].take())
            .collect();
        let settings = Settings {
            index,
            dealing,
            client: *client,
            seed: plan.settings.seed ^ client,
            ..plan.settings.clone()
        };
        let effects = Effects::new(plan.journal.clone());
        workers.push(Worker::new(
            settings,
            plan.route.clone(),
            core,
            own,
            &plan.peers,
            journal_index,
            effects,
            founded,
            kept.clone(),
        ));
        if let Some(worker) = workers.last_mut() {
            worker.synced_commit = found.sequence;
        }
    }
    if let Some(first) = workers.first_mut() {
        (first.counters.replayed_records, first.counters.replayed_commands) =
            (report.records, report.replayed);
    }
    for bucket in failed {
        workers[dealing.worker(Bucket(bucket)) as usize].found_damaged(Bucket(bucket));
    }
    Ok(Recovered { identity: file, peers, journal, workers, history, dealing, report })
}

/// Buckets of which the state has a part only. Nothing is applied to that: they are taken over again.
fn installing(parts: &[Part], dealing: Dealing, route: &Route) -> BTreeSet<u32> {
    let is_installing = |bucket: &u32| {
        let part = &parts[dealing.part(Bucket(*bucket)) as usize];
        part.is_installing(thermocline_tiers::hot::Bucket(*bucket)) && !plant::on(Plant::AppliedToHalfACopy)
    };
    (0..route.buckets()).filter(is_installing).collect()
}

/// What of the journal is still to be indexed. Where records were lost, nobody knows whether what was recorded before of the same slots is the last
/// word: nothing then.
fn history(
    journal: &Journal,
    found: &thermocline_tiers::hot::journal::Recovered,
    dealing: Dealing,
    holes: Holes,
    indexes: &mut [JournalIndex],
) -> Option<History> {
    let reader = journal.reader().history();
    if reader.is_done() || !found.damage.is_empty() && !plant::on(Plant::PastJoinedOverLoss) {
        return None;
    }
    indexes.iter_mut().for_each(JournalIndex::await_past);
    Some(History::new(reader, dealing, holes))
}

/// How far the journal reaches.
fn reach(found: &thermocline_tiers::hot::journal::Recovered) -> Reach {
    let used = found.segments.iter().filter(|segment| !segment.is_empty());
    let reach = used.map(|segment| Reach { generation: segment.generation.0, offset: segment.bytes }).max();
    // Where nothing was replayed, everything before was whole, or would have been.
    reach.unwrap_or_default().max(Reach { generation: found.replayed_from.0, offset: 0 })
}

/// Reads or makes the identity, and raises its boot counter before anything else happens.
fn open_identity(disk: &dyn Disk, wanted: &Identity) -> Result<Identity, Error> {
    let mut identity = match Identity::read(disk)? {
        Some(found) => {
            found.check(wanted)?;
            found
        }
        None => wanted.clone(),
    };
    identity.boots =
        identity.boots.checked_add(u32::from(!plant::on(Plant::BootRepeated))).ok_or_else(|| {
            let what = "the directory was opened 4,294,967,295 times; it has no boot number left";
            Error::storage(StorageKind::Foreign, what)
        })?;
    if !plant::on(Plant::IdentityAfterJournal) {
        identity.write(disk)?;
    }
    Ok(identity)
}

/// The directory begins another life, and damage in its journal is amnesia. Both are written down before the node takes part in anything.
fn begin_life(
    file: &IdentityFile,
    found: &thermocline_tiers::hot::journal::Recovered,
    route: &Route,
    (life, recovered): (u64, Reach),
    peers: &PeerFile,
) -> Result<Identity, Error> {
    let before = file.read().amnesia;
    let identity = file.update(|identity| {
        identity.lives.begin(life, recovered, &peers.heard_lives());
        // What comes behind the journal's end is later than the loss, also where an earlier journal reached further.
        identity.amnesia.behind = identity.amnesia.behind.min(recovered);
        for damage in &found.damage {
            match damage.scope {
                DamageScope::AllBuckets => identity.amnesia.add_all(),
                // A bucket that nobody has concerns nobody.
                DamageScope::Bucket(bucket) if bucket.0 < route.buckets() => identity.amnesia.add(bucket.0),
                DamageScope::Bucket(_) => {}
            }
        }
        // Every start begins with a commit, and founding comes after it: a founded disk with an unused journal has lost its own.
        if found.never_used && identity.founding.is_some() {
            identity.amnesia.add_all();
        }
    })?;
    let after = &identity.amnesia;
    if *after != before {
        let buckets = if after.everywhere { identity.buckets as usize } else { after.buckets.len() };
        tracing::warn!(
            buckets,
            "the journal is damaged; the buckets concerned only learn until they have a vote floor"
        );
    }
    Ok(identity)
}

/// Whether records of a bucket may be lost, and the last vote floor does not make up for it.
fn has_lost(
    found: &thermocline_tiers::hot::journal::Recovered,
    bucket: Bucket,
    floor: Option<&Position>,
) -> bool {
    let mut damages = found.damage.iter().filter(|damage| concerns(damage, bucket));
    damages.any(|damage| !floor.is_some_and(|floor| is_behind(*floor, damage)))
}

fn concerns(damage: &Damage, bucket: Bucket) -> bool {
    match damage.scope {
        DamageScope::AllBuckets => true,
        DamageScope::Bucket(damaged) => damaged.0 == bucket.0,
    }
}

/// Whether a vote floor was written behind all that a damage may have taken: then it makes up for it, whenever the damage
/// came about.
fn is_behind(floor: Position, damage: &Damage) -> bool {
    match damage.reason {
        DamageReason::CorruptPayload
        | DamageReason::CorruptRecordHeader
        | DamageReason::CorruptCommitHeader
        | DamageReason::ForeignRecords => {
            (floor.generation, u64::from(floor.offset)) > (damage.generation, damage.offset)
        }
        DamageReason::MissingSegment { last, .. } => floor.generation > last,
        DamageReason::MissingCommits { .. }
        | DamageReason::BrokenChain
        | DamageReason::TruncatedSegment
        | DamageReason::CorruptLabel
        | DamageReason::MisplacedSegment { .. }
        | DamageReason::Unreadable
        | DamageReason::EarlierDamage => floor.generation > damage.generation,
        // They say nothing of where it is.
        DamageReason::MissingCatalog
        | DamageReason::CorruptCatalog
        | DamageReason::OldCatalog
        | DamageReason::MoreDamage => false,
    }
}

/// The cluster's name as the journal's number: two hashes of it.
fn cluster_number(name: &str) -> u128 {
    let low = super::entity_hash(name.as_bytes());
    let high = super::entity_hash(format!("{name}\0").as_bytes());
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use thermocline_tiers::hot::journal::{Generation, Sequence};

    #[test]
    fn a_floor_makes_up_only_for_damage_before_it() {
        let floor = Position { generation: Generation(5), offset: 4096, length: 40 };
        let behind = |reason, generation, offset| {
            let (scope, generation) = (DamageScope::AllBuckets, Generation(generation));
            is_behind(floor, &Damage { scope, reason, path: PathBuf::new(), generation, offset })
        };
        assert!(behind(DamageReason::CorruptPayload, 5, 512));
        assert!(behind(DamageReason::CorruptPayload, 4, 90_000));
        assert!(!behind(DamageReason::CorruptPayload, 5, 8192));
        assert!(!behind(DamageReason::CorruptPayload, 6, 0));
        let missing = |last| DamageReason::MissingSegment { first: Generation(1), last: Generation(last) };
        assert!(behind(missing(4), 1, 0));
        assert!(!behind(missing(5), 1, 0));
        let commits = DamageReason::MissingCommits { first: Sequence(1), last: Sequence(2) };
        assert!(behind(commits, 4, 0) && !behind(commits, 5, 0));
        assert!(behind(DamageReason::EarlierDamage, 4, 0) && !behind(DamageReason::EarlierDamage, 5, 0));
        assert!(!behind(DamageReason::MissingCatalog, 0, 0) && !behind(DamageReason::OldCatalog, 1, 0));
    }
}
