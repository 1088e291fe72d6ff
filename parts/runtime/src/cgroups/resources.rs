//! What a container may use, in docker's units, before it is translated to either cgroup version.
//!
//! Pure data. A field left `None` (or an empty list) means "leave the kernel's setting alone".

use serde::{Deserialize, Serialize};

/// Every limit of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    pub memory: Memory,
    pub cpu: Cpu,
    /// The most tasks; zero and below mean no limit, as docker reads `--pids-limit`.
    pub pids: Option<i64>,
    pub blkio: Blkio,
    pub hugepages: Vec<HugepageLimit>,
    /// The device rules in order, the last match winning and nothing allowed without a match; `None` leaves
    /// every device open.
    pub devices: Option<Vec<DeviceRule>>,
}

/// Memory limits in bytes; -1 is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    pub limit: Option<i64>,
    /// The soft limit (`--memory-reservation`).
    pub reservation: Option<i64>,
    /// Memory *plus* swap (`--memory-swap`).
    pub swap: Option<i64>,
    /// 0 to 100; cgroup v2 has no such setting and ignores it, as docker does.
    pub swappiness: Option<u64>,
    /// cgroup v2 has no such setting and ignores it, as docker does.
    pub oom_kill_disable: Option<bool>,
}

/// Processor limits; times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// 2 to 262144, 1024 being the default share.
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    pub period: Option<u64>,
    /// Billionths of a processor (`--cpus`); wins over quota and period.
    pub nano_cpus: Option<u64>,
    pub realtime_period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    /// A cpuset list ("0-2,7").
    pub cpus: Option<String>,
    /// A cpuset list of memory nodes.
    pub mems: Option<String>,
}

/// The kernel's default `--cpu-period`, in microseconds.
pub const CPU_PERIOD: u64 = 100_000;

impl Cpu {
    /// The quota and period to set, `--cpus` converted as docker does.
    pub fn bandwidth(&self) -> (Option<i64>, Option<u64>) {
        match self.nano_cpus.filter(|cpus| *cpus != 0) {
            Some(cpus) => {
                let quota =
                    i64::try_from(cpus.saturating_mul(CPU_PERIOD) / 1_000_000_000).unwrap_or(i64::MAX);
                (Some(quota), Some(CPU_PERIOD))
            }
            None => (self.quota, self.period.filter(|period| *period != 0)),
        }
    }
}

/// Block I/O limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blkio {
    /// 10 to 1000.
    pub weight: Option<u16>,
    pub weight_device: Vec<DeviceValue>,
    pub read_bps: Vec<DeviceValue>,
    pub write_bps: Vec<DeviceValue>,
    pub read_iops: Vec<DeviceValue>,
    pub write_iops: Vec<DeviceValue>,
}

/// A number for one block device; as a rate, zero lifts the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceValue {
    pub major: u32,
    pub minor: u32,
    pub value: u64,
}

/// A limit on one size of huge page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugepageLimit {
    /// As the kernel spells it: "2MB", "1GB".
    pub size: String,
    pub limit: u64,
}

/// One line of the device access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    pub allow: bool,
    pub kind: DeviceKind,
    /// `None` is every major.
    pub major: Option<u32>,
    /// `None` is every minor.
    pub minor: Option<u32>,
    pub access: Access,
}

/// Which device nodes a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    All,
    Block,
    Char,
}

impl DeviceKind {
    /// The kernel's letter.
    pub fn letter(self) -> char {
        match self {
            Self::All => 'a',
            Self::Block => 'b',
            Self::Char => 'c',
        }
    }
}

/// A set of read, write and mknod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access(u8);

impl Access {
    // The bits of BPF_DEVCG_ACC_* (linux/bpf.h).
    pub const MKNOD: Self = Self(1);
    pub const READ: Self = Self(2);
    pub const WRITE: Self = Self(4);
    pub const ALL: Self = Self(7);

    /// Parses letters out of "rwm"; `None` for any other letter and for nothing at all.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = 0;
        for letter in text.bytes() {
            bits |= match letter {
                b'r' => Self::READ.0,
                b'w' => Self::WRITE.0,
                b'm' => Self::MKNOD.0,
                _ => return None,
            };
        }
        (bits != 0).then_some(Self(bits))
    }

    /// The bits as `BPF_DEVCG_ACC_*` has them.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The letters, in the kernel's order.
    pub fn letters(self) -> &'static str {
        ["", "m", "r", "rm", "w", "wm", "rw", "rwm"][usize::from(self.0 & 7)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_letters_round_trip() {
        for letters in ["m", "r", "rm", "w", "wm", "rw", "rwm"] {
            assert_eq!(Access::parse(letters).unwrap().letters(), letters);
        }
        assert_eq!(Access::parse("mwr"), Some(Access::ALL));
        assert_eq!(Access::parse(""), None);
        assert_eq!(Access::parse("rx"), None);
    }
}
