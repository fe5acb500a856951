//! Trims: what they hide, and what comes after them.

use super::super::model::{Action, Model, apply, check};
use super::*;
use crate::plant::{Plant, with};

/// Records below, at and above a trim, put before it and after it; in memory, in runs, and merged.
fn trimmed(flush_every: usize) -> Result<(), String> {
    let disk = MemoryDisk::new(1);
    let mut part = open(&disk, config()).unwrap();
    let mut model = Model::new();
    let entity = b"alice".to_vec();
    let put = |timestamp_ms: u64, value: u8| Action::Put {
        entity: entity.clone(),
        position: dated(timestamp_ms, 0),
        value: vec![value],
        expires_ms: None,
    };
    let trim = |through_ms: u64| Action::Trim { entity: entity.clone(), through_ms };
    let commands = [
        vec![put(50, 1), put(150, 1), put(250, 1)],
        vec![trim(150)],
        vec![put(50, 2), put(151, 1)],
        vec![put(150, 2), trim(60)],
        vec![put(60, 3)],
    ];
    for (number, actions) in commands.iter().enumerate() {
        apply(&mut part, &mut model, 0, actions);
        check(&mut part, &model)?;
        if (number + 1) % flush_every == 0 {
            flush(&mut part).unwrap();
            check(&mut part, &model)?;
        }
    }
    // Looking at it has set memtables aside, which go first.
    flush(&mut part).unwrap();
    flush(&mut part).unwrap();
    while merge(&mut part).unwrap() {}
    drop(part);
    check(&mut open(&disk, config()).unwrap(), &model)
}

#[test]
fn a_trim_hides_what_was_put_before_it_and_nothing_else() {
    for flush_every in 1..=6 {
        trimmed(flush_every).unwrap();
    }
}

#[test]
fn a_trim_that_hides_what_comes_later_is_noticed() {
    with(Plant::TrimHidesLater, || trimmed(6)).unwrap_err();
}

#[test]
fn a_trim_that_is_forgotten_with_the_memory_is_noticed() {
    with(Plant::TrimForgotten, || trimmed(1)).unwrap_err();
}
