//! Linearizable reads without a log entry: rounds of probes and their verdicts (rules R1 to R5), waiting
//! until the slot is applied, serving.
//!
//! All reads that gathered since the last flush share one round. **A read joins only a round whose probes leave after it
//! arrived**, and an answer counts only for the round that it names.

mod rounds;
mod serve;
mod waiting;

pub(crate) use rounds::Rounds;
