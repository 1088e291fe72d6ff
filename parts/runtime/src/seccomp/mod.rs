//! Seccomp: docker's default policy and custom profiles, compiled to classic BPF without libseccomp.
//!
//! `profile` is what a policy says, `default` and `json` are where one comes from, `compile` turns it into
//! instructions for one architecture. All of it is pure; installing the result is `corten_sys::seccomp`.

mod compile;
mod default;
mod emit;
mod fingerprint;
mod json;
mod profile;
mod spec;
mod tables_aarch64;
mod tables_arm;
mod tables_i386;
mod tables_x32;
mod tables_x86_64;

#[cfg(test)]
mod tests;

pub use compile::{Program, compile};
pub use default::docker_default;
pub use fingerprint::FINGERPRINT;
pub use json::parse;
pub use profile::{Abi, Action, Arch, Architectures, Condition, Filter, Operator, Profile, Rule};

pub use spec::to_spec;

/// A profile that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeccompError {
    #[error("decode seccomp profile: {0}")]
    Json(String),
    #[error("seccomp profile: {field}: {reason}")]
    Field { field: String, reason: String },
    #[error("seccomp profile: its program has {instructions} instructions, the kernel takes 4096")]
    TooLarge { instructions: usize },
}
