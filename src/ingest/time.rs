//! Times: integers, and RFC 3339.

use std::time::Duration;

use jiff::Timestamp;

/// What an integer in the time column counts since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    #[default]
    Ms,
}

/// Milliseconds since the Unix epoch, from an integer or from RFC 3339 text (`2013-01-01T10:00:00Z`). Fractions of a
/// millisecond are cut off.
pub(super) fn parse(bytes: &[u8], unit: TimeUnit) -> Result<u64, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?.trim();
    if let Some(integer) = integer(text) {
        let value = integer.ok_or_else(|| format!("more than {}", u64::MAX))?;
        return match unit {
            TimeUnit::Ms => Ok(value),
            TimeUnit::S => {
                value.checked_mul(1000).ok_or_else(|| format!("more than {} seconds", u64::MAX / 1000))
            }
        };
    }
    let time: Timestamp = text.parse().map_err(|_| {
        "not a time; write an integer (milliseconds, or seconds with --time-unit s) or RFC 3339 such as 2013-01-01T10:00:00Z"
            .to_owned()
    })?;
    u64::try_from(time.as_millisecond()).map_err(|_| "before 1970; times start at the Unix epoch".to_owned())
}

/// `None`: no run of digits. `Some(None)`: one that does not fit.
fn integer(text: &str) -> Option<Option<u64>> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())
}

/// The time of the flight log: an hour in RFC 3339, and minutes that are the last two digits of a clock time (`hhmm`).
pub(crate) fn minutes_after(hour: &[u8], clock: &[u8]) -> Result<u64, String> {
    let start = parse(hour, TimeUnit::Ms)?;
    let clock: u64 = std::str::from_utf8(clock)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|clock| *clock <= 2400 && clock % 100 < 60)
        .ok_or("not a clock time; write hmm or hhmm, from 0 to 2400")?;
    start.checked_add(clock % 100 * 60_000).ok_or_else(|| "too late a time".to_owned())
}

/// A timestamp for people: RFC 3339 in UTC, or the number where it is beyond the calendar.
pub(crate) fn show_time(timestamp: u64) -> String {
    let calendar = Timestamp::UNIX_EPOCH.checked_add(Duration::from_millis(timestamp));
    calendar.map_or_else(|_| format!("{timestamp} ms"), |time| time.to_string())
}
