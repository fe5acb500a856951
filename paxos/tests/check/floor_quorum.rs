//! I6, directly: one peer's answer is no vote floor; it takes a majority of the group, all of them others (DESIGN 4). Random
//! histories reach the harm of a floor from too few peers too seldom to rely on them.

use thermocline_paxos::{
    Boot, Bucket, Core, Limits, NodeId, Originator, Output, Record, Restored, Slot, Vote,
};

use super::Checked;

pub(crate) fn check_floor_quorum() -> Checked {
    for count in [3_u16, 5] {
        let members: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let me = Originator { node: NodeId(1), boot: Boot { disk: 1, count: 1 } };
        let mut core = Core::new(me, 0, Limits::default());
        let restored = Restored { vote: Vote::LearnerOnly, ..Restored::default() };
        core.open(Bucket(0), &members, restored).map_err(|error| format!("{error:?}"))?;
        let mut out = Output::default();
        let needed = count / 2 + 1;
        for answers in 1..=needed {
            // The one asked last has touched the most; who answers twice counts once.
            for _ in 0..2 {
                if out.persist.is_empty() {
                    let touched = Slot(u64::from(answers));
                    core.floor_answer(Bucket(0), NodeId(1 + answers), touched, &mut out);
                }
            }
            let floor = out.persist.first().map(|persist| persist.record.clone());
            let expected = Record::Floor { slot: Slot(u64::from(needed) + 2) };
            let expected = if answers == needed { Some(expected) } else { None };
            if floor != expected {
                return Err(format!("I6: {answers} of {count} replicas give {floor:?}, not {expected:?}"));
            }
        }
    }
    Ok(())
}
