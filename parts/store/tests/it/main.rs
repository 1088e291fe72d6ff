//! The store as a library: real directories, archives made by hand. Runs as root.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test does")]

mod archive;
mod hostile;
mod images;
mod layers;
mod overlay;
mod roundtrip;
mod scene;
