//! What corten's tests stand on: sandboxes with stores of their own, images made in code, terminals, waiting
//! with a deadline, and the proof that a case has left nothing behind.
//!
//! Knows corten by its command line and its directories only: what is tested is never used to test it.

#![allow(clippy::disallowed_methods, reason = "the tests' edge: it reads the environment")]
#![allow(clippy::print_stderr, reason = "a skip is said where the test's output goes")]

mod disk;
mod fixture;
mod invocation;
mod leftovers;
mod read_only;
mod sandbox;
mod skip;
mod tar;
mod terminal;
mod wait;

pub use disk::Disk;
pub use fixture::{busybox_archive, busybox_tree};
pub use invocation::{Background, Invocation, Output};
pub use leftovers::expect_orphan;
pub use read_only::is_read_only;
pub use sandbox::{Sandbox, binary};
pub use skip::{Capability, have, skip};
pub use tar::Archive;
pub use terminal::Terminal;
pub use wait::{DEADLINE, pause, until};
