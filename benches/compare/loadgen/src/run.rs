//! One run: start the clients, wait, kill if asked to, count.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};

use crate::client::{self, Course, Seen};
use crate::connection::Connection;
use crate::machine::{Busy, cpu_seconds, load_average};
use crate::plan::{Operation, Plan};
use crate::report::{Failover, Latency, Report};
use crate::session::Session;

/// A store that cannot take the keys in this time is not worth measuring.
const FILL_MAX: Duration = Duration::from_secs(300);
const BUCKET: Duration = Duration::from_millis(10);

/// Drives the store as `plan` says, over connections, on the calling thread.
///
/// # Errors
/// A duration that is not one, a process that cannot be killed, or no runtime. A store that fails is not an error
/// but what is reported.
pub fn run(plan: Plan) -> Result<Report, Box<dyn Error>> {
    let endpoints = plan.endpoints.clone();
    run_with::<Connection>(plan, endpoints)
}

/// As [`run`], through sessions of another kind.
///
/// # Errors
/// As [`run`].
pub fn run_with<S: Session>(plan: Plan, place: S::Place) -> Result<Report, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(drive::<S>(plan, place))
}

async fn drive<S: Session>(plan: Plan, place: S::Place) -> Result<Report, Box<dyn Error>> {
    let fill = plan.operation == Operation::Fill;
    let warm_up = if fill { Duration::ZERO } else { Duration::try_from_secs_f64(plan.warm_up)? };
    let seconds = Duration::try_from_secs_f64(plan.seconds)?;
    let kill_after = Duration::try_from_secs_f64(plan.kill_after)?;
    let begin = Instant::now();
    let measure_from = begin + warm_up;
    let course = Rc::new(Course {
        begin,
        measure_from,
        measure_until: measure_from + if fill { FILL_MAX } else { seconds },
        next_fill: Cell::new(0),
        log_writes: plan.kill_pid.is_some(),
        seen: RefCell::new(Seen::new()?),
        plan,
        place,
    });
    let plan = &course.plan;
    let mut clients = Vec::new();
    for number in 0..plan.clients {
        clients.push(tokio::task::spawn_local(client::run::<S>(number, Rc::clone(&course))));
    }

    tokio::time::sleep_until(measure_from.into()).await;
    let before = Spent::now(&plan.pids);
    let mut killed_at = None;
    if let Some(pid) = plan.kill_pid {
        tokio::time::sleep_until((measure_from + kill_after).into()).await;
        killed_at = Some(begin.elapsed());
        kill(pid)?;
    }
    // What the clients do after the end is not to be charged to the operations counted.
    let mut after = None;
    if !fill {
        tokio::time::sleep_until(course.measure_until.into()).await;
        after = Some(Spent::now(&plan.pids));
    }
    for client in clients {
        client.await?;
    }
    let seen = course.seen.replace(Seen::new()?);
    if fill && seen.puts.len() < plan.keys {
        let why = seen.first_failure.unwrap_or_else(|| "too slow".to_owned());
        let (done, keys) = (seen.puts.len(), plan.keys);
        return Err(format!("filled {done} of {keys} keys in {} s: {why}", FILL_MAX.as_secs()).into());
    }
    let after = after.unwrap_or_else(|| Spent::now(&plan.pids));
    Ok(report(plan, seen, &before, &after, killed_at))
}

fn kill(pid: i32) -> Result<(), Box<dyn Error>> {
    if pid <= 1 {
        return Err(format!("{pid} is not the number of one process").into());
    }
    // SAFETY: a signal to another process touches no memory of ours.
    match unsafe { libc::kill(pid, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(format!("kill {pid}: {}", std::io::Error::last_os_error()).into()),
    }
}

/// Processor time spent up to a moment.
struct Spent {
    at: Instant,
    /// By process: one that dies must not take what the others spent with it.
    servers: Vec<f64>,
    own: f64,
    machine: Busy,
}

impl Spent {
    fn now(pids: &[u32]) -> Spent {
        Spent {
            at: Instant::now(),
            servers: pids.iter().map(|&pid| cpu_seconds(pid)).collect(),
            own: cpu_seconds(std::process::id()),
            machine: Busy::now(),
        }
    }
}

fn report(plan: &Plan, seen: Seen, before: &Spent, after: &Spent, killed_at: Option<Duration>) -> Report {
    let seconds = (after.at - before.at).as_secs_f64();
    let operations = seen.puts.len() + seen.gets.len();
    let per_million = |cpu_seconds: f64| cpu_seconds * 1e6 / operations.max(1) as f64;
    let servers: f64 =
        after.servers.iter().zip(&before.servers).map(|(after, before)| (after - before).max(0.0)).sum();
    // Callers in a server's process are counted with it.
    let is_server = plan.pids.contains(&std::process::id());
    let own = if is_server { 0.0 } else { after.own - before.own };
    let busy = after.machine.busy_seconds - before.machine.busy_seconds;
    let knows_servers = !plan.pids.is_empty() && killed_at.is_none();
    Report {
        operation: plan.operation,
        clients: plan.clients,
        seconds,
        operations_per_second: operations as f64 / seconds,
        puts: Latency::of(&seen.puts),
        gets: Latency::of(&seen.gets),
        misses: seen.misses,
        not_leader: seen.not_leader,
        unavailable: seen.unavailable,
        unknown: seen.unknown,
        broken: seen.broken,
        errors: seen.errors,
        first_failure: seen.first_failure,
        server_cpu_seconds_per_million: knows_servers.then(|| per_million(servers)),
        client_cpu_seconds_per_million: per_million(own),
        // Ticks are coarse: a difference of a few may come out below nothing.
        foreign_cores: ((busy - servers - own) / seconds).max(0.0),
        stolen_cores: (after.machine.stolen_seconds - before.machine.stolen_seconds) / seconds,
        load_average: load_average(),
        failover: killed_at.map(|at| failover(seen.writes, at, after.at - before.at + warm_up_of(plan))),
    }
}

fn warm_up_of(plan: &Plan) -> Duration {
    Duration::try_from_secs_f64(plan.warm_up).unwrap_or_default()
}

/// `writes`: begin and end of each success; `end`: when the run ended.
fn failover(mut writes: Vec<(Duration, Duration)>, killed_at: Duration, end: Duration) -> Failover {
    writes.retain(|(_, done)| *done <= end);
    writes.sort_by_key(|(_, done)| *done);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut longest = Duration::ZERO;
    let mut last = Duration::ZERO;
    for done in writes.iter().map(|(_, done)| *done).chain([end]) {
        if done >= killed_at {
            longest = longest.max(done - last);
        }
        last = done;
    }
    let first = writes.iter().filter(|(begun, _)| *begun >= killed_at).map(|(_, done)| *done).min();
    let mut series = vec![0; (end.as_micros() / BUCKET.as_micros()) as usize + 1];
    for (_, done) in &writes {
        series[(done.as_micros() / BUCKET.as_micros()) as usize] += 1;
    }
    Failover {
        longest_gap_ms: ms(longest),
        first_success_ms: first.map(|done| ms(done - killed_at)),
        successes_per_10_ms: series,
        killed_at_ms: ms(killed_at),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use clap::Parser;

    use super::*;

    /// Listens, answers every SET with `answer`, and passes on how many bytes came with each.
    fn store(answer: &'static [u8]) -> (String, Receiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, tell) = (stream.unwrap(), tell.clone());
                std::thread::spawn(move || {
                    let mut input = [0; 4096];
                    while let Ok(bytes @ 1..) = stream.read(&mut input) {
                        if tell.send(bytes).is_err() || stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (address, told)
    }

    #[test]
    fn clients_leave_a_node_that_does_not_lead() {
        let (follower, _refused) = store(b"-NOTLEADER 2\r\n");
        let (leader, taken) = store(b"+OK\r\n");
        let endpoints = format!("{follower},{leader}");
        let arguments =
            ["loadgen", "--endpoints", &endpoints, "--operation", "fill", "--keys", "50", "--clients", "4"];
        let report = run(Plan::parse_from(arguments)).unwrap();
        assert_eq!(report.puts.unwrap().count, 50);
        assert_eq!(report.not_leader, 4);
        assert_eq!((report.errors, report.broken, report.unknown), (0, 0, 0));
        assert_eq!(taken.try_iter().count(), 50);
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_gap_counts_from_the_last_success_before_the_kill() {
        let writes =
            vec![(ms(1), ms(5)), (ms(90), ms(95)), (ms(96), ms(130)), (ms(140), ms(310)), (ms(311), ms(320))];
        let failover = failover(writes, ms(100), ms(400));
        assert_eq!(failover.longest_gap_ms, 180.0);
        assert_eq!(failover.first_success_ms, Some(210.0));
        assert_eq!(failover.successes_per_10_ms.iter().sum::<u32>(), 5);
        assert_eq!(failover.successes_per_10_ms[31], 1);
    }

    #[test]
    fn a_store_that_never_comes_back_has_a_gap_to_the_end() {
        let failover = failover(vec![(ms(1), ms(5)), (ms(6), ms(90)), (ms(91), ms(401))], ms(100), ms(400));
        assert_eq!(failover.longest_gap_ms, 310.0);
        assert_eq!(failover.first_success_ms, None);
    }
}
