//! What is kept of a run.

use loadgen::Report;
use serde::{Deserialize, Serialize};

use crate::floor::Floor;
use crate::machine::Machine;
use crate::phase::Phase;

/// Everything, as it is written to the JSON file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// How it was measured, in sentences.
    pub(crate) conditions: Vec<String>,
    /// In the order of the table.
    pub(crate) targets: Vec<Described>,
    /// The target others are divided by.
    pub(crate) baseline: String,
    pub(crate) floors: Vec<Floor>,
    pub(crate) cells: Vec<Cell>,
}

/// A target and what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) what: String,
}

/// One target in one phase of one round, or one kill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) round: u32,
    pub(crate) target: String,
    pub(crate) phase: Phase,
    pub(crate) report: Report,
}

impl Results {
    /// The targets' names, in the order of the table.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.name.as_str())
    }

    /// The cells of one target in one phase, by round.
    pub(crate) fn of<'a>(&'a self, target: &'a str, phase: Phase) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.target == target && cell.phase == phase)
    }
}

/// The middle of `values`, or the mean of the two in the middle; `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 3.0, 5.0]), Some(4.0));
    }
}
