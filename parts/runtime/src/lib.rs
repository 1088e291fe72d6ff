//! .
pub mod capabilities;
pub mod cgroups;
pub mod seccomp;
