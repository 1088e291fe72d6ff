//! Linux, as corten needs it: safe, owned-descriptor wrappers whose errors carry the failed call.
//!
//! All of corten's `unsafe` lives in this crate. Nothing here logs, reads the environment or knows
//! what a container is.

pub mod arena;
pub mod bpf;
pub mod clock;
pub mod dir;
pub mod error;
pub mod exec;
pub mod fs;
pub mod label;
pub mod memory;
pub mod mount;
pub mod network;
#[cfg(target_arch = "x86_64")]
pub mod probe;
pub mod process;
pub mod pty;
pub mod rlimit;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod title;
pub mod tree;

pub use dir::Dir;
pub use error::{Errno, SysError};
