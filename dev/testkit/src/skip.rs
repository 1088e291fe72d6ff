//! Skips: explicit, counted, and failures where they must not happen.
//!
//! `CORTEN_TEST_REQUIRE=root,userns` names what a run must have; a test that skips for lack of it fails.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    Root,
    UserNamespaces,
    /// A free loop device and mkfs.ext4.
    Loop,
    CgroupV2,
    /// A program of this name in the path.
    Program(&'static str),
}

impl Capability {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::UserNamespaces => "userns",
            Self::Loop => "loop",
            Self::CgroupV2 => "cgroup2",
            Self::Program(name) => name,
        }
    }

    fn is_there(self) -> bool {
        match self {
            Self::Root => rustix::process::geteuid().is_root(),
            Self::UserNamespaces => Path::new("/proc/self/ns/user").exists(),
            Self::Loop => Path::new("/dev/loop-control").exists() && find_program("mkfs.ext4"),
            Self::CgroupV2 => Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            Self::Program(name) => find_program(name),
        }
    }
}

/// False, and said so, where the machine lacks one of `wanted`.
pub fn have(wanted: &[Capability]) -> bool {
    match wanted.iter().find(|capability| !capability.is_there()) {
        Some(missing) => {
            skip(missing.name(), "not on this machine");
            false
        }
        None => true,
    }
}

/// Says and counts a skip; panics where `CORTEN_TEST_REQUIRE` names the capability.
pub fn skip(capability: &str, reason: &str) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let required = std::env::var("CORTEN_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word == capability),
        "required but skipped: {capability}: {reason}"
    );
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    eprintln!("skipped: {capability}: {reason} (skip {count} of this run)");
}

fn find_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin".into(), "/sbin".into()];
    std::env::split_paths(&path).chain(extra).any(|directory| directory.join(name).exists())
}
