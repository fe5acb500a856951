//! What the kernel tells about time spent on the processors, from /proc.

use std::fs;

/// Processor time a process has used, user and system, in seconds; 0 once it is gone. The kernel counts in ticks,
/// usually of 10 ms.
pub fn cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The second field is the command in parentheses, which may itself hold spaces and parentheses.
    let Some((_, fields)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / ticks_per_second()
}

/// Work done by all processors together since the machine came up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// Seconds in which a processor was not idle.
    pub busy_seconds: f64,
    /// Seconds a hypervisor gave to others.
    pub stolen_seconds: f64,
}

impl Busy {
    /// Reads /proc/stat; zeros where there is none.
    pub fn now() -> Busy {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        // user nice system idle iowait irq softirq steal (then guest times, which user and nice already hold)
        let ticks: Vec<f64> =
            first.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
        let at = |i: usize| ticks.get(i).copied().unwrap_or_default() / ticks_per_second();
        Busy { busy_seconds: at(0) + at(1) + at(2) + at(5) + at(6), stolen_seconds: at(7) }
    }
}

/// Processes that ran or waited to run, over the last minute; 0 when the kernel does not tell.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf reads a constant of the system and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_has_used_nothing() {
        assert_eq!(cpu_seconds(u32::MAX), 0.0);
    }

    #[test]
    fn own_work_is_counted() {
        let before = cpu_seconds(std::process::id());
        let mut sum = 0u64;
        while cpu_seconds(std::process::id()) <= before {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        assert!(Busy::now().busy_seconds > 0.0);
    }
}
