//! Full verification: what lies on the disks of all replicas is read and compared, bucket by bucket at equal slots; what differs from the
//! majority is taken over anew.
//!
//! The node that audits asks all replicas of some buckets for their contents: sums over what they read back (`Content`). Replicas that
//! are not at the same slot are asked again. A replica that cannot read what it has says so, and repairs itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thermocline_paxos::{Bucket, NodeId, Slot};
use thermocline_tiers::hot::journal::{JournalError, JournalReader, Position};
use thermocline_tiers::hot::state::{Content, RunSet, Snapshot, StateError};

use super::effects::Job;
use super::wire::Item;
use super::worker::Worker;
use crate::verify::{Difference, VerifyReport};

/// So many buckets are compared at a time; all of one part, because each question costs a memtable.
const BUCKETS_MAX: usize = 256;

/// An answer that does not come in so long is not waited for, in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// A bucket is compared so often before it is given up, with a pause in between, in milliseconds.
const ATTEMPTS_MAX: u32 = 40;
const PAUSE_MS: u64 = 100;

/// An audit of its own accord works this share of the time, and pauses the rest.
const SHARE: u64 = 10;

/// At most so many questions of other nodes wait to be read.
const ASKED_MAX: usize = 16;

/// What one replica has of a bucket, as it travels: the slot and the sums, or that it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) bucket: Bucket,
    pub(crate) content: Option<Content>,
    /// Records of the bucket in the journal that cannot be read.
    pub(crate) journal_damage: u32,
}

/// An audit under way.
#[derive(Default)]
pub(super) struct Audits {
    running: Option<Audit>,
    /// Questions of other nodes, and of this one: who asks, which round, which buckets.
    asked: VecDeque<(NodeId, u64, Vec<Bucket>)>,
    reading: bool,
    next_own: u64,
}

struct Audit {
    /// Who waits for the report; nobody, when it began of its own accord.
    call: Option<u64>,
    left: VecDeque<Vec<Bucket>>,
    /// Buckets to be compared again, and how often they were.
    again: BTreeMap<u32, u32>,
    round: u64,
    begun: u64,
    resumes: u64,
    waits: BTreeSet<NodeId>,
    asked: Vec<Bucket>,
    found: BTreeMap<u32, Vec<(NodeId, Finding)>>,
    /// Buckets that were to be repaired.
    mended: BTreeSet<u32>,
    report: VerifyReport,
}

/// Reads the contents of some buckets, and their records in the journal. Blocks.
pub(crate) struct Reading {
    snapshot: Snapshot,
    /// In order of their numbers.
    buckets: Vec<(Bucket, Vec<Position>)>,
}

impl Reading {
    pub(crate) fn run(self, reader: &JournalReader) -> Vec<(Finding, Option<StateError>)> {
        let Self { snapshot, buckets } = self;
        let numbers: Vec<_> =
            buckets.iter().map(|(bucket, _)| thermocline_tiers::hot::Bucket(bucket.0)).collect();
        let contents = snapshot.contents(&numbers);
        let mut buffer = Vec::new();
        let mut found = |((bucket, places), content): ((Bucket, Vec<Position>), _)| {
            let damaged = places.iter().filter(|place| {
                let read = reader.read(**place, &mut buffer);
                matches!(read, Err(JournalError::Corrupt { .. } | JournalError::Io { .. }))
            });
            let journal_damage = damaged.count() as u32;
            let (content, error) = match content {
                Ok(content) => (Some(content), None),
                Err(error) => (None, Some(error)),
            };
            (Finding { bucket, content, journal_damage }, error)
        };
        buckets.into_iter().zip(contents).map(&mut found).collect()
    }
}

impl Worker {
    /// Begins to compare the buckets of this worker; `first_only`: those of which this node is the first replica. The report
    /// comes as an effect.
    pub(crate) fn audit(&mut self, now: u64, call: u64, first_only: bool) {
        if let Some(Audit { call: Some(_), .. }) = &self.audits.running {
            let report = VerifyReport { busy: true, ..VerifyReport::default() };
            return self.effects.reports.push((call, report));
        }
        self.begin_audit(now, Some(call), first_only);
    }

    fn begin_audit(&mut self, now: u64, call: Option<u64>, first_only: bool) {
        let me = self.settings.me;
        let mut places: BTreeMap<usize, Vec<Bucket>> = BTreeMap::new();
        for bucket in self.own_buckets() {
            if !first_only || self.route.replicas(bucket).first() == Some(&me) {
                places.entry(self.settings.dealing.place(bucket)).or_default().push(bucket);
            }
        }
        let chunks = places.values().flat_map(|buckets| buckets.chunks(BUCKETS_MAX));
        let left: VecDeque<Vec<Bucket>> = chunks.map(<[Bucket]>::to_vec).collect();
        let buckets = left.iter().map(Vec::len).sum::<usize>() as u64;
        self.audits.running = Some(Audit {
            call,
            left,
            again: BTreeMap::new(),
            round: 0,
            begun: now,
            resumes: now,
            waits: BTreeSet::new(),
            asked: Vec::new(),
            found: BTreeMap::new(),
            mended: BTreeSet::new(),
            report: VerifyReport { buckets, ..VerifyReport::default() },
        });
        self.go_on_with_audit(now);
    }

    /// Asks the next question, or ends the audit.
    pub(super) fn go_on_with_audit(&mut self, now: u64) {
        let every = self.settings.audit_every_ms;
        if self.audits.running.is_none() && every > 0 && self.founded {
            if self.audits.next_own == 0 {
                self.audits.next_own = now + every;
            } else if now >= self.audits.next_own {
                self.audits.next_own = now + every;
                self.begin_audit(now, None, true);
            }
        }
        let Some(audit) = &mut self.audits.running else { return };
        if !audit.asked.is_empty() {
            if now < audit.begun + ANSWER_MS {
                return;
            }
            return self.judge_audit(now);
        }
        if now < audit.resumes {
            return;
        }
        let Some(buckets) = audit.left.pop_front().or_else(|| next_again(audit, &self.settings.dealing))
        else {
            return self.end_audit();
        };
        audit.round += 1;
        audit.begun = now;
        audit.asked.clone_from(&buckets);
        let round = audit.round;
        let me = self.settings.me;
        let mut waits: BTreeSet<NodeId> = BTreeSet::from([me]);
        let peers: Vec<NodeId> = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node).collect();
        for peer in peers {
            let shared: Vec<Bucket> =
                buckets.iter().copied().filter(|bucket| self.route.holds(peer, *bucket)).collect();
            if !shared.is_empty() {
                waits.insert(peer);
                self.say(peer, &Item::AuditAsk { round, buckets: shared });
            }
        }
        if let Some(audit) = &mut self.audits.running {
            audit.waits = waits;
        }
        self.audit_asked(me, round, buckets);
    }

    /// A node, perhaps this one, wants to know what is here of some buckets.
    pub(super) fn audit_asked(&mut self, from: NodeId, round: u64, buckets: Vec<Bucket>) {
        if self.founded && self.audits.asked.len() < ASKED_MAX {
            self.audits.asked.push_back((from, round, buckets));
            self.read_for_audit();
        }
    }

    fn read_for_audit(&mut self) {
        while !self.audits.reading
            && let Some((to, round, mut buckets)) = self.audits.asked.pop_front()
        {
            buckets.retain(|bucket| self.owns(*bucket) && !self.lacks_state(*bucket));
            buckets.sort_unstable();
            buckets.dedup();
            let place = buckets.first().map(|bucket| self.settings.dealing.place(*bucket));
            buckets.retain(|bucket| Some(self.settings.dealing.place(*bucket)) == place);
            let Some(Ok(snapshot)) = place.map(|place| self.parts[place].snapshot()) else {
                // Nothing to tell, or too much to be flushed: who asked asks again.
                self.audit_read(0, to, round, Vec::new());
                continue;
            };
            let places = |bucket: &Bucket| {
                let all = self.index.chosen(*bucket, self.index.first(*bucket), Slot(u64::MAX), usize::MAX);
                (*bucket, all)
            };
            let buckets = buckets.iter().map(places).collect();
            self.audits.reading = true;
            self.effects.jobs.push(Job::Audit {
                to,
                round,
                reading: Box::new(Reading { snapshot, buckets }),
            });
        }
    }

    /// What was asked for was read.
    pub(super) fn audited(
        &mut self,
        now: u64,
        to: NodeId,
        round: u64,
        read: Vec<(Finding, Option<StateError>)>,
    ) {
        self.audits.reading = false;
        self.audit_read(now, to, round, read);
        self.read_for_audit();
    }

    fn audit_read(&mut self, now: u64, to: NodeId, round: u64, read: Vec<(Finding, Option<StateError>)>) {
        let mut findings = Vec::with_capacity(read.len());
        for (finding, error) in read {
            if let Some(error) = &error {
                self.state_is_damaged(now, finding.bucket, error);
            }
            if finding.journal_damage > 0 {
                // Once the state is on the disk, nobody needs the record any more; until then nobody is served from it.
                tracing::error!(
                    bucket = finding.bucket.0,
                    "records of the bucket in the journal cannot be read"
                );
                self.counters.journal_damage += u64::from(finding.journal_damage);
                self.index.forget(finding.bucket);
                self.flush_parts();
            }
            findings.push(finding);
        }
        if to == self.settings.me {
            self.audit_answered(now, to, round, findings);
        } else {
            self.say(to, &Item::AuditAnswer { round, findings });
        }
    }

    /// A replica says what it has.
    pub(super) fn audit_answered(&mut self, now: u64, from: NodeId, round: u64, findings: Vec<Finding>) {
        let Some(audit) = &mut self.audits.running else { return };
        if audit.round != round || !audit.waits.remove(&from) {
            return;
        }
        for finding in findings {
            audit.found.entry(finding.bucket.0).or_default().push((from, finding));
        }
        if audit.waits.is_empty() {
            self.judge_audit(now);
        }
    }

    /// All has come that will: compares it.
    fn judge_audit(&mut self, now: u64) {
        let Some(audit) = &mut self.audits.running else { return };
        let asked = std::mem::take(&mut audit.asked);
        let mut found = std::mem::take(&mut audit.found);
        let (mut repairs, mut behind) = (Vec::new(), Vec::new());
        for bucket in asked {
            let answers = found.remove(&bucket.0).unwrap_or_default();
            let replicas = self.route.replicas(bucket).len();
            for (node, finding) in &answers {
                audit.report.journal_damage += u64::from(finding.journal_damage);
                if finding.content.is_none() {
                    audit.report.unreadable.push((bucket.0, node.0));
                    audit.mended.insert(bucket.0);
                }
            }
            let verdict = compare(replicas, &answers);
            let furthest = answers
                .iter()
                .filter_map(|(node, finding)| Some((finding.content.as_ref()?.applied, *node)))
                .max();
            if let Some((applied, ahead)) = furthest {
                let is_behind = |(_, finding): &&(NodeId, Finding)| {
                    finding.content.as_ref().is_some_and(|content| content.applied < applied)
                };
                behind.extend(
                    answers.iter().filter(is_behind).map(|(node, _)| (*node, bucket, Slot(applied.0), ahead)),
                );
            }
            let attempts = audit.again.remove(&bucket.0).unwrap_or(0);
            match verdict {
                Verdict::Equal => {
                    audit.report.equal += 1;
                    audit.report.repaired += u64::from(audit.mended.remove(&bucket.0));
                    continue;
                }
                Verdict::Unlike { at, source, others, windows } => {
                    if audit.mended.insert(bucket.0) {
                        let nodes = others.iter().map(|node| node.0).collect();
                        audit.report.differences.push(Difference { bucket: bucket.0, nodes, windows });
                        repairs.extend(others.into_iter().map(|node| (node, bucket, at, source)));
                    }
                }
                Verdict::Incomparable => {}
            }
            if attempts + 1 < ATTEMPTS_MAX {
                audit.again.insert(bucket.0, attempts + 1);
            } else {
                audit.report.unverified.push(bucket.0);
            }
        }
        let pause = if audit.call.is_none() { (now - audit.begun).saturating_mul(SHARE - 1) } else { 0 };
        audit.resumes = now + if audit.left.is_empty() { pause.max(PAUSE_MS) } else { pause };
        // A replica of an idle bucket may have missed a decision.
        for (node, bucket, chosen, ahead) in behind {
            if node == self.settings.me {
                self.behind(now, bucket, ahead, chosen);
            } else {
                self.say(node, &Item::Hint { bucket, chosen });
            }
        }
        for (node, bucket, at, source) in repairs {
            tracing::error!(
                bucket = bucket.0,
                node = node.0,
                slot = at.0,
                "a replica differs from the majority; it is repaired"
            );
            self.counters.differences += 1;
            if node == self.settings.me {
                self.repair(bucket, at, source);
            } else {
                self.say(node, &Item::Repair { bucket, at, source });
            }
        }
        self.go_on_with_audit(now);
    }

    /// An audit found that what is here of a bucket is not what the majority has.
    pub(super) fn repair(&mut self, bucket: Bucket, at: Slot, source: NodeId) {
        if self.owns(bucket) && self.founded && self.failed.insert(bucket.0) {
            let at_least = at.max(self.core.status(bucket).chosen);
            self.want_transfer(bucket, at_least);
            self.prefer_source(bucket, source);
        }
    }

    /// Whether no audit is under way.
    #[cfg(test)]
    pub(super) fn is_audited(&self) -> bool {
        self.audits.running.is_none()
    }

    fn end_audit(&mut self) {
        let Some(Audit { call, mut report, mended, .. }) = self.audits.running.take() else { return };
        report.unrepaired = mended.len() as u64;
        tracing::info!(%report, "verified");
        if let Some(call) = call {
            self.effects.reports.push((call, report));
        }
    }
}

/// The next buckets that are compared again: all of one part.
fn next_again(audit: &mut Audit, dealing: &super::route::Dealing) -> Option<Vec<Bucket>> {
    let place = dealing.place(Bucket(*audit.again.keys().next()?));
    let same =
        audit.again.keys().map(|bucket| Bucket(*bucket)).filter(|bucket| dealing.place(*bucket) == place);
    Some(same.take(BUCKETS_MAX).collect())
}

/// How the replicas of a bucket compare.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// All of them are at one slot, and have the same.
    Equal,
    /// They are at different slots, not all have answered, or no majority agrees.
    Incomparable,
    /// A majority agrees, with `source` among it, and others have something else in these windows.
    Unlike { at: Slot, source: NodeId, others: Vec<NodeId>, windows: Vec<String> },
}

fn compare(replicas: usize, answers: &[(NodeId, Finding)]) -> Verdict {
    let readable: Vec<(NodeId, &Content)> =
        answers.iter().filter_map(|(node, finding)| Some((*node, finding.content.as_ref()?))).collect();
    let majority = replicas / 2 + 1;
    let agree = |content: &Content| readable.iter().filter(|(_, other)| *other == content).count();
    let Some((source, truth)) = readable.iter().copied().find(|(_, content)| agree(content) >= majority)
    else {
        return Verdict::Incomparable;
    };
    // Only at the same slot a difference is one.
    let others: Vec<(NodeId, &Content)> = readable
        .iter()
        .copied()
        .filter(|(_, content)| content.applied == truth.applied && *content != truth)
        .collect();
    if others.is_empty() {
        return if agree(truth) == replicas { Verdict::Equal } else { Verdict::Incomparable };
    }
    let windows = others.iter().flat_map(|(_, other)| differing(truth, other)).collect::<BTreeSet<_>>();
    Verdict::Unlike {
        at: Slot(truth.applied.0),
        source,
        others: others.iter().map(|(node, _)| *node).collect(),
        windows: windows.into_iter().collect(),
    }
}

/// Where two contents of one slot differ.
fn differing(one: &Content, other: &Content) -> Vec<String> {
    let sets: BTreeSet<&RunSet> = one.sets.keys().chain(other.sets.keys()).collect();
    let mut windows: Vec<String> = sets
        .into_iter()
        .filter(|set| one.sets.get(set) != other.sets.get(set))
        .map(|set| match set {
            RunSet::Window(window) => format!("window {}", window.0),
            _ => "undated".to_owned(),
        })
        .collect();
    if one.rest != other.rest {
        windows.push("outcomes and trims".to_owned());
    }
    if windows.is_empty() {
        windows.push("log".to_owned());
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use thermocline_tiers::hot::state::Window;

    fn answer(node: u16, applied: u64, sum: u64) -> (NodeId, Finding) {
        let sets = BTreeMap::from([(RunSet::Window(Window(3)), sum), (RunSet::Undated, 1)]);
        let applied = thermocline_tiers::hot::Slot(applied);
        let content = Some(Content { applied, sets, ..Content::default() });
        (NodeId(node), Finding { bucket: Bucket(1), content, journal_damage: 0 })
    }

    fn unreadable(node: u16) -> (NodeId, Finding) {
        (NodeId(node), Finding { bucket: Bucket(1), content: None, journal_damage: 0 })
    }

    #[test]
    fn the_majority_is_right_and_a_difference_is_one_at_equal_slots_only() {
        assert_eq!(compare(3, &[answer(1, 5, 7), answer(2, 5, 7), answer(3, 5, 7)]), Verdict::Equal);
        let Verdict::Unlike { at, source, others, windows } =
            compare(3, &[answer(1, 5, 8), answer(2, 5, 7), answer(3, 5, 7)])
        else {
            panic!("a difference was not seen");
        };
        assert_eq!((at, source, others), (Slot(5), NodeId(2), vec![NodeId(1)]));
        assert_eq!(windows, ["window 3"]);
        for incomparable in [
            vec![answer(1, 4, 8), answer(2, 5, 7), answer(3, 5, 7)],
            vec![answer(1, 5, 7), answer(2, 5, 7)],
            vec![answer(1, 5, 7), answer(2, 5, 8), answer(3, 5, 9)],
            vec![answer(1, 5, 7), answer(2, 5, 7), unreadable(3)],
            vec![],
        ] {
            assert_eq!(compare(3, &incomparable), Verdict::Incomparable);
        }
        assert_eq!(compare(1, &[answer(1, 5, 7)]), Verdict::Equal);
        let two_of_five =
            [answer(1, 5, 8), answer(2, 5, 8), answer(3, 5, 7), answer(4, 5, 7), answer(5, 5, 7)];
        assert!(matches!(compare(5, &two_of_five), Verdict::Unlike { others, .. } if others.len() == 2));
    }
}
