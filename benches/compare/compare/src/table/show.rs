//! How figures are written.

use crate::result::median;

/// The median, and the range when there is one.
pub(super) fn spread(values: &[f64], show: impl Fn(f64) -> String) -> Option<String> {
    let middle = show(median(values.iter().copied())?);
    let range = range(values, show);
    Some(if range.is_empty() { middle } else { format!("{middle} ({range})") })
}

/// From the least to the most; nothing for a single value.
pub(super) fn range(values: &[f64], show: impl Fn(f64) -> String) -> String {
    if values.len() < 2 {
        return String::new();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}-{}", show(least), show(most))
}

/// A dash for what was not measured.
pub(super) fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

/// A ratio.
pub(super) fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

/// Microseconds as milliseconds.
pub(super) fn ms(us: f64) -> String {
    if us < 10_000.0 { format!("{:.2}", us / 1e3) } else { format!("{:.1}", us / 1e3) }
}

/// A whole number with its thousands set apart.
pub(super) fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_they_are_read() {
        assert_eq!(count(0.4), "0");
        assert_eq!(count(999.0), "999");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(ms(350.0), "0.35");
        assert_eq!(ms(23_456.0), "23.5");
        assert_eq!(range(&[2.0, 1.0], times), "1.00x-2.00x");
        assert_eq!(range(&[2.0], times), "");
        assert_eq!(spread(&[1.0, 4.0, 2.0], count).as_deref(), Some("2 (1-4)"));
        assert_eq!(spread(&[], count), None);
    }
}
