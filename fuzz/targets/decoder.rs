//! One decoder, the one whose name this program has: all of them are the same program under another name.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use thermocline::test_util::decoders::{Decoder, all};

static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let program = std::env::args().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    all().into_iter().find(|decoder| decoder.name == name).unwrap_or_else(|| panic!("there is no decoder {name}"))
});

fuzz_target!(|bytes: &[u8]| (DECODER.decode)(bytes));
