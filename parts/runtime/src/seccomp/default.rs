//! The default policy: what docker's default profile means, grouped by what the system calls are for.
//!
//! Refused by omission, unless a capability brings them back: other namespaces, mounts, modules, kexec, keyrings,
//! io_uring, userfaultfd, raw port access, clocks, swap and accounting, and socket families that only serve attacks.

use std::borrow::Cow;

use super::profile::{Abi, Action, Architectures, Condition, Filter, Operator, Profile, Rule};
use crate::capabilities::{CapSet, Capability};

const ENOSYS: u16 = 38;

/// Paths, names and whole file systems.
const PATHS: &[&str] = &[
    "access",
    "faccessat",
    "faccessat2",
    "chdir",
    "fchdir",
    "getcwd",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "chown32",
    "fchown",
    "fchown32",
    "fchownat",
    "lchown",
    "lchown32",
    "creat",
    "open",
    "openat",
    "openat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "unlink",
    "unlinkat",
    "stat",
    "stat64",
    "fstat",
    "fstat64",
    "lstat",
    "lstat64",
    "fstatat64",
    "newfstatat",
    "statx",
    "statfs",
    "statfs64",
    "fstatfs",
    "fstatfs64",
    "statmount",
    "listmount",
    "truncate",
    "truncate64",
    "ftruncate",
    "ftruncate64",
    "umask",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "utimensat_time64",
    "name_to_handle_at",
    "getdents",
    "getdents64",
    "sync",
    "syncfs",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "fanotify_mark",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
];

/// Extended attributes.
const ATTRIBUTES: &[&str] = &[
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "getxattrat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "setxattrat",
    "listxattr",
    "llistxattr",
    "flistxattr",
    "listxattrat",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "removexattrat",
];

/// Open files: reading, writing, waiting.
const DESCRIPTORS: &[&str] = &[
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "lseek",
    "_llseek",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "fcntl",
    "fcntl64",
    "flock",
    "ioctl",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "readahead",
    "cachestat",
    "copy_file_range",
    "sendfile",
    "sendfile64",
    "splice",
    "tee",
    "vmsplice",
    "select",
    "_newselect",
    "pselect6",
    "pselect6_time64",
    "poll",
    "ppoll",
    "ppoll_time64",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_wait",
    "epoll_wait_old",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    "signalfd",
    "signalfd4",
    "io_setup",
    "io_submit",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
];

/// Sockets, but for `socket` itself, which [`families`] is about. `socketcall` passes its arguments by pointer, so
/// 32-bit programs escape that rule.
const SOCKETS: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "listen",
    "shutdown",
    "socketpair",
    "socketcall",
    "getpeername",
    "getsockname",
    "getsockopt",
    "setsockopt",
    "recv",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "recvmmsg_time64",
    "send",
    "sendto",
    "sendmsg",
    "sendmmsg",
];

/// Memory.
const MEMORY: &[&str] = &[
    "brk",
    "mmap",
    "mmap2",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "mincore",
    "msync",
    "mlock",
    "mlock2",
    "mlockall",
    "munlock",
    "munlockall",
    "mseal",
    "remap_file_pages",
    "memfd_create",
    "memfd_secret",
    "membarrier",
    "map_shadow_stack",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "process_mrelease",
];

/// Processes and threads.
const PROCESSES: &[&str] = &[
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "waitpid",
    "kill",
    "tkill",
    "tgkill",
    "pidfd_open",
    "pidfd_send_signal",
    "pause",
    "prctl",
    "seccomp",
    "getpid",
    "getppid",
    "gettid",
    "getpgid",
    "getpgrp",
    "setpgid",
    "getsid",
    "setsid",
    "set_tid_address",
    "set_thread_area",
    "get_thread_area",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "restart_syscall",
    "futex",
    "futex_time64",
    "futex_waitv",
    "futex_wait",
    "futex_wake",
    "futex_requeue",
    "uretprobe",
    "riscv_hwprobe",
];

/// Signals.
const SIGNALS: &[&str] = &[
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "sigprocmask",
    "sigreturn",
];

/// Users and groups.
const IDENTITY: &[&str] = &[
    "getuid",
    "getuid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getegid",
    "getegid32",
    "getgroups",
    "getgroups32",
    "getresuid",
    "getresuid32",
    "getresgid",
    "getresgid32",
    "setuid",
    "setuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setreuid",
    "setreuid32",
    "setregid",
    "setregid32",
    "setresuid",
    "setresuid32",
    "setresgid",
    "setresgid32",
    "setfsuid",
    "setfsuid32",
    "setfsgid",
    "setfsgid32",
    "capget",
    "capset",
];

/// Scheduling, limits and what the machine says of itself.
const SYSTEM: &[&str] = &[
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "getpriority",
    "setpriority",
    "ioprio_get",
    "ioprio_set",
    "getrlimit",
    "ugetrlimit",
    "setrlimit",
    "prlimit64",
    "getrusage",
    "getcpu",
    "getrandom",
    "sysinfo",
    "uname",
];

/// Clocks and timers; `adjtimex` and its kin answer EPERM by themselves when asked to set something.
const TIME: &[&str] = &[
    "time",
    "times",
    "gettimeofday",
    "adjtimex",
    "alarm",
    "nanosleep",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "getitimer",
    "setitimer",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
];

/// System V and POSIX message queues, semaphores, shared memory.
const IPC: &[&str] = &[
    "ipc",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "mq_open",
    "mq_unlink",
    "mq_notify",
    "mq_getsetattr",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
];

/// What only one architecture has: docker's names of it, and the system calls.
const PER_ARCH: &[(&[&str], &[&str])] = &[
    (&["amd64"], &["arch_prctl", "modify_ldt"]),
    (
        &["arm64"],
        &[
            "arm_fadvise64_64",
            "arm_sync_file_range",
            "sync_file_range2",
            "breakpoint",
            "cacheflush",
            "set_tls",
        ],
    ),
];

/// What a capability makes safe to allow: the kernel checks it again for each of these.
const BY_CAPABILITY: &[(&str, &[&str])] = &[
    (
        "SYS_ADMIN",
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    (
        "SYS_PTRACE",
        &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
    ),
    ("SYS_TIME", &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
    ("SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("SYS_MODULE", &["init_module", "finit_module", "delete_module"]),
    ("SYS_RAWIO", &["ioperm", "iopl"]),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_PACCT", &["acct"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYSLOG", &["syslog"]),
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("BPF", &["bpf"]),
    ("PERFMON", &["perf_event_open"]),
];

/// The socket families that may be made, first to last (linux/socket.h): all but AF_ALG (38), the kernel's crypto
/// code, and AF_VSOCK (40), which no namespace confines. The kernel takes the lower half of the argument for the
/// family, so that 2^32 + 38 is AF_ALG as well: beyond the lower half nothing is allowed.
const FAMILIES: &[(u64, u64)] = &[(0, 37), (39, 39), (41, 0xffff_ffff)];

/// The execution domains `personality` may set: PER_LINUX, PER_LINUX32, each with UNAME26; all ones only asks.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

fn allow(names: &[&'static str]) -> Rule {
    Rule {
        names: names.iter().copied().map(Cow::Borrowed).collect(),
        action: Action::Allow,
        conditions: Vec::new(),
        includes: Filter::default(),
        excludes: Filter::default(),
    }
}

fn first_argument(operator: Operator, value: u64) -> Condition {
    Condition { argument: 0, operator, value }
}

fn holding(name: &str) -> Filter {
    let caps = Capability::parse(name).map_or(CapSet::EMPTY, |capability| CapSet::EMPTY.with(capability));
    Filter { caps, ..Filter::default() }
}

fn families() -> impl Iterator<Item = Rule> {
    FAMILIES.iter().map(|(first, last)| Rule {
        conditions: vec![
            first_argument(Operator::GreaterOrEqual, *first),
            first_argument(Operator::LessOrEqual, *last),
        ],
        ..allow(&["socket"])
    })
}

/// Builds the default policy.
pub fn docker_default() -> Profile {
    let groups =
        [PATHS, ATTRIBUTES, DESCRIPTORS, SOCKETS, MEMORY, PROCESSES, SIGNALS, IDENTITY, SYSTEM, TIME, IPC];
    let mut rules: Vec<Rule> = groups.into_iter().map(allow).collect();
    rules.extend(families());
    rules.extend(PERSONALITIES.iter().map(|value| Rule {
        conditions: vec![first_argument(Operator::Equal, *value)],
        ..allow(&["personality"])
    }));
    // Since 4.8 a tracer cannot lift its tracee's filter any more.
    rules.push(Rule {
        includes: Filter { min_kernel: Some((4, 8)), ..Filter::default() },
        ..allow(&["process_vm_readv", "process_vm_writev", "ptrace"])
    });
    for (arches, names) in PER_ARCH {
        let arches = arches.iter().copied().map(Cow::Borrowed).collect();
        rules.push(Rule { includes: Filter { arches, ..Filter::default() }, ..allow(names) });
    }
    for (capability, names) in BY_CAPABILITY {
        rules.push(Rule { includes: holding(capability), ..allow(names) });
    }
    rules.push(Rule {
        conditions: vec![first_argument(Operator::Masked(NAMESPACE_FLAGS), 0)],
        excludes: holding("SYS_ADMIN"),
        ..allow(&["clone"])
    });
    // Its flags are behind a pointer; ENOSYS makes the C library fall back to clone.
    rules.push(Rule { action: Action::Errno(ENOSYS), excludes: holding("SYS_ADMIN"), ..allow(&["clone3"]) });
    Profile {
        default: Action::DENY,
        architectures: Architectures::Mapped(vec![
            (Abi::X86_64, vec![Abi::I386, Abi::X32]),
            (Abi::Aarch64, vec![Abi::Arm]),
        ]),
        flags: 0,
        rules,
    }
}
