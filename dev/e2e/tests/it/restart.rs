//! Restart policies, and the restart by hand.

use corten_testkit::{Output, Sandbox, until};
use serde_json::json;

use crate::lifecycle::{inspect, state};

#[test]
fn on_failure_tries_as_often_as_told() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "it",
        "--restart",
        "on-failure:3",
        "box",
        "sh",
        "-c",
        "echo run; exit 2",
    ]);
    until("the last of four runs", || (inspect(&sandbox, "it")["RestartCount"] == json!(3)).then_some(()));
    until("the end", || (state(&sandbox, "it") == json!(["exited", false, 2, false])).then_some(()));
    assert_eq!(sandbox.ok(&["logs", "it"]), "run\nrun\nrun\nrun");
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["run", "-d", "--name", "fine", "--restart", "on-failure", "box", "echo", "once"]);
    assert_eq!(sandbox.ok(&["wait", "fine"]), "0");
    assert_eq!(
        (state(&sandbox, "fine"), sandbox.ok(&["logs", "fine"])),
        (json!(["exited", false, 0, false]), "once".to_owned())
    );
    sandbox.ok(&["rm", "fine"]);
}

#[test]
fn always_restarts_until_stop() {
    let sandbox = Sandbox::new();
    for policy in ["always", "unless-stopped"] {
        sandbox.ok(&[
            "run",
            "-d",
            "--name",
            "it",
            "--restart",
            policy,
            "box",
            "sh",
            "-c",
            "echo run; sleep 0.05",
        ]);
        until("three runs", || {
            (sandbox.corten(&["logs", "it"]).stdout.matches("run\n").count() >= 3).then_some(())
        });
        // A word of the third run may be in the log before that is recorded as started.
        let restarts = || inspect(&sandbox, "it")["RestartCount"].as_i64().unwrap();
        until("two restarts", || (restarts() >= 2).then_some(()));
        sandbox.ok(&["stop", "-t", "1", "it"]);
        let runs = sandbox.ok(&["logs", "it"]);
        assert_eq!(inspect(&sandbox, "it")["State"]["Status"], json!("exited"), "{policy}");
        corten_testkit::pause(std::time::Duration::from_millis(400));
        assert_eq!(sandbox.ok(&["logs", "it"]), runs, "{policy}: nothing runs after stop");
        sandbox.ok(&["rm", "it"]);
    }
}

/// A container killed by hand comes back; one removed while it waits for its restart does not.
#[test]
fn killed_comes_back_and_removed_does_not() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "it",
        "--restart",
        "always",
        "box",
        "sh",
        "-c",
        "echo run; exec sleep 1000",
    ]);
    until("the first run", || (sandbox.corten(&["logs", "it"]).stdout == "run\n").then_some(()));
    signal(sandbox.pid_of(&id, "init"), 9);
    until("the second run", || (sandbox.corten(&["logs", "it"]).stdout == "run\nrun\n").then_some(()));
    until("a new init", || (state(&sandbox, "it")[0] == json!("running")).then_some(()));
    sandbox.ok(&["rm", "-f", "it"]);
    sandbox.ok(&["run", "-d", "--name", "quick", "--restart", "always", "box", "false"]);
    until("a pause before a restart", || (state(&sandbox, "quick")[0] == json!("restarting")).then_some(()));
    sandbox.ok(&["rm", "-f", "quick"]);
}

pub(crate) fn signal(pid: i32, signal: i32) {
    let pid = corten_sys::process::Pid::from_raw(pid).unwrap();
    let pidfd = corten_sys::process::open_pidfd(pid).unwrap();
    corten_sys::process::send_signal(&pidfd, signal).unwrap();
}

/// The output of a container whose every run says so and listens to TERM.
const LISTENS: &str = "trap 'echo term; exit 0' TERM; echo run; while :; do sleep 0.01; done";

fn wait_for_log(sandbox: &Sandbox, name: &str, text: &str) {
    until(text, || (sandbox.corten(&["logs", name]).stdout == text).then_some(()));
}

#[test]
fn restart_is_a_stop_and_a_start() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", LISTENS]);
    wait_for_log(&sandbox, "it", "run\n");
    let before = sandbox.pid_of(&id, "init");
    assert_eq!(sandbox.ok(&["restart", "it"]), "it");
    wait_for_log(&sandbox, "it", "run\nterm\nrun\n");
    assert_ne!(sandbox.pid_of(&id, "init"), before);
    assert_eq!(inspect(&sandbox, "it")["RestartCount"], json!(0));
    // One that does not run is started; several are all tried.
    sandbox.ok(&["create", "--name", "new", "box", "sleep", "1000"]);
    let output = sandbox.corten(&["container", "restart", "-t", "0", "new", "nosuch", "it"]);
    let missing = "Error response from daemon: No such container: nosuch\n";
    assert_eq!(output, Output::new(1, "new\nit\n", missing));
    assert_eq!(state(&sandbox, "new"), json!(["running", true, 0, false]));
    sandbox.ok(&["rm", "-f", "it", "new"]);
}

#[test]
fn restart_takes_a_signal_and_a_time() {
    let sandbox = Sandbox::new();
    let script =
        "trap 'echo usr; exit 0' USR1; trap 'echo term' TERM; echo run; while :; do sleep 0.01; done";
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script]);
    wait_for_log(&sandbox, "it", "run\n");
    assert_eq!(sandbox.ok(&["restart", "--signal", "USR1", "--timeout", "-1", "it"]), "it");
    wait_for_log(&sandbox, "it", "run\nusr\nrun\n");
    // TERM does not end it: killed after the time.
    assert_eq!(sandbox.ok(&["restart", "--time=1", "it"]), "it");
    wait_for_log(&sandbox, "it", "run\nusr\nrun\nterm\nrun\n");
    sandbox.ok(&["rm", "-f", "it"]);
}

/// What goes with its end is there after a restart, and goes with the next end.
#[test]
fn restart_keeps_what_goes_with_its_end() {
    let sandbox = Sandbox::new();
    let script = format!("cat /kept 2>/dev/null; echo here > /kept; {LISTENS}");
    let id = sandbox.ok(&["run", "-d", "--rm", "--name", "it", "-v", "/data", "box", "sh", "-c", &script]);
    wait_for_log(&sandbox, "it", "run\n");
    assert_eq!(sandbox.ok(&["restart", &id[..8]]), id[..8]);
    wait_for_log(&sandbox, "it", "run\nterm\nhere\nrun\n");
    sandbox.ok(&["stop", "it"]);
    let gone = Output::new(1, "", "Error response from daemon: No such container: it\n");
    until("its end", || (sandbox.corten(&["stop", "it"]) == gone).then_some(()));
}

/// No policy acts while it is restarted, and it still acts afterwards: a restart is no wish that it stay stopped.
#[test]
fn restart_and_the_policy() {
    let sandbox = Sandbox::new();
    let words = ["run", "-d", "--name", "it", "--restart", "unless-stopped", "box", "sh", "-c", LISTENS];
    let id = sandbox.ok(&words);
    wait_for_log(&sandbox, "it", "run\n");
    let record = || {
        let path = sandbox.root().join("containers").join(&id).join("container.json");
        std::fs::read_to_string(path).unwrap()
    };
    sandbox.ok(&["restart", "it"]);
    wait_for_log(&sandbox, "it", "run\nterm\nrun\n");
    assert!(record().contains("\"stopped_by_user\":false"), "{}", record());
    signal(sandbox.pid_of(&id, "init"), 9);
    wait_for_log(&sandbox, "it", "run\nterm\nrun\nrun\n");
    sandbox.ok(&["stop", "it"]);
    assert!(record().contains("\"stopped_by_user\":true"), "{}", record());
    sandbox.ok(&["restart", "it"]);
    assert!(record().contains("\"stopped_by_user\":false"), "{}", record());
    sandbox.ok(&["rm", "-f", "it"]);
    // In the pause between two runs.
    sandbox.ok(&["run", "-d", "--name", "quick", "--restart", "always", "box", "false"]);
    until("a pause before a restart", || (state(&sandbox, "quick")[0] == json!("restarting")).then_some(()));
    assert_eq!(sandbox.ok(&["restart", "quick"]), "quick");
    sandbox.ok(&["rm", "-f", "quick"]);
}

#[test]
fn restart_refuses() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "nosuchprogram"]);
    let check = |words: &[&str], code: i32, part: &str| {
        let output = sandbox.corten(words);
        assert!(
            output.code == code && output.stderr.contains(part) && output.stdout.is_empty(),
            "{output:?}"
        );
    };
    check(
        &["restart"],
        1,
        "corten: 'corten restart' requires at least 1 argument\n\nUsage:  corten restart [OPTIONS] CONTAINER [CONTAINER...]",
    );
    check(&["restart", "-t", "x", "it"], 125, "x");
    check(&["restart", "-s", "NOPE", "it"], 1, "invalid signal: NOPE");
    check(&["restart", "--nope", "it"], 125, "unknown flag: --nope");
    check(&["restart", "it"], 1, "Error response from daemon: Cannot restart container it: ");
    assert_eq!(state(&sandbox, "it")[1], json!(false));
    sandbox.ok(&["rm", "it"]);
}
