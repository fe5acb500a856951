//! What a journal promises.

mod bytes;
mod caught;
mod crash;
mod history;
mod recovery;
mod scene;
mod threads;
mod walking;
mod writing;
