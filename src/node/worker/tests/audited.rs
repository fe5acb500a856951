//! Audits while nothing can be read.

use super::*;

/// A node without peers whose buckets all wait for their state: each of its questions to itself is answered at once, with nothing.
fn without_state() -> Worker {
    let mut worker = worker(1, 1, 7);
    worker.failed.extend(0..BUCKETS);
    worker
}

#[test]
fn what_is_answered_at_once_with_nothing_is_not_asked_all_in_one_go() {
    let mut worker = without_state();
    worker.audit(1_000, 9, false);
    assert_eq!(worker.audit_questions(), Some(1));
    worker.tick(1_005);
    assert_eq!(worker.audit_questions(), Some(1), "there is a pause");
    worker.tick(1_200);
    assert_eq!(worker.audit_questions(), Some(2));
    for now in (1_300..60_000).step_by(50) {
        worker.tick(now);
    }
    let reports = std::mem::take(&mut worker.effects().reports);
    let [(9, report)] = &reports[..] else { panic!("{} reports", reports.len()) };
    assert_eq!((report.equal, report.unverified.len()), (0, BUCKETS as usize));
}

#[test]
fn an_audit_of_its_own_accord_comes_through_when_nothing_can_be_read() {
    let mut worker = without_state();
    worker.settings.audit_every_ms = 20_000;
    let mut begun = 0;
    for now in (0..100_000).step_by(50) {
        let was_audited = worker.is_audited();
        worker.tick(now);
        begun += u32::from(was_audited && !worker.is_audited());
    }
    assert!(begun >= 3, "{begun} audits in 100 s");
}

#[test]
fn an_audit_ends_when_the_node_fails_and_says_what_it_has_not_compared() {
    let mut worker = worker(1, 3, 7);
    worker.audit(1_000, 9, false);
    worker.node_failed("the journal failed");
    worker.tick(1_005);
    worker.audit(1_010, 10, false);
    let reports = std::mem::take(&mut worker.effects().reports);
    let [(9, first), (10, second)] = &reports[..] else { panic!("{} reports", reports.len()) };
    for report in [first, second] {
        assert_eq!((report.equal, report.unverified.len()), (0, BUCKETS as usize));
        assert!(!report.is_clean());
    }
}
