//! From a policy to a filter: architecture, then a balanced search over the numbers, then arguments.
//!
//! Numbers that the policy treats alike form runs, so docker's policy takes some hundred comparisons of which a
//! system call sees eight or so. Loading gets cheaper with every instruction that is not there.

use std::collections::HashMap;
use std::ops::Range;

use super::emit::{
    ARCHITECTURE, Emitter, Half, JUMP_EQUAL, JUMP_GREATER_OR_EQUAL, LOAD, NUMBER, SUBTRACT, Target,
};
use super::profile::{Abi, Action, Arch, Condition, Profile, Rule};
use super::{SeccompError, tables_aarch64, tables_arm, tables_i386, tables_x32, tables_x86_64};
use crate::capabilities::CapSet;

const ENOSYS: u16 = 38;

/// The kernel's BPF_MAXINSNS.
const MAX_INSTRUCTIONS: usize = 4096;

/// What marks the number of an x32 system call.
const X32_BIT: u32 = 0x4000_0000;

/// The first number whose meaning differs between x32 and x86_64.
const X32_OWN: u32 = 512;

/// From here on are the private calls of arm, which are as old as the lowest numbers.
const ARM_PRIVATE: u32 = 0xf_0000;

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// `struct sock_filter`s, eight bytes each; the same for the same profile, capabilities and machine.
    pub instructions: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

/// What one number gets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Always(Action),
    /// The first alternative that holds, else the default.
    Depends(Vec<(Vec<Condition>, Action)>),
}

/// Compiles a profile for a container with these (bounding) capabilities.
pub fn compile(
    profile: &Profile,
    caps: CapSet,
    arch: Arch,
    kernel: (u32, u32),
) -> Result<Program, SeccompError> {
    let mut rules: HashMap<&str, Vec<&Rule>> = HashMap::new();
    for rule in profile.rules.iter().filter(|rule| rule.applies(caps, arch, kernel)) {
        for name in &rule.names {
            rules.entry(name).or_default().push(rule);
        }
    }
    let policy = Policy { default: profile.default, rules };
    let mut emitter = Emitter::default();
    // A program of an architecture that nobody spoke of: libseccomp kills as well.
    let mut entry = Target::Return(Action::KillProcess.value());
    for abi in arch.other_abis().iter().copied().filter(|abi| profile.architectures.cover(arch, *abi)) {
        if abi == Abi::X32 {
            continue;
        }
        let tree = policy.search(&mut emitter, runs(&policy, abi));
        let tree = emitter.then(LOAD, NUMBER, tree);
        entry = emitter.branch(JUMP_EQUAL, abi.audit_arch(), tree, entry);
    }
    let native = arch.abi();
    let mut tree = policy.search(&mut emitter, runs(&policy, native));
    if native == Abi::X86_64 {
        let x32 = if profile.architectures.cover(arch, Abi::X32) {
            let own = policy.search(&mut emitter, runs(&policy, Abi::X32));
            let either = emitter.branch(JUMP_GREATER_OR_EQUAL, X32_OWN, own, tree);
            emitter.then(SUBTRACT, X32_BIT, either)
        } else {
            Target::Return(Action::KillProcess.value())
        };
        tree = emitter.branch(JUMP_GREATER_OR_EQUAL, X32_BIT, x32, tree);
    }
    let tree = emitter.then(LOAD, NUMBER, tree);
    let entry = emitter.branch(JUMP_EQUAL, native.audit_arch(), tree, entry);
    emitter.then(LOAD, ARCHITECTURE, entry);
    if emitter.len() > MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLarge { instructions: emitter.len() });
    }
    Ok(Program { instructions: emitter.bytes(), flags: profile.flags })
}

/// The numbers and names of an interface.
pub(super) fn table(abi: Abi) -> &'static [(u32, &'static str)] {
    match abi {
        Abi::X86_64 => tables_x86_64::SYSCALLS,
        Abi::I386 => tables_i386::SYSCALLS,
        Abi::X32 => tables_x32::SYSCALLS,
        Abi::Aarch64 => tables_aarch64::SYSCALLS,
        Abi::Arm => tables_arm::SYSCALLS,
    }
}

/// The rules that count, by system call.
struct Policy<'a> {
    default: Action,
    rules: HashMap<&'a str, Vec<&'a Rule>>,
}

impl Policy<'_> {
    /// What a number gets that the policy cannot mean, for lack of a name or because it is newer than all that the
    /// policy names: a program must see it as an old kernel would show it, and fall back.
    fn unknown(&self) -> Action {
        if self.default.permits() { self.default } else { Action::Errno(ENOSYS) }
    }

    /// What the system call of these names (usually one) gets.
    fn verdict(&self, names: &[&str]) -> Verdict {
        let rules: Vec<&Rule> = names
            .iter()
            .filter_map(|name| self.rules.get(name))
            .flatten()
            .copied()
            .filter(|rule| rule.action != self.default)
            .collect();
        if let Some(rule) = rules.iter().find(|rule| rule.conditions.is_empty()) {
            Verdict::Always(rule.action)
        } else if rules.is_empty() {
            Verdict::Always(self.default)
        } else {
            Verdict::Depends(rules.iter().map(|rule| (rule.conditions.clone(), rule.action)).collect())
        }
    }

    fn search(&self, emitter: &mut Emitter, runs: Vec<(u32, Verdict)>) -> Target {
        // Leaves with conditions first: the search above them stays compact, its jumps short.
        let runs: Vec<(u32, Target)> =
            runs.into_iter().map(|(first, verdict)| (first, self.leaf(emitter, &verdict))).collect();
        emitter.search(&runs)
    }

    fn leaf(&self, emitter: &mut Emitter, verdict: &Verdict) -> Target {
        let default = Target::Return(self.default.value());
        let alternatives = match verdict {
            Verdict::Always(action) => return Target::Return(action.value()),
            Verdict::Depends(alternatives) => alternatives,
        };
        if let Some(ranges) = Ranges::of(alternatives, self.default) {
            let runs: Vec<(u32, Target)> =
                ranges.low.iter().map(|(first, action)| (*first, Target::Return(action.value()))).collect();
            let low = emitter.search(&runs);
            let low = emitter.load_argument(ranges.argument, Half::Low, low);
            let high = emitter.branch(JUMP_EQUAL, 0, low, Target::Return(ranges.high.value()));
            return emitter.load_argument(ranges.argument, Half::High, high);
        }
        alternatives.iter().rev().fold(default, |otherwise, (conditions, action)| {
            let action = Target::Return(action.value());
            conditions
                .iter()
                .rev()
                .fold(action, |then, condition| emitter.compare(condition, then, otherwise))
        })
    }
}

/// The numbers that are newer than all that the policy names; runc draws its line there as well.
fn newer(policy: &Policy<'_>, abi: Abi) -> Range<u32> {
    let numbers = table(abi).iter().filter(|(number, _)| *number < ARM_PRIVATE);
    let named = numbers.filter(|(_, name)| policy.rules.contains_key(name));
    named.map(|(number, _)| *number).max().map_or(0..0, |last| last + 1..ARM_PRIVATE)
}

/// Groups an interface's numbers into runs of one verdict: (first number, verdict), from 0 to the last.
fn runs(policy: &Policy<'_>, abi: Abi) -> Vec<(u32, Verdict)> {
    let unknown = Verdict::Always(policy.unknown());
    let mut runs: Vec<(u32, Verdict)> = Vec::new();
    let mut push = |first: u32, verdict: Verdict| {
        if runs.last().is_none_or(|(_, last)| *last != verdict) {
            runs.push((first, verdict));
        }
    };
    let newer = newer(policy, abi);
    let mut next = 0;
    for entries in table(abi).chunk_by(|a, b| a.0 == b.0) {
        let number = entries[0].0;
        if newer.contains(&number) {
            continue;
        }
        if number > next {
            push(next, unknown.clone());
        }
        let names: Vec<&str> = entries.iter().map(|(_, name)| *name).collect();
        push(number, policy.verdict(&names));
        next = number + 1;
    }
    push(next, unknown);
    runs
}

/// Alternatives that only compare one argument, as ranges of its values.
struct Ranges {
    argument: u8,
    /// (first value, action) for values below 2^32.
    low: Vec<(u32, Action)>,
    /// For all values from 2^32 on.
    high: Action,
}

impl Ranges {
    /// `None` where several arguments or masks are involved, or values from 2^32 on differ.
    fn of(alternatives: &[(Vec<Condition>, Action)], default: Action) -> Option<Self> {
        let conditions = || alternatives.iter().flat_map(|(conditions, _)| conditions);
        let argument = conditions().next()?.argument;
        let plain = |condition: &Condition| {
            condition.argument == argument
                && !matches!(condition.operator, super::profile::Operator::Masked(_))
        };
        if !conditions().all(plain) {
            return None;
        }
        const ABOVE: u64 = 1 << 32;
        let mut points: Vec<u64> = vec![0, ABOVE];
        for condition in conditions() {
            points.push(condition.value);
            points.extend(condition.value.checked_add(1));
        }
        points.sort_unstable();
        points.dedup();
        let action = |value: u64| {
            let holds = |(conditions, _): &&(Vec<Condition>, Action)| {
                conditions.iter().all(|condition| condition.holds(value))
            };
            alternatives.iter().find(holds).map_or(default, |(_, action)| *action)
        };
        let high = action(ABOVE);
        let mut low: Vec<(u32, Action)> = Vec::new();
        for point in points {
            let here = action(point);
            match u32::try_from(point) {
                Ok(point) if low.last().is_none_or(|(_, last)| *last != here) => low.push((point, here)),
                Ok(_) => {}
                Err(_) if here != high => return None,
                Err(_) => {}
            }
        }
        Some(Self { argument, low, high })
    }
}
