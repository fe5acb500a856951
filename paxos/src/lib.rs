//! The consensus core of Thermocline: leaseless Paxos as a pure state machine.
//!
//! One log for each bucket, one decision for each slot, no leader and no lease. `PROTOCOL.md` explains the protocol, its
//! rules and their proofs to a reader who knows Paxos; [`Core`] lists everything that can happen and be asked.
//!
//! **No I/O, no clock, no threads, no randomness**: `no_std` makes the compiler prove it.
//!
//! ```
//! use bytes::Bytes;
//! use thermocline_paxos::*;
//!
//! // A group of one: what is synced is chosen.
//! let me = Originator { node: NodeId(1), boot: Boot { disk: 7, count: 1 } };
//! let mut core = Core::new(me, 0, Limits::default());
//! core.open(Bucket(0), &[NodeId(1)], Restored { founder: true, ..Restored::default() }).unwrap();
//! let mut out = Output::default();
//! core.propose(Bucket(0), Bytes::from_static(b"command"), &mut out).unwrap();
//! let ticket = out.persist.pop().unwrap().ticket;
//! core.persisted(ticket, &mut out);
//! assert!(matches!(out.events[0], Event::Chosen { slot: Slot(1), .. }));
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

extern crate alloc;

mod acceptor;
mod ballot;
mod core;
mod floor;
mod learner;
mod message;
mod output;
#[cfg(not(feature = "plant"))]
mod plant;
#[cfg(feature = "plant")]
pub mod plant;
mod proposer;
pub mod read;
mod record;
mod renewal;
mod replica;
mod restore;
mod seat;
mod slot;

pub use crate::core::{Core, Limits, OpenError, ProposeError, Status};
pub use ballot::{Ballot, Boot, NodeId, Originator};
pub use message::{Accepted, Known, Message};
pub use output::{Event, Output, Persist, ProposalOutcome, Send};
pub use proposer::PREPARES_MAX;
pub use read::Freshness;
pub use record::{Command, CommandId, Record};
pub use restore::{Replay, Restored, Vote};
pub use slot::{Bucket, Slot, Ticket};
