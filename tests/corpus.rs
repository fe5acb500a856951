//! The inputs that fuzzing starts from, and changes of them by a fixed seed: no decoder panics, reads back something else than
//! it wrote, or allocates by a number that it read.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use thermocline::test_util::decoders::{Decoder, all};

/// Counts what this thread holds, and the most that it held.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
    MOST.set(MOST.get().max(HELD.get()));
}

// SAFETY: all calls go on to the system's allocator; beside that, only thread-local numbers change, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What any decoder may hold: buffers of a fixed size, and for each byte of input so many.
const FIXED_BYTES: isize = 512 << 10;
const BYTES_PER_INPUT_BYTE: isize = 64;

/// Tries one input; the error says what is wrong, and shows the input.
fn check(decoder: &Decoder, input: &[u8]) -> Result<(), String> {
    HELD.set(0);
    MOST.set(0);
    let decode = decoder.decode;
    let decoded = catch_unwind(|| decode(input));
    let most = MOST.get();
    let shown = || format!("{}, input {}", decoder.name, hex(input));
    if decoded.is_err() {
        return Err(format!("a panic in {}", shown()));
    }
    // A whole part is played with there; its memtable is what it holds.
    let bounded = decoder.name != "state_model";
    if bounded && most > FIXED_BYTES + BYTES_PER_INPUT_BYTE * input.len() as isize {
        return Err(format!("{most} bytes held in {}", shown()));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder(decoder: &Decoder) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(decoder.name)
}

/// The committed inputs of a decoder, in the order of their names.
fn corpus(decoder: &Decoder) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder(decoder)).unwrap_or_else(|error| panic!("{}: {error}", decoder.name));
    let mut inputs: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

fn seed_name(number: usize) -> String {
    format!("seed-{number:02}")
}

#[test]
fn no_committed_input_does_harm() {
    for decoder in all() {
        for (name, input) in corpus(&decoder) {
            check(&decoder, &input).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        }
    }
}

/// When this fails, a format has changed: on purpose, then the inputs are written anew; or not.
#[test]
fn the_seeds_are_what_is_committed() {
    for decoder in all() {
        let committed = corpus(&decoder);
        let seeds = (decoder.seeds)();
        assert!(!seeds.is_empty());
        for (number, seed) in seeds.iter().enumerate() {
            let found = committed.iter().find(|(name, _)| *name == seed_name(number));
            assert_eq!(found.map(|(_, input)| hex(input)), Some(hex(seed)), "{} {number}", decoder.name);
        }
    }
}

#[test]
#[ignore = "writes the seeds into fuzz/corpus"]
fn write_the_seeds() {
    for decoder in all() {
        fs::create_dir_all(folder(&decoder)).unwrap();
        for (number, seed) in (decoder.seeds)().iter().enumerate() {
            fs::write(folder(&decoder).join(seed_name(number)), seed).unwrap();
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// One change of an input.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const NUMBERS: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ff00, u32::MAX];
    let at = random.below(input.len());
    let end = at + random.below(input.len() - at + 1);
    match random.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = random.below(256) as u8,
        2 => input.truncate(at),
        3 => drop(input.drain(at..end)),
        4 => input.extend_from_within(at..end.min(at + 200)),
        5 => {
            let from = random.below(other.len());
            input.splice(at..end, other[from..].iter().copied());
        }
        6 => {
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            let width = 1 << random.below(3);
            input.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
        }
        _ => input.insert(at, random.below(256) as u8),
    }
}

#[test]
fn no_changed_input_does_harm() {
    let mut tried = 0;
    for decoder in all() {
        let inputs: Vec<Vec<u8>> = corpus(&decoder).into_iter().map(|(_, input)| input).collect();
        let mut random =
            Random(decoder.name.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte)));
        // These two play with a whole directory each time.
        let rounds = if ["state_model", "journal_directory"].contains(&decoder.name) { 300 } else { 3_000 };
        for _ in 0..rounds {
            let mut input = inputs[random.below(inputs.len())].clone();
            let other = &inputs[random.below(inputs.len())];
            for _ in 0..1 + random.below(4) {
                change(&mut input, other, &mut random);
            }
            check(&decoder, &input).unwrap_or_else(|wrong| panic!("{wrong}"));
            tried += 1;
        }
    }
    assert!(tried > 30_000, "{tried}");
}

/// The net catches fish: a decoder that believes a length, and one that believes there is something, are found out.
#[test]
fn a_decoder_that_believes_its_input_is_caught() {
    fn believes_a_length(input: &[u8]) {
        let length = input.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        drop(std::hint::black_box(Vec::<u8>::with_capacity(length as usize % (64 << 20))));
    }
    fn believes_there_is_more(input: &[u8]) {
        assert!(input.first() != Some(&7) || input.len() > 3, "cut short");
    }
    let decoder = |decode| Decoder { name: "planted", decode, seeds: Vec::new };
    check(&decoder(believes_a_length), &[0, 0, 0, 0]).unwrap();
    assert!(check(&decoder(believes_a_length), &[0, 0, 0, 1]).unwrap_err().contains("bytes held"));
    check(&decoder(believes_there_is_more), &[7, 7, 7, 7]).unwrap();
    assert!(check(&decoder(believes_there_is_more), &[7]).unwrap_err().contains("a panic"));
}
