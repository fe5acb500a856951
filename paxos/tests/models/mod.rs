//! The small groups that are searched, each within a bound of its own, and how many states that bound has.

use crate::exhaustive::{Bound, Model};

const ALL: usize = usize::MAX;

const NOTHING: Bound = Bound {
    proposals: [0; 5],
    hand_overs: [0; 5],
    retries: [0; 5],
    crashes: [0; 5],
    wipes: [0; 5],
    reads: [0; 5],
};
/// A proposal by the owner of slot 1, and one by somebody else.
const TWO: Bound = Bound { proposals: [1, 1, 0, 0, 0], ..NOTHING };
/// Two proposals, and none by the owner.
const STRANGERS: Bound = Bound { proposals: [0, 1, 1, 0, 0], ..NOTHING };

const THREE: Model = Model {
    name: "",
    states: 0,
    replicas: 3,
    slots: 1,
    kept: 1,
    cut: &[],
    synced_at_once: true,
    thrifty: false,
    bounds: &[],
};

/// One replica, which does not own the slot, proposes; any one crashes, between any two syncs; all messages stay.
pub(crate) const ONE_PROPOSER: Model = Model {
    name: "one proposer, one crash",
    states: 12_704,
    kept: ALL,
    synced_at_once: false,
    bounds: &[
        Bound { proposals: once(1), crashes: once(0), ..NOTHING },
        Bound { proposals: once(1), crashes: once(1), ..NOTHING },
        Bound { proposals: once(1), crashes: once(2), ..NOTHING },
    ],
    ..THREE
};

/// The same, and the proposer that crashed proposes again.
pub(crate) const PROPOSER_CRASHES: Model = Model {
    name: "one proposer, which crashes and proposes again",
    states: 180_828,
    kept: 1,
    bounds: &[Bound { proposals: [0, 2, 0, 0, 0], crashes: once(1), ..NOTHING }],
    ..ONE_PROPOSER
};

/// Two slots, of which somebody who had not heard of the first may find out; it crashes.
pub(crate) const CRASH_IN_SLOT_2: Model = Model {
    name: "two slots, one crash",
    states: 1_117_503,
    slots: 2,
    bounds: &[
        Bound { proposals: [2, 0, 0, 0, 0], crashes: once(1), ..NOTHING },
        Bound { proposals: [1, 1, 0, 0, 0], crashes: once(2), ..NOTHING },
    ],
    ..THREE
};

/// The same, where the owner asks only one of the others, and both if its timer runs.
pub(crate) const THRIFTY: Model = Model {
    name: "two slots, one crash, one asked first",
    states: 810_755,
    thrifty: true,
    bounds: &[
        Bound { proposals: [2, 0, 0, 0, 0], crashes: once(1), retries: once(0), ..NOTHING },
        Bound { proposals: [1, 1, 0, 0, 0], crashes: once(2), ..NOTHING },
    ],
    ..CRASH_IN_SLOT_2
};

/// Two slots; the owner, or another replica, loses its disk, and votes again from its floor.
pub(crate) const FLOOR: Model = Model {
    name: "two slots, one lost disk",
    states: 38_764,
    slots: 2,
    bounds: &[
        Bound { proposals: [2, 0, 0, 0, 0], wipes: once(0), ..NOTHING },
        Bound { proposals: [2, 0, 0, 0, 0], wipes: once(1), ..NOTHING },
    ],
    ..THREE
};

/// Five replicas: A and its majority with B and C, E and its majority with C and D. A owns slot 1 and proposes; E proposes too. E may
/// recover A's value while A's own votes are under way. The next slot is opened and judged. All messages stay.
pub(crate) const OWNERSHIP: Model = Model {
    name: "ownership among five",
    states: 117_314,
    replicas: 5,
    kept: ALL,
    cut: &[(0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3)],
    bounds: &[Bound { proposals: [1, 0, 0, 0, 1], ..NOTHING }],
    ..THREE
};

/// The same with a second proposal of A, until slot 2 is decided.
pub(crate) const OWNERSHIP_IN_SLOT_2: Model = Model {
    name: "ownership among five, two slots",
    states: 489_806,
    slots: 2,
    kept: 1,
    bounds: &[Bound { proposals: [2, 0, 0, 0, 1], ..NOTHING }],
    ..OWNERSHIP
};

/// Two slots: the owner hands the bucket over, to either of the others; it proposes again, or another does.
pub(crate) const HAND_OVER: Model = Model {
    name: "two slots, one handed over",
    states: 383_019,
    slots: 2,
    bounds: &[
        Bound { hand_overs: once(0), proposals: once(0), ..NOTHING },
        Bound { hand_overs: once(0), proposals: once(1), ..NOTHING },
    ],
    ..THREE
};

/// Two proposers, of which one owns the slot, or none; every record is synced apart.
pub(crate) const TWO_PROPOSERS: Model = Model {
    name: "two proposers",
    states: 1_198_484,
    synced_at_once: false,
    bounds: &[TWO, STRANGERS],
    ..THREE
};

/// Two proposers, of which one owns the slot, or none; of each link two messages may still arrive.
pub(crate) const LATE: Model = Model {
    name: "two proposers, late messages",
    states: 1_595_364,
    kept: 2,
    bounds: &[TWO, STRANGERS],
    ..THREE
};

/// Two proposers, each of which may try again.
pub(crate) const SECOND_PREPARE: Model = Model {
    name: "two proposers, a second prepare",
    states: 7_720_090,
    bounds: &[Bound { retries: [1, 1, 0, 0, 0], ..TWO }],
    ..THREE
};

/// Two proposers; any one replica crashes, with any part of what it had not synced.
pub(crate) const CRASH: Model = Model {
    name: "two proposers, one crash",
    states: 8_974_154,
    synced_at_once: false,
    bounds: &[
        Bound { crashes: once(0), ..TWO },
        Bound { crashes: once(2), ..TWO },
        Bound { crashes: once(1), ..TWO },
    ],
    ..THREE
};

/// Two proposers, on a line: the owner reaches the other one only, which crashes.
pub(crate) const CRASH_BETWEEN: Model = Model {
    name: "two proposers on a line, one crash",
    states: 83_280,
    cut: &[(0, 2)],
    synced_at_once: false,
    bounds: &[Bound { crashes: once(1), ..TWO }],
    ..THREE
};

/// Two proposers; any one replica loses its disk.
pub(crate) const AMNESIA: Model = Model {
    name: "two proposers, one lost disk",
    states: 746_434,
    bounds: &[
        Bound { wipes: once(0), ..TWO },
        Bound { wipes: once(1), ..TWO },
        Bound { wipes: once(2), ..TWO },
    ],
    ..THREE
};

/// Two proposers; any one replica reads.
pub(crate) const READS: Model = Model {
    name: "two proposers, one read",
    states: 1_256_129,
    bounds: &[
        Bound { reads: once(0), ..TWO },
        Bound { reads: once(1), ..TWO },
        Bound { reads: once(2), ..TWO },
    ],
    ..THREE
};

/// One proposer; any one replica loses its disk; the first reads.
pub(crate) const READS_AND_AMNESIA: Model = Model {
    name: "one lost disk, one read",
    states: 409_752,
    bounds: &[
        Bound { proposals: once(1), wipes: once(0), reads: once(0), ..NOTHING },
        Bound { proposals: once(1), wipes: once(1), reads: once(0), ..NOTHING },
        Bound { proposals: once(1), wipes: once(2), reads: once(0), ..NOTHING },
    ],
    ..THREE
};

const fn once(index: usize) -> [u8; 5] {
    let mut counts = [0; 5];
    counts[index] = 1;
    counts
}
