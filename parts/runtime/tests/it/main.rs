//! The runtime's parts against the real kernel; needs root.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod cgroups;
mod seccomp;
