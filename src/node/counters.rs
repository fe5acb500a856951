//! What a worker counts.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Numbers that only grow, since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: u64,)+
        }

        impl Counters {
            /// All of them, by name.
            pub(crate) fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),+]
            }

            /// Adds another worker's.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counters! {
    /// Times that peers remembered lives that this directory lacks: its own, or those of another one that was in its place.
    amnesias,
    /// Commands applied.
    applied,
    /// Buckets taken over whole from other replicas.
    buckets_installed,
    /// Replicas that an audit found to differ from the majority.
    differences,
    /// Fetches that found the commands in no journal any more.
    beyond_journal,
    /// Bytes of buckets copied to other replicas.
    copied_bytes,
    /// Own proposals that the core gave up for the time being.
    contended,
    /// Calls that ran out of time.
    deadlines,
    /// Items of peers that were dropped because the journal or the state was behind.
    dropped_full,
    /// Catch-up questions asked.
    fetches,
    /// Commands of the journal that were indexed behind the start, because no start needs them.
    past_commands,
    /// Places in what is indexed behind the start where commands may be missing because the journal is damaged.
    past_losses,
    /// Streams opened, to catch up in many buckets.
    streams,
    /// Own proposals for which more than a majority were asked to vote, because those asked first kept them waiting.
    widened_proposals,
    /// Undecided slots that this node set out to decide.
    finished_slots,
    /// Frames from lives of peers that are over, or that began from an old copy.
    frames_of_old_lives,
    /// Messages about slots that were not taken, because their sender does not hear this start of the node.
    messages_of_the_deaf,
    /// Buckets in which the operator gave up what a majority had lost.
    given_up,
    /// Records in the journal that an audit could not read.
    journal_damage,
    /// Calls passed on to another node.
    forwarded,
    /// Commands that handed their bucket over to the node that passed them on.
    handed_over,
    /// Passed-on calls that were tried elsewhere after the hedge delay or a lost link.
    hedged,
    /// Items from peers that broke the format.
    malformed_items,
    /// Links lost.
    peers_lost,
    /// Slots decided so that another replica passes its vote floor.
    nudges,
    /// Own proposals that met a higher ballot.
    preempted,
    /// Commands proposed.
    proposals,
    /// Rounds of read probes.
    read_rounds,
    /// Reads asked for by callers of this process.
    reads,
    /// Reads that had to wait for a slot.
    reads_waited,
    /// Calls refused because the queue was full.
    refused,
    /// Records of the journal that the start has read.
    replayed_records,
    /// Commands that the start has applied from it, because the state did not have them yet.
    replayed_commands,
    /// Undecided slots that were recorded again, so that the journal could be given back before them.
    renewed_slots,
    /// Proposals sent again.
    resends,
    /// Reads or writes of the state that failed.
    state_errors,
    /// Flushes, merges and removals that failed.
    upkeep_errors,
    /// Writes begun anew because their token had come too late.
    tokens_expired,
    /// Writes that waited for so many slots that their token was given a later birth.
    tokens_reborn,
    /// Copies of buckets begun.
    transfers,
    /// Buckets that vote again after they had lost their memory.
    voting_again,
    /// Read rounds that had to ask more peers.
    widened_rounds,
    /// Writes asked for by callers of this process.
    writes,
}
