//! The store as a library: real directories, archives made by hand. Runs as root.

mod archive;
mod hostile;
mod images;
mod layers;
mod overlay;
mod roundtrip;
mod scene;
