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

/// The command has words that a shell would take apart.
const COMMAND: &[&str] = &["box", "sh", "-c", "echo 'it is' $x"];

#[test]
fn the_process() {
    let sandbox = Sandbox::new();
    let check = |line: &str| comes_back(&sandbox, &line.split(' ').collect::<Vec<_>>(), COMMAND);
    check("-it -e A=b -e Q=' -u 1:2 -w /tmp -h host --domainname dom");
    check("-l a=b -l c --annotation x=y --expose 80-82/udp --init --read-only");
    check("--restart on-failure:3 --stop-signal USR1 --stop-timeout 5 --group-add 7 --add-host a:1.2.3.4");
    check("--health-cmd true --health-interval 3s --health-retries 2 --health-on-failure stop");
    check("--no-healthcheck --log-driver local --log-opt max-size=1m");
    comes_back(&sandbox, &["--entrypoint", "", "-e", "A=b c", "--health-cmd", "test -e '/x y'"], COMMAND);
}

#[test]
fn mounts_and_limits() {
    let sandbox = Sandbox::new();
    let check = |line: &str| comes_back(&sandbox, &line.split(' ').collect::<Vec<_>>(), COMMAND);
    let source = sandbox.directory().display().to_string();
    check(&format!("-v {source}:/bind:ro -v data:/data:nocopy --tmpfs /t:size=1m --tmpfs /u"));
    check(&format!("--mount type=bind,src={source},dst=/long,bind-recursive=disabled,readonly"));
    check("--mount type=volume,src=data,dst=/d,volume-label=a=b,volume-nocopy");
    check("-m 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 --pids-limit 9");
    check("-m 64m --memory-swap -1 --shm-size 1m --ulimit nofile=10:20 --ulimit core=-1");
    check("--device /dev/null:/dev/other:rw --sysctl net.ipv4.ip_forward=1");
    comes_back(&sandbox, &["--device-cgroup-rule", "c 1:* rm"], COMMAND);
    sandbox.ok(&["volume", "rm", "data"]);
}

#[test]
fn security_and_namespaces() {
    let sandbox = Sandbox::new();
    let check = |line: &str| comes_back(&sandbox, &line.split(' ').collect::<Vec<_>>(), COMMAND);
    check(
        "--cap-add NET_ADMIN --cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=unconfined",
    );
    check("--network host --userns host --uts host --cgroupns host --pid host --ipc host");
    check("--privileged --security-opt systempaths=unconfined");
    let output = sandbox.corten(&["inspect", "--as", "nope", "box"]);
    assert!(output.code == 1 && output.stderr.contains("must be one of \"oci\", \"run\""), "{output:?}");
}
