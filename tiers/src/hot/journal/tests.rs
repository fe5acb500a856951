//! What a journal promises.

mod caught;
mod crash;
mod recovery;
mod scene;
mod writing;
