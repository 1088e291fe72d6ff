//! inspect --as run: the command makes the same container again.

use std::process::Command;

use corten_testkit::{Sandbox, binary};

/// Makes a container of these flags, and another one of the command that inspect gives; both have the same to show.
fn comes_back(sandbox: &Sandbox, flags: &[&str], command: &[&str]) {
    let words: Vec<&str> =
        ["create", "--name", "first"].iter().chain(flags).chain(command).copied().collect();
    sandbox.ok(&words);
    let shown = || {
        let text = sandbox.ok(&["inspect", "-f", "{{json .HostConfig}} {{json .Config}}", "first"]);
        // A name of the host that was made of the ID is another one.
        text.replace(&sandbox.ok(&["inspect", "-f", "{{.Config.Hostname}}", "first"]), "HOST")
    };
    let expected = shown();
    let line = sandbox.ok(&["inspect", "--as", "run", "first"]);
    sandbox.ok(&["rm", "first"]);
    let line =
        line.replacen("corten run", &format!("{} create", binary().display()), 1).replace(" --detach", "");
    let roots = [("CORTEN_ROOT", sandbox.root()), ("CORTEN_RUN_ROOT", sandbox.run_root())];
    let output = Command::new("sh").args(["-c", &line]).envs(roots).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    assert_eq!(shown(), expected, "{line}");
    sandbox.ok(&["rm", "first"]);
}

#[test]
fn every_flag() {
    let sandbox = Sandbox::new();
    let bind = format!("{}:/bind:ro", sandbox.directory().display());
    let long =
        format!("type=bind,src={},dst=/long,bind-recursive=disabled,readonly", sandbox.directory().display());
    let check = |flags: &[&str]| comes_back(&sandbox, flags, &["box", "sh", "-c", "echo 'it is' $x"]);
    check(&[]);
    check(&[
        "-it",
        "-e",
        "A=b c",
        "-e",
        "Q='",
        "-u",
        "1:2",
        "-w",
        "/tmp",
        "-h",
        "host",
        "--domainname",
        "dom",
    ]);
    check(&[
        "--entrypoint",
        "",
        "-l",
        "a=b",
        "-l",
        "c",
        "--annotation",
        "x=y",
        "--expose",
        "80-82/udp",
        "--init",
        "--read-only",
    ]);
    check(&[
        "--restart",
        "on-failure:3",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "5",
        "--group-add",
        "7",
        "--add-host",
        "a:1.2.3.4",
    ]);
    check(&[
        "-v",
        &bind,
        "-v",
        "data:/data:nocopy",
        "--mount",
        &long,
        "--tmpfs",
        "/t:size=1m",
        "--tmpfs",
        "/u",
    ]);
    check(&["--mount", "type=volume,src=data,dst=/d,volume-label=a=b,volume-nocopy"]);
    check(&[
        "-m",
        "64m",
        "--memory-reservation",
        "32m",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "--pids-limit",
        "9",
    ]);
    check(&[
        "-m",
        "64m",
        "--memory-swap",
        "-1",
        "--shm-size",
        "1m",
        "--ulimit",
        "nofile=10:20",
        "--ulimit",
        "core=-1",
    ]);
    check(&[
        "--device",
        "/dev/null:/dev/other:rw",
        "--device-cgroup-rule",
        "c 1:* rm",
        "--sysctl",
        "net.ipv4.ip_forward=1",
    ]);
    check(&[
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--security-opt",
        "seccomp=unconfined",
    ]);
    check(&[
        "--network",
        "host",
        "--userns",
        "host",
        "--uts",
        "host",
        "--cgroupns",
        "host",
        "--pid",
        "host",
        "--ipc",
        "host",
    ]);
    check(&[
        "--health-cmd",
        "test -e '/x y'",
        "--health-interval",
        "3s",
        "--health-retries",
        "2",
        "--health-on-failure",
        "stop",
    ]);
    check(&["--no-healthcheck", "--log-driver", "local", "--log-opt", "max-size=1m"]);
    sandbox.ok(&["volume", "rm", "data"]);
    let output = sandbox.corten(&["inspect", "--as", "nope", "box"]);
    assert!(output.code == 1 && output.stderr.contains("must be one of \"oci\", \"run\""), "{output:?}");
}
