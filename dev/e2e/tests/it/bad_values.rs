//! Values of flags that docker refuses, in docker's words: those of docker 28.2 with a daemon of 20.10, side by side.

use corten_testkit::Sandbox;

/// Refused with docker's 125, with this as the first line.
fn refused(sandbox: &Sandbox, flags: &[&str], first: &str) {
    let words: Vec<&str> = ["run", "--rm"].iter().chain(flags).chain(&["box", "true"]).copied().collect();
    let output = sandbox.corten(&words);
    let line = output.stderr.lines().next().unwrap_or_default();
    assert_eq!((output.code, line), (125, first), "{flags:?}: {output:?}");
}

type Case<'a> = (&'a [&'a str], &'a str);

const DAEMON: &str = "corten: Error response from daemon: ";

const PERIOD: &str = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)";

const LIMITS: &[Case<'_>] = &[
    (
        &["--cpus", "1", "--cpu-period", "1000"],
        "Conflicting options: Nano CPUs and CPU Period cannot both be set",
    ),
    (
        &["--cpus", "1", "--cpu-quota", "1000"],
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
    ),
    (&["--cpu-period", "999"], PERIOD),
    (&["--cpu-period", "1000001"], PERIOD),
    (&["--cpu-quota", "999"], "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    (&["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus: invalid format: x"),
    (&["--cpuset-mems", "x"], "Invalid value x for cpuset mems: invalid format: x"),
    (&["-m", "5m"], "Minimum memory limit allowed is 6MB"),
    (
        &["-m", "64m", "--memory-swap", "32m"],
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    ),
    (
        &["--memory-swap", "64m"],
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    ),
    (&["--memory-reservation", "1m"], "Minimum memory reservation allowed is 6MB"),
    (
        &["-m", "64m", "--memory-reservation", "65m"],
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    ),
    (&["--oom-score-adj", "1001"], "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
    (&["--blkio-weight", "9"], "Range of blkio weight is from 10 to 1000"),
];

#[test]
fn limits() {
    let sandbox = Sandbox::new();
    for (flags, reason) in LIMITS {
        refused(&sandbox, flags, &format!("{DAEMON}{reason}"));
    }
    let cpus = std::thread::available_parallelism().unwrap().get();
    let range =
        format!("{DAEMON}Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available");
    for value in ["4096", "-1", "0.001"] {
        refused(&sandbox, &["--cpus", value], &range);
    }
    let online = |what: &str| {
        let text = std::fs::read_to_string(format!("/sys/devices/system/{what}/online"));
        text.map_or("0".to_owned(), |text| text.trim().to_owned())
    };
    for (flag, what, name, wanted) in
        [("--cpuset-cpus", "CPUs", "cpu", "0-999"), ("--cpuset-mems", "memory nodes", "node", "77")]
    {
        let reason = format!("Requested {what} are not available - requested {wanted}");
        refused(&sandbox, &[flag, wanted], &format!("{DAEMON}{reason}, available: {}", online(name)));
    }
}

const OTHERS: &[Case<'_>] = &[
    (&["--restart", "always:3"], "maximum retry count cannot be used with restart policy 'always'"),
    (&["--restart", "on-failure:-1"], "maximum retry count cannot be negative"),
    (&["--log-opt", "nope=1"], "unknown log opt 'nope' for json-file log driver"),
    (&["--log-opt", "max-size=x"], "failed to initialize logging driver: invalid size: 'x'"),
    (&["--log-opt", "max-size=0"], "failed to initialize logging driver: max-size must be a positive number"),
    (&["--log-opt", "max-file=0"], "failed to initialize logging driver: max-file cannot be less than 1"),
    (&["--stop-signal", "NOPE"], "Invalid signal: NOPE"),
    (&["--stop-signal", "0"], "Invalid signal: 0"),
    (&["--security-opt", "nope=1"], "invalid --security-opt 2: \"nope=1\""),
    (&["--user", "nope"], "unable to find user nope: no matching entries in passwd file"),
    (&["--user", "0:nope"], "unable to find group nope: no matching entries in group file"),
];

const CLIENT: &[Case<'_>] = &[
    (
        &["-m", "64m", "--memory-swappiness", "101"],
        "invalid value: 101. Valid memory swappiness range is 0-100",
    ),
    (&["--restart", "on-failure:x"], "invalid restart policy format: maximum retry count must be an integer"),
    (&["--restart", ":3"], "invalid restart policy format: no policy provided before colon"),
    (&["--log-driver", "none", "--log-opt", "max-size=1"], "invalid logging opts for driver none"),
    (&["--env-file", "nope"], "open nope: no such file or directory"),
    (&["--env-file", "spaces"], "invalid env file (spaces): variable 'A B' contains whitespaces"),
    (&["--env-file", "nameless"], "invalid env file (nameless): no variable name on line '=x'"),
    (&["--env-file", "binary"], "invalid env file (binary): invalid utf8 bytes at line 1: [255 254 61 49]"),
    (&["--label-file", "nope"], "open nope: no such file or directory"),
    (&["--label-file", "spaces"], "invalid env file (spaces): variable 'A B' contains whitespaces"),
    (&["--device", "nope"], "nope is not an absolute path"),
    (&["--device", "/dev/null:x"], "x is not an absolute path"),
    (&["--device", "/dev/null:/dev/y:x"], "bad mode specified: x"),
    (&["--security-opt", "nope"], "Invalid --security-opt: \"nope\""),
];

#[test]
fn restarts_logs_files_users() {
    let sandbox = Sandbox::new();
    sandbox.file("spaces", b"A B=1\n");
    sandbox.file("nameless", b"# no\n\n=x\n");
    sandbox.file("binary", b"\xff\xfe=1\n");
    for (flags, reason) in OTHERS {
        refused(&sandbox, flags, &format!("{DAEMON}{reason}"));
    }
    for (flags, reason) in CLIENT {
        refused(&sandbox, flags, &format!("corten: {reason}"));
    }
}

const NO_INTEGER: &str = "strconv.ParseInt: parsing \"x\": invalid syntax";
const ORDER: &str = "ulimit soft limit must be less than or equal to hard limit:";

/// Flag, value, the flag's name in full, reason.
const ARGUMENTS: &[(&str, &str, &str, &str)] = &[
    ("--cpus", "x", "--cpus", "failed to parse x as a rational number"),
    ("-m", "-5", "-m, --memory", "invalid size: '-5'"),
    ("--memory-swap", "-2", "--memory-swap", "invalid size: '-2'"),
    ("--shm-size", "-1", "--shm-size", "invalid size: '-1'"),
    ("--pids-limit", "x", "--pids-limit", NO_INTEGER),
    ("--oom-score-adj", "x", "--oom-score-adj", NO_INTEGER),
    ("--stop-timeout", "x", "--stop-timeout", NO_INTEGER),
    (
        "--blkio-weight-device",
        "/dev/null:5",
        "--blkio-weight-device",
        "invalid weight for device: /dev/null:5",
    ),
    ("--device-read-bps", "/dev/vda", "--device-read-bps", "bad format: /dev/vda"),
    ("--device-write-bps", "x:1", "--device-write-bps", "bad format for device path: x:1"),
    (
        "--device-read-iops",
        "/dev/null:x",
        "--device-read-iops",
        "invalid rate for device: /dev/null:x. The correct format is <device-path>:<number>. \
         Number must be a positive integer",
    ),
    ("--ulimit", "nofile", "--ulimit", "invalid ulimit argument: nofile"),
    ("--ulimit", "nope=1", "--ulimit", "invalid ulimit type: nope"),
    ("--ulimit", "nofile=x", "--ulimit", NO_INTEGER),
    (
        "--ulimit",
        "nofile=1:2:3",
        "--ulimit",
        "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
    ),
    ("--sysctl", "vm.swappiness=1", "--sysctl", "sysctl 'vm.swappiness=1' is not allowed"),
    ("--sysctl", "kernel.hostname=a", "--sysctl", "sysctl 'kernel.hostname=a' is not allowed"),
    ("--sysctl", "net.ipv4.ip_forward", "--sysctl", "sysctl 'net.ipv4.ip_forward' is not allowed"),
    ("-e", "=x", "-e, --env", "invalid environment variable: =x"),
    ("-l", "=x", "-l, --label", "invalid label '=x': empty name"),
    ("-l", "a b=c", "-l, --label", "label 'a b' contains whitespaces"),
    ("--add-host", "x", "--add-host", "bad format for add-host: \"x\""),
    ("--add-host", "x:nope", "--add-host", "invalid IP address in add-host: \"nope\""),
    ("--device-cgroup-rule", "c 1:3 z", "--device-cgroup-rule", "invalid device cgroup format 'c 1:3 z'"),
];

#[test]
fn arguments() {
    let sandbox = Sandbox::new();
    let check = |flag: &str, value: &str, name: &str, reason: &str| {
        let line = format!("invalid argument \"{value}\" for \"{name}\" flag: {reason}");
        refused(&sandbox, &[flag, value], &line);
    };
    for (flag, value, name, reason) in ARGUMENTS {
        check(flag, value, name, reason);
    }
    for (value, reason) in [("nofile=3:2", "3 > 2"), ("nofile=-1:5", "soft: -1 (unlimited), hard: 5")] {
        check("--ulimit", value, "--ulimit", &format!("{ORDER} {reason}"));
    }
}

/// Flags of docker's that are not there yet say so, and what to do instead.
#[test]
fn flags_that_are_lacking() {
    let sandbox = Sandbox::new();
    let cases = [
        (&["-p", "80:80"][..], "invalid argument \"80:80\" for \"-p, --publish\" flag: container networks"),
        (&["--dns", "1.1.1.1"], "invalid argument \"1.1.1.1\" for \"--dns\" flag: container networks"),
        (&["--gpus", "all"], "invalid argument \"all\" for \"--gpus\" flag: GPUs"),
    ];
    for (flags, reason) in cases {
        let words: Vec<&str> = ["run"].iter().chain(flags).chain(&["box", "true"]).copied().collect();
        let output = sandbox.corten(&words);
        assert!(output.code == 125 && output.stderr.starts_with(reason), "{flags:?}: {output:?}");
    }
    sandbox.ok(&["run", "--rm", "--no-healthcheck", "--disable-content-trust", "box", "true"]);
}

/// What docker takes: no limit, the default, and what the kernel has.
#[test]
fn what_is_taken() {
    let sandbox = Sandbox::new();
    for flags in [
        &["--cpus", "0"][..],
        &["--cpu-quota", "-1"],
        &["--cpuset-cpus", "0"],
        &["-m", "6m"],
        &["-m", "-1"],
        &["-m", "64m", "--memory-swap", "-1"],
        &["--memory-swappiness", "-1"],
        &["--pids-limit", "0"],
        &["--pids-limit", "-1"],
        &["--shm-size", "0"],
        &["--ulimit", "core=-1"],
        &["--restart", "no"],
        &["--stop-signal", "SIGRTMIN+3"],
        &["--log-opt", "max-file=3"],
        &["--oom-score-adj", "1000"],
    ] {
        let words: Vec<&str> = ["run", "--rm"].iter().chain(flags).chain(&["box", "true"]).copied().collect();
        assert_eq!(sandbox.ok(&words), "", "{flags:?}");
    }
}
