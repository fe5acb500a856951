//! Results for people: two columns, and numbers that can be read.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::tally::Tally;

/// Lines of a name and a text, in sections.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: Vec<(String, String)>,
}

impl Table {
    /// Adds a line.
    pub(super) fn line(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.lines.push((name.into(), text.into()));
    }

    /// Adds what writers did.
    pub(super) fn writes(&mut self, tally: &Tally, elapsed: Duration) {
        let acknowledged = tally.acknowledged();
        let rate = acknowledged as f64 / elapsed.as_secs_f64().max(1e-9);
        self.line("acknowledged writes", format!("{} in {}", grouped(acknowledged), seconds(elapsed)));
        self.line("throughput", format!("{} writes/s", grouped(rate as u64)));
        self.line("latency of a write", quantiles(&tally.latencies()));
        self.line("longest gap between writes", seconds(tally.longest_gap()));
        let mut retried = false;
        for (why, count) in tally.retries().filter(|(_, count)| *count > 0) {
            let name = if retried { "" } else { "tried again" };
            self.line(name, format!("{} ({})", grouped(count), why.words()));
            retried = true;
        }
        if !retried {
            self.line("tried again", "0");
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        self.lines.iter().try_for_each(|(name, text)| writeln!(f, "  {name:<width$}  {text}"))
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in the unit that suits it.
pub(super) fn seconds(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1_000 => format!("{us} us"),
        us @ 1_000..1_000_000 => format!("{:.2} ms", us as f64 / 1e3),
        us => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// The quantiles that matter.
pub(super) fn quantiles(latencies: &Histogram<u64>) -> String {
    let at = |quantile| seconds(Duration::from_micros(latencies.value_at_quantile(quantile)));
    let max = seconds(Duration::from_micros(latencies.max()));
    format!("p50 {}, p99 {}, p99.9 {}, max {max}", at(0.5), at(0.99), at(0.999))
}

/// A size in MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(["0", "999", "1,000", "334,264"].map(str::to_owned), [0, 999, 1000, 334_264].map(grouped));
        assert_eq!(seconds(Duration::from_micros(999)), "999 us");
        assert_eq!(seconds(Duration::from_micros(1_500)), "1.50 ms");
        assert_eq!(seconds(Duration::from_millis(61_000)), "61.00 s");
        assert_eq!(mebibytes(3 << 19), "1.5 MiB");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::default();
        table.line("a", "1");
        table.line("long", "2");
        assert_eq!(table.to_string(), "  a     1\n  long  2\n");
    }
}
