//! Keeper and worker die; the payload, its log and its exit code do not (architecture D12).

use corten_testkit::{Sandbox, expect_orphan, until};
use serde_json::json;

use crate::lifecycle::{inspect, state};
use crate::restart::signal;

/// A container that writes a numbered line whenever its file `go` grows by one, and ends with 42.
fn start(sandbox: &Sandbox) -> String {
    let script = "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.03; done; exit 42";
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script])
}

fn lines(sandbox: &Sandbox) -> Vec<String> {
    sandbox.corten(&["logs", "it"]).stdout.lines().map(str::to_owned).collect()
}

fn all_lines() -> Vec<String> {
    (0..60).map(|n| format!("line {n}")).collect()
}

/// Kills a process and waits until it is dead: one that is still dying counts as alive for the next command.
pub(crate) fn kill(pid: i32) {
    expect_orphan(pid);
    signal(pid, 9);
    until("its death", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        (state.is_empty() || state.starts_with(['Z', 'X'])).then_some(())
    });
}

pub(crate) fn worker(sandbox: &Sandbox, id: &str) -> i32 {
    until("a worker", || sandbox.worker_of(id))
}

#[test]
fn a_dead_worker_is_replaced_and_no_line_is_lost() {
    let sandbox = Sandbox::new();
    let id = start(&sandbox);
    for _ in 0..3 {
        let before = worker(&sandbox, &id);
        kill(before);
        until("another worker", || sandbox.worker_of(&id).filter(|now| *now != before));
    }
    assert_eq!(sandbox.ok(&["wait", "it"]), "42");
    // One that was killed between the log and the FIFO has its last piece logged again, and none is lost.
    let mut seen = Vec::new();
    for line in lines(&sandbox) {
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    assert_eq!(seen, all_lines());
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn a_dead_keeper_is_replaced_by_the_next_command() {
    let sandbox = Sandbox::new();
    let id = start(&sandbox);
    let keeper = sandbox.pid_of(&id, "keeper");
    expect_orphan(worker(&sandbox, &id));
    kill(keeper);
    let status = sandbox.ok(&["ps", "--format", "{{.Names}} {{.Status}}"]);
    assert!(status.starts_with("it Up "), "{status}");
    assert_eq!(sandbox.ok(&["exec", "it", "echo", "inside"]), "inside");
    assert_eq!(sandbox.ok(&["wait", "it"]), "42");
    assert_eq!(lines(&sandbox), all_lines());
    assert_eq!(state(&sandbox, "it"), json!(["exited", false, 42, false]));
    sandbox.ok(&["rm", "it"]);
}

/// Nobody asks while it still runs.
#[test]
fn the_code_of_a_payload_that_ended_unwatched() {
    let sandbox = Sandbox::new();
    let id =
        sandbox.ok(&["run", "-d", "-i", "--name", "it", "box", "sh", "-c", "echo up; sleep 0.5; exit 43"]);
    let (keeper, init) = (sandbox.pid_of(&id, "keeper"), sandbox.pid_of(&id, "init"));
    for pid in [worker(&sandbox, &id), init] {
        expect_orphan(pid);
    }
    kill(keeper);
    until("the payload's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    // It is our zombie: a subreaper that does not reap keeps the code readable.
    assert_eq!(sandbox.ok(&["wait", "it"]), "43");
    assert_eq!(sandbox.ok(&["logs", "it"]), "up");
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn both_dead_and_the_payload_lives() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "it",
        "box",
        "sh",
        "-c",
        "trap 'echo bye; exit 6' TERM; echo up; while :; do sleep 0.01; done",
    ]);
    until("the trap", || (sandbox.corten(&["logs", "it"]).stdout == "up\n").then_some(()));
    let (keeper, init) = (sandbox.pid_of(&id, "keeper"), sandbox.pid_of(&id, "init"));
    let worker = worker(&sandbox, &id);
    expect_orphan(init);
    kill(worker);
    let next = until("another worker", || sandbox.worker_of(&id).filter(|next| *next != worker));
    expect_orphan(next);
    kill(keeper);
    kill(next);
    assert_eq!(inspect(&sandbox, "it")["State"]["Running"], json!(true));
    assert_eq!(sandbox.ok(&["exec", "it", "echo", "inside"]), "inside");
    assert_eq!(sandbox.ok(&["stop", "it"]), "it");
    assert_eq!(state(&sandbox, "it"), json!(["exited", false, 6, false]));
    let log = sandbox.ok(&["logs", "it"]);
    assert!(log.ends_with("bye"), "{log:?}");
    sandbox.ok(&["rm", "it"]);
}

/// The policy is the new keeper's as well.
#[test]
fn a_restart_policy_survives_its_keeper() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&[
        "run",
        "-d",
        "--restart",
        "on-failure:2",
        "--name",
        "it",
        "box",
        "sh",
        "-c",
        "echo run; sleep 0.3; exit 1",
    ]);
    for pid in [worker(&sandbox, &id), sandbox.pid_of(&id, "init")] {
        expect_orphan(pid);
    }
    kill(sandbox.pid_of(&id, "keeper"));
    assert_eq!(sandbox.ok(&["exec", "it", "echo", "inside"]), "inside");
    until("three runs", || (sandbox.corten(&["logs", "it"]).stdout == "run\nrun\nrun\n").then_some(()));
    until("the end", || (state(&sandbox, "it") == json!(["exited", false, 1, false])).then_some(()));
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn rm_force_after_a_keepers_death_leaves_nothing() {
    let sandbox = Sandbox::new();
    for flags in [&[][..], &["--rm"]] {
        let words: Vec<&str> = ["run", "-d", "--name", "it"]
            .iter()
            .chain(flags)
            .chain(&["box", "sleep", "1000"])
            .copied()
            .collect();
        let id = sandbox.ok(&words);
        for pid in [worker(&sandbox, &id), sandbox.pid_of(&id, "init")] {
            expect_orphan(pid);
        }
        kill(sandbox.pid_of(&id, "keeper"));
        assert_eq!(sandbox.ok(&["rm", "-f", "it"]), "it", "{flags:?}");
    }
}

/// A service whose keeper died, and which itself died before anybody looked, is up again after the next look.
#[test]
fn a_service_that_ended_unwatched_comes_back() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&[
        "run",
        "-d",
        "--restart",
        "always",
        "--name",
        "it",
        "box",
        "sh",
        "-c",
        "echo run; exec sleep 1000",
    ]);
    // `run -d` returns when the payload is executed: it may not have said anything yet.
    until("the first run", || (sandbox.corten(&["logs", "it"]).stdout == "run\n").then_some(()));
    let init = sandbox.pid_of(&id, "init");
    for pid in [worker(&sandbox, &id), init] {
        expect_orphan(pid);
    }
    kill(sandbox.pid_of(&id, "keeper"));
    kill(init);
    sandbox.ok(&["ps", "-a"]);
    until("the second run", || (sandbox.corten(&["logs", "it"]).stdout == "run\nrun\n").then_some(()));
    sandbox.ok(&["rm", "-f", "it"]);
}
