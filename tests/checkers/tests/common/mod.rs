//! What the tests of the checkers share: histories that are right by construction, ways to make them wrong, and what every
//! checker must say of them.
#![allow(dead_code, reason = "not every test binary uses all of it")]

pub(crate) mod build;
pub(crate) mod cases;
pub(crate) mod generate;
pub(crate) mod suite;
pub(crate) mod wrong;
