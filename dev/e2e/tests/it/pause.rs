//! pause and unpause, and what a paused container does to the other verbs.

use corten_testkit::{Output, Sandbox, expect_orphan, until};
use serde_json::json;

use crate::adoption::{kill, worker};
use crate::lifecycle::{inspect, state};
use crate::restart::signal;

const LISTENS: &str =
    "trap 'echo term; exit 5' TERM; trap 'exit 7' USR2; echo up; while :; do sleep 0.01; done";

fn paused(sandbox: &Sandbox, name: &str) -> String {
    let id = sandbox.ok(&["run", "-d", "--name", name, "box", "sh", "-c", LISTENS]);
    until("the trap", || (sandbox.corten(&["logs", name]).stdout == "up\n").then_some(()));
    assert_eq!(sandbox.ok(&["pause", name]), name);
    id
}

#[test]
fn paused_stands_still_and_says_so() {
    let sandbox = Sandbox::new();
    let script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done";
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script]);
    until("some output", || sandbox.corten(&["logs", "it"]).stdout.contains("3\n").then_some(()));
    sandbox.ok(&["pause", "it"]);
    let state = inspect(&sandbox, "it")["State"].clone();
    assert_eq!(json!([state["Status"], state["Running"], state["Paused"]]), json!(["paused", true, true]));
    let status = sandbox.ok(&["ps", "--format", "{{.State}} {{.Status}}"]);
    assert!(status.starts_with("paused Up ") && status.ends_with(" (Paused)"), "{status}");
    assert_eq!(sandbox.ok(&["ps", "--filter", "status=paused", "--format", "{{.Names}}"]), "it");
    assert_eq!(sandbox.ok(&["ps", "--filter", "status=running", "--format", "{{.Names}}"]), "");
    let info =
        sandbox.ok(&["info", "-f", "{{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}"]);
    assert_eq!(info, "0 1 0");
    // What was in the pipe when it froze is written by now.
    corten_testkit::pause(std::time::Duration::from_millis(50));
    let log = sandbox.ok(&["logs", "it"]);
    corten_testkit::pause(std::time::Duration::from_millis(150));
    assert_eq!(sandbox.ok(&["logs", "it"]), log);
    assert_eq!(sandbox.ok(&["unpause", "it"]), "it");
    until("more output", || (sandbox.ok(&["logs", "it"]) != log).then_some(()));
    assert_eq!(inspect(&sandbox, "it")["State"]["Status"], json!("running"));
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn a_paused_container_can_be_ended() {
    let sandbox = Sandbox::new();
    let check = |words: &[&str], expected| {
        paused(&sandbox, "it");
        assert_eq!(sandbox.ok(words), "it", "{words:?}");
        assert_eq!(state(&sandbox, "it"), expected, "{words:?}");
        sandbox.ok(&["rm", "-f", "it"]);
    };
    check(&["stop", "it"], json!(["exited", false, 5, false]));
    check(&["restart", "it"], json!(["running", true, 0, false]));
    paused(&sandbox, "it");
    sandbox.ok(&["kill", "it"]);
    assert_eq!(sandbox.ok(&["wait", "it"]), "137");
    sandbox.ok(&["start", "it"]);
    assert_eq!(state(&sandbox, "it")[0], json!("running"), "the pause went with the run");
    sandbox.ok(&["pause", "it"]);
    sandbox.ok(&["rm", "-f", "it"]);
    // Another signal waits.
    paused(&sandbox, "it");
    sandbox.ok(&["kill", "-s", "USR2", "it"]);
    assert_eq!(state(&sandbox, "it")[0], json!("paused"));
    sandbox.ok(&["unpause", "it"]);
    assert_eq!(sandbox.ok(&["wait", "it"]), "7");
    sandbox.ok(&["rm", "it"]);
}

/// Killed from outside while it is paused: it ends with the pause at the latest.
#[test]
fn killed_from_outside_while_paused() {
    let sandbox = Sandbox::new();
    let id = paused(&sandbox, "it");
    signal(sandbox.pid_of(&id, "init"), 9);
    // cgroup v2 lets it die at once, v1 when it is thawed.
    let output = sandbox.corten(&["unpause", "it"]);
    assert!(output.code == 0 || output.stderr.contains("is not paused"), "{output:?}");
    assert_eq!(sandbox.ok(&["wait", "it"]), "137");
    sandbox.ok(&["rm", "it"]);
}

/// Its keeper dies: the next command brings another, and the pause stays.
#[test]
fn a_pause_outlives_the_keeper() {
    let sandbox = Sandbox::new();
    let id = paused(&sandbox, "it");
    let keeper = sandbox.pid_of(&id, "keeper");
    for orphan in [worker(&sandbox, &id), sandbox.pid_of(&id, "init")] {
        expect_orphan(orphan);
    }
    kill(keeper);
    assert_eq!(state(&sandbox, "it")[0], json!("paused"));
    sandbox.ok(&["unpause", "it"]);
    sandbox.ok(&["stop", "it"]);
    assert_eq!(state(&sandbox, "it"), json!(["exited", false, 5, false]));
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn the_wrong_state() {
    let sandbox = Sandbox::new();
    let id = paused(&sandbox, "it");
    let new = sandbox.ok(&["create", "--name", "new", "box", "sleep", "1000"]);
    let check = |words: &[&str], expected: &str| {
        let output = sandbox.corten(words);
        assert_eq!(output, Output::new(1, "", &format!("{expected}\n")), "{words:?}");
    };
    let daemon = |text: &str| format!("Error response from daemon: {text}");
    check(&["pause", "it"], &daemon(&format!("Container {id} is already paused")));
    check(&["exec", "it", "true"], &daemon("Container it is paused, unpause the container before exec"));
    check(&["start", "it"], &daemon("cannot start a paused container, try unpause instead"));
    check(&["attach", "--no-stdin", "it"], "You cannot attach to a paused container, unpause it first");
    check(
        &["rm", "it"],
        &daemon("cannot remove container \"it\": container is paused and must be unpaused first"),
    );
    check(&["pause", "new"], &daemon(&format!("Container {new} is not running")));
    check(&["unpause", "new"], &daemon(&format!("Container {new} is not paused")));
    check(&["pause", "nosuch"], &daemon("No such container: nosuch"));
    sandbox.ok(&["container", "unpause", "it"]);
    check(&["unpause", "it"], &daemon(&format!("Container {id} is not paused")));
    for verb in ["pause", "unpause"] {
        let output = sandbox.corten(&[verb]);
        let text = format!(
            "corten: 'corten {verb}' requires at least 1 argument\n\nUsage:  corten {verb} CONTAINER"
        );
        assert!(output.code == 1 && output.stderr.starts_with(&text), "{output:?}");
    }
    let output = sandbox.corten(&["pause", "nosuch", "it"]);
    assert_eq!(output, Output::new(1, "it\n", &format!("{}\n", daemon("No such container: nosuch"))));
    sandbox.ok(&["rm", "-f", "it", "new"]);
}
