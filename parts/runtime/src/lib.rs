//! The OCI runtime: a plan made of pure data, the init that carries it out inside the new namespaces, and
//! exec into a running container.
//!
//! Nothing here knows images, names or records; the keeper (`corten-monitor`) owns the processes.

pub mod capabilities;
pub mod cgroups;
pub mod exec;
pub mod init;
pub mod launch;
pub mod lsm;
mod nodes;
pub mod plan;
pub mod seccomp;
pub mod selinux;
pub mod standing;
pub mod template;
