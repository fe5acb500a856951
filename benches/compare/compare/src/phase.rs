//! What a cluster is asked to do.

use std::fmt;
use std::str::FromStr;

use loadgen::Operation;
use serde::{Deserialize, Serialize};

/// One row group of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Phase {
    /// Closed-loop clients.
    Load { operation: Operation, clients: u32 },
    /// A node is killed under writing clients.
    Failover,
}

impl Phase {
    /// Whether the keys have to be there first.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Phase::Load { operation: Operation::Get | Operation::Mixed, .. })
    }

    /// The heading in the table.
    pub(crate) fn title(self) -> String {
        match self {
            Phase::Load { operation, clients } => {
                let what = match operation {
                    Operation::Fill => "fill",
                    Operation::Put => "put",
                    Operation::Get => "get",
                    Operation::Mixed => "100 gets : 1 put",
                };
                format!("{what}, {clients} client{}", if clients == 1 { "" } else { "s" })
            }
            Phase::Failover => "a node is killed".to_owned(),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Load { operation: Operation::Fill, clients } => write!(f, "fill{clients}"),
            Phase::Load { operation: Operation::Put, clients } => write!(f, "put{clients}"),
            Phase::Load { operation: Operation::Get, clients } => write!(f, "get{clients}"),
            Phase::Load { operation: Operation::Mixed, clients } => write!(f, "mixed{clients}"),
            Phase::Failover => f.write_str("failover"),
        }
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "failover" {
            return Ok(Phase::Failover);
        }
        let operations = [("put", Operation::Put), ("get", Operation::Get), ("mixed", Operation::Mixed)];
        operations
            .into_iter()
            .find_map(|(name, operation)| {
                let clients: u32 = text.strip_prefix(name)?.parse().ok()?;
                (1..=10_000).contains(&clients).then_some(Phase::Load { operation, clients })
            })
            .ok_or_else(|| {
                format!("`{text}` is neither failover nor putN, getN or mixedN with N from 1 to 10000")
            })
    }
}

impl From<Phase> for String {
    fn from(phase: Phase) -> String {
        phase.to_string()
    }
}

impl TryFrom<String> for Phase {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
