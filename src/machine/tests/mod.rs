//! A whole node on a disk whose power goes: at every change that a scripted scenario makes, in every way in which it can.

mod crash;
mod scenario;
