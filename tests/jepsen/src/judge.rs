//! What the checkers say of a run's history.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::thread;

use thermocline_checkers::history::{by_key, write_edn, write_json_lines};
use thermocline_checkers::{
    History, Operation, Verdict, batches, counter, linearizability, list_append, lost_writes, scans, set,
    tokens, versions,
};

use crate::target::Kind;

/// What the checkers said.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) keys: usize,
    pub(crate) operations: usize,
    /// Checkers that found something, what, and of which key.
    pub(crate) violations: Vec<(&'static str, u64, String)>,
    /// Checkers that gave up, and on which key.
    pub(crate) unknown: Vec<(&'static str, u64, String)>,
    /// Acknowledged changes, all of which the final reads were held against.
    pub(crate) acknowledged: usize,
}

/// When the final reads began, and through how many nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finals {
    pub(crate) since: u64,
    pub(crate) readers: usize,
}

/// Judges every key, on as many threads as there are cores. `kept` is where the histories of wrong keys go.
pub(crate) fn judge(
    history: &[Operation],
    kinds: &BTreeMap<u64, Kind>,
    finals: Finals,
    kept: &Path,
) -> io::Result<Judgement> {
    let keys: Vec<(u64, Vec<usize>)> = by_key(history).into_iter().collect();
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let parts: Vec<Judgement> = thread::scope(|scope| {
        let judge_part = |part: usize| {
            let mine: Vec<_> = keys.iter().skip(part).step_by(threads).collect();
            scope.spawn(move || {
                mine.into_iter()
                    .map(|(key, places)| judge_key(history, *key, places, kinds, finals))
                    .collect()
            })
        };
        let running: Vec<_> = (0..threads).map(judge_part).collect();
        running
            .into_iter()
            .map(|thread| merge(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
            .collect()
    });
    let judgement = merge(parts);
    for key in wrong_keys(&judgement).into_iter().take(20) {
        let wrong: History = history.iter().filter(|operation| operation.key == key).cloned().collect();
        keep(&wrong, kept, &format!("key-{key}"))?;
    }
    Ok(judgement)
}

/// Writes a history in both formats.
pub(crate) fn keep(history: &[Operation], directory: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let create = |ending: &str| File::create(directory.join(format!("{name}.{ending}"))).map(BufWriter::new);
    write_edn(history, &mut create("edn")?)?;
    write_json_lines(history, &mut create("jsonl")?)
}

fn judge_key(
    history: &[Operation],
    key: u64,
    places: &[usize],
    kinds: &BTreeMap<u64, Kind>,
    finals: Finals,
) -> Judgement {
    let raw: History = places.iter().map(|&place| history[place].clone()).collect();
    let settled = tokens::settle(&raw);
    let mut judgement = Judgement {
        keys: 1,
        operations: raw.len(),
        acknowledged: settled.iter().filter(|operation| operation.acknowledged()).count(),
        ..Judgement::default()
    };
    let mut say = |checker, verdict| match verdict {
        Verdict::Holds => {}
        Verdict::Violated(_) => judgement.violations.push((checker, key, verdict.to_string())),
        Verdict::Unknown(why) => judgement.unknown.push((checker, key, why)),
    };
    say("linearizability", linearizability::check(&settled));
    say("tokens", tokens::check(&raw));
    say("lost writes", lost_writes::check(&settled, finals.since, finals.readers));
    match kinds.get(&key) {
        Some(Kind::Register) => say("versions", versions::check(&settled)),
        Some(Kind::Entity) => {
            say("scans", scans::check(&settled));
            say("set", set::check(&settled));
            say("batches", batches::check(&settled));
        }
        Some(Kind::List) => say("list append", list_append::check(&settled)),
        Some(Kind::Counter) => say("counter", counter::check(&settled)),
        None => say("harness", Verdict::Unknown("a key that nobody chose".to_owned())),
    }
    judgement
}

fn merge(parts: Vec<Judgement>) -> Judgement {
    parts.into_iter().fold(Judgement::default(), |mut all, part| {
        all.keys += part.keys;
        all.operations += part.operations;
        all.acknowledged += part.acknowledged;
        all.violations.extend(part.violations);
        all.unknown.extend(part.unknown);
        all
    })
}

fn wrong_keys(judgement: &Judgement) -> Vec<u64> {
    let mut keys: Vec<u64> =
        judgement.violations.iter().chain(&judgement.unknown).map(|(_, key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
