//! What is asked: every number of every interface, and the arguments that a policy tells apart.

use corten_sys::probe::{Call, Interface};

/// One system call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) call: Call,
    /// What its arguments are, `-` for all ones.
    pub(crate) variant: String,
}

/// Harmless: no descriptor, no address, no process, no length, and of flags none that exist together.
const ALL_ONES: [u64; 5] = [u64::MAX; 5];

/// Linux 6.18 ends at 470 (x86_64), 470 (i386) and 547 (x32).
const LAST: u32 = 600;

/// Where nobody has put a system call yet.
const BEYOND: [u32; 5] = [1000, 4095, 100_000, 0x3fff_fffe, 0x3fff_ffff];

/// AF_UNSPEC to beyond AF_MCTP (45).
const FAMILIES: u64 = 64;

/// PER_LINUX, PER_LINUX32, both with UNAME26, the question, then ones that are in no list: ADDR_NO_RANDOMIZE,
/// PER_BSD, READ_IMPLIES_EXEC, and the allowed ones with a bit of the upper half.
const PERSONALITIES: [u64; 12] = [
    0,
    8,
    0x2_0000,
    0x2_0008,
    0xffff_ffff,
    0x004_0000,
    6,
    0x040_0000,
    0x2_0001,
    1 << 32,
    (1 << 32) | 8,
    0xffff_fffe,
];

/// SIGCHLD alone, with each CLONE_NEW* (NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET), with two of
/// them, and with one that no filter minds (CLONE_FILES).
const CLONE_FLAGS: [u64; 11] = [
    0x11,
    0x91,
    0x0002_0011,
    0x0200_0011,
    0x0400_0011,
    0x0800_0011,
    0x1000_0011,
    0x2000_0011,
    0x4000_0011,
    0x5000_0011,
    0x0411,
];

/// TIOCSTI, TIOCLINUX, TIOCSETD, TCGETS.
const REQUESTS: [u64; 4] = [0x5412, 0x541c, 0x5423, 0x5401];

/// SYS_SOCKET and its fellows, up to SYS_SENDMMSG.
const SOCKET_CALLS: u64 = 20;

/// The numbers of one interface whose first argument (of ioctl the second) policies look at.
struct Judged {
    interface: Interface,
    socket: u32,
    personality: u32,
    clone: u32,
    ioctl: u32,
}

const JUDGED: [Judged; 3] = [
    Judged { interface: Interface::X86_64, socket: 41, personality: 135, clone: 56, ioctl: 16 },
    Judged { interface: Interface::I386, socket: 359, personality: 136, clone: 120, ioctl: 54 },
    Judged { interface: Interface::X32, socket: 41, personality: 135, clone: 56, ioctl: 514 },
];

/// `socketcall` of i386, the one interface that has it.
const SOCKETCALL: u32 = 102;

/// Every case, in the order in which they are made.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for interface in [Interface::X86_64, Interface::I386, Interface::X32] {
        for number in (0..=LAST).chain(BEYOND) {
            let call = Call { interface, number, arguments: ALL_ONES };
            cases.push(Case { call, variant: "-".to_owned() });
        }
    }
    for judged in JUDGED {
        let mut vary = |number: u32, name: &str, first: u64, second: u64| {
            let arguments = [first, second, 0, 0, 0];
            let call = Call { interface: judged.interface, number, arguments };
            cases.push(Case { call, variant: format!("{name}={first:#x}") });
        };
        // A stream socket of protocol 0 in each family, and some with a bit that is no part of an int.
        for family in (0..FAMILIES).chain([1 << 32, 1 << 32 | 2, 1 << 32 | 38, 1 << 32 | 40]) {
            vary(judged.socket, "family", family, 1);
        }
        for persona in PERSONALITIES {
            vary(judged.personality, "persona", persona, 0);
        }
        for flags in CLONE_FLAGS {
            vary(judged.clone, "flags", flags, 0);
            vary(judged.clone, "flags", flags | 1 << 32, 0);
        }
        for request in REQUESTS {
            let arguments = [u64::MAX, request, u64::MAX, 0, 0];
            let call = Call { interface: judged.interface, number: judged.ioctl, arguments };
            cases.push(Case { call, variant: format!("request={request:#x}") });
        }
    }
    for number in 1..=SOCKET_CALLS {
        let call = Call {
            interface: Interface::I386,
            number: SOCKETCALL,
            arguments: [number, u64::MAX, u64::MAX, u64::MAX, u64::MAX],
        };
        cases.push(Case { call, variant: format!("call={number:#x}") });
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Interface, all};

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let cases = all();
        let name = |case: &super::Case| {
            (format!("{:?}", case.call.interface), case.call.number, case.variant.clone())
        };
        assert_eq!(cases.iter().map(name).collect::<HashSet<_>>().len(), cases.len());
        for interface in [Interface::X86_64, Interface::I386, Interface::X32] {
            let numbers: HashSet<u32> = cases
                .iter()
                .filter(|case| case.call.interface == interface)
                .map(|case| case.call.number)
                .collect();
            assert!((0..=470).all(|number| numbers.contains(&number)), "{interface:?}");
        }
    }
}
