//! A node that starts on a disk that its own journal has filled.

use thermocline_tiers::hot::journal::{JournalBatch, JournalError};

use super::*;

/// The oldest segment holds what is not in the state yet; the others nothing that recovery needs.
#[test]
fn a_node_starts_on_a_disk_that_its_journal_has_filled() {
    let disk = Arc::new(MemoryDisk::new(1));
    let mut node = recovered(disk.clone(), 1, 3, 7);
    node.write_first_commit().unwrap();
    let mut worker = node.workers.remove(0);
    found(&mut worker, 1);
    let (_, bucket) = entity(&worker, |nodes| nodes[0] == NodeId(2));
    tell(&mut worker, 0, 2, &first_slot(bucket, 2, 0, true));
    let mut submissions: Vec<Submission> = worker.effects().take_submissions().collect();
    let mut batches: Vec<&mut JournalBatch> =
        submissions.iter_mut().map(|submission| &mut submission.batch).collect();
    node.journal.commit(&mut batches).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + (7 << 19)));
    while node.journal.witness().is_ok() {}
    assert!(node.journal.segments().len() > 3);
    drop((worker, node));

    let mut node = recovered(disk, 1, 3, 8);
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    assert_eq!(node.workers[0].part(bucket).durable(state_bucket).0, 0);
    assert!(matches!(node.journal.witness(), Err(JournalError::Full { .. })));
    node.write_first_commit().unwrap();
    assert_eq!(node.workers[0].part(bucket).durable(state_bucket).0, 1);
}
