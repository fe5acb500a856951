//! Writes: from a call, into a command (`propose.rs`), through its slot (`decided.rs`), to an outcome (`outcome.rs`).

mod decided;
mod outcome;
mod propose;

use thermocline_paxos::Bucket;

use super::calls::{Call, Source, Touches, Work, Write};
use super::command;
use super::worker::Worker;
use crate::error::Error;
use crate::key::Position;
use crate::request::Mutation;
use crate::token::Token;

pub(super) use outcome::{burned, forged};

/// A node is never so many slots behind its bucket.
const TOKEN_AHEAD_MAX: u64 = 1 << 40;

impl Worker {
    /// A write by a caller of this process.
    #[expect(clippy::too_many_arguments, reason = "the fields of one request")]
    pub(super) fn write_called(
        &mut self,
        now: u64,
        source: Source,
        deadline: u64,
        (bucket, hash): (Bucket, u64),
        entity: &[u8],
        mutations: &[Mutation],
        token: Option<Token>,
    ) {
        let given = token.is_some();
        let token = token.unwrap_or_else(|| self.new_token(bucket));
        if token.bucket != bucket.0 {
            let error = Error::invalid(
                "token",
                format!("of bucket {}", token.bucket),
                format!("of bucket {}, the entity's", bucket.0),
            );
            return self.answer(source, Err(error));
        }
        if self.is_from_the_future(&token) {
            return self.answer(source, Err(forged(&token)));
        }
        let entry = command::encode_write(&token, entity, mutations, Some(self.wall_ms));
        if entry.len() > self.settings.command_bytes_max {
            let bound = format!("at most {} bytes (command_bytes_max)", self.settings.command_bytes_max);
            return self
                .answer(source, Err(Error::invalid("write", format!("{} bytes", entry.len()), bound)));
        }
        if let Some(error) = self.refuses_write(bucket, entry.len()) {
            return self.answer(source, Err(error.of_attempt(given.then_some(token))));
        }
        let write = Write {
            token,
            entry,
            touches: touches(hash, mutations),
            // A given token may have been sent before.
            copies: u32::from(given),
            given,
            heir: None,
            burn: false,
            attempts: 0,
        };
        let key =
            self.calls.insert(Call { source, deadline, bucket, work: Work::Write(write), forwarded: None });
        self.place_write(now, key);
    }

    /// Takes a token out of use, to learn for certain what became of it.
    pub(super) fn burn(&mut self, now: u64, source: Source, deadline: u64, token: Token) {
        let touches = Touches { entity: token.client ^ token.counter.rotate_left(32), record: None };
        let write = Write {
            token,
            entry: command::encode_burn(&token),
            touches,
            copies: 0,
            given: true,
            heir: None,
            burn: true,
            attempts: 0,
        };
        let bucket = Bucket(token.bucket);
        let key =
            self.calls.insert(Call { source, deadline, bucket, work: Work::Write(write), forwarded: None });
        self.enqueue(now, bucket, key);
    }

    /// Whether a token's birth is so far ahead that this node cannot just be behind. What is nearer is found out where it is decided.
    pub(super) fn is_from_the_future(&self, token: &Token) -> bool {
        let chosen = self.core.status(Bucket(token.bucket)).chosen.0;
        token.born > chosen.saturating_add(TOKEN_AHEAD_MAX)
    }

    /// A token that was never used, born where this node believes the bucket to be.
    pub(super) fn new_token(&mut self, bucket: Bucket) -> Token {
        let counter = self.next_token;
        self.next_token += 1;
        let born = if self.owns(bucket) { self.core.status(bucket).chosen.0 } else { 0 };
        Token { client: self.settings.client, counter, bucket: bucket.0, born }
    }
}

/// What a write changes, in fingerprints.
pub(super) fn touches(entity_hash: u64, mutations: &[Mutation]) -> Touches {
    let record = match mutations {
        [Mutation::Put { position, .. } | Mutation::Delete { position, .. }] => Some(fingerprint(*position)),
        _ => None,
    };
    Touches { entity: entity_hash, record }
}

/// A position's fingerprint within its entity. Equal positions have equal ones; others differ nearly always.
pub(super) fn fingerprint(position: Position) -> u64 {
    match position {
        Position::Undated => 0,
        Position::Dated { timestamp, sequence } => {
            (timestamp ^ sequence.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
        }
    }
}
