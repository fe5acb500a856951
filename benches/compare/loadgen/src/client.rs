//! One client: ask, wait for the answer, ask again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::connection::Failure;
use crate::plan::{Operation, Plan};
use crate::session::Session;

/// Before a client turns to another endpoint.
const TURN: Duration = Duration::from_millis(1);
/// Latencies above this count as this: two minutes.
const NANOSECONDS_MAX: u64 = 120_000_000_000;

/// What all clients look at: when to measure and when to end.
pub(crate) struct Course<P> {
    pub(crate) plan: Plan,
    pub(crate) place: P,
    pub(crate) begin: Instant,
    pub(crate) measure_from: Instant,
    /// The end, by which keys that are to be filled should long be.
    pub(crate) measure_until: Instant,
    /// The next key to fill.
    pub(crate) next_fill: Cell<u64>,
    pub(crate) log_writes: bool,
    /// Shared: histograms of each client's own would be more memory than a processor has near.
    pub(crate) seen: RefCell<Seen>,
}

impl<P> Course<P> {
    /// Counts an operation: whether a value was found or put.
    fn note(&self, is_put: bool, begin: Instant, end: Instant, done: &Result<bool, Failure>) {
        let mut seen = self.seen.borrow_mut();
        let found = match done {
            Ok(found) => found,
            Err(failure) => return seen.note(failure),
        };
        seen.misses += u64::from(!found);
        if self.log_writes && is_put {
            seen.writes.push((begin - self.begin, end - self.begin));
        }
        if begin >= self.measure_from && end <= self.measure_until {
            let histogram = if is_put { &mut seen.puts } else { &mut seen.gets };
            histogram.saturating_record((end - begin).as_nanos() as u64);
        }
    }
}

/// What the clients have seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) puts: Histogram<u64>,
    pub(crate) gets: Histogram<u64>,
    pub(crate) misses: u64,
    pub(crate) not_leader: u64,
    pub(crate) unavailable: u64,
    pub(crate) unknown: u64,
    pub(crate) broken: u64,
    pub(crate) errors: u64,
    pub(crate) first_failure: Option<String>,
    /// Begin and end of every successful write, since the run began.
    pub(crate) writes: Vec<(Duration, Duration)>,
}

impl Seen {
    pub(crate) fn new() -> Result<Seen, hdrhistogram::CreationError> {
        let histogram = Histogram::new_with_bounds(1, NANOSECONDS_MAX, 3)?;
        Ok(Seen {
            puts: histogram.clone(),
            gets: histogram,
            misses: 0,
            not_leader: 0,
            unavailable: 0,
            unknown: 0,
            broken: 0,
            errors: 0,
            first_failure: None,
            writes: Vec::new(),
        })
    }

    fn note(&mut self, failure: &Failure) {
        match failure {
            Failure::NotLeader => {
                self.not_leader += 1;
                return;
            }
            Failure::Unavailable => self.unavailable += 1,
            Failure::Unknown => self.unknown += 1,
            Failure::Broken(_) => self.broken += 1,
            Failure::Other(_) => self.errors += 1,
        }
        self.first_failure.get_or_insert_with(|| failure.to_string());
    }
}

/// Runs one client to its end.
pub(crate) async fn run<S: Session>(client: u32, course: Rc<Course<S::Place>>) {
    let plan = &course.plan;
    let mut random = Random::new(u64::from(client));
    let mut endpoint = if plan.spread { client as usize % plan.endpoints.len() } else { 0 };
    let mut session: Option<S> = None;
    let mut key = *b"k000000000000000";
    let mut value = vec![0; plan.value_bytes];
    while Instant::now() < course.measure_until {
        let is_put = match plan.operation {
            Operation::Fill | Operation::Put => true,
            Operation::Get => false,
            Operation::Mixed => random.below(plan.gets_per_put.saturating_add(1)) == 0,
        };
        let number = match plan.operation {
            Operation::Fill => course.next_fill.get(),
            _ => random.below(plan.keys),
        };
        if plan.operation == Operation::Fill {
            if number >= plan.keys {
                break;
            }
            course.next_fill.set(number + 1);
        }
        write_number(&mut key[1..], number);
        if is_put {
            random.fill(&mut value);
        }
        // A key that is to be filled is tried until it is; every other operation is tried once.
        loop {
            let begin = Instant::now();
            let done = one(&course, &mut session, endpoint, is_put.then_some(&value), &key).await;
            let end = Instant::now();
            course.note(is_put, begin, end, &done);
            let Err(failure) = done else { break };
            if matches!(failure, Failure::NotLeader | Failure::Broken(_)) {
                session = None;
                endpoint = (endpoint + 1) % plan.endpoints.len();
            }
            tokio::time::sleep(TURN).await;
            if plan.operation != Operation::Fill || Instant::now() >= course.measure_until {
                break;
            }
        }
    }
}

/// One operation within the timeout, through the open session or a new one: whether a value was found or put.
async fn one<S: Session>(
    course: &Course<S::Place>,
    session: &mut Option<S>,
    endpoint: usize,
    put: Option<&Vec<u8>>,
    key: &[u8],
) -> Result<bool, Failure> {
    let plan = &course.plan;
    let doing = async {
        let open = match session.as_mut() {
            Some(open) => open,
            None => session.insert(S::open(&course.place, endpoint).await?),
        };
        match put {
            Some(value) => open.put(key, value, plan.wait_replicas).await.map(|()| true),
            None => open.get(key).await,
        }
    };
    match tokio::time::timeout(plan.timeout(), doing).await {
        Ok(done) => done,
        Err(_) => Err(Failure::Broken(format!("no answer for {} ms", plan.timeout_ms))),
    }
}

/// Decimal digits, right-aligned over zeros.
fn write_number(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): the same keys in every
/// run, and values that do not compress.
struct Random(u64);

impl Random {
    fn new(stream: u64) -> Random {
        Random(stream.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sixteen_bytes() {
        let mut key = *b"k000000000000000";
        write_number(&mut key[1..], 19_999);
        assert_eq!(&key, b"k000000000019999");
    }

    #[test]
    fn clients_draw_different_keys_within_bounds() {
        let mut one = Random::new(0);
        let mut other = Random::new(1);
        let ones: Vec<u64> = (0..100).map(|_| one.below(20_000)).collect();
        let others: Vec<u64> = (0..100).map(|_| other.below(20_000)).collect();
        assert_ne!(ones, others);
        assert!(ones.iter().chain(&others).all(|&key| key < 20_000));
    }
}
