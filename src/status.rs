//! How a node is.

/// A node's state at one moment, as it knows it itself: the answer of [`Store::status`](crate::Store::status). An owned
/// copy, which holds nothing up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// The node's number.
    pub node: u16,
    /// How often this directory was opened: grows with each start.
    pub boot: u64,
    /// The random identity of the directory, made with it.
    pub disk_id: u64,
    /// The topology's version.
    pub epoch: u64,
    /// The group that the node is in: always one.
    pub groups: Vec<u16>,
    /// How many bytes the journal has synced since this start.
    pub journal_synced: u64,
    /// Buckets in which the node votes.
    pub buckets_voting: u32,
    /// Buckets in which it learns only, because it lost, or may have lost, what it promised.
    pub buckets_learning: u32,
    /// How long those still take at the pace of the last five to ten seconds, in milliseconds; `None` while none learns, or none got to vote
    /// in that time.
    pub learning_ms_left: Option<u64>,
    /// Buckets that lack slots which others have: they are being fetched, or the bucket is being copied.
    pub buckets_behind: u32,
    /// Buckets of which a majority of the replicas has lost what it promised: they are not served before an operator gives up what
    /// may be gone ([`Store::lose_acknowledged_writes`](crate::Store::lose_acknowledged_writes)).
    pub buckets_lost: u32,
    /// The other nodes of the topology.
    pub peers: Vec<Peer>,
    /// What was counted since the start, by name, in the order of the names.
    pub counters: Vec<(&'static str, u64)>,
}

impl Status {
    /// How far the node is in getting back what it lost, in a line: `learner 1,203 of 65,536 buckets, 12 s left`.
    #[must_use]
    pub fn recovery(&self) -> String {
        let all = self.buckets_voting + self.buckets_learning;
        if self.buckets_learning == 0 && self.buckets_behind == 0 {
            return format!("voter of {} buckets", grouped(all));
        }
        let mut line = format!("learner {} of {} buckets", grouped(self.buckets_learning), grouped(all));
        if let Some(ms) = self.learning_ms_left.filter(|_| self.buckets_learning > 0) {
            line.push_str(&format!(", {} s left", ms.div_ceil(1_000)));
        }
        if self.buckets_behind > 0 {
            line.push_str(&format!(", {} to catch up", grouped(self.buckets_behind)));
        }
        if self.buckets_lost > 0 {
            line.push_str(&format!(", {} lost by a majority", grouped(self.buckets_lost)));
        }
        line
    }
}

/// A number with commas between groups of three digits.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Another node, as seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its number.
    pub node: u16,
    /// Its address.
    pub address: String,
    /// Whether a connection to it is open and greeted.
    pub up: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_a_line() {
        let status = Status { buckets_voting: 64_333, buckets_learning: 1_203, ..Status::default() };
        let status = Status { learning_ms_left: Some(11_001), ..status };
        assert_eq!(status.recovery(), "learner 1,203 of 65,536 buckets, 12 s left");
        let status = Status { buckets_voting: 999, ..Status::default() };
        assert_eq!(status.recovery(), "voter of 999 buckets");
        let status =
            Status { buckets_learning: 5, buckets_behind: 1_000_000, buckets_lost: 5, ..Status::default() };
        assert_eq!(status.recovery(), "learner 5 of 5 buckets, 1,000,000 to catch up, 5 lost by a majority");
    }
}
