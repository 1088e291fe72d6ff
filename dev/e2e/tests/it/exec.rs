//! `exec`: a second process with exactly what the first one has.

use corten_testkit::{Output, Sandbox};

#[test]
fn output_input_and_exit_codes() {
    let sandbox = Sandbox::new();
    let id =
        sandbox.ok(&["run", "-d", "--name", "it", "-e", "FROM=run", "-w", "/tmp", "box", "sleep", "1000"]);
    let check = |words: &[&str], code: i32, stdout: &str, stderr: &str| {
        let words: Vec<&str> = ["exec"].iter().chain(words).copied().collect();
        assert_eq!(sandbox.command(&words).input("in").run(), Output::new(code, stdout, stderr), "{words:?}");
    };
    check(&["it", "echo", "hello"], 0, "hello\n", "");
    check(&[&id[..12], "sh", "-c", "echo err >&2; exit 7"], 7, "", "err\n");
    check(&["-i", "it", "cat"], 0, "in", "");
    check(&["it", "cat"], 0, "", "");
    check(&["it", "sh", "-c", "echo $FROM $HOME; pwd"], 0, "run /root\n/tmp\n", "");
    check(
        &["-w", "/etc", "-e", "FROM=exec", "-u", "user", "it", "sh", "-c", "echo $FROM $HOME; pwd; id -G"],
        0,
        "exec /home/user\n/etc\n1000 50 2000\n",
        "",
    );
    check(&["it", "sh", "-c", "kill -9 $$"], 137, "", "");
    let failed = |text: &str| format!("Error response from daemon: {text}\n");
    check(&["it", "/nope"], 127, "", &failed("exec: \"/nope\": stat /nope: no such file or directory"));
    check(&["it", "nope"], 127, "", &failed("exec: \"nope\": executable file not found in $PATH"));
    check(&["it", "/etc/plain"], 126, "", &failed("exec: \"/etc/plain\": permission denied"));
    check(&["nosuch", "true"], 1, "", &failed("No such container: nosuch"));
    sandbox.ok(&["stop", "-t", "0", "it"]);
    check(&["it", "true"], 1, "", &failed(&format!("container {id} is not running")));
    sandbox.ok(&["rm", "it"]);
}

/// F27: neither more nor less than init.
#[test]
fn rights_and_limits_are_those_of_init() {
    let sandbox = Sandbox::new();
    let cases: [&[&str]; 5] = [
        &[],
        &["-u", "user", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges"],
        &["--privileged"],
        &[
            "--security-opt",
            "seccomp=unconfined",
            "--ulimit",
            "nofile=333:444",
            "--ulimit",
            "core=0",
            "-m",
            "64m",
            "--pids-limit",
            "50",
        ],
        &["--network", "host", "--pid", "host"],
    ];
    let facts = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Cpus_allowed|Umask)' /proc/self/status; \
                 cat /proc/self/cgroup /proc/self/limits /proc/self/uid_map /proc/self/gid_map /proc/self/oom_score_adj; \
                 for ns in /proc/self/ns/*; do readlink $ns; done";
    let name = "it";
    for flags in cases {
        let words = ["run", "-d", "--name", name];
        let tail = ["box", "sh", "-c", &format!("({facts}) > /tmp/init; exec sleep 1000")];
        sandbox.ok(&words.iter().chain(flags).chain(&tail).copied().collect::<Vec<_>>());
        let init = corten_testkit::until("init's facts", || {
            let output = sandbox.corten(&["exec", name, "cat", "/tmp/init"]);
            (output.stdout.matches("net:[").count() == 1 && output.stdout.contains("uts:["))
                .then_some(output.stdout)
        });
        assert_eq!(sandbox.ok(&["exec", name, "sh", "-c", facts]), init.trim_end(), "{flags:?}");
        let pids = [sandbox.pid_of(&full_id(&sandbox, name), "init")];
        let host_cgroup = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let mut sleeping = sandbox
            .command(&["exec", name, "sh", "-c", "echo ready; read x < /dev/zero; sleep 1000"])
            .spawn();
        sleeping.wait_for("ready");
        let tasks = std::fs::read_to_string(format!("/proc/{}/cgroup", pids[0])).unwrap();
        let inside = find_sleeper(&sandbox, &full_id(&sandbox, name), pids[0]);
        assert_eq!(host_cgroup(inside), tasks, "{flags:?}");
        sandbox.ok(&["rm", "-f", name]);
        sleeping.finish();
    }
}

/// A process of the container's that is not its init: it sees the container's root.
fn find_sleeper(sandbox: &Sandbox, id: &str, init: i32) -> i32 {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let wanted = namespace(&init.to_string());
    assert!(sandbox.state(id).is_some());
    corten_testkit::until("the exec'ed process", || {
        let pids =
            std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        pids.filter(|pid| pid.parse::<i32>().is_ok_and(|pid| pid != init))
            .find(|pid| namespace(pid).is_some() && namespace(pid) == wanted)
            .and_then(|pid| pid.parse().ok())
    })
}

fn full_id(sandbox: &Sandbox, name: &str) -> String {
    crate::lifecycle::inspect(sandbox, name)["Id"].as_str().unwrap().to_owned()
}

#[test]
fn detached_and_privileged() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    assert_eq!(sandbox.ok(&["exec", "-d", "it", "sh", "-c", "echo done > /tmp/done; exec sleep 1000"]), "");
    corten_testkit::until("the detached process", || {
        (sandbox.corten(&["exec", "it", "cat", "/tmp/done"]).stdout == "done\n").then_some(())
    });
    let caps = |flags: &[&str]| {
        let words: Vec<&str> = ["exec"]
            .iter()
            .chain(flags)
            .chain(&["it", "grep", "CapEff", "/proc/self/status"])
            .copied()
            .collect();
        sandbox.ok(&words)
    };
    assert_eq!(caps(&[]), "CapEff:\t00000000a80425fb");
    assert_ne!(caps(&["--privileged"]), caps(&[]));
    sandbox.ok(&["rm", "-f", "it"]);
}

/// The processes of an exec end with the container.
#[test]
fn an_exec_ends_with_its_container() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let mut inside = sandbox.command(&["exec", "it", "sh", "-c", "echo ready; sleep 1000"]).spawn();
    inside.wait_for("ready");
    sandbox.ok(&["rm", "-f", "it"]);
    assert_eq!(inside.finish(), Output::new(137, "ready\n", ""));
}
