//! Device access lists: docker's default, the lines cgroup v1 takes, the program cgroup v2 runs.
//!
//! One meaning for both versions: a request is allowed if, for each of its access letters, the last rule that
//! speaks of the node and that letter allows it; without a rule it is denied.

use super::resources::{Access, DeviceKind, DeviceRule};

/// A list that cgroup v1 cannot express.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceRuleError {
    #[error("rule {index} ({rule}) makes an exception to an earlier rule, which cgroup v1 cannot do")]
    Exception { index: usize, rule: String },
}

/// Docker's list for an unprivileged container: the standard nodes, ptys, and mknod of anything.
pub fn docker_default() -> Vec<DeviceRule> {
    let any = |kind, access| DeviceRule { allow: true, kind, major: None, minor: None, access };
    let node = |major, minor| DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(major),
        minor,
        access: Access::ALL,
    };
    vec![
        DeviceRule { allow: false, ..any(DeviceKind::All, Access::ALL) },
        any(DeviceKind::Char, Access::MKNOD),
        any(DeviceKind::Block, Access::MKNOD),
        node(1, Some(3)), // null
        node(1, Some(5)), // zero
        node(1, Some(7)), // full
        node(1, Some(8)), // random
        node(1, Some(9)), // urandom
        node(5, Some(0)), // tty
        node(5, Some(1)), // console
        node(5, Some(2)), // ptmx
        node(136, None),  // pts
    ]
}

/// The rule as the kernel and docker write it: `c 1:3 rwm`.
pub fn render(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    format!("{} {}:{} {}", rule.kind.letter(), number(rule.major), number(rule.minor), rule.access.letters())
}

fn is_everything(rule: &DeviceRule) -> bool {
    rule.kind == DeviceKind::All && rule.major.is_none() && rule.minor.is_none() && rule.access == Access::ALL
}

fn same_nodes(a: &DeviceRule, b: &DeviceRule) -> bool {
    a.kind == b.kind && a.major == b.major && a.minor == b.minor
}

fn overlap(a: &DeviceRule, b: &DeviceRule) -> bool {
    let numbers = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
    let kinds = a.kind == b.kind || a.kind == DeviceKind::All || b.kind == DeviceKind::All;
    kinds && numbers(a.major, b.major) && numbers(a.minor, b.minor) && a.access.bits() & b.access.bits() != 0
}

/// Lists (file, line) for `devices.allow` and `devices.deny`, starting with `a`, which sets the default and drops
/// what was there.
///
/// A v1 list is a default plus exceptions of the opposite kind; a line that takes part of an exception back is
/// accepted by the kernel and does nothing, so it is an error here.
pub fn v1_lines(rules: &[DeviceRule]) -> Result<Vec<(&'static str, String)>, DeviceRuleError> {
    let start = rules.iter().rposition(is_everything);
    let default_allow = start.is_some_and(|start| rules[start].allow);
    let file = |allow: bool| if allow { "devices.allow" } else { "devices.deny" };
    let mut lines = vec![(file(default_allow), "a".to_owned())];
    let first = start.map_or(0, |start| start + 1);
    let mut exceptions: Vec<&DeviceRule> = Vec::new();
    for (offset, rule) in rules[first..].iter().enumerate() {
        // The kernel reads `a` as everything, whatever follows it.
        let kinds: &[DeviceKind] = match rule.kind {
            DeviceKind::All => &[DeviceKind::Block, DeviceKind::Char],
            DeviceKind::Block => &[DeviceKind::Block],
            DeviceKind::Char => &[DeviceKind::Char],
        };
        if rule.allow == default_allow {
            let clash = exceptions.iter().any(|other| {
                overlap(other, rule) && !(same_nodes(other, rule) && rule.kind != DeviceKind::All)
            });
            if clash {
                return Err(DeviceRuleError::Exception { index: first + offset, rule: render(rule) });
            }
        } else {
            exceptions.push(rule);
        }
        lines.extend(
            kinds.iter().map(|kind| (file(rule.allow), render(&DeviceRule { kind: *kind, ..*rule }))),
        );
    }
    Ok(lines)
}

// eBPF (Documentation/bpf/standardization/instruction-set.rst): opcode, destination and source register,
// 16-bit jump offset, 32-bit immediate, packed little-endian as `struct bpf_insn` on both our architectures.
const LOAD_WORD: u8 = 0x61;
const AND32_IMM: u8 = 0x54;
const RSH32_IMM: u8 = 0x74;
const MOV32_IMM: u8 = 0xb4;
// The 32-bit forms: the others sign-extend the immediate.
const JNE_IMM: u8 = 0x56;
const JSET_IMM: u8 = 0x46;
const JUMP: u8 = 0x05;
const EXIT: u8 = 0x95;

// The registers of the program: the context, what is returned, and the request.
const RETURN: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: u32) -> u64 {
    u64::from(code)
        | u64::from(destination | (source << 4)) << 8
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(immediate) << 32
}

/// Emits the `BPF_PROG_TYPE_CGROUP_DEVICE` program for the rules: 1 allows, 0 denies.
///
/// The rules are tried from the last to the first. Each that speaks of the node settles its letters: a deny that
/// meets a letter still open answers 0, an allow removes its letters and answers 1 once none is open.
pub fn v2_program(rules: &[DeviceRule]) -> Vec<u64> {
    // struct bpf_cgroup_dev_ctx { u32 access_type (access << 16 | kind); u32 major; u32 minor; }
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(AND32_IMM, KIND, 0, 0, 0xffff),
        instruction(LOAD_WORD, ACCESS, CONTEXT, 0, 0),
        instruction(RSH32_IMM, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(rule_block(rule));
        if is_everything(rule) {
            // Every letter is settled: nothing earlier can be reached, and the verifier rejects dead code.
            return program;
        }
    }
    program.extend(answer(0));
    program
}

fn answer(value: u32) -> [u64; 2] {
    [instruction(MOV32_IMM, RETURN, 0, 0, value), instruction(EXIT, 0, 0, 0, 0)]
}

fn rule_block(rule: &DeviceRule) -> Vec<u64> {
    if is_everything(rule) {
        return answer(u32::from(rule.allow)).to_vec();
    }
    let letters = u32::from(rule.access.bits());
    let verdict = if rule.allow {
        // Clear the letters; the next rule if some are left, else allow.
        let mut block =
            vec![instruction(AND32_IMM, ACCESS, 0, 0, !letters & 7), instruction(JNE_IMM, ACCESS, 0, 2, 0)];
        block.extend(answer(1));
        block
    } else {
        // Some letter is open: skip the jump over the answer. There is no "jump unless set".
        let mut block = vec![instruction(JSET_IMM, ACCESS, 0, 1, letters), instruction(JUMP, 0, 0, 2, 0)];
        block.extend(answer(0));
        block
    };
    // linux/bpf.h: BPF_DEVCG_DEV_BLOCK is 1, BPF_DEVCG_DEV_CHAR is 2.
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(1),
        DeviceKind::Char => Some(2),
    };
    let mut checks: Vec<(u8, u32)> = Vec::new();
    checks.extend(kind.map(|kind| (KIND, kind)));
    checks.extend(rule.major.map(|major| (MAJOR, major)));
    checks.extend(rule.minor.map(|minor| (MINOR, minor)));
    let mut block = Vec::new();
    let mut to_end = i16::try_from(checks.len() + verdict.len()).unwrap_or(i16::MAX);
    for (register, value) in checks {
        to_end -= 1;
        block.push(instruction(JNE_IMM, register, 0, to_end, value));
    }
    block.extend(verdict);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the subset of eBPF that the emitter uses, which only ever jumps forward.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [(access << 16) | kind, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        for _ in 0..100_000 {
            let word = program[at];
            at += 1;
            let [code, registers_byte, ..] = word.to_le_bytes();
            let destination = usize::from(registers_byte & 15);
            let offset = usize::try_from(word >> 16 & 0x7fff).unwrap();
            let immediate = word >> 32;
            let value = registers[destination];
            match code {
                LOAD_WORD => registers[destination] = u64::from(context[offset / 4]),
                AND32_IMM => registers[destination] = value & immediate,
                RSH32_IMM => registers[destination] = (value & 0xffff_ffff) >> immediate,
                MOV32_IMM => registers[destination] = immediate,
                JNE_IMM if value & 0xffff_ffff != immediate => at += offset,
                JSET_IMM if value & immediate != 0 => at += offset,
                JUMP => at += offset,
                JNE_IMM | JSET_IMM => {}
                EXIT => return registers[0],
                other => panic!("opcode {other:#x}"),
            }
        }
        panic!("the program does not end")
    }

    fn naive(rules: &[DeviceRule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        [1u32, 2, 4].into_iter().filter(|letter| access & letter != 0).all(|letter| {
            let matching = rules.iter().rfind(|rule| {
                let kinds = match rule.kind {
                    DeviceKind::All => true,
                    DeviceKind::Block => kind == 1,
                    DeviceKind::Char => kind == 2,
                };
                kinds
                    && rule.major.is_none_or(|m| m == major)
                    && rule.minor.is_none_or(|m| m == minor)
                    && u32::from(rule.access.bits()) & letter != 0
            });
            matching.is_some_and(|rule| rule.allow)
        })
    }

    fn compare(rules: &[DeviceRule]) {
        let program = v2_program(rules);
        for kind in [1, 2] {
            for access in 1..8 {
                for major in [0, 1, 5, 8, 10, 136, 0xfff] {
                    for minor in [0, 1, 2, 3, 5, 229, 0xf_ffff] {
                        let got = run(&program, kind, access, major, minor) == 1;
                        let expected = naive(rules, kind, access, major, minor);
                        assert_eq!(got, expected, "{rules:?} {kind} {access} {major}:{minor}");
                    }
                }
            }
        }
    }

    fn rule(allow: bool, text: &str) -> DeviceRule {
        let mut words = text.split_ascii_whitespace();
        let kind = match words.next().unwrap() {
            "a" => DeviceKind::All,
            "b" => DeviceKind::Block,
            _ => DeviceKind::Char,
        };
        let (major, minor) = words.next().unwrap().split_once(':').unwrap();
        let number = |text: &str| text.parse().ok();
        let access = Access::parse(words.next().unwrap()).unwrap();
        DeviceRule { allow, kind, major: number(major), minor: number(minor), access }
    }

    #[test]
    fn docker_default_verdicts() {
        let program = v2_program(&docker_default());
        let allowed = |kind, access, major, minor| run(&program, kind, access, major, minor) == 1;
        assert!(allowed(2, 6, 1, 3), "null, read and write");
        assert!(allowed(2, 7, 136, 12), "a pty");
        assert!(allowed(1, 1, 8, 0), "mknod sda");
        assert!(!allowed(1, 2, 8, 0), "read sda");
        assert!(!allowed(1, 3, 8, 0), "read and mknod sda");
        assert!(!allowed(2, 2, 1, 1), "read mem");
        assert!(!allowed(2, 6, 10, 229), "fuse");
        assert!(!allowed(1, 6, 1, 3), "the block device with null's numbers");
        compare(&docker_default());
    }

    #[test]
    fn the_last_match_wins() {
        compare(&[]);
        compare(&[rule(true, "a *:* rwm")]);
        compare(&[rule(true, "a *:* rwm"), rule(false, "c 10:229 rw"), rule(true, "c 10:229 r")]);
        compare(&[rule(false, "a *:* rwm"), rule(true, "c 1:3 r"), rule(true, "c 1:3 w")]);
        compare(&[
            rule(true, "c *:* rwm"),
            rule(false, "c 1:* w"),
            rule(true, "c *:5 w"),
            rule(false, "a 5:* m"),
        ]);
        compare(&[rule(true, "b 8:* r"), rule(false, "a *:* rwm"), rule(true, "b 4294967295:0 m")]);
        compare(&[rule(true, "a *:* rw"), rule(false, "b *:1 r")]);
    }

    #[test]
    fn v1_lines_start_with_the_default() {
        let lines = v1_lines(&docker_default()).unwrap();
        assert_eq!(lines[0], ("devices.deny", "a".to_owned()));
        assert_eq!(lines[1], ("devices.allow", "c *:* m".to_owned()));
        assert_eq!(lines[11], ("devices.allow", "c 136:* rwm".to_owned()));
        assert_eq!(v1_lines(&[]).unwrap(), [("devices.deny", "a".to_owned())]);
        let open = [rule(true, "c 1:3 r"), rule(true, "a *:* rwm"), rule(false, "b 8:0 w")];
        assert_eq!(
            v1_lines(&open).unwrap(),
            [("devices.allow", "a".to_owned()), ("devices.deny", "b 8:0 w".to_owned())]
        );
        let both = [rule(true, "a 7:* r")];
        assert_eq!(
            v1_lines(&both).unwrap()[1..],
            [("devices.allow", "b 7:* r".to_owned()), ("devices.allow", "c 7:* r".to_owned())]
        );
    }

    #[test]
    fn v1_refuses_an_exception_to_an_exception() {
        let hole = [rule(true, "c *:* rwm"), rule(false, "c 10:229 rwm")];
        let error = v1_lines(&hole).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rule 1 (c 10:229 rwm) makes an exception to an earlier rule, which cgroup v1 cannot do"
        );
        assert!(v1_lines(&[rule(true, "c 1:3 rwm"), rule(false, "c 1:3 w")]).is_ok());
        assert!(v1_lines(&[rule(false, "c 10:229 rwm"), rule(true, "c *:* m")]).is_ok());
    }
}
