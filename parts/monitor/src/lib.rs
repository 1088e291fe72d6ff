//! Keeper and worker: the two small processes behind a running container (architecture D12).
//!
//! The **keeper** is init's parent: it waits, writes the exit record and decides about restarts. The
//! **worker** is its child and serves: it writes the log and the attached clients. Neither parses JSON; what
//! init needs passes through the keeper as opaque bytes to [`Hooks`], which the engine implements.

pub mod attach;
pub mod events;
pub mod exits;
pub mod health;
pub mod journal;
pub mod keeper;
mod launching;
pub mod log_file;
pub mod order;
mod respawn;
pub mod restart;
pub mod state;
mod wire;
pub mod words;
mod worker;

pub use launching::{Hooks, Launching};
pub use order::{LogOrder, Order, ProbeOrder, RestartPolicy};
pub use words::Failure;
