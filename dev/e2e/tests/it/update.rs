//! update: limits and restart policy, of a container that runs and of one that does not.

use corten_testkit::{Output, Sandbox, until};
use serde_json::{Value, json};

use crate::lifecycle::{inspect, state};
use crate::restart::signal;

/// What a file below /sys/fs/cgroup says inside, by its v1 or v2 name.
fn limit(sandbox: &Sandbox, name: &str, v1: &str, v2: &str) -> String {
    let script = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
    sandbox.ok(&["exec", name, "sh", "-c", &script])
}

fn is_v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn host_config(sandbox: &Sandbox, name: &str, fields: &[&str]) -> Value {
    let config = inspect(sandbox, name)["HostConfig"].clone();
    fields.iter().map(|field| config[field].clone()).collect()
}

#[test]
fn limits_of_a_running_container() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "-m", "64m", "box", "sleep", "1000"]);
    let check = |flags: &[&str], v1: (&str, &str), v2: (&str, &str)| {
        let words: Vec<&str> = ["update"].iter().chain(flags).chain(&["it"]).copied().collect();
        assert_eq!(sandbox.ok(&words), "it", "{flags:?}");
        let expected = if is_v2() { v2.1 } else { v1.1 };
        assert_eq!(limit(&sandbox, "it", v1.0, v2.0), expected, "{flags:?}");
    };
    check(&["-m", "100m"], ("memory/memory.limit_in_bytes", "104857600"), ("memory.max", "104857600"));
    check(
        &["--memory", "200m", "--memory-swap", "300m"],
        ("memory/memory.memsw.limit_in_bytes", "314572800"),
        ("memory.max", "209715200"),
    );
    check(
        &["--memory-reservation", "32m"],
        ("memory/memory.soft_limit_in_bytes", "33554432"),
        ("memory.low", "33554432"),
    );
    check(&["--pids-limit", "33"], ("pids/pids.max", "33"), ("pids.max", "33"));
    check(&["--pids-limit=-1"], ("pids/pids.max", "max"), ("pids.max", "max"));
    check(&["--cpu-shares", "512"], ("cpu/cpu.shares", "512"), ("cpu.weight", "59"));
    check(&["--cpus", "0.5"], ("cpu/cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"));
    let allowed = || sandbox.ok(&["exec", "it", "grep", "Cpus_allowed_list", "/proc/1/status"]);
    sandbox.ok(&["update", "--cpuset-cpus", "0", "it"]);
    assert_eq!(allowed(), "Cpus_allowed_list:\t0");
    let fields =
        ["Memory", "MemorySwap", "MemoryReservation", "PidsLimit", "CpuShares", "NanoCpus", "CpusetCpus"];
    assert_eq!(
        host_config(&sandbox, "it", &fields),
        json!([200 << 20, 300 << 20, 32 << 20, 0, 512, 500_000_000, "0"])
    );
    // They hold for the next run as well, and while it is paused.
    sandbox.ok(&["restart", "-t", "0", "it"]);
    assert_eq!(limit(&sandbox, "it", "memory/memory.limit_in_bytes", "memory.max"), "209715200");
    assert_eq!(allowed(), "Cpus_allowed_list:\t0");
    sandbox.ok(&["pause", "it"]);
    sandbox.ok(&["update", "--pids-limit", "44", "it"]);
    sandbox.ok(&["unpause", "it"]);
    assert_eq!(limit(&sandbox, "it", "pids/pids.max", "pids.max"), "44");
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn limits_of_one_that_does_not_run() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "--cpu-period", "50000", "box", "sleep", "1000"]);
    sandbox.ok(&["container", "update", "it", "--cpu-quota", "20000", "-m=64m"]);
    // Zero and nothing change nothing.
    sandbox.ok(&["update", "it", "--cpu-quota", "0", "-m", "0", "--cpuset-cpus="]);
    assert_eq!(
        host_config(&sandbox, "it", &["CpuQuota", "CpuPeriod", "Memory"]),
        json!([20_000, 50_000, 64 << 20])
    );
    sandbox.ok(&["start", "it"]);
    let quota = limit(&sandbox, "it", "cpu/cpu.cfs_quota_us", "cpu.max");
    assert_eq!(quota, if is_v2() { "20000 50000" } else { "20000" });
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn the_restart_policy() {
    let sandbox = Sandbox::new();
    let script = "echo run; exec sleep 1000";
    let id = sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script]);
    let runs = |count: usize| {
        let log = "run\n".repeat(count);
        until(&log, || (sandbox.corten(&["logs", "it"]).stdout == log).then_some(()));
        until("a run", || (state(&sandbox, "it")[0] == json!("running")).then_some(()));
    };
    // Killed before it has said so, a run would not be counted.
    runs(1);
    sandbox.ok(&["update", "--restart", "on-failure:1", "it"]);
    let policy = inspect(&sandbox, "it")["HostConfig"]["RestartPolicy"].clone();
    assert_eq!(policy, json!({"Name": "on-failure", "MaximumRetryCount": 1}));
    signal(sandbox.pid_of(&id, "init"), 9);
    runs(2);
    sandbox.ok(&["update", "--restart", "always", "it"]);
    signal(sandbox.pid_of(&id, "init"), 9);
    runs(3);
    sandbox.ok(&["update", "--restart", "no", "it"]);
    signal(sandbox.pid_of(&id, "init"), 9);
    until("the end", || (state(&sandbox, "it")[0] == json!("exited")).then_some(()));
    assert_eq!(sandbox.ok(&["logs", "it"]), "run\nrun\nrun");
    sandbox.ok(&["rm", "it"]);
}

/// A limit that the kernel refuses changes none of the others.
#[test]
fn all_or_nothing() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "it",
        "--pids-limit",
        "22",
        "box",
        "sh",
        "-c",
        "sleep 1000 & sleep 1000",
    ]);
    let before = host_config(&sandbox, "it", &["PidsLimit", "CpuShares", "BlkioWeight"]);
    let output = sandbox.corten(&[
        "update",
        "--pids-limit",
        "33",
        "--cpu-shares",
        "99",
        "--cpu-rt-runtime",
        "1",
        "it",
    ]);
    let refused = output.stderr.starts_with("Error response from daemon: Cannot update container ");
    assert!(output.code == 1 && output.stdout.is_empty() && refused, "{output:?}");
    assert_eq!(host_config(&sandbox, "it", &["PidsLimit", "CpuShares", "BlkioWeight"]), before);
    assert_eq!(limit(&sandbox, "it", "pids/pids.max", "pids.max"), "22");
    let shares = limit(&sandbox, "it", "cpu/cpu.shares", "cpu.weight");
    assert_eq!(shares, if is_v2() { "100" } else { "1024" });
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn refusals() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--name", "it", "-m", "64m", "--cpus", "1", "box", "sleep", "1000"]);
    let gone = sandbox.ok(&["run", "-d", "--rm", "--name", "rm", "box", "sleep", "1000"]);
    let check = |words: &[&str], expected: &str| {
        let words: Vec<&str> = ["update"].iter().chain(words).copied().collect();
        let text = format!("Error response from daemon: {expected}\n");
        assert_eq!(sandbox.corten(&words), Output::new(1, "", &text), "{words:?}");
    };
    let cannot = |text: &str| format!("Cannot update container {id}: {text}");
    check(&["-m", "1m", "it"], "Minimum memory limit allowed is 6MB");
    check(
        &["-m", "64m", "--memory-swap", "32m", "it"],
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    );
    check(
        &["-m", "256m", "it"],
        &cannot(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ),
    );
    check(
        &["--cpu-quota", "20000", "it"],
        &cannot("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"),
    );
    check(
        &["--cpu-period", "10", "it"],
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    );
    check(&["--cpu-quota", "10", "it"], "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    check(&["--blkio-weight", "5", "it"], "Range of blkio weight is from 10 to 1000");
    check(
        &["--restart", "always:3", "it"],
        "maximum retry count cannot be used with restart policy 'always'",
    );
    check(&["--restart", "on-failure:-1", "it"], "maximum retry count cannot be negative");
    check(
        &["--restart", "always", "rm"],
        &format!(
            "Cannot update container {gone}: Restart policy cannot be updated because AutoRemove is enabled for the container"
        ),
    );
    check(&["--pids-limit", "5", "nosuch"], "No such container: nosuch");
    sandbox.ok(&["update", "--restart", "no", "rm"]);
    let said = |words: &[&str], code: i32, part: &str| {
        let output = sandbox.corten(words);
        assert!(output.code == code && output.stderr.contains(part), "{words:?}: {output:?}");
    };
    said(&["update", "--cpuset-cpus", "7777", "it"], 1, "Requested CPUs are not available - requested 7777");
    said(&["update", "--restart", "sometimes", "it"], 1, "invalid restart policy 'sometimes'");
    said(&["update", "it"], 1, "you must provide one or more flags when using this command");
    said(&["update", "-m", "64m"], 1, "corten: 'corten update' requires at least 1 argument");
    said(
        &["update", "-m", "1x", "it"],
        125,
        "invalid argument \"1x\" for \"-m, --memory\" flag: invalid size",
    );
    said(&["update", "-m", "1x", "it"], 125, "Usage:  corten update [OPTIONS] CONTAINER [CONTAINER...]");
    said(&["update", "--pids-limit", "x", "it"], 125, "strconv.ParseInt: parsing \"x\": invalid syntax");
    said(&["update", "--tty", "it"], 125, "unknown flag: --tty");
    let output = sandbox.corten(&["update", "--pids-limit", "55", "it", "nosuch", "rm"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "it\nrm\n"));
    sandbox.ok(&["rm", "-f", "it", "rm"]);
}
