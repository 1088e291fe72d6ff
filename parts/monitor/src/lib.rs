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
pub mod journald;
pub mod keeper;
mod launching;
mod lines;
pub mod log_file;
mod log_sink;
pub mod order;
mod respawn;
pub mod restart;
pub mod state;
mod syslog;
mod wire;
pub mod words;
mod worker;

pub use launching::{Hooks, Launching};
pub use order::{JournaldOrder, SyslogFormat, SyslogOrder, SyslogServer};
pub use order::{LogFormat, LogOrder, LogSink, Order, ProbeOrder, RestartPolicy};
pub use words::Failure;
