//! Registers that remember what was acknowledged: every later read, at every node, must see it or something newer, and versions of an
//! entity only grow (I7, I8, I10).

use std::collections::BTreeMap;

use super::world::{World, get, put};
use crate::error::Error;
use crate::key::Version;
use crate::request::{Answer, Expect};

/// What was written to a few entities.
pub(super) struct Registers {
    seed: u64,
    newest: BTreeMap<String, (Version, String)>,
    /// Values whose writes have an unknown outcome: one of them may be what is there.
    possible: BTreeMap<String, Vec<String>>,
    written: u64,
}

impl Registers {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, newest: BTreeMap::new(), possible: BTreeMap::new(), written: 0 }
    }

    /// Writes, or reads and compares, at a node that is up.
    pub(super) fn touch(&mut self, world: &mut World) {
        let entity = format!("entity-{}", world.draw(4));
        let node = loop {
            let node = world.draw(world.nodes.len() as u64) as usize;
            if world.nodes[node].running.is_some() {
                break node;
            }
        };
        if world.draw(2) == 0 { self.write(world, node, entity) } else { self.read(world, node, &entity) }
    }

    fn write(&mut self, world: &mut World, node: usize, entity: String) {
        let seed = self.seed;
        self.written += 1;
        let value = format!("{}", self.written);
        let call = world.ask(node, put(&entity, &value, Expect::Any));
        match world.answer(call) {
            Ok(Answer::Written(version)) => {
                if let Some((before, _)) = self.newest.get(&entity) {
                    assert!(version > *before, "seed {seed}: version {version} after {before}");
                }
                self.newest.insert(entity, (version, value));
            }
            Err(Error::Unknown(_)) => self.possible.entry(entity).or_default().push(value),
            Err(Error::Unavailable { .. } | Error::Contended | Error::Overloaded { .. }) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }

    fn read(&mut self, world: &mut World, node: usize, entity: &str) {
        let seed = self.seed;
        let call = world.ask(node, get(entity));
        match world.answer(call) {
            Ok(Answer::Got(record)) => {
                let Some((version, value)) = self.newest.get(entity).cloned() else { return };
                let record = record
                    .unwrap_or_else(|| panic!("seed {seed}: {entity} is gone\n{}", world.describe(entity)));
                assert!(record.version >= version, "seed {seed}: read {} after {version}", record.version);
                let read = String::from_utf8(record.value.to_vec()).unwrap();
                if record.version == version {
                    assert_eq!(read, value, "seed {seed}");
                } else {
                    let unknown = self.possible.get(entity).is_some_and(|values| values.contains(&read));
                    assert!(unknown, "seed {seed}: {read} was never written");
                    self.newest.insert(entity.to_owned(), (record.version, read));
                }
            }
            Err(Error::Unavailable { .. }) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }

    /// All is well again: every node serves the newest of every entity.
    pub(super) fn check_all(&self, world: &mut World) {
        let seed = self.seed;
        world.shape.trouble = 0;
        for (entity, (version, _)) in &self.newest {
            for node in 0..world.nodes.len() {
                let call = world.ask(node, get(entity));
                let outcome = world.answer(call);
                let Ok(Answer::Got(Some(record))) = outcome else {
                    panic!("seed {seed}: {entity} at {node}: {outcome:?}\n{}", world.describe(entity))
                };
                assert!(record.version >= *version, "seed {seed}: {entity} at node {node}");
            }
        }
    }
}
