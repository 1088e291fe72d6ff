//! The containers to compare: what docker's policy makes depend on how a container is started.

/// One way to start a container, in the flags that docker and corten share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setup {
    /// What the flags come to, where these are too long to be read.
    name: Option<&'static str>,
    pub(super) flags: &'static [&'static str],
    /// Why docker may be unable to start it; without one it must.
    pub(super) excuse: Option<&'static str>,
}

impl Setup {
    pub(super) fn name(self) -> String {
        self.name.map_or_else(|| self.flags.join(" "), str::to_owned)
    }
}

const fn setup(flags: &'static [&'static str]) -> Setup {
    Setup { name: None, flags, excuse: None }
}

const fn newer(flags: &'static [&'static str]) -> Setup {
    Setup { name: None, flags, excuse: Some("docker 20.10 does not know the capabilities of Linux 5.8") }
}

const fn everything(flags: &'static [&'static str]) -> Setup {
    Setup { name: None, flags, excuse: Some("a machine that lacks a capability itself has not all to give") }
}

const ALL_THE_POLICY_ASKS_FOR: &[&str] = &[
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=SYS_TIME",
    "--cap-add=SYS_MODULE",
    "--cap-add=SYS_RAWIO",
    "--cap-add=SYS_NICE",
    "--cap-add=SYS_BOOT",
    "--cap-add=SYS_PACCT",
    "--cap-add=SYS_TTY_CONFIG",
    "--cap-add=SYSLOG",
    "--cap-add=DAC_READ_SEARCH",
];

/// Every capability that the policy asks for, some that it must not ask for, combinations, and no policy at all.
pub(super) const SETUPS: &[Setup] = &[
    Setup { name: Some("default"), ..setup(&[]) },
    setup(&["--cap-drop", "ALL"]),
    setup(&["--cap-drop", "SYS_CHROOT"]),
    setup(&["--cap-add", "SYS_ADMIN"]),
    setup(&["--cap-add", "SYS_PTRACE"]),
    setup(&["--cap-add", "SYS_TIME"]),
    setup(&["--cap-add", "SYS_MODULE"]),
    setup(&["--cap-add", "SYS_RAWIO"]),
    setup(&["--cap-add", "SYS_NICE"]),
    setup(&["--cap-add", "SYS_BOOT"]),
    setup(&["--cap-add", "SYS_CHROOT"]),
    setup(&["--cap-add", "SYS_PACCT"]),
    setup(&["--cap-add", "SYS_TTY_CONFIG"]),
    setup(&["--cap-add", "SYSLOG"]),
    newer(&["--cap-add", "BPF"]),
    newer(&["--cap-add", "PERFMON"]),
    setup(&["--cap-add", "DAC_READ_SEARCH"]),
    setup(&["--cap-add", "AUDIT_CONTROL", "--cap-add", "AUDIT_READ", "--cap-add", "AUDIT_WRITE"]),
    setup(&["--cap-add", "NET_ADMIN", "--cap-add", "IPC_LOCK", "--cap-add", "SETPCAP"]),
    newer(&["--cap-drop", "ALL", "--cap-add", "SYS_ADMIN", "--cap-add", "BPF"]),
    everything(&["--cap-add", "ALL"]),
    Setup { name: Some("all that the policy asks for"), ..setup(ALL_THE_POLICY_ASKS_FOR) },
    setup(&["--user", "1000:1000", "--cap-add", "SYS_ADMIN"]),
    setup(&["--security-opt", "no-new-privileges"]),
    everything(&["--privileged"]),
    setup(&["--security-opt", "seccomp=unconfined"]),
];
