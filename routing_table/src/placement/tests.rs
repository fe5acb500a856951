use std::string::ToString;
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::bucket::BucketCount;
use crate::generate;
use crate::group::GroupCount;
use crate::table::Table;

/// A group of machines written as the zones of nodes 0, 1, 2, ...
fn machines(zones: &str) -> Vec<Machine> {
    (0..)
        .zip(zones.bytes())
        .map(|(id, zone)| Machine { node: NodeId(id), zone: Zone(u16::from(zone)) })
        .collect()
}

/// What a group's machines have to do for some buckets, counted.
struct Load {
    zones: Vec<Zone>,
    /// How often each machine comes first.
    first: Vec<u32>,
    /// How many replicas each machine has.
    held: Vec<u32>,
    /// For each machine, how often each other is second behind it: the load that falls there when it is dead.
    behind: Vec<Vec<u32>>,
}

impl Load {
    fn of(machines: &[Machine]) -> Self {
        let zones: Vec<Zone> = machines.iter().map(|machine| machine.zone).collect();
        let count = zones.len();
        Self { zones, first: vec![0; count], held: vec![0; count], behind: vec![vec![0; count]; count] }
    }

    fn add(&mut self, replicas: &[NodeId]) {
        let nodes: Vec<usize> = replicas.iter().map(|node| usize::from(node.0)).collect();
        for (at, &node) in nodes.iter().enumerate() {
            assert!(
                nodes[..at].iter().all(|&other| self.zones[other] != self.zones[node]),
                "{nodes:?} share a zone"
            );
            self.held[node] += 1;
        }
        self.first[nodes[0]] += 1;
        if let Some(&second) = nodes.get(1) {
            self.behind[nodes[0]][second] += 1;
        }
    }

    /// How far the machines of other zones differ in what they get from a dead machine, at most.
    fn uneven_behind(&self) -> u32 {
        let survivors =
            |dead: usize| (0..self.zones.len()).filter(move |&at| self.zones[at] != self.zones[dead]);
        let uneven = |dead: usize| difference(survivors(dead).map(|at| self.behind[dead][at]));
        (0..self.zones.len()).map(uneven).max().unwrap_or(0)
    }
}

fn difference(counts: impl Iterator<Item = u32> + Clone) -> u32 {
    counts.clone().max().unwrap_or(0) - counts.min().unwrap_or(0)
}

#[test]
fn groups_of_equal_zones_are_even_after_every_number_of_buckets() {
    let groups = ["ABC", "ABCDE", "ABCABC", "AABBCC", "ABCDEF", "AAABBBCCC", "ABCABCABC", "ABCDEFGHI"];
    for (zones, replicas) in groups.into_iter().flat_map(|zones| [1, 3, 5].map(|replicas| (zones, replicas)))
    {
        let machines = machines(zones);
        let Ok(placement) = Placement::new(&machines, ReplicaCount::try_from(replicas).unwrap()) else {
            assert!(
                zones.contains('C') && !zones.contains('E') && replicas == 5,
                "{zones} cannot have {replicas}"
            );
            continue;
        };
        let mut load = Load::of(&machines);
        for rank in 0..10_000 {
            load.add(placement.replicas(Rank(rank)));
            let at = std::format!("{zones}, {replicas} replicas, rank {rank}");
            assert!(difference(load.first.iter().copied()) <= 1, "{at}: first {:?}", load.first);
            assert!(load.uneven_behind() <= 1, "{at}: behind {:?}", load.behind);
            // A period starts from what the one before left, at most 3, and adds at most 4 on the way.
            let bound = 4 + 3 * (rank / placement.period);
            assert!(difference(load.held.iter().copied()) <= bound, "{at}: held {:?}", load.held);
        }
    }
}

#[test]
fn a_dead_machine_of_six_in_three_zones_loads_four_others_evenly() {
    let machines = machines("ABCABC");
    let placement = Placement::new(&machines, ReplicaCount::Three).unwrap();
    let mut load = Load::of(&machines);
    for rank in 0..2_400 {
        load.add(placement.replicas(Rank(rank)));
    }
    assert_eq!(load.first, [400; 6]);
    for dead in 0..6 {
        let shares: Vec<u32> =
            (0..6).map(|at| if machines[at].zone == machines[dead].zone { 0 } else { 100 }).collect();
        assert_eq!(load.behind[dead], shares, "machine {dead} dead");
    }
}

/// What counts in a cluster: a group's buckets at any number of groups are even over its machines.
#[test]
fn each_group_of_a_cluster_is_even_over_the_buckets_that_it_has() {
    let machines = machines("ABCABC");
    let placement = Placement::new(&machines, ReplicaCount::Three).unwrap();
    for count in [1, 2, 3, 10, 99, 512, 777, 1_000] {
        let count = GroupCount::new(count).unwrap();
        let mut loads: Vec<Load> = count.groups().map(|_| Load::of(&machines)).collect();
        for seat in Table::for_groups(count, BucketCount::DEFAULT).seats() {
            loads[usize::from(seat.group.index())].add(placement.replicas(seat.rank));
        }
        for load in loads {
            assert!(difference(load.first.iter().copied()) <= 1, "{count} groups: {:?}", load.first);
            assert!(load.uneven_behind() <= 1, "{count} groups: {:?}", load.behind);
            let bound = 4 + 3 * (BucketCount::DEFAULT.get() / u32::from(count.get()) / placement.period);
            assert!(difference(load.held.iter().copied()) <= bound, "{count} groups: {:?}", load.held);
        }
    }
}

/// All ways to put up to nine machines into zones: first places and a dead machine's load are even all the same, and
/// machines of equally large zones have about equally many replicas.
#[test]
fn groups_of_unequal_zones_are_as_even_as_they_can_be() {
    let mut shapes = vec![];
    (3..=9).for_each(|machines| split(machines, machines, &mut vec![], &mut shapes));
    assert_eq!(shapes.len(), 3 + 5 + 7 + 11 + 15 + 22 + 30);
    for (shape, replicas) in shapes.iter().flat_map(|shape| [3, 5].map(|replicas| (shape, replicas))) {
        let zone_of = (0..).zip(shape).flat_map(|(zone, &size)| core::iter::repeat_n(Zone(zone), size));
        let machines: Vec<Machine> =
            (0..).map(NodeId).zip(zone_of).map(|(node, zone)| Machine { node, zone }).collect();
        let replicas = ReplicaCount::try_from(replicas).unwrap();
        let placement = match Placement::new(&machines, replicas) {
            Ok(placement) => placement,
            Err(error) => {
                assert_eq!(error, PlacementError::TooFewZones { zones: shape.len(), replicas });
                assert!(shape.len() < replicas.get());
                continue;
            }
        };
        let mut load = Load::of(&machines);
        for rank in 0..placement.period {
            load.add(placement.replicas(Rank(rank)));
            assert!(difference(load.first.iter().copied()) <= 1, "{shape:?}");
            assert!(load.uneven_behind() <= 1, "{shape:?}");
            for size in 1..=9 {
                let alike = |at: &usize| shape[usize::from(machines[*at].zone.0)] == size;
                let held = (0..machines.len()).filter(alike).map(|at| load.held[at]);
                assert!(
                    difference(held) <= 6,
                    "{shape:?}, {replicas} replicas, rank {rank}: {:?}",
                    load.held
                );
            }
        }
        assert_eq!(difference(load.first.iter().copied()), 0, "{shape:?}");
        assert_eq!(load.uneven_behind(), 0, "{shape:?}");
    }
}

/// The ways to write `machines` as a sum of zone sizes that do not grow.
fn split(machines: usize, largest: usize, start: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    if machines == 0 {
        found.push(start.clone());
    }
    for size in 1..=largest.min(machines) {
        start.push(size);
        split(machines - size, size, start, found);
        start.pop();
    }
}

#[test]
fn the_published_orders_hold() {
    assert_eq!(generate::placement_vectors(), include_str!("../../vectors/placement.csv"));
}

#[test]
fn a_group_that_cannot_be_is_refused() {
    for count in [0, 2, 4, 6, 7, u32::MAX] {
        let error = ReplicaCount::try_from(count).unwrap_err();
        assert_eq!(error, PlacementError::ReplicaCount { count });
        assert!(error.to_string().contains(&count.to_string()));
    }
    let refused = |machines: &[Machine], replicas| Placement::new(machines, replicas).unwrap_err();
    assert_eq!(refused(&[], ReplicaCount::One), PlacementError::NoMachines);
    let many: Vec<Machine> = (0..65).map(|id| Machine { node: NodeId(id), zone: Zone(id) }).collect();
    assert_eq!(refused(&many, ReplicaCount::Three), PlacementError::TooManyMachines { count: 65 });
    let mut twice = machines("ABC");
    twice.push(Machine { node: NodeId(1), zone: Zone(9) });
    assert_eq!(refused(&twice, ReplicaCount::Three), PlacementError::DuplicateNode { node: NodeId(1) });
    for (zones, count, replicas) in [
        ("AAAA", 1, ReplicaCount::Three),
        ("AABB", 2, ReplicaCount::Three),
        ("ABCDABCD", 4, ReplicaCount::Five),
    ] {
        let error = refused(&machines(zones), replicas);
        assert_eq!(error, PlacementError::TooFewZones { zones: count, replicas });
        assert!(error.to_string().contains(&count.to_string()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Groups up to the largest, in zones of any sizes.
    #[test]
    fn any_legal_group_gets_an_order_that_depends_on_nothing_but_its_nodes_and_who_shares_a_zone(
        zones in proptest::collection::vec(0_u16..12, 1..=MACHINES_MAX),
        step in 1_u16..900,
        replicas in prop_oneof![Just(ReplicaCount::One), Just(ReplicaCount::Three), Just(ReplicaCount::Five)],
        turn in any::<proptest::sample::Index>(),
    ) {
        let group: Vec<Machine> = (0..).zip(&zones).map(|(id, &zone)| Machine { node: NodeId(id * step), zone: Zone(zone) }).collect();
        let distinct = zones.iter().collect::<std::collections::BTreeSet<_>>().len();
        let placed = Placement::new(&group, replicas);
        if distinct < replicas.get() {
            prop_assert_eq!(placed, Err(PlacementError::TooFewZones { zones: distinct, replicas }));
            return Ok(());
        }
        let placed = placed.unwrap();

        let mut other = group.clone();
        other.rotate_left(turn.index(group.len()));
        other.reverse();
        for machine in &mut other {
            machine.zone = Zone(7_000 - 13 * machine.zone.0);
        }
        prop_assert_eq!(&Placement::new(&other, replicas).unwrap(), &placed);

        let same_node_numbers: Vec<Machine> = (0..).zip(&zones).map(|(id, &zone)| Machine { node: NodeId(id), zone: Zone(zone) }).collect();
        let mut load = Load::of(&same_node_numbers);
        for rank in 0..2 * placed.period {
            let nodes: Vec<NodeId> = placed.replicas(Rank(rank)).iter().map(|node| NodeId(node.0 / step)).collect();
            prop_assert_eq!(nodes.len(), replicas.get());
            load.add(&nodes);
        }
        prop_assert_eq!(difference(load.first.iter().copied()), 0);
        prop_assert_eq!(placed.replicas(Rank(u32::MAX)), placed.replicas(Rank(u32::MAX % placed.period)));
    }
}
