//! Full verification: what lies on the disks of all replicas is read and compared, bucket by bucket at equal slots; what differs from the
//! majority is taken over anew.
//!
//! The node that audits asks all replicas of some buckets for their contents: sums over what they read back (`Content`). Replicas that
//! are not at the same slot are asked again. A replica that cannot read what it has says so, and repairs itself.

mod compare;
mod reading;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thermocline_paxos::{Bucket, NodeId, Slot};
use thermocline_tiers::hot::state::{Content, StateError};

use self::compare::{Verdict, compare};
pub(crate) use self::reading::Reading;
use super::effects::Job;
use super::wire::Item;
use super::worker::Worker;
use crate::verify::{Difference, VerifyReport};

/// So many buckets are compared at a time; all of one part, because each question costs a memtable.
const BUCKETS_MAX: usize = 256;

/// And about so many bytes, unless one bucket has more.
const BYTES_MAX: u64 = 64 << 20;

/// An answer that does not come in so long is not waited for, in milliseconds; longer, if more is to be read than this in a millisecond.
const ANSWER_MS: u64 = 10_000;
const BYTES_PER_MS: u64 = 4_000;

/// Who has not answered so many questions one after the other is not asked again.
const UNANSWERED_MAX: u32 = 2;

/// When nothing else is left to be compared, replicas that are away, or do not answer, are waited for so long, in milliseconds.
const AWAY_MS: u64 = 5_000;

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
    /// How long the answers are waited for, in milliseconds.
    patience: u64,
    resumes: u64,
    waits: BTreeSet<NodeId>,
    asked: Vec<Bucket>,
    /// How many questions, one after the other, a replica did not answer in time. Who answers is forgiven.
    unanswered: BTreeMap<NodeId, u32>,
    /// When buckets are given up of which a replica is away; set once nothing else is left.
    until: Option<u64>,
    found: BTreeMap<u32, Vec<(NodeId, Finding)>>,
    /// Buckets that were to be repaired.
    mended: BTreeSet<u32>,
    report: VerifyReport,
}

impl Audit {
    /// Whether a node is not asked any more.
    fn is_silent(&self, node: NodeId) -> bool {
        self.unanswered.get(&node).is_some_and(|unanswered| *unanswered >= UNANSWERED_MAX)
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
        let chunks =
            places.iter().flat_map(|(place, buckets)| buckets.chunks(self.buckets_of_question(*place)));
        let left: VecDeque<Vec<Bucket>> = chunks.map(<[Bucket]>::to_vec).collect();
        let buckets = left.iter().map(Vec::len).sum::<usize>() as u64;
        self.audits.running = Some(Audit {
            call,
            left,
            again: BTreeMap::new(),
            round: 0,
            begun: now,
            patience: ANSWER_MS,
            resumes: now,
            waits: BTreeSet::new(),
            asked: Vec::new(),
            unanswered: BTreeMap::new(),
            until: None,
            found: BTreeMap::new(),
            mended: BTreeSet::new(),
            report: VerifyReport { buckets, ..VerifyReport::default() },
        });
        self.go_on_with_audit(now);
    }

    /// About how many bytes this node has of each bucket of a part.
    fn bytes_of_bucket(&self, place: usize) -> u64 {
        let buckets = self.own_buckets().filter(|bucket| self.settings.dealing.place(*bucket) == place);
        self.parts[place].stats().run_bytes / (buckets.count() as u64).max(1)
    }

    /// How many buckets of a part are compared at a time.
    fn buckets_of_question(&self, place: usize) -> usize {
        let fit = BYTES_MAX / self.bytes_of_bucket(place).max(1);
        (fit as usize).clamp(1, BUCKETS_MAX)
    }

    /// The replicas of the bucket that cannot be asked.
    fn away_of<'a>(&'a self, audit: &'a Audit, bucket: Bucket) -> impl Iterator<Item = NodeId> + 'a {
        let others = self.route.replicas(bucket).iter().copied().filter(|node| *node != self.settings.me);
        others.filter(|node| !self.is_up(*node) || audit.is_silent(*node))
    }

    fn is_one_away(&self, audit: &Audit, bucket: Bucket) -> bool {
        self.away_of(audit, bucket).next().is_some()
    }

    /// The next buckets that are compared again, all of one part. Without those of which a replica is away.
    fn next_again(&self, audit: &Audit) -> Option<Vec<Bucket>> {
        let dealing = &self.settings.dealing;
        let mut again = audit.again.keys().map(|bucket| Bucket(*bucket));
        let first = again.find(|bucket| !self.is_one_away(audit, *bucket))?;
        let place = dealing.place(first);
        let same =
            again.filter(|bucket| dealing.place(*bucket) == place && !self.is_one_away(audit, *bucket));
        Some(std::iter::once(first).chain(same).take(self.buckets_of_question(place)).collect())
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
        let Some(mut audit) = self.audits.running.take() else { return };
        if self.stopped {
            // It answers nobody any more, and not itself either.
            let rest = audit.left.drain(..).flatten().chain(std::mem::take(&mut audit.asked));
            audit.again.extend(rest.map(|bucket| (bucket.0, 0)));
            self.audits.running = Some(audit);
            return self.end_audit();
        }
        if !audit.asked.is_empty() {
            let is_late = now >= audit.begun + audit.patience;
            if is_late {
                for node in std::mem::take(&mut audit.waits) {
                    *audit.unanswered.entry(node).or_default() += 1;
                }
            }
            self.audits.running = Some(audit);
            if is_late {
                self.judge_audit(now);
            }
            return;
        }
        let next = if now < audit.resumes {
            None
        } else {
            audit.left.pop_front().or_else(|| self.next_again(&audit))
        };
        let Some(buckets) = next else {
            let is_over = now >= audit.resumes
                && (audit.again.is_empty() || now >= *audit.until.get_or_insert(now + AWAY_MS));
            self.audits.running = Some(audit);
            if is_over {
                self.end_audit();
            }
            return;
        };
        let place = self.settings.dealing.place(buckets[0]);
        audit.patience = ANSWER_MS + self.bytes_of_bucket(place) * buckets.len() as u64 / BYTES_PER_MS;
        audit.until = None;
        audit.round += 1;
        audit.begun = now;
        audit.asked.clone_from(&buckets);
        let round = audit.round;
        let me = self.settings.me;
        let mut waits: BTreeSet<NodeId> = BTreeSet::from([me]);
        let peers: Vec<NodeId> = self.peers.iter().filter(|peer| peer.up).map(|peer| peer.node).collect();
        for peer in peers.into_iter().filter(|peer| !audit.is_silent(*peer)) {
            let shared: Vec<Bucket> =
                buckets.iter().copied().filter(|bucket| self.route.holds(peer, *bucket)).collect();
            if !shared.is_empty() {
                waits.insert(peer);
                self.say(peer, &Item::AuditAsk { round, buckets: shared });
            }
        }
        audit.waits = waits;
        self.audits.running = Some(audit);
        self.audit_asked(now, me, round, buckets);
    }

    /// A node, perhaps this one, wants to know what is here of some buckets.
    pub(super) fn audit_asked(&mut self, now: u64, from: NodeId, round: u64, buckets: Vec<Bucket>) {
        if self.founded && self.audits.asked.len() < ASKED_MAX {
            self.audits.asked.push_back((from, round, buckets));
            self.read_for_audit(now);
        }
    }

    fn read_for_audit(&mut self, now: u64) {
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
                self.audit_read(now, to, round, Vec::new());
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
        self.read_for_audit(now);
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
        audit.unanswered.remove(&from);
        for finding in findings {
            audit.found.entry(finding.bucket.0).or_default().push((from, finding));
        }
        if audit.waits.is_empty() {
            self.judge_audit(now);
        }
    }

    /// All has come that will: compares it.
    fn judge_audit(&mut self, now: u64) {
        let lost = self.lost_buckets();
        let Some(audit) = &mut self.audits.running else { return };
        let asked = std::mem::take(&mut audit.asked);
        let mut found = std::mem::take(&mut audit.found);
        // Then this node has answered at once, and would the next question too: that one comes later.
        let found_nothing = found.is_empty();
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
            if lost.contains(&bucket) {
                audit.again.remove(&bucket.0);
                audit.report.unverified.push(bucket.0);
                continue;
            }
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
        let pauses = audit.left.is_empty() || found_nothing;
        audit.resumes = now + if pauses { pause.max(PAUSE_MS) } else { pause };
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

    /// How many questions the audit under way has asked.
    #[cfg(test)]
    pub(super) fn audit_questions(&self) -> Option<u64> {
        self.audits.running.as_ref().map(|audit| audit.round)
    }

    fn end_audit(&mut self) {
        let Some(audit) = self.audits.running.take() else { return };
        let mut report = audit.report.clone();
        report.unrepaired = audit.mended.len() as u64;
        for bucket in audit.again.keys() {
            let away = self.away_of(&audit, Bucket(*bucket));
            report.away.extend(away.map(|node| node.0));
            report.unverified.push(*bucket);
        }
        tracing::info!(%report, "verified");
        if let Some(call) = audit.call {
            self.effects.reports.push((call, report));
        }
    }
}
