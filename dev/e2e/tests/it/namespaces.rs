//! Namespaces: the host's, another container's, and the sysctls of one's own.

use corten_testkit::{Output, Sandbox};

fn namespace(pid: &str, kind: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
}

fn inside(sandbox: &Sandbox, flags: &[&str], kind: &str) -> String {
    let path = format!("/proc/self/ns/{kind}");
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(flags).chain(&["box", "readlink", &path]).copied().collect();
    sandbox.ok(&words)
}

#[test]
fn every_namespace_is_its_own_unless_told() {
    let sandbox = Sandbox::new();
    for kind in ["pid", "ipc", "uts", "net", "mnt", "user", "cgroup"] {
        assert_ne!(inside(&sandbox, &[], kind), namespace("self", kind), "{kind}");
    }
    for (flags, kind) in [
        (["--pid", "host"], "pid"),
        (["--ipc", "host"], "ipc"),
        (["--uts", "host"], "uts"),
        (["--network", "host"], "net"),
        (["--userns", "host"], "user"),
        (["--cgroupns", "host"], "cgroup"),
    ] {
        assert_eq!(inside(&sandbox, &flags, kind), namespace("self", kind), "{flags:?}");
    }
}

#[test]
fn namespaces_of_another_are_joined() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--name", "other", "--ipc", "shareable", "box", "sleep", "1000"]);
    let init = sandbox.pid_of(&id, "init").to_string();
    for (flag, kind) in [("--pid", "pid"), ("--ipc", "ipc")] {
        let flags = [flag, "container:other"];
        assert_eq!(inside(&sandbox, &flags, kind), namespace(&init, kind), "{flags:?}");
        assert_eq!(
            inside(&sandbox, &flags, "user"),
            namespace(&init, "user"),
            "{flags:?}: joins its user namespace (D11)"
        );
    }
    let output = sandbox.corten(&[
        "run",
        "--rm",
        "--pid",
        "container:other",
        "box",
        "sh",
        "-c",
        "ps | grep -c 'sleep 100[0]'",
    ]);
    assert_eq!(output, Output::new(0, "1\n", ""));
    sandbox.ok(&["rm", "-f", "other"]);
    let output = sandbox.corten(&["run", "--rm", "--pid", "container:other", "box", "true"]);
    assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output:?}");
}

#[test]
fn no_network_is_loopback_alone() {
    let sandbox = Sandbox::new();
    for flags in [&[][..], &["--network", "none"]] {
        let words: Vec<&str> = ["run", "--rm"]
            .iter()
            .chain(flags)
            .chain(&["box", "sh", "-c", "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up"])
            .copied()
            .collect();
        assert_eq!(sandbox.corten(&words), Output::new(0, "lo\nup\n", ""), "{flags:?}");
    }
}

#[test]
fn sysctls_of_ones_own_and_no_others() {
    let sandbox = Sandbox::new();
    let check = |flags: &[&str], path: &str, expected: &str| {
        let words: Vec<&str> =
            ["run", "--rm"].iter().chain(flags).chain(&["box", "cat", path]).copied().collect();
        assert_eq!(sandbox.corten(&words), Output::new(0, expected, ""), "{flags:?}");
    };
    check(&["--sysctl", "net.ipv4.ip_forward=1"], "/proc/sys/net/ipv4/ip_forward", "1\n");
    check(&["--sysctl", "kernel.msgmax=4096"], "/proc/sys/kernel/msgmax", "4096\n");
    check(&["--sysctl", "fs.mqueue.msg_max=11"], "/proc/sys/fs/mqueue/msg_max", "11\n");
    check(&[], "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n");
    // Every group that the container has.
    check(&[], "/proc/sys/net/ipv4/ping_group_range", "0\t65535\n");
    for refused in [
        &["kernel.core_pattern=x"][..],
        &["kernel.shm_rmid_forced=1+kernel.core_pattern=x"],
        &["net/ipv4/../../kernel/core_pattern=x"],
        &["vm.overcommit_memory=1"],
        &["nothing"],
    ] {
        let words: Vec<&str> =
            ["run", "--rm", "--sysctl"].iter().chain(refused).chain(&["box", "true"]).copied().collect();
        let output = sandbox.corten(&words);
        assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{refused:?}: {output:?}");
    }
    for joined in [
        ["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"],
        ["--ipc", "host", "--sysctl", "kernel.msgmax=4096"],
    ] {
        let words: Vec<&str> =
            ["run", "--rm"].iter().chain(&joined).chain(&["box", "true"]).copied().collect();
        assert_eq!(sandbox.corten(&words).code, 125, "{joined:?}: the host's own");
    }
}
