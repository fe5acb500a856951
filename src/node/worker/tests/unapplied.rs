//! A decided command that cannot be applied, because the disk refuses to be read.

use thermocline_tiers::disk::Call;

use super::*;
use crate::key::Version;

/// A write that the state must be read for.
fn put_if_absent(name: &Bytes) -> Ask {
    let value = Bytes::from_static(b"value");
    let put = Mutation::Put { position: Position::Undated, value, expires_at: None, expect: Expect::Absent };
    Ask::Write { entity: name.clone(), mutations: vec![put], token: None }
}

/// The time goes on, and all that is wanted is done.
fn go_on(worker: &mut Worker, journal: &mut Journal, now: u64) {
    worker.tick(now);
    worker.flush(now);
    commit(worker, journal);
    run_jobs(worker, journal);
    worker.flush(now);
    commit(worker, journal);
}

#[test]
pub(super) fn a_command_that_could_not_be_applied_is_tried_until_it_is() {
    let disk = Arc::new(MemoryDisk::new(1));
    let Recovered { mut workers, mut journal, .. } = recovered(disk.clone(), 1, 1, 7);
    let mut worker = workers.remove(0);
    found(&mut worker, 1);
    let (name, bucket) = entity(&worker, |_| true);
    call(&mut worker, 1, &name, put(&name));
    worker.flush(0);
    commit(&mut worker, &mut journal);
    assert!(matches!(replies(&mut worker)[..], [(1, Ok(Answer::Written(Version(1))))]));
    worker.flush_parts();
    run_jobs(&mut worker, &journal);
    assert_eq!(worker.durable(bucket), Slot(1));
    // The state has to be read for the condition, and cannot be; nor can the journal, from which the command is to be read back.
    const REFUSED: usize = 6;
    (1..=REFUSED as u64).for_each(|nth| disk.fail(Call::Read, nth, std::io::ErrorKind::Other));
    call(&mut worker, 2, &name, put_if_absent(&name));
    call(&mut worker, 3, &name, put(&name));
    (1..90).for_each(|now| go_on(&mut worker, &mut journal, now));
    assert_eq!((worker.applied(bucket), replies(&mut worker).len()), (Slot(1), 0));
    assert_eq!(worker.counters().state_errors, 1);
    assert_eq!(disk.failures_due(Call::Read), REFUSED - 1, "it is not tried all the time");
    let mut now = 90;
    while worker.is_behind(bucket) {
        now += 10;
        assert!(now < 900, "it is tried again: {} are still to fail", disk.failures_due(Call::Read));
        go_on(&mut worker, &mut journal, now);
    }
    assert_eq!(disk.failures_due(Call::Read), 0);
    let mut replies = replies(&mut worker);
    replies.sort_by_key(|(call, _)| *call);
    let conflict = Err(Error::Conflict { current: Some(Version(1)) });
    assert_eq!(replies[0], (2, conflict));
    assert!(matches!(replies[1..], [(3, Ok(Answer::Written(_)))]), "{replies:?}");
    assert_eq!(worker.applied(bucket), worker.core.status(bucket).chosen);
    call(&mut worker, 4, &name, put(&name));
    go_on(&mut worker, &mut journal, now + 1);
    assert!(matches!(self::replies(&mut worker)[..], [(4, Ok(Answer::Written(_)))]));
}
