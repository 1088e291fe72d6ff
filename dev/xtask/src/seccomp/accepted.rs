//! The differences that are meant, each with its reason.
//!
//! An entry names exactly what docker says and what corten says: with a newer docker it finds nothing to accept, and
//! anything else that corten might say is not covered by it.

use super::observations::Call;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// These system calls, on any interface.
    Named(&'static [&'static str]),
    /// These system calls, on x32.
    OfX32(&'static [&'static str]),
    /// This system call with these arguments.
    With(&'static str, &'static [&'static str]),
    /// Numbers that no system call has.
    Unnamed,
}

/// A difference that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    subject: Subject,
    /// Each a verdict, or the verdict of both sides `then` an outcome.
    docker: &'static [&'static str],
    corten: &'static [&'static str],
    /// Where containers may have ids of their own, the only mode in which it is meant.
    own_ids: bool,
    pub(super) reason: &'static str,
}

const fn accepted(
    subject: Subject,
    docker: &'static [&'static str],
    corten: &'static [&'static str],
    reason: &'static str,
) -> Accepted {
    Accepted { subject, docker, corten, own_ids: false, reason }
}

const TABLE: &[Accepted] = &[
    accepted(
        Subject::Unnamed,
        &["EPERM"],
        &["ENOSYS"],
        "no system call has this number, so corten answers like a kernel; runc does above the last that a policy names",
    ),
    accepted(
        Subject::OfX32(&["open_tree_attr", "file_getattr", "file_setattr"]),
        &["EPERM"],
        &["ENOSYS"],
        "newer than every policy, so corten answers like an older kernel; runc too, but of x32 only above 547",
    ),
    accepted(
        Subject::Named(&[
            "cachestat",
            "fchmodat2",
            "map_shadow_stack",
            "futex_wake",
            "futex_wait",
            "futex_requeue",
            "statmount",
            "listmount",
            "mseal",
            "setxattrat",
            "getxattrat",
            "listxattrat",
            "removexattrat",
            "uretprobe",
            "lsm_get_self_attr",
            "lsm_set_self_attr",
            "lsm_list_modules",
            "set_mempolicy_home_node",
        ]),
        // EPERM on x32, which has higher numbers that are older.
        &["ENOSYS", "EPERM"],
        &["pass", "EPERM"],
        "newer than docker 20.10 and libseccomp 2.5; as in moby 28",
    ),
    accepted(
        Subject::Named(&["pkey_alloc", "pkey_free", "pkey_mprotect"]),
        &["EPERM"],
        &["pass"],
        "allowed by moby 28, not yet by 20.10: protection keys guard a process's own memory",
    ),
    accepted(
        Subject::Named(&["process_vm_readv", "process_vm_writev"]),
        &["EPERM"],
        &["pass"],
        "allowed by moby 28 since they can do no more than ptrace, which 20.10 allows as well",
    ),
    accepted(
        Subject::Named(&["name_to_handle_at"]),
        &["EPERM"],
        &["pass"],
        "allowed by moby 28: the handle is worth nothing without open_by_handle_at",
    ),
    accepted(
        Subject::Named(&["clock_settime64"]),
        &["EPERM"],
        &["pass"],
        "with SYS_TIME as in moby 28, where 20.10 forgot the 64-bit form of clock_settime",
    ),
    accepted(
        Subject::Named(&["io_uring_setup", "io_uring_enter", "io_uring_register"]),
        &["pass"],
        &["EPERM"],
        "refused as by moby since 25: much attack surface, and operations that no filter sees",
    ),
    accepted(
        Subject::With("socket", &["family=0x28"]),
        &["pass"],
        &["EPERM"],
        "AF_VSOCK refused as by moby since 23: no namespace confines it",
    ),
    accepted(
        Subject::With("socket", &["family=0x26"]),
        &["pass"],
        &["EPERM"],
        "AF_ALG refused as by moby since 29.4.2: CVE-2026-31431",
    ),
    accepted(
        Subject::With(
            "socket",
            // All ones, the first, is no family and a negative int.
            &["-", "family=0x100000000", "family=0x100000002", "family=0x100000026", "family=0x100000028"],
        ),
        &["pass"],
        &["EPERM"],
        "the kernel takes the lower half as the family: docker's comparison of both can be passed by, corten's not",
    ),
    accepted(
        Subject::OfX32(&["personality"]),
        &["pass"],
        &["EPERM"],
        "corten compares whole arguments, libseccomp of x32 only the lower half; stricter, and no program sets the upper",
    ),
    accepted(
        Subject::OfX32(&[
            "rt_sigaction",
            "rt_sigreturn",
            "ioctl",
            "readv",
            "writev",
            "recvfrom",
            "sendmsg",
            "recvmsg",
            "setsockopt",
            "getsockopt",
            "execve",
            "ptrace",
            "rt_sigpending",
            "rt_sigtimedwait",
            "rt_sigqueueinfo",
            "sigaltstack",
            "set_thread_area",
            "io_setup",
            "io_submit",
            "get_thread_area",
            "epoll_ctl_old",
            "epoll_wait_old",
            "timer_create",
            "mq_notify",
            "waitid",
            "set_robust_list",
            "get_robust_list",
            "vmsplice",
            "preadv",
            "pwritev",
            "rt_tgsigqueueinfo",
            "recvmmsg",
            "sendmmsg",
            "process_vm_readv",
            "process_vm_writev",
            "execveat",
            "preadv2",
            "pwritev2",
        ]),
        &["EPERM"],
        &["pass"],
        "x86_64's number of a call that has another on x32: the kernel answers ENOSYS (since Linux 5.4)",
    ),
    Accepted {
        subject: Subject::Named(&["acct", "syslog", "fanotify_init", "vhangup"]),
        docker: &["pass then EFAULT", "pass then EINVAL", "pass then ok"],
        corten: &["pass then EPERM"],
        own_ids: true,
        reason: "the kernel wants the capability on the host, and root in a container is not root there",
    },
];

/// The entry that accepts this difference of a call with this name.
pub(super) fn find(
    call: &Call,
    name: Option<&str>,
    (docker, corten): (&str, &str),
    own_ids: bool,
) -> Option<&'static Accepted> {
    TABLE.iter().find(|entry| {
        entry.docker.contains(&docker)
            && entry.corten.contains(&corten)
            && (own_ids || !entry.own_ids)
            && match entry.subject {
                Subject::Named(names) => name.is_some_and(|name| names.contains(&name)),
                Subject::OfX32(names) => {
                    call.interface == "x32" && name.is_some_and(|name| names.contains(&name))
                }
                Subject::With(of, variants) => name == Some(of) && variants.contains(&call.variant.as_str()),
                Subject::Unnamed => name.is_none(),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::{Call, find};

    #[test]
    fn only_what_an_entry_says_is_accepted() {
        let check = |interface: &str, name, variant: &str, seen: (&str, &str), own_ids, expected| {
            let call = Call { interface: interface.to_owned(), number: 1, variant: variant.to_owned() };
            assert_eq!(find(&call, name, seen, own_ids).is_some(), expected, "{call} {name:?} {seen:?}");
        };
        check("x86_64", Some("io_uring_setup"), "-", ("pass", "EPERM"), false, true);
        check("x86_64", Some("io_uring_setup"), "-", ("EPERM", "pass"), false, false);
        check("x86_64", Some("mount"), "-", ("EPERM", "pass"), false, false);
        check("x86_64", None, "-", ("EPERM", "ENOSYS"), false, true);
        check("x86_64", None, "-", ("EPERM", "pass"), false, false);
        check("x86_64", Some("mount"), "-", ("EPERM", "ENOSYS"), false, false);
        check("x86_64", Some("socket"), "family=0x26", ("pass", "EPERM"), false, true);
        check("x86_64", Some("socket"), "family=0x2", ("pass", "EPERM"), false, false);
        check("x86_64", Some("ptrace"), "-", ("EPERM", "pass"), false, false);
        check("x32", Some("ptrace"), "-", ("EPERM", "pass"), false, true);
        check("x86_64", Some("acct"), "-", ("pass then EFAULT", "pass then EPERM"), true, true);
        check("x86_64", Some("acct"), "-", ("pass then EFAULT", "pass then EPERM"), false, false);
    }
}
