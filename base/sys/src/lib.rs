//! Linux, as corten needs it: safe, owned-descriptor wrappers whose errors carry the failed call.
//!
//! All of corten's `unsafe` lives in this crate. Nothing here logs, reads the environment or knows
//! what a container is.

pub mod bpf;
pub mod dir;
pub mod error;
pub mod fs;
pub mod seccomp;

pub use dir::Dir;
pub use error::{Errno, SysError};
