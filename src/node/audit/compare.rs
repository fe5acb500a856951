//! What replicas have of one bucket, compared.

use std::collections::BTreeSet;

use thermocline_paxos::{NodeId, Slot};
use thermocline_tiers::hot::state::{Content, RunSet};

use super::Finding;

/// How the replicas of a bucket compare.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of them are at one slot, and have the same.
    Equal,
    /// They are at different slots, not all have answered, or no majority agrees.
    Incomparable,
    /// A majority agrees, with `source` among it, and others have something else in these windows.
    Unlike { at: Slot, source: NodeId, others: Vec<NodeId>, windows: Vec<String> },
}

pub(super) fn compare(replicas: usize, answers: &[(NodeId, Finding)]) -> Verdict {
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
    use std::collections::BTreeMap;

    use thermocline_paxos::Bucket;
    use thermocline_tiers::hot::state::Window;

    use super::*;

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
