//! Where peers say that they can be reached.

use super::*;
use crate::node::effects::Done;

/// Node 1, with a topology of epoch 5. It remembers node 2.
fn of_epoch_5() -> Worker {
    let mut worker = worker(1, 3, 7);
    worker.settings.address = Some((5, "here:1".into()));
    worker.kept.peers.remember(2, &life(2), &[], None).unwrap();
    worker
}

/// Node 2 says where it can be reached; where it is dialled because of that.
fn dialled(worker: &mut Worker, epoch: u64, address: &str) -> Vec<String> {
    tell(worker, 0, 2, &Item::Address { epoch, address: address.into() });
    for job in std::mem::take(&mut worker.effects().jobs) {
        if let Job::RememberAddress { file, node, epoch, address } = job {
            let remembered = file.remember_address(node.0, epoch, &address);
            worker.job_done(0, Done::AddressRemembered(node, remembered));
        }
    }
    let addresses = std::mem::take(&mut worker.effects().addresses);
    assert!(addresses.iter().all(|(node, _)| *node == NodeId(2)));
    addresses.into_iter().map(|(_, address)| address).collect()
}

#[test]
pub(super) fn an_address_is_believed_only_as_of_a_later_epoch_than_the_topology() {
    let mut worker = of_epoch_5();
    // A proxy may stand before a peer: what that calls itself by the same topology is not where it is dialled.
    for epoch in [0, 4, 5] {
        assert_eq!(dialled(&mut worker, epoch, "itself:1"), [""; 0], "told as of epoch {epoch}");
    }
    assert_eq!(worker.kept.peers.of(2).unwrap().address, None, "nothing is written down");
    assert_eq!(dialled(&mut worker, 6, "new:1"), ["new:1"]);
    assert_eq!(worker.kept.peers.of(2).unwrap().address, Some((6, "new:1".into())));
}

#[test]
fn of_two_machines_in_a_dead_one_s_place_the_later_is_dialled() {
    let mut worker = of_epoch_5();
    assert_eq!(dialled(&mut worker, 7, "second:1"), ["second:1"]);
    assert_eq!(dialled(&mut worker, 7, "second:1"), [""; 0], "it is dialled there already");
    assert_eq!(dialled(&mut worker, 6, "first:1"), [""; 0], "what comes late is older");
    assert_eq!(dialled(&mut worker, 7, "third:1"), ["third:1"], "it was replaced twice by one topology file");
}

/// A peer cannot be asked which lives it accounts for where the machine was that it takes the place of.
#[test]
fn where_a_new_machine_is_is_believed_before_it_is_heard() {
    let mut worker = of_epoch_5();
    let newcomer = Life { disk: 77, id: 78, ..life(2) };
    for (epoch, there) in [(5, None), (6, Some("new:1"))] {
        tell_in(&mut worker, 0, 2, newcomer, &[Item::Address { epoch, address: "new:1".into() }]);
        assert_eq!(worker.counters.frames_of_old_lives, epoch - 4, "it is asked first");
        let told = worker.effects().jobs.drain(..).find_map(|job| match job {
            Job::RememberAddress { address, .. } => Some(address),
            _ => None,
        });
        assert_eq!(told.as_deref(), there, "told as of epoch {epoch}");
    }
}
