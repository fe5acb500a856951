//! What a run is said to have been: a line of a table, what was broken, and a verdict.

use std::fmt::Write;

use crate::run::{HEAL_MAX, Order, Outcomes};

/// The fewest operations that must succeed: fewer prove nothing.
const OK_MIN: usize = 100;

impl Outcomes {
    /// Why the run failed, if it did.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let judgement = &self.judgement;
        let mut several = |what: &str, found: &[(&'static str, u64, String)]| {
            for (checker, key, why) in found.iter().take(5) {
                let why: Vec<&str> = why.lines().map(str::trim).take(3).collect();
                failures.push(format!("{what} ({checker}, key {key}): {}", why.join(" | ")));
            }
            if found.len() > 5 {
                failures.push(format!("... {} in all", found.len()));
            }
        };
        several("VIOLATION", &judgement.violations);
        several("undecided", &judgement.unknown);
        failures.extend(self.ended.iter().take(10).cloned());
        for fault in self.deeds.without_a_bite() {
            let tried = self.deeds.tallies[&fault].tried;
            failures.push(format!("{} was tried {tried} times and never bit", fault.name()));
        }
        match self.healed {
            Some(healed) if healed <= HEAL_MAX => {}
            Some(healed) => failures
                .push(format!("served by all nodes only {:.1} s after the last fault", healed.as_secs_f64())),
            None => failures.push("not served by all nodes again".to_owned()),
        }
        if self.ok < OK_MIN {
            failures.push(format!("only {} operations succeeded", self.ok));
        }
        failures
    }

    /// What was found out, for people.
    pub(crate) fn text(&self, order: &Order) -> String {
        let mut text = String::new();
        let asked = self.ok + self.failed + self.unknown;
        let seconds = |duration: Option<std::time::Duration>| {
            duration.map_or("never".to_owned(), |duration| format!("{:.1} s", duration.as_secs_f64()))
        };
        let during: Vec<&str> = self.gap_during.iter().map(|fault| fault.name()).collect();
        let disks = if self.own_disks { "a file system each" } else { "directories" };
        let _ = writeln!(
            text,
            "target {}, {} nodes, {} clients, seed {}, {:.0} s of load, {}, {disks}",
            order.target.name(),
            order.nodes,
            order.clients,
            order.seed,
            order.duration.as_secs_f64(),
            self.network,
        );
        let _ = writeln!(
            text,
            "  asked {asked}: ok {} ({:.2} %), not applied {}, unknown {}; longest gap {:.2} s at {:.0} s (during {}), {:.2} s while a majority was there; healed within {}, voting again within {}",
            self.ok,
            100.0 * self.ok as f64 / asked.max(1) as f64,
            self.failed,
            self.unknown,
            self.longest_gap.as_secs_f64(),
            self.gap_began.as_secs_f64(),
            if during.is_empty() { "nothing".to_owned() } else { during.join(", ") },
            self.majority_gap.as_secs_f64(),
            seconds(self.healed),
            seconds(self.whole),
        );
        let faults: Vec<String> = self
            .deeds
            .tallies
            .iter()
            .map(|(fault, tally)| format!("{} {}/{}", fault.name(), tally.bitten, tally.tried))
            .collect();
        let _ = writeln!(
            text,
            "  faults that bit, of those tried: {}",
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
        );
        for (fault, why) in &self.skipped {
            let _ = writeln!(text, "  skipped: {} {why}", fault.name());
        }
        let judgement = &self.judgement;
        let _ = writeln!(
            text,
            "  checked {} operations on {} keys, {} acknowledged changes: {} violations, {} undecided; {:.0} s in all",
            judgement.operations,
            judgement.keys,
            judgement.acknowledged,
            judgement.violations.len(),
            judgement.unknown.len(),
            self.elapsed.as_secs_f64(),
        );
        text
    }

    /// A line of the table at the end.
    pub(crate) fn line(&self, name: &str) -> String {
        let asked = (self.ok + self.failed + self.unknown).max(1);
        let bitten: u64 = self.deeds.tallies.values().map(|tally| tally.bitten).sum();
        let healed =
            self.healed.map_or("never".to_owned(), |healed| format!("{:.1} s", healed.as_secs_f64()));
        let nothing_tried = self.deeds.tallies.is_empty() && !self.skipped.is_empty();
        let verdict = match self.failures().is_empty() {
            false => "FAILED",
            true if nothing_tried => "skipped",
            true => "passed",
        };
        format!(
            "{name:<12} {:>9} {:>8.2} % {:>8.2} s {healed:>8} {bitten:>6} {:>7} {verdict}",
            self.judgement.operations,
            100.0 * self.ok as f64 / asked as f64,
            self.longest_gap.as_secs_f64(),
            self.skipped.len(),
        )
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<12} {:>9} {:>10} {:>10} {:>8} {:>6} {:>7} verdict",
        "faults", "checked", "available", "gap", "healed", "bites", "skipped"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::judge::Judgement;
    use crate::nemesis::{Deeds, Fault, Tally};

    fn good() -> Outcomes {
        let mut deeds = Deeds::default();
        deeds.tallies.insert(Fault::Kill, Tally { tried: 3, bitten: 2 });
        Outcomes {
            ok: 1_000,
            failed: 3,
            unknown: 2,
            longest_gap: Duration::from_secs(2),
            gap_began: Duration::from_secs(5),
            gap_during: vec![Fault::Kill],
            majority_gap: Duration::from_secs(1),
            healed: Some(Duration::from_secs(1)),
            whole: Some(Duration::from_secs(1)),
            deeds,
            skipped: Vec::new(),
            ended: Vec::new(),
            judgement: Judgement::default(),
            network: "",
            own_disks: false,
            elapsed: Duration::from_secs(60),
        }
    }

    /// Why a run failed that is good but for this.
    fn failures(spoil: impl FnOnce(&mut Outcomes)) -> usize {
        let mut outcomes = good();
        spoil(&mut outcomes);
        outcomes.failures().len()
    }

    #[test]
    fn a_run_fails_for_each_reason_there_is() {
        assert_eq!(failures(|_| {}), 0);
        assert_eq!(failures(|run| run.judgement.violations.push(("scans", 7, "wrong".to_owned()))), 1);
        assert_eq!(failures(|run| run.judgement.unknown.push(("scans", 7, "gave up".to_owned()))), 1);
        assert_eq!(failures(|run| run.ended.push("node 2 ended by itself".to_owned())), 1);
        assert_eq!(failures(|run| run.healed = None), 1);
        assert_eq!(failures(|run| run.healed = Some(Duration::from_secs(11))), 1);
        assert_eq!(failures(|run| run.ok = 99), 1);
        assert_eq!(
            failures(|run| run.deeds.tallies.extend([(Fault::Power, Tally { tried: 3, bitten: 0 })])),
            1
        );
    }

    #[test]
    fn a_run_whose_only_fault_was_skipped_did_not_pass() {
        let mut outcomes = good();
        outcomes.deeds.tallies.clear();
        outcomes.skipped.push((Fault::Power, "needs root"));
        assert!(outcomes.line("power").ends_with("skipped"));
        assert!(good().line("kill").ends_with("passed"));
    }
}
