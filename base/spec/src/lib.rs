//! The words of the OCI specifications as types: parse, render, validate. No I/O.

pub mod descriptor;
pub mod digest;
pub mod image_config;
pub mod manifest;
pub mod platform;
pub mod reference;
pub mod runtime;

pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest, ImageId};
pub use image_config::ImageConfig;
pub use manifest::{Index, Manifest};
pub use platform::Platform;
pub use reference::Reference;
