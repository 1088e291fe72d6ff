//! A policy in the runtime-spec's words, for an external runtime: what counts for one container on one machine.

use corten_spec::runtime::{Seccomp, SeccompArgument, SeccompSyscall};

use super::profile::{Abi, Action, Arch, Condition, Operator, Profile};
use crate::capabilities::CapSet;

/// Renders the rules that apply with these (bounding) capabilities on this machine (runtime-spec, Linux, Seccomp).
pub fn to_spec(profile: &Profile, caps: CapSet, arch: Arch, kernel: (u32, u32)) -> Seccomp {
    let abis = [arch.abi()].into_iter().chain(arch.other_abis().iter().copied());
    let covered = abis.filter(|abi| profile.architectures.cover(arch, *abi));
    let rules = profile.rules.iter().filter(|rule| rule.applies(caps, arch, kernel));
    Seccomp {
        default_action: action_name(profile.default).to_owned(),
        default_errno_ret: errno(profile.default),
        architectures: covered.map(|abi| architecture_name(abi).to_owned()).collect(),
        syscalls: rules
            .map(|rule| SeccompSyscall {
                names: rule.names.iter().map(|name| name.clone().into_owned()).collect(),
                action: action_name(rule.action).to_owned(),
                errno_ret: errno(rule.action),
                args: rule.conditions.iter().map(argument).collect(),
            })
            .collect(),
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Allow => "SCMP_ACT_ALLOW",
        Action::Log => "SCMP_ACT_LOG",
        Action::Errno(_) => "SCMP_ACT_ERRNO",
        Action::Trap => "SCMP_ACT_TRAP",
        Action::Trace(_) => "SCMP_ACT_TRACE",
        Action::KillThread => "SCMP_ACT_KILL_THREAD",
        Action::KillProcess => "SCMP_ACT_KILL_PROCESS",
    }
}

fn errno(action: Action) -> Option<u32> {
    match action {
        Action::Errno(number) | Action::Trace(number) => Some(number.into()),
        _ => None,
    }
}

fn architecture_name(abi: Abi) -> &'static str {
    match abi {
        Abi::X86_64 => "SCMP_ARCH_X86_64",
        Abi::I386 => "SCMP_ARCH_X86",
        Abi::X32 => "SCMP_ARCH_X32",
        Abi::Aarch64 => "SCMP_ARCH_AARCH64",
        Abi::Arm => "SCMP_ARCH_ARM",
    }
}

fn argument(condition: &Condition) -> SeccompArgument {
    let (op, value, value_two) = match condition.operator {
        Operator::Equal => ("SCMP_CMP_EQ", condition.value, 0),
        Operator::NotEqual => ("SCMP_CMP_NE", condition.value, 0),
        Operator::Less => ("SCMP_CMP_LT", condition.value, 0),
        Operator::LessOrEqual => ("SCMP_CMP_LE", condition.value, 0),
        Operator::Greater => ("SCMP_CMP_GT", condition.value, 0),
        Operator::GreaterOrEqual => ("SCMP_CMP_GE", condition.value, 0),
        Operator::Masked(mask) => ("SCMP_CMP_MASKED_EQ", mask, condition.value),
    };
    SeccompArgument { index: condition.argument, value, value_two, op: op.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::{compile, docker_default, parse};
    use super::*;

    /// What is written is read again as a policy that compiles to the same program.
    #[test]
    fn the_default_policy_survives() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let caps = CapSet::DEFAULT;
            let policy = docker_default();
            let json = serde_json::to_vec(&to_spec(&policy, caps, arch, (6, 1))).unwrap();
            let again = parse(&json).unwrap().unwrap();
            assert_eq!(
                compile(&again, caps, arch, (6, 1)).unwrap().instructions,
                compile(&policy, caps, arch, (6, 1)).unwrap().instructions
            );
        }
    }
}
