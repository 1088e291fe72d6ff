//! Limits: memory, processes, cpus, files, and who reaps.

use corten_testkit::{Capability, Output, Sandbox, have, until};
use serde_json::json;

use crate::lifecycle::state;

/// What a file below /sys/fs/cgroup says, by its v1 or v2 name.
fn limit(sandbox: &Sandbox, flags: &[&str], v1: &str, v2: &str) -> String {
    let script = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", &script]).copied().collect();
    sandbox.ok(&words)
}

fn v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[test]
fn limits_are_seen_inside() {
    let sandbox = Sandbox::new();
    let check = |flags: &[&str], v1: (&str, &str), v2_file: (&str, &str)| {
        let expected = if v2() { v2_file.1 } else { v1.1 };
        assert_eq!(limit(&sandbox, flags, v1.0, v2_file.0), expected, "{flags:?}");
    };
    check(&["-m", "64m"], ("memory/memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"));
    check(
        &["--memory-reservation", "32m"],
        ("memory/memory.soft_limit_in_bytes", "33554432"),
        ("memory.low", "33554432"),
    );
    check(&["--pids-limit", "33"], ("pids/pids.max", "33"), ("pids.max", "33"));
    check(&["--cpus", "0.5"], ("cpu/cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"));
    check(
        &["--cpu-quota", "20000", "--cpu-period", "40000"],
        ("cpu/cpu.cfs_quota_us", "20000"),
        ("cpu.max", "20000 40000"),
    );
    check(&["--cpu-shares", "512"], ("cpu/cpu.shares", "512"), ("cpu.weight", "59"));
    assert_eq!(
        sandbox.ok(&[
            "run",
            "--rm",
            "--cpuset-cpus",
            "0",
            "box",
            "grep",
            "Cpus_allowed_list",
            "/proc/self/status"
        ]),
        "Cpus_allowed_list:\t0"
    );
    assert_eq!(
        sandbox.ok(&[
            "run",
            "--rm",
            "--shm-size",
            "8m",
            "box",
            "sh",
            "-c",
            "df -k /dev/shm | tail -1 | awk '{print $2}'"
        ]),
        "8192"
    );
}

#[test]
fn too_much_memory_is_137_and_said() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "it",
        "-m",
        "24m",
        "--memory-swap",
        "24m",
        "box",
        "tail",
        "/dev/zero",
    ]);
    assert_eq!(sandbox.ok(&["wait", "it"]), "137");
    assert_eq!(state(&sandbox, "it"), json!(["exited", false, 137, true]));
    sandbox.ok(&["rm", "it"]);
    // A memory limit kept by killing a child is no OOM of the container's own end, but docker says so as well.
    let output = sandbox.corten(&["run", "--rm", "-m", "24m", "box", "sh", "-c", "tail /dev/zero; echo $?"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "137\n"));
}

#[test]
fn no_more_processes_than_allowed() {
    let sandbox = Sandbox::new();
    let script = "i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; echo all";
    let output = sandbox.corten(&["run", "--rm", "--pids-limit", "10", "box", "sh", "-c", script]);
    assert!(
        output.code == 2 && output.stderr.contains("can't fork") && output.stdout.is_empty(),
        "{output:?}"
    );
}

#[test]
fn ulimits() {
    let sandbox = Sandbox::new();
    let flags = ["--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "cpu=7"];
    let words: Vec<&str> = ["run", "--rm"]
        .iter()
        .chain(&flags)
        .chain(&["box", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -t"])
        .copied()
        .collect();
    assert_eq!(sandbox.corten(&words), Output::new(0, "100\n200\n0\n7\n", ""));
    let output = sandbox.corten(&["run", "--rm", "--ulimit", "nofile=300:200", "box", "true"]);
    assert_eq!(output.code, 125, "{output:?}");
}

#[test]
fn an_init_reaps_and_forwards() {
    let sandbox = Sandbox::new();
    let script = "i=0; while [ $i -lt 5 ]; do (sleep 0.01 & ); i=$((i+1)); done; sleep 0.3; \
                  for s in /proc/[0-9]*/stat; do cat $s; done 2>/dev/null | grep -c ') Z'; exit 3";
    let output = sandbox.corten(&["run", "--rm", "--init", "box", "sh", "-c", script]);
    assert_eq!(output, Output::new(3, "0\n", ""));
    let id = sandbox.ok(&[
        "run",
        "-d",
        "--init",
        "box",
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done",
    ]);
    until("the trap", || (sandbox.corten(&["logs", &id]).stdout == "up\n").then_some(()));
    sandbox.ok(&["stop", &id]);
    assert_eq!(sandbox.ok(&["wait", &id]), "9");
    sandbox.ok(&["rm", &id]);
}

#[test]
fn a_cgroup_parent_of_ones_own() {
    let sandbox = Sandbox::new();
    let parent = format!("corten-e2e-{}", std::process::id());
    let id = sandbox.ok(&["run", "-d", "--cgroup-parent", &format!("/{parent}"), "box", "sleep", "1000"]);
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", sandbox.pid_of(&id, "init"))).unwrap();
    assert!(text.contains(&format!("/{parent}/{id}")), "{text}");
    sandbox.ok(&["rm", "-f", &id]);
    // The parent is the caller's; where corten made it, it may stay.
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        std::fs::remove_dir(hierarchy.path().join(&parent)).unwrap_or_default();
    }
    std::fs::remove_dir(format!("/sys/fs/cgroup/{parent}")).unwrap_or_default();
    for parent in ["../..", "/../x", "a/../../b"] {
        let output = sandbox.corten(&["run", "--rm", "--cgroup-parent", parent, "box", "true"]);
        assert_eq!(output.code, 125, "{parent}: {output:?}");
    }
}

/// Keeper and worker are outside the caller's cgroup and outside the container's.
#[test]
fn supervisors_are_in_a_cgroup_of_their_own() {
    let sandbox = Sandbox::new();
    if !have(&[Capability::Root]) {
        return;
    }
    let hierarchy = if v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let session = format!("{hierarchy}/session-{}", std::process::id());
    std::fs::create_dir(&session).unwrap();
    let enter = format!("echo $$ > {session}/cgroup.procs && exec \"$@\"");
    let started =
        sandbox.command(&["run", "-d", "box", "sleep", "1000"]).through(["sh", "-c", &enter, "sh"]).run();
    let id = started.stdout.trim().to_owned();
    let of = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    // It takes its title after the caller has been answered.
    let worker = until("the worker", || sandbox.worker_of(&id));
    let mut inside = Vec::new();
    for (who, pid) in [("keeper", sandbox.pid_of(&id, "keeper")), ("worker", worker)] {
        if of(pid).contains("/session-") || of(pid).contains(&id) {
            inside.push(who);
        }
    }
    sandbox.ok(&["rm", "-f", &id]);
    until("the session's end", || std::fs::remove_dir(&session).ok());
    assert_eq!(inside, Vec::<&str>::new(), "in the caller's or the container's cgroup");
}
