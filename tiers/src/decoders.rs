//! Test only: every decoder of this crate, for fuzzing and for the replay of what fuzzing starts from.

use crate::hot::journal::decoders as journal;
use crate::hot::state::decoders as state;

/// Something that takes bytes which nobody vouches for.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// What it is called, and the folder of its inputs.
    pub name: &'static str,
    /// Decodes, and panics when what was decoded cannot be encoded and decoded again to the same.
    pub decode: fn(&[u8]),
    /// Inputs that are as they should be.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ALL: [Decoder; 7] = [
    Decoder { name: "journal_directory", decode: journal::directory, seeds: journal::directory_seeds },
    Decoder { name: "journal_label", decode: journal::label, seeds: journal::label_seeds },
    Decoder { name: "state_manifest", decode: state::manifest, seeds: state::manifest_seeds },
    Decoder { name: "state_block", decode: state::block, seeds: state::block_seeds },
    Decoder { name: "state_page", decode: state::page, seeds: state::page_seeds },
    Decoder { name: "state_run", decode: state::run, seeds: state::run_seeds },
    Decoder { name: "state_model", decode: state::model, seeds: state::model_seeds },
];
