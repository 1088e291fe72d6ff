//! Restart policies.

use corten_testkit::{Sandbox, until};
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
