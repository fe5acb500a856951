//! The generator of the hard-coded table and of the published vectors. No node runs it: the tests do, to compare its
//! output with the files in the repository, and `cargo run -p thermocline-routing-table --example generate` writes
//! them. It builds the lists of buckets themselves and looks at nothing that the lookups use, so that each checks the
//! other.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::bucket::BucketCount;
use crate::group::GroupCount;
use crate::hash::{ENTITY_HASH_SEED, entity_hash};
use crate::map::Rank;
use crate::placement::{Machine, NodeId, Placement, ReplicaCount, Zone};
use crate::table::layout;

/// The bytes of `table/owners.bin`. Their layout stands in `src/table.rs`.
#[must_use]
pub fn table() -> Vec<u8> {
    let mut digests = Vec::new();
    let mut sizes = Vec::new();
    for buckets in BucketCount::all() {
        digests.extend(growth(buckets, &mut sizes).to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(layout::TABLE_LEN);
    bytes.extend(layout::MAGIC);
    bytes.extend(layout::VERSION.to_le_bytes());
    bytes.extend(u32::from(GroupCount::MAX.get()).to_le_bytes());
    bytes.extend(BucketCount::MIN.bits().to_le_bytes());
    bytes.extend(BucketCount::MAX.bits().to_le_bytes());
    bytes.extend(ENTITY_HASH_SEED.to_le_bytes());
    bytes.extend(digests);
    bytes.extend(sizes);
    bytes.extend(entity_hash(&bytes).to_le_bytes());
    bytes
}

/// Grows a cluster from 1 to 1,000 groups, appends the rows of sizes, and returns a digest of all owners.
///
/// The digest starts as 0; each group that joins sets it to the hash of its eight bytes followed by the numbers of
/// the buckets in the newcomer's list, 4 bytes each.
fn growth(buckets: BucketCount, sizes: &mut Vec<u8>) -> u64 {
    let mut lists = vec![(0..buckets.get()).collect::<Vec<u32>>()];
    let mut has_extra = vec![false];
    push_row(&has_extra, sizes);
    let mut digest = 0_u64;
    for count in 2..=u32::from(GroupCount::MAX.get()) {
        has_extra = choose_extra(buckets.get(), count, &has_extra);
        push_row(&has_extra, sizes);
        let mut newcomer = Vec::new();
        for (list, &extra) in lists.iter_mut().zip(&has_extra) {
            let kept = buckets.get() / count + u32::from(extra);
            newcomer.extend(list.drain(kept as usize..));
        }
        let hashed: Vec<u8> = digest
            .to_le_bytes()
            .into_iter()
            .chain(newcomer.iter().flat_map(|bucket| bucket.to_le_bytes()))
            .collect();
        digest = entity_hash(&hashed);
        lists.push(newcomer);
    }
    digest
}

/// Chooses the groups that hold one bucket more than the others once there are `count` groups.
///
/// `before` says which ones did with one group fewer. Groups that did go on doing so as far as possible: so each hands
/// about the same number to the newcomer, and moving loads all of them alike.
fn choose_extra(buckets: u32, count: u32, before: &[bool]) -> Vec<bool> {
    let (floor_before, floor) = (buckets / (count - 1), buckets / count);
    let wanted = (buckets % count) as usize;
    let holders: Vec<usize> = (0..before.len()).filter(|&group| before[group]).collect();
    let mut chosen = vec![false; count as usize];
    if wanted <= holders.len() {
        spread(&holders, wanted, &mut chosen);
    } else {
        // A group that was at the floor can only hold one more than the floor now if the floor has sunk.
        let may_rise = |group: &usize| !before.get(*group).is_some_and(|&held| held || floor_before == floor);
        let others: Vec<usize> = (0..count as usize).filter(may_rise).collect();
        spread(&holders, holders.len(), &mut chosen);
        spread(&others, wanted - holders.len(), &mut chosen);
    }
    chosen
}

/// Chooses `wanted` of the candidates, evenly spread over them.
fn spread(candidates: &[usize], wanted: usize, chosen: &mut [bool]) {
    let below = |at: usize| at * wanted / candidates.len();
    for (at, &group) in candidates.iter().enumerate() {
        chosen[group] = below(at + 1) > below(at);
    }
}

fn push_row(has_extra: &[bool], sizes: &mut Vec<u8>) {
    for groups in has_extra.chunks(64) {
        let word =
            groups.iter().enumerate().fold(0_u64, |word, (bit, &extra)| word | u64::from(extra) << bit);
        sizes.extend(word.to_le_bytes());
    }
}

/// The text of `vectors/entity_hash.csv`: entities with their hashes and their buckets at three bucket counts.
#[must_use]
pub fn entity_vectors() -> String {
    let counts = [BucketCount::MIN, BucketCount::DEFAULT, BucketCount::MAX];
    let mut text = String::from("entity_hex,hash_hex");
    for count in counts {
        let _ = write!(text, ",bucket_of_{count}");
    }
    text.push('\n');
    for entity in vector_entities() {
        let hash = entity_hash(&entity);
        let hex: String = entity.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(text, "{hex},{hash:016x}");
        for count in counts {
            let _ = write!(text, ",{}", count.bucket_of_hash(hash));
        }
        text.push('\n');
    }
    text
}

/// A few readable entities, then bytes 0, 1, 2, ... of lengths around every border of the hash's own cases.
fn vector_entities() -> impl Iterator<Item = Vec<u8>> {
    let texts = ["a", "alice", "inbox:42", "user:1000000007", "device/7f3a9c/temperature/outside"];
    let lengths = [
        1, 2, 3, 4, 5, 8, 9, 12, 16, 17, 24, 32, 33, 40, 64, 65, 96, 97, 128, 129, 160, 192, 240, 241, 256,
        512, 1_023, 1_024,
    ];
    let counting = lengths.into_iter().map(|len: u32| (0..len).map(|at| at as u8).collect());
    texts.into_iter().map(|text| text.as_bytes().to_vec()).chain(counting)
}

/// How many ranks the digests of `vectors/placement.csv` cover.
const DIGESTED_RANKS: u32 = 4_096;

/// The text of `vectors/placement.csv`: for several groups, a digest of the replicas of the first 4,096 ranks (the hash
/// of their nodes in order, 2 bytes each) and the replicas of the first 12.
#[must_use]
pub fn placement_vectors() -> String {
    // The machines' zones; a machine's place here is its node's number.
    let groups: [(&str, ReplicaCount); 9] = [
        ("A", ReplicaCount::One),
        ("ABC", ReplicaCount::One),
        ("ABC", ReplicaCount::Three),
        ("ABCDE", ReplicaCount::Three),
        ("ABCDE", ReplicaCount::Five),
        ("ABCABC", ReplicaCount::Three),
        ("AABBC", ReplicaCount::Three),
        ("AAABBBCCC", ReplicaCount::Three),
        ("ABCDEFABC", ReplicaCount::Five),
    ];
    let mut text = String::from("zones_of_nodes_from_0,replicas,digest_hex,first_ranks\n");
    for (zones, replicas) in groups {
        let machines: Vec<Machine> = (0..)
            .zip(zones.bytes())
            .map(|(id, zone)| Machine { node: NodeId(id), zone: Zone(u16::from(zone)) })
            .collect();
        let placement = Placement::new(&machines, replicas).expect("the groups of the vectors are legal");
        let nodes = (0..DIGESTED_RANKS).flat_map(|rank| placement.replicas(Rank(rank)));
        let digest = entity_hash(&nodes.flat_map(|node| node.0.to_le_bytes()).collect::<Vec<u8>>());
        let _ = write!(text, "{zones},{replicas},{digest:016x},");
        for rank in 0..12 {
            let nodes =
                placement.replicas(Rank(rank)).iter().map(|node| format!("{node}")).collect::<Vec<_>>();
            let _ = write!(text, "{}{}", if rank == 0 { "" } else { " " }, nodes.join("-"));
        }
        text.push('\n');
    }
    text
}
