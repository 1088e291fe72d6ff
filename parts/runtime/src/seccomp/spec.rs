//! A policy in the runtime-spec's words, for an external runtime: what counts for one container on one machine.

use corten_spec::runtime::{Seccomp, SeccompArgument, SeccompSyscall};

use super::profile::{Abi, Action, Arch, Condition, Operator, Profile, Rule};
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
        syscalls: rules.flat_map(entries).collect(),
    }
}

/// One entry, or one for each block of a range: runtimes take two comparisons of one argument for alternatives.
fn entries(rule: &Rule) -> Vec<SeccompSyscall> {
    let conditions = match rule.conditions.as_slice() {
        [low, high]
            if low.argument == high.argument
                && (low.operator, high.operator) == (Operator::GreaterOrEqual, Operator::LessOrEqual) =>
        {
            blocks(low.value, high.value)
                .map(|(value, mask)| {
                    vec![Condition { argument: low.argument, operator: Operator::Masked(mask), value }]
                })
                .collect()
        }
        all => vec![all.to_vec()],
    };
    let entry = |conditions: Vec<Condition>| SeccompSyscall {
        names: rule.names.iter().map(|name| name.clone().into_owned()).collect(),
        action: action_name(rule.action).to_owned(),
        errno_ret: errno(rule.action),
        args: conditions.iter().map(argument).collect(),
    };
    conditions.into_iter().map(entry).collect()
}

/// Splits a range into the fewest aligned blocks, each its first value and the mask that leaves that of all in it.
fn blocks(first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut next = (first <= last).then_some(first);
    std::iter::from_fn(move || {
        let start = next?;
        let aligned = start.trailing_zeros().min(63);
        let bits = (0..=aligned).rev().find(|bits| start + ((1 << bits) - 1) <= last)?;
        let end = start + ((1 << bits) - 1);
        next = end.checked_add(1).filter(|next| *next <= last);
        Some((start, !((1 << bits) - 1)))
    })
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
    use super::blocks;

    #[test]
    fn a_range_is_split_into_aligned_blocks() {
        let check = |first, last, expected: &[(u64, u64)]| {
            assert_eq!(blocks(first, last).collect::<Vec<_>>(), expected, "{first}..={last}");
        };
        check(39, 39, &[(39, u64::MAX)]);
        check(0, 37, &[(0, !31), (32, !3), (36, !1)]);
        check(41, 47, &[(41, u64::MAX), (42, !1), (44, !3)]);
        check(u64::MAX, u64::MAX, &[(u64::MAX, u64::MAX)]);
        check(2, 1, &[]);
    }
}
