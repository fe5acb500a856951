//! For tests only, behind the feature `test-util`: doors to the inside that nothing else has.

pub mod decoders;
