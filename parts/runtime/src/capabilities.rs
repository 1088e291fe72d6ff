//! Capability names, docker's default set and its add/drop rules, and giving up capabilities for good.

use std::fmt;
use std::sync::OnceLock;

use corten_sys::{Errno, SysError};
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

/// The names in the order of their numbers (linux/capability.h, Linux 5.9 and later).
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// One capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// Parses docker's spelling: any case, with or without `CAP_`.
    pub fn parse(name: &str) -> Result<Self, CapabilityError> {
        let full = full_name(name);
        let position = NAMES.iter().position(|other| *other == full);
        match position.and_then(|position| u8::try_from(position).ok()) {
            Some(number) => Ok(Self(number)),
            None => Err(CapabilityError::Unknown { name: full }),
        }
    }

    /// `CAP_…`
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

fn full_name(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

/// A name that is no capability; the words are docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    #[error("unknown capability: {name:?}")]
    Unknown { name: String },
    #[error("capability not supported by kernel or not available in the current environment: {name:?}")]
    Unavailable { name: &'static str },
}

/// A set of capabilities, one bit for each number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CapSet(u64);

impl CapSet {
    pub const EMPTY: Self = Self(0);
    /// Every capability this table knows.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);
    /// What docker gives a container: fourteen.
    pub const DEFAULT: Self = Self(
        1 << 0 // CHOWN
            | 1 << 1 // DAC_OVERRIDE
            | 1 << 3 // FOWNER
            | 1 << 4 // FSETID
            | 1 << 5 // KILL
            | 1 << 6 // SETGID
            | 1 << 7 // SETUID
            | 1 << 8 // SETPCAP
            | 1 << 10 // NET_BIND_SERVICE
            | 1 << 13 // NET_RAW
            | 1 << 18 // SYS_CHROOT
            | 1 << 27 // MKNOD
            | 1 << 29 // AUDIT_WRITE
            | 1 << 31, // SETFCAP
    );

    /// Takes a mask as the kernel prints it (`CapBnd`), without what this table does not know.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The mask.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Parses a list of names; `ALL` is not one of them.
    pub fn parse_all<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, CapabilityError> {
        names.into_iter().try_fold(Self::EMPTY, |set, name| Ok(set.with(Capability::parse(name.as_ref())?)))
    }

    /// This set and `capability`.
    #[must_use]
    pub fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability.0)
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set but not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Says whether `capability` is in the set.
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability.0 != 0
    }

    /// Says whether all of `other` is in the set.
    pub fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Says whether some of `other` is in the set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Lists the members by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0u8..).take(NAMES.len()).map(Capability).filter(move |capability| self.contains(*capability))
    }

    /// The capabilities of this process's bounding set: what a container can be given here. Read once.
    pub fn bounding() -> Self {
        static BOUNDING: OnceLock<CapSet> = OnceLock::new();
        *BOUNDING.get_or_init(Self::read_bounding)
    }

    fn read_bounding() -> Self {
        let held = |capability: &Capability| {
            thread::capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << capability.0))
                .unwrap_or(false)
        };
        Self::ALL.iter().filter(held).fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Capability::name)).finish()
    }
}

/// Computes a container's set from `--cap-add` and `--cap-drop` as docker does; `available` is [`CapSet::bounding`].
///
/// `--cap-add ALL` starts from everything, and `--cap-drop` takes away from it; `--cap-drop ALL` without it starts
/// from nothing, and what is added is added; a name both dropped and added is held.
pub fn tweak<S: AsRef<str>>(
    default: CapSet,
    add: &[S],
    drop: &[S],
    available: CapSet,
) -> Result<CapSet, CapabilityError> {
    let (add_all, add) = normalize(add, available)?;
    let (drop_all, drop) = normalize(drop, available)?;
    Ok(match (add_all, drop_all) {
        (true, _) => available.difference(drop),
        (false, true) => add,
        (false, false) => default.difference(drop).union(add),
    })
}

/// Says whether `ALL` is in the list, and collects the rest.
fn normalize<S: AsRef<str>>(names: &[S], available: CapSet) -> Result<(bool, CapSet), CapabilityError> {
    let mut all = false;
    let mut set = CapSet::EMPTY;
    for name in names.iter().map(AsRef::as_ref) {
        if name.eq_ignore_ascii_case("ALL") {
            all = true;
            continue;
        }
        let capability = Capability::parse(name)?;
        if !available.contains(capability) {
            return Err(CapabilityError::Unavailable { name: capability.name() });
        }
        set = set.with(capability);
    }
    Ok((all, set))
}

/// Drops from this thread's bounding set whatever is not in `keep`; needs CAP_SETPCAP. Cannot be undone.
pub fn limit_bounding(keep: CapSet) -> Result<(), SysError> {
    // Up to 63: a kernel newer than the table has capabilities that no name could keep.
    for number in 0..64u8 {
        if keep.0 & 1 << number != 0 {
            continue;
        }
        match thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // Past the kernel's last capability.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(SysError::new("drop bounding capability", number.to_string(), errno)),
        }
    }
    Ok(())
}

/// Sets this thread's effective, permitted and inheritable sets, then its ambient set to `ambient`.
pub fn apply(
    effective: CapSet,
    permitted: CapSet,
    inheritable: CapSet,
    ambient: CapSet,
) -> Result<(), SysError> {
    let raw = |set: CapSet| CapabilitySet::from_bits_retain(set.0);
    thread::clear_ambient_capability_set().map_err(|errno| SysError::new("clear ambient set", "", errno))?;
    let sets = CapabilitySets {
        effective: raw(effective),
        permitted: raw(permitted),
        inheritable: raw(inheritable),
    };
    thread::set_capabilities(None, sets).map_err(|errno| SysError::new("capset", "", errno))?;
    for capability in ambient.iter() {
        let one = CapabilitySet::from_bits_retain(1 << capability.0);
        thread::configure_capability_in_ambient_set(one, true)
            .map_err(|errno| SysError::new("raise ambient", capability.name(), errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: CapSet) -> Vec<&'static str> {
        set.iter().map(Capability::name).collect()
    }

    #[test]
    fn the_default_has_fourteen() {
        assert_eq!(
            names(CapSet::DEFAULT),
            [
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_SETGID",
                "CAP_SETUID",
                "CAP_SETPCAP",
                "CAP_NET_BIND_SERVICE",
                "CAP_NET_RAW",
                "CAP_SYS_CHROOT",
                "CAP_MKNOD",
                "CAP_AUDIT_WRITE",
                "CAP_SETFCAP"
            ]
        );
        assert_eq!(CapSet::DEFAULT.bits(), 0xa804_25fb);
    }

    #[test]
    fn spellings() {
        for name in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_Net_Admin"] {
            assert_eq!(Capability::parse(name).unwrap().name(), "CAP_NET_ADMIN");
        }
        assert_eq!(Capability::parse("foo").unwrap_err().to_string(), "unknown capability: \"CAP_FOO\"");
        assert!(Capability::parse("").is_err());
        assert_eq!(CapSet::parse_all(NAMES).unwrap(), CapSet::ALL);
    }

    #[test]
    fn tweaks_as_docker_does() {
        let tweak = |add: &[&str], drop: &[&str]| tweak(CapSet::DEFAULT, add, drop, CapSet::ALL).unwrap();
        let set = |names: &[&str]| CapSet::parse_all(names).unwrap();
        assert_eq!(tweak(&[], &[]), CapSet::DEFAULT);
        assert_eq!(tweak(&["net_admin"], &[]), CapSet::DEFAULT.union(set(&["NET_ADMIN"])));
        assert_eq!(tweak(&[], &["CHOWN", "sys_time"]), CapSet::DEFAULT.difference(set(&["CHOWN"])));
        assert_eq!(tweak(&["ALL"], &[]), CapSet::ALL);
        assert_eq!(tweak(&["all"], &["MKNOD"]), CapSet::ALL.difference(set(&["MKNOD"])));
        assert_eq!(tweak(&["ALL"], &["ALL"]), CapSet::ALL);
        assert_eq!(tweak(&[], &["ALL"]), CapSet::EMPTY);
        assert_eq!(tweak(&["CHOWN", "BPF"], &["all"]), set(&["CHOWN", "BPF"]));
        assert_eq!(tweak(&["CHOWN"], &["CHOWN"]), CapSet::DEFAULT);
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let available = CapSet::ALL.difference(CapSet::parse_all(["BPF"]).unwrap());
        let error = tweak(CapSet::DEFAULT, &["bpf"], &[], available).unwrap_err();
        assert_eq!(
            error.to_string(),
            "capability not supported by kernel or not available in the current environment: \"CAP_BPF\""
        );
        assert!(tweak(CapSet::DEFAULT, &[], &["nonsense"], available).is_err());
    }
}
