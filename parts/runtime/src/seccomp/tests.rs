//! Compiled filters, run by a small interpreter over every system call, against the plain meaning of the profile.

use super::compile::table;
use super::*;
use crate::capabilities::CapSet;

const KERNEL: (u32, u32) = (6, 18);
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;

/// What a filter sees.
#[derive(Debug, Clone, Copy)]
struct Call {
    number: u32,
    arch: u32,
    arguments: [u64; 6],
}

/// What is written for another runtime, read again, means the same.
#[test]
fn the_default_profile_survives_as_oci() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let policy = docker_default();
        let json = serde_json::to_vec(&to_spec(&policy, CapSet::DEFAULT, arch, KERNEL)).unwrap();
        let again = parse(&json).unwrap().unwrap();
        let (policy, again) = [&policy, &again].map(|it| compiled(it, CapSet::DEFAULT, arch)).into();
        for abi in [arch.abi()].iter().chain(arch.other_abis()) {
            let families = (0..70).chain([0xffff_ffff, 1 << 32, (1 << 32) + 2, u64::MAX]);
            for arguments in interesting_arguments().into_iter().chain(families.map(first)) {
                for number in 0..600 {
                    let call = Call { number, arch: abi.audit_arch(), arguments };
                    assert_eq!(run(&again, call), run(&policy, call), "{abi:?} {call:?}");
                }
            }
        }
    }
}

/// Runs the filter as the kernel's checker and interpreter do for the instructions that the compiler uses.
fn run(program: &Program, call: Call) -> u32 {
    let mut data = [0u8; 64];
    data[..4].copy_from_slice(&call.number.to_le_bytes());
    data[4..8].copy_from_slice(&call.arch.to_le_bytes());
    for (index, argument) in call.arguments.iter().enumerate() {
        data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
    }
    let instructions = program.instructions.as_chunks::<8>().0;
    let mut accumulator = 0u32;
    let mut at = 0usize;
    loop {
        let [code0, code1, yes, no, k0, k1, k2, k3] = instructions[at];
        let operand = u32::from_le_bytes([k0, k1, k2, k3]);
        let branch = |taken: bool| usize::from(if taken { yes } else { no });
        at += 1;
        match u16::from_le_bytes([code0, code1]) {
            0x20 => {
                let offset = usize::try_from(operand).unwrap();
                assert_eq!(offset % 4, 0);
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x05 => at += usize::try_from(operand).unwrap(),
            0x15 => at += branch(accumulator == operand),
            0x25 => at += branch(accumulator > operand),
            0x35 => at += branch(accumulator >= operand),
            0x54 => accumulator &= operand,
            0x14 => accumulator = accumulator.wrapping_sub(operand),
            0x06 => return operand,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// The profile's meaning, spelled out without any of the compiler's data structures.
fn naive(profile: &Profile, caps: CapSet, arch: Arch, call: Call) -> u32 {
    let mut abis = vec![arch.abi()];
    abis.extend(arch.other_abis().iter().filter(|abi| profile.architectures.cover(arch, **abi)));
    let is_x32 = arch == Arch::X86_64 && call.arch == Abi::X32.audit_arch() && call.number >= 0x4000_0000;
    let abi = abis.into_iter().find(|abi| abi.audit_arch() == call.arch && (*abi == Abi::X32) == is_x32);
    let Some(abi) = abi else { return Action::KillProcess.value() };
    let number = if is_x32 { call.number - 0x4000_0000 } else { call.number };
    let abi = if is_x32 && number < 512 { Abi::X86_64 } else { abi };
    let names: Vec<&str> =
        table(abi).iter().filter(|(other, _)| *other == number).map(|(_, name)| *name).collect();
    // Above everything that a rule names there is nothing the profile could have meant.
    let is_named = |name: &str| {
        let mut rules = profile.rules.iter().filter(|rule| rule.applies(caps, arch, KERNEL));
        rules.any(|rule| rule.names.iter().any(|other| other == name))
    };
    // The numbers of arm from 0xf0000 on are not in the order of their age.
    let newest = table(abi).iter().rev().find(|(number, name)| *number < 0xf_0000 && is_named(name));
    let is_newer = number < 0xf_0000 && newest.is_some_and(|(newest, _)| number > *newest);
    if names.is_empty() || is_newer {
        return if profile.default.permits() { profile.default.value() } else { ENOSYS };
    }
    // By name first: an alias's rules follow those of the name before it.
    let mut rules = Vec::new();
    for name in names {
        for rule in &profile.rules {
            let counts = rule.applies(caps, arch, KERNEL) && rule.action != profile.default;
            if counts && rule.names.iter().any(|other| other == name) {
                rules.push(rule);
            }
        }
    }
    if let Some(rule) = rules.iter().find(|rule| rule.conditions.is_empty()) {
        return rule.action.value();
    }
    for rule in rules {
        if rule.conditions.iter().all(|c| c.holds(call.arguments[usize::from(c.argument)])) {
            return rule.action.value();
        }
    }
    profile.default.value()
}

fn compiled(profile: &Profile, caps: CapSet, arch: Arch) -> Program {
    let program = compile(profile, caps, arch, KERNEL).unwrap();
    check_shape(&program);
    program
}

/// What the kernel's checker demands: every jump lands inside, the end is a return.
fn check_shape(program: &Program) {
    let instructions = program.instructions.as_chunks::<8>().0;
    assert_eq!(program.instructions.len() % 8, 0);
    assert_eq!(instructions.last().unwrap()[0], 0x06);
    for (at, [code, _, yes, no, k0, k1, k2, k3]) in instructions.iter().enumerate() {
        let operand = usize::try_from(u32::from_le_bytes([*k0, *k1, *k2, *k3])).unwrap();
        let furthest = match code {
            0x05 => operand,
            0x15 | 0x25 | 0x35 => usize::from(*yes.max(no)),
            _ => 0,
        };
        assert!(at + 1 + furthest < instructions.len() || *code == 0x06, "instruction {at}");
    }
}

/// Every number around every table, on every interface and one that nobody knows, with these first arguments.
fn compare(profile: &Profile, caps: CapSet, arch: Arch, arguments: &[[u64; 6]]) {
    let program = compiled(profile, caps, arch);
    let mut numbers: Vec<u32> = (0..=560).collect();
    for base in [0x4000_0000u32, 0xf_0000, 0x8000_0000, 0xc000_0000] {
        numbers.extend(base - 2..base + 560);
    }
    numbers.push(u32::MAX);
    // The arguments matter only to numbers that some rule with conditions names on some interface.
    let conditional = |name: &str| {
        let mut rules = profile.rules.iter().filter(|rule| !rule.conditions.is_empty());
        rules.any(|rule| rule.names.iter().any(|other| other == name))
    };
    let abis = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64, Abi::Arm];
    let entries = abis.into_iter().flat_map(table);
    let depends: std::collections::HashSet<u32> =
        entries.filter(|(_, name)| conditional(name)).map(|(number, _)| *number).collect();
    for arch_token in [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0xc000_00f3, 0] {
        for number in &numbers {
            let varied = depends.contains(&(number & !0x4000_0000));
            for arguments in &arguments[..if varied { arguments.len() } else { 1 }] {
                let call = Call { number: *number, arch: arch_token, arguments: *arguments };
                assert_eq!(run(&program, call), naive(profile, caps, arch, call), "{call:x?}");
            }
        }
    }
}

fn first(value: u64) -> [u64; 6] {
    [value, 0, 0, 0, 0, 0]
}

fn interesting_arguments() -> Vec<[u64; 6]> {
    let mut values: Vec<u64> = (0..=50).collect();
    for value in [0x2_0000u64, 0x2_0008, 0xffff_ffff, 0x7e02_0000, 0x0100_0000, 0x1000_0000, 0x8000_0000] {
        values.extend([value - 1, value, value + 1, value | 1 << 32, value << 32]);
    }
    values.push(u64::MAX);
    values.into_iter().map(first).collect()
}

const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

fn caps(names: &[&str]) -> CapSet {
    CapSet::parse_all(names).unwrap()
}

#[test]
fn the_default_profile_means_what_it_says() {
    let profile = docker_default();
    for arch in ARCHES {
        for caps in [CapSet::DEFAULT, CapSet::EMPTY, CapSet::ALL, caps(&["SYS_ADMIN", "BPF"])] {
            compare(&profile, caps, arch, &interesting_arguments());
        }
    }
}

#[test]
fn one_capability_at_a_time() {
    let profile = docker_default();
    for capability in CapSet::ALL.iter() {
        compare(&profile, CapSet::DEFAULT.with(capability), Arch::NATIVE, &[first(0), first(38)]);
    }
}

fn number_of(abi: Abi, name: &str) -> u32 {
    table(abi).iter().find(|(_, other)| *other == name).unwrap().0
}

#[test]
fn default_verdicts() {
    for (arch, abi) in [
        (Arch::X86_64, Abi::X86_64),
        (Arch::X86_64, Abi::I386),
        (Arch::Aarch64, Abi::Aarch64),
        (Arch::Aarch64, Abi::Arm),
    ] {
        let verdict = |caps: CapSet, name: &str, argument: u64| {
            let program = compiled(&docker_default(), caps, arch);
            let call =
                Call { number: number_of(abi, name), arch: abi.audit_arch(), arguments: first(argument) };
            run(&program, call)
        };
        let plain = |name: &str, argument| verdict(CapSet::DEFAULT, name, argument);
        for name in
            ["read", "openat", "execve", "exit_group", "chroot", "ptrace", "mknodat", "futex", "statx"]
        {
            assert_eq!(plain(name, 0), ALLOW, "{abi:?} {name}");
        }
        for name in [
            "mount",
            "umount2",
            "unshare",
            "setns",
            "bpf",
            "keyctl",
            "add_key",
            "request_key",
            "kexec_load",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "userfaultfd",
            "open_by_handle_at",
            "reboot",
            "init_module",
            "settimeofday",
            "swapon",
            "acct",
            "syslog",
            "perf_event_open",
            "pivot_root",
            "kcmp",
            "fsopen",
            "move_mount",
            "open_tree",
            "quotactl",
            "vhangup",
            "mbind",
            "move_pages",
        ] {
            assert_eq!(plain(name, 0), EPERM, "{abi:?} {name}");
        }
        assert_eq!(plain("clone3", 0), ENOSYS);
        // Newer than what docker's profile names: programs try them, and fall back on ENOSYS only.
        for name in ["open_tree_attr", "file_getattr", "file_setattr"] {
            assert_eq!(plain(name, 0), ENOSYS, "{abi:?} {name}");
        }
        assert_eq!(plain("clone", 0x11), ALLOW);
        for flag in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            assert_eq!(plain("clone", flag | 0x11), EPERM, "{flag:#x}");
        }
        assert_eq!(plain("socket", 2), ALLOW);
        assert_eq!(plain("socket", 16), ALLOW);
        assert_eq!(plain("socket", 38), EPERM, "AF_ALG");
        assert_eq!(plain("socket", 40), EPERM, "AF_VSOCK");
        // The kernel looks at the lower half only (socket(2): int).
        for family in [2, 38, 40] {
            assert_eq!(plain("socket", 1 << 32 | family), EPERM, "{family}");
        }
        assert_eq!(plain("personality", 0), ALLOW);
        assert_eq!(plain("personality", 0x004_0000), EPERM, "ADDR_NO_RANDOMIZE");
        let admin = caps(&["SYS_ADMIN"]);
        assert_eq!(verdict(admin, "clone3", 0), ALLOW);
        assert_eq!(verdict(admin, "clone", 0x1000_0000), ALLOW);
        assert_eq!(verdict(admin, "mount", 0), ALLOW);
        assert_eq!(verdict(admin, "chroot", 0), EPERM);
        assert_eq!(verdict(caps(&["SYS_TIME"]), "settimeofday", 0), ALLOW);
    }
}

#[test]
fn unknown_numbers_and_interfaces() {
    let program = compiled(&docker_default(), CapSet::DEFAULT, Arch::X86_64);
    let verdict = |arch, number| run(&program, Call { number, arch, arguments: [0; 6] });
    assert_eq!(verdict(0xc000_003e, 600), ENOSYS);
    assert_eq!(verdict(0xc000_003e, u32::MAX), ENOSYS);
    assert_eq!(verdict(0x4000_0003, 100_000), ENOSYS);
    assert_eq!(verdict(0xc000_003e, 0x4000_0000), ALLOW, "read of x32");
    assert_eq!(verdict(0xc000_003e, 0x4000_0000 + 520), ALLOW, "execve of x32");
    assert_eq!(verdict(0xc000_003e, 0x4000_0000 + 528), EPERM, "kexec_load of x32");
    assert_eq!(verdict(0xc000_00b7, 0), KILL);
    let old = compile(&docker_default(), CapSet::DEFAULT, Arch::X86_64, (4, 7)).unwrap();
    let ptrace = Call { number: 101, arch: 0xc000_003e, arguments: [0; 6] };
    assert_eq!(run(&old, ptrace), EPERM);
}

#[test]
fn the_program_is_small_and_stable() {
    for (arch, limit) in [(Arch::X86_64, 256), (Arch::Aarch64, 280)] {
        let program = compiled(&docker_default(), CapSet::DEFAULT, arch);
        let count = program.instructions.len() / 8;
        assert!(count <= limit, "{arch:?}: {count} instructions");
        assert_eq!(program, compiled(&docker_default(), CapSet::DEFAULT, arch));
    }
}

#[test]
fn tables_are_in_order() {
    for abi in [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64, Abi::Arm] {
        assert!(table(abi).is_sorted_by_key(|(number, _)| *number), "{abi:?}");
        let mut names: Vec<&str> = table(abi).iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table(abi).len(), "{abi:?}");
    }
    assert!(table(Abi::X32).iter().all(|(number, _)| *number >= 512));
    assert!(table(Abi::X86_64).iter().all(|(number, _)| *number < 512));
}

#[test]
fn every_name_of_the_default_exists_somewhere() {
    // What only other architectures have is in docker's list too.
    let foreign = ["riscv_hwprobe", "sendfile64", "recv", "send"];
    let all = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64, Abi::Arm];
    let mut seen = std::collections::HashSet::new();
    for rule in docker_default().rules {
        for name in rule.names {
            let known = all.iter().any(|abi| table(*abi).iter().any(|(_, other)| *other == name));
            assert!(known || foreign.contains(&name.as_ref()), "{name}");
            if rule.includes == Filter::default() && rule.conditions.is_empty() {
                assert!(seen.insert(name.clone()), "{name} is listed twice");
            }
        }
    }
}

fn custom(text: &str) -> Profile {
    parse(text.as_bytes()).unwrap().unwrap()
}

#[test]
fn custom_profiles_with_every_operator() {
    let operators = [
        r#""op":"SCMP_CMP_EQ","value":5"#,
        r#""op":"SCMP_CMP_NE","value":5"#,
        r#""op":"SCMP_CMP_LT","value":5"#,
        r#""op":"SCMP_CMP_LE","value":5"#,
        r#""op":"SCMP_CMP_GT","value":5"#,
        r#""op":"SCMP_CMP_GE","value":5"#,
        r#""op":"SCMP_CMP_EQ","value":21474836485"#,
        r#""op":"SCMP_CMP_NE","value":21474836485"#,
        r#""op":"SCMP_CMP_LT","value":21474836485"#,
        r#""op":"SCMP_CMP_LE","value":21474836485"#,
        r#""op":"SCMP_CMP_GT","value":21474836485"#,
        r#""op":"SCMP_CMP_GE","value":18446744073709551615"#,
        r#""op":"SCMP_CMP_MASKED_EQ","value":6,"valueTwo":4"#,
        r#""op":"SCMP_CMP_MASKED_EQ","value":25769803782,"valueTwo":17179869188"#,
        r#""op":"SCMP_CMP_MASKED_EQ","value":1,"valueTwo":2"#,
    ];
    let values = [0u64, 1, 4, 5, 6, 7, 5 << 32, (5 << 32) | 4, (5 << 32) | 5, (5 << 32) | 6, (4 << 32) | 4];
    let mut arguments: Vec<[u64; 6]> = Vec::new();
    for a in values.into_iter().chain([u64::MAX, u64::MAX - 1]) {
        for b in [0, 5, 5 << 32 | 5] {
            arguments.push([a, b, 5, 0, 0, a]);
        }
    }
    for operator in operators {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
                {{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{{"index":0,{operator}}}]}},
                {{"names":["write"],"action":"SCMP_ACT_ALLOW",
                  "args":[{{"index":0,{operator}}},{{"index":1,"op":"SCMP_CMP_EQ","value":5}}]}},
                {{"names":["write"],"action":"SCMP_ACT_TRAP","args":[{{"index":5,{operator}}}]}},
                {{"names":["close"],"action":"SCMP_ACT_LOG",
                  "args":[{{"index":0,{operator}}},{{"index":0,"op":"SCMP_CMP_EQ","value":0}}]}}]}}"#
        );
        for arch in ARCHES {
            compare(&custom(&text), CapSet::EMPTY, arch, &arguments);
        }
    }
}

#[test]
fn rules_come_together_as_under_libseccomp() {
    let profile = custom(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[
            {"names":["read","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":22},
            {"names":["read"],"action":"SCMP_ACT_KILL_PROCESS"},
            {"name":"write","action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
            {"names":["write"],"action":"SCMP_ACT_TRACE","errnoRet":7},
            {"names":["close"],"action":"SCMP_ACT_KILL","includes":{"caps":["CAP_NEWER_THAN_US"]}},
            {"names":["close"],"action":"SCMP_ACT_ERRNO","errnoRet":9,"excludes":{"minKernel":"7.0"}},
            {"names":["dup"],"action":"SCMP_ACT_TRAP","includes":{"arches":["s390x"]}},
            {"names":["dup"],"action":"SCMP_ACT_LOG","includes":{"arches":["amd64","arm64"]}}]}"#,
    );
    for arch in ARCHES {
        compare(&profile, CapSet::DEFAULT, arch, &[first(0), first(1)]);
        let program = compiled(&profile, CapSet::DEFAULT, arch);
        assert_eq!(program.flags, 2);
        let verdict = |name, value| {
            let abi = arch.abi();
            run(
                &program,
                Call { number: number_of(abi, name), arch: abi.audit_arch(), arguments: first(value) },
            )
        };
        assert_eq!(verdict("read", 0), 0x0005_0016, "the first rule without conditions");
        assert_eq!(verdict("write", 1), 0x7ff0_0007, "one without conditions before one with");
        assert_eq!(verdict("close", 0), 0x0005_0009);
        assert_eq!(verdict("dup", 0), 0x7ffc_0000);
        assert_eq!(verdict("mount", 0), ALLOW);
        let unknown = Call { number: 5000, arch: arch.abi().audit_arch(), arguments: [0; 6] };
        assert_eq!(run(&program, unknown), ALLOW);
        // Only the native interface was asked for.
        let other = arch.other_abis()[0];
        let foreign = Call { number: 1, arch: other.audit_arch(), arguments: [0; 6] };
        assert_eq!(run(&program, foreign), KILL);
    }
}

#[test]
fn long_jumps_are_bridged() {
    // Every other system call depends on its arguments: leaves of many instructions each, far from the search.
    let mut rules = String::new();
    for (number, name) in table(Abi::X86_64) {
        if number % 3 == 0 {
            rules.push_str(&format!(
                r#"{{"names":["{name}"],"action":"SCMP_ACT_ERRNO","errnoRet":{},"args":[
                    {{"index":0,"value":4294967298,"op":"SCMP_CMP_GT"}},
                    {{"index":3,"value":2,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}}]}},"#,
                number % 4000
            ));
        }
    }
    let text = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X32"],"syscalls":[{}]}}"#,
        rules.trim_end_matches(',')
    );
    let arguments = [[1 << 33, 0, 0, 2, 0, 0], [0; 6], [1 << 33, 0, 0, 0, 0, 0]];
    compare(&custom(&text), CapSet::EMPTY, Arch::X86_64, &arguments);
    let error = parse(text.replace("SCMP_ARCH_X32", "SCMP_ARCH_X86").as_bytes()).unwrap().unwrap();
    check_shape(&compile(&error, CapSet::EMPTY, Arch::X86_64, KERNEL).unwrap());
}

#[test]
fn too_large_is_said() {
    let conditions: Vec<String> = (0..700)
        .map(|value| {
            format!(
                r#"{{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[
                    {{"index":0,"value":{value},"op":"SCMP_CMP_EQ"}},{{"index":1,"value":1,"op":"SCMP_CMP_EQ"}}]}}"#
            )
        })
        .collect();
    let text = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#, conditions.join(","));
    let error = compile(&custom(&text), CapSet::EMPTY, Arch::X86_64, KERNEL).unwrap_err();
    assert!(matches!(error, SeccompError::TooLarge { .. }), "{error}");
}

#[test]
fn bad_profiles_name_the_field() {
    let table = [
        ("", "decode seccomp profile: EOF while parsing a value at line 1 column 0"),
        ("[]", "decode seccomp profile: it is not a JSON object"),
        (r#"{"syscalls":[{}]}"#, "defaultAction: it is missing"),
        (r#"{"defaultAction":"ALLOW"}"#, "defaultAction: unknown action \"ALLOW\""),
        (r#"{"defaultAction":7}"#, "defaultAction: it is not a string"),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "defaultAction: SCMP_ACT_NOTIFY is not supported"),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":5000}"#,
            "defaultErrnoRet: 5000 is above 4095",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":{}}"#, "syscalls: it is not a list"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"]}]}"#,
            "syscalls[0].action: it is missing",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_LOG"}]}"#,
            "syscalls[0]: neither name nor names is given",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"x","names":["y"],"action":"SCMP_ACT_LOG"}]}"#,
            "syscalls[0]: both name and names are given",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"x","action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}"#,
            "syscalls[0].args[0].index: a system call has the arguments 0 to 5",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"x","action":"SCMP_ACT_LOG","args":[{"op":"=="}]}]}"#,
            "syscalls[0].args[0].op: unknown operator \"==\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"x","action":"SCMP_ACT_LOG","args":[{"value":-1,"op":"SCMP_CMP_EQ"}]}]}"#,
            "syscalls[0].args[0].value: it is not a number from 0 to 2^64 - 1",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"x","action":"SCMP_ACT_LOG","includes":{"minKernel":"4"}}]}"#,
            "syscalls[0].includes.minKernel: it is not a version like \"4.8\"",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#, "flags[0]: unknown flag \"X\""),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["x86"]}"#,
            "architectures[0]: unknown architecture \"x86\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{}]}"#,
            "archMap: both architectures and archMap are given",
        ),
    ];
    for (text, expected) in table {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error.strip_prefix("seccomp profile: ").unwrap_or(&error), expected);
    }
    assert_eq!(parse(b"{}").unwrap(), None);
}

#[test]
fn docker_arch_maps_pick_the_native_entry() {
    let profile = custom(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"archMap":[
            {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]},
            {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]},
            {"architecture":"SCMP_ARCH_MIPS64","subArchitectures":["SCMP_ARCH_MIPS"]}],
            "syscalls":[{"names":["read","socketcall"],"action":"SCMP_ACT_ALLOW"}]}"#,
    );
    for arch in ARCHES {
        compare(&profile, CapSet::EMPTY, arch, &[first(0)]);
    }
}
