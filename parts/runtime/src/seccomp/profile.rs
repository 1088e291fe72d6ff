//! What a seccomp policy says: a default, and rules about named system calls.

use std::borrow::Cow;

use crate::capabilities::CapSet;

const EPERM: u16 = 1;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Allow,
    /// Allowed, and written to the audit log.
    Log,
    Errno(u16),
    /// SIGSYS that can be caught.
    Trap,
    /// Handed to a tracer with this number; ENOSYS without one.
    Trace(u16),
    KillThread,
    KillProcess,
}

impl Action {
    /// Docker's default refusal.
    pub const DENY: Self = Self::Errno(EPERM);

    /// The filter's return value (linux/seccomp.h).
    pub fn value(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }

    /// Says whether the system call is carried out, or may be.
    pub fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log | Self::Trace(_))
    }
}

/// How an argument is compared, as 64-bit numbers without sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// The argument, masked with this, equals the value.
    Masked(u64),
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u8,
    pub operator: Operator,
    pub value: u64,
}

impl Condition {
    /// Says whether `argument` satisfies it.
    pub fn holds(&self, argument: u64) -> bool {
        match self.operator {
            Operator::Equal => argument == self.value,
            Operator::NotEqual => argument != self.value,
            Operator::Less => argument < self.value,
            Operator::LessOrEqual => argument <= self.value,
            Operator::Greater => argument > self.value,
            Operator::GreaterOrEqual => argument >= self.value,
            Operator::Masked(mask) => argument & mask == self.value,
        }
    }
}

/// Where a rule applies; an empty part restricts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub caps: CapSet,
    /// Docker's names: `amd64`, `arm64`, ….
    pub arches: Vec<Cow<'static, str>>,
    pub min_kernel: Option<(u32, u32)>,
}

/// One rule: the named system calls get `action` where every condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub names: Vec<Cow<'static, str>>,
    pub action: Action,
    pub conditions: Vec<Condition>,
    /// All capabilities held, the architecture listed, the kernel new enough.
    pub includes: Filter,
    /// Any capability held, or the architecture listed, or the kernel new enough.
    pub excludes: Filter,
}

impl Rule {
    /// Says whether the rule counts for a container with these capabilities on this machine.
    pub fn applies(&self, caps: CapSet, arch: Arch, kernel: (u32, u32)) -> bool {
        let names_arch =
            |filter: &Filter| filter.arches.iter().any(|name| arch.docker_names().contains(&name.as_ref()));
        let new_enough = |filter: &Filter| filter.min_kernel.is_some_and(|minimum| kernel >= minimum);
        let excluded =
            names_arch(&self.excludes) || caps.intersects(self.excludes.caps) || new_enough(&self.excludes);
        let included = (self.includes.arches.is_empty() || names_arch(&self.includes))
            && caps.contains_all(self.includes.caps)
            && (self.includes.min_kernel.is_none() || new_enough(&self.includes));
        included && !excluded
    }
}

/// The machine's architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// The one this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The one this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    fn docker_names(self) -> [&'static str; 2] {
        match self {
            Self::X86_64 => ["amd64", "x86_64"],
            Self::Aarch64 => ["arm64", "aarch64"],
        }
    }

    /// The system call interface of native programs.
    pub fn abi(self) -> Abi {
        match self {
            Self::X86_64 => Abi::X86_64,
            Self::Aarch64 => Abi::Aarch64,
        }
    }

    /// The other interfaces that its kernels may offer.
    pub fn other_abis(self) -> &'static [Abi] {
        match self {
            Self::X86_64 => &[Abi::I386, Abi::X32],
            Self::Aarch64 => &[Abi::Arm],
        }
    }
}

/// A system call interface: a numbering of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abi {
    X86_64,
    I386,
    /// Told from x86_64 by the bit 0x4000_0000 of the number.
    X32,
    Aarch64,
    Arm,
}

impl Abi {
    /// `AUDIT_ARCH_*` (linux/audit.h).
    pub fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }
}

/// The interfaces a profile speaks of; a program that uses another one is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Architectures {
    /// The native one and these.
    Listed(Vec<Abi>),
    /// For a native interface, the others beside it.
    Mapped(Vec<(Abi, Vec<Abi>)>),
}

impl Architectures {
    /// Says whether `abi` is governed on a machine of `arch`.
    pub fn cover(&self, arch: Arch, abi: Abi) -> bool {
        abi == arch.abi()
            || match self {
                Self::Listed(list) => list.contains(&abi),
                Self::Mapped(map) => {
                    map.iter().any(|(native, others)| *native == arch.abi() && others.contains(&abi))
                }
            }
    }
}

/// A policy.
///
/// For one system call, the first rule without conditions decides; without such a rule the first whose conditions
/// hold; without that, the default. A rule that only repeats the default counts for nothing. This is what docker's
/// profiles mean under libseccomp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub default: Action,
    pub architectures: Architectures,
    /// `SECCOMP_FILTER_FLAG_*` for installing it.
    pub flags: u32,
    pub rules: Vec<Rule>,
}
