//! create, start, stop, kill, wait, rm, ps, inspect: a container's life, and many at once.

use corten_testkit::{Output, Sandbox, until};
use serde_json::{Value, json};

pub(crate) fn inspect(sandbox: &Sandbox, name: &str) -> Value {
    let text = sandbox.ok(&["inspect", name]);
    let mut value: Value = serde_json::from_str(&text).expect("inspect prints JSON");
    value[0].take()
}

/// The fields of `State` that a test can know.
pub(crate) fn state(sandbox: &Sandbox, name: &str) -> Value {
    let state = &inspect(sandbox, name)["State"];
    json!([state["Status"], state["Running"], state["ExitCode"], state["OOMKilled"]])
}

#[test]
fn a_life_step_by_step() {
    let sandbox = Sandbox::new();
    let script = "trap 'echo term; exit 5' TERM; echo up; while :; do sleep 0.01; done";
    let id = sandbox.ok(&["create", "--name", "it", "box", "sh", "-c", script]);
    assert_eq!((id.len(), state(&sandbox, "it")), (64, json!(["created", false, 0, false])));
    assert_eq!(sandbox.ok(&["start", "it"]), "it");
    assert_eq!(state(&sandbox, "it"), json!(["running", true, 0, false]));
    until("the trap", || (sandbox.corten(&["logs", "it"]).stdout == "up\n").then_some(()));
    assert_eq!(sandbox.ok(&["stop", "it"]), "it");
    assert_eq!(state(&sandbox, "it"), json!(["exited", false, 5, false]));
    assert_eq!(sandbox.ok(&["wait", "it"]), "5");
    assert_eq!(sandbox.ok(&["logs", "it"]), "up\nterm");
    assert_eq!(sandbox.ok(&["start", "it"]), "it");
    assert_eq!(sandbox.ok(&["kill", "it"]), "it");
    assert_eq!(sandbox.ok(&["wait", "it"]), "137");
    assert_eq!(sandbox.ok(&["rm", "it"]), "it");
    let gone = Output::new(1, "", "Error response from daemon: No such container: it\n");
    for command in ["start", "stop", "kill", "rm", "wait", "logs"] {
        assert_eq!(sandbox.corten(&[command, "it"]).code, gone.code, "{command}");
    }
}

#[test]
fn start_attached_shows_output_and_the_code() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "-i", "box", "sh", "-c", "echo up; cat; exit 9"]);
    let output = sandbox.command(&["start", "-a", "-i", "it"]).input("typed\n").run();
    assert_eq!(output, Output::new(9, "up\ntyped\n", ""));
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn stop_kills_what_does_not_listen() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "deaf", "box", "sleep", "1000"]);
    sandbox.ok(&["stop", "-t", "1", "deaf"]);
    assert_eq!(state(&sandbox, "deaf"), json!(["exited", false, 137, false]));
    sandbox.ok(&["rm", "deaf"]);
    sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "usr",
        "--stop-signal",
        "USR1",
        "box",
        "sh",
        "-c",
        "trap 'exit 4' USR1; echo up; while :; do sleep 0.01; done",
    ]);
    until("the trap", || (sandbox.corten(&["logs", "usr"]).stdout == "up\n").then_some(()));
    sandbox.ok(&["stop", "usr"]);
    assert_eq!(state(&sandbox, "usr"), json!(["exited", false, 4, false]));
    sandbox.ok(&["rm", "usr"]);
}

#[test]
fn several_targets_are_all_tried() {
    let sandbox = Sandbox::new();
    for name in ["aa", "bb"] {
        sandbox.ok(&["run", "-d", "--name", name, "box", "sleep", "1000"]);
    }
    let output = sandbox.corten(&["kill", "aa", "nosuch", "bb"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "aa\nbb\n"), "{output:?}");
    assert_eq!(sandbox.ok(&["wait", "aa", "bb"]), "137\n137");
    let output = sandbox.corten(&["rm", "aa", "nosuch", "bb"]);
    let expected = Output::new(1, "aa\nbb\n", "Error response from daemon: No such container: nosuch\n");
    assert_eq!(output, expected);
}

#[test]
fn names_are_unique_and_free_again() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let output = sandbox.corten(&["run", "--name", "it", "box", "true"]);
    let text = format!(
        "corten: Error response from daemon: Conflict. The container name \"/it\" is already in use by container \
         \"{id}\". You have to remove (or rename) that container to be able to reuse that name.\n\n\
         Run 'corten run --help' for more information\n"
    );
    assert_eq!(output, Output::new(125, "", &text));
    let output = sandbox.corten(&["rm", "it"]);
    assert!(output.code == 1 && output.stderr.contains("running"), "{output:?}");
    assert_eq!(sandbox.ok(&["rm", "-f", "it"]), "it");
    for _ in 0..3 {
        assert_eq!(sandbox.ok(&["run", "--rm", "--name", "it", "box", "echo", "again"]), "again");
    }
}

#[test]
fn ids_can_be_shortened_while_they_are_unique() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["create", "box", "true"]);
    assert_eq!(inspect(&sandbox, &id[..6])["Id"], json!(id));
    assert_eq!(sandbox.ok(&["rm", &id[..6]]), id[..6]);
}

#[test]
fn run_detached_lets_go_of_the_caller() {
    let sandbox = Sandbox::new();
    // The harness fails a command whose output stays open after its end.
    let id = sandbox.ok(&["run", "-d", "--rm", "box", "sleep", "1000"]);
    assert_eq!(id.len(), 64);
    assert_eq!(sandbox.ok(&["kill", &id]), id);
    let output = sandbox.corten(&["wait", &id]);
    assert_eq!(output, Output::new(0, "137\n", ""), "the code of a --rm container stays for wait");
}

#[test]
fn ps_shows_what_runs_and_what_ran() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "up", "-l", "a=b", "box", "sleep", "1000"]);
    assert_eq!(
        sandbox.corten(&["run", "--name", "down", "box", "sh", "-c", "exit 3"]),
        Output::new(3, "", "")
    );
    sandbox.ok(&["create", "--name", "new", "box", "true"]);
    let check = |flags: &[&str], expected: &str| {
        let words: Vec<&str> =
            ["ps", "--format", "{{.Names}} {{.State}}"].iter().chain(flags).copied().collect();
        let output = sandbox.ok(&words);
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.join(", "), expected, "{flags:?}");
    };
    check(&[], "up running");
    check(&["-a"], "down exited, new created, up running");
    check(&["-a", "--filter", "exited=3"], "down exited");
    check(&["-a", "--filter", "label=a=b"], "up running");
    check(&["-a", "--filter", "status=created"], "new created");
    check(&["-a", "--filter", "name=o"], "down exited");
    let output = sandbox.ok(&["ps", "-a", "--format", "{{.Names}} {{.Status}}", "--filter", "name=down"]);
    assert!(output.starts_with("down Exited (3) "), "{output}");
    sandbox.ok(&["rm", "-f", "up", "down", "new"]);
}

#[test]
fn the_cidfile_has_the_id() {
    let sandbox = Sandbox::new();
    let path = sandbox.directory().join("cid");
    let text = path.to_str().unwrap();
    let id = sandbox.ok(&["create", "--cidfile", text, "box", "true"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), id);
    let output = sandbox.corten(&["run", "--rm", "--cidfile", text, "box", "true"]);
    assert!(output.code == 125 && output.stderr.contains("container ID file found"), "{output:?}");
    sandbox.ok(&["rm", &id]);
}

#[test]
fn twenty_at_once() {
    let sandbox = Sandbox::new();
    let running: Vec<_> = (0..20)
        .map(|n: i32| {
            (n, sandbox.command(&["run", "--rm", "box", "sh", "-c", &format!("echo {n}; exit {n}")]).spawn())
        })
        .collect();
    for (n, command) in running {
        assert_eq!(command.finish(), Output::new(n, &format!("{n}\n"), ""));
    }
}

#[test]
fn fifty_one_after_the_other() {
    let sandbox = Sandbox::new();
    for n in 0..50 {
        let n = n.to_string();
        assert_eq!(
            sandbox.corten(&["run", "--rm", "box", "echo", &n]),
            Output::new(0, &format!("{n}\n"), "")
        );
    }
}

/// Twenty claims on one name: one wins.
#[test]
fn a_name_has_one_owner_among_many() {
    let sandbox = Sandbox::new();
    let running: Vec<_> =
        (0..20).map(|_| sandbox.command(&["create", "--name", "one", "box", "true"]).spawn()).collect();
    let codes: Vec<i32> = running.into_iter().map(|command| command.finish().code).collect();
    assert_eq!(
        (codes.iter().filter(|code| **code == 0).count(), codes.iter().filter(|code| **code == 1).count()),
        (1, 19),
        "{codes:?}"
    );
    sandbox.ok(&["rm", "one"]);
}

/// A caller killed at any moment leaves no half-made container: the next command sees a whole one or none.
#[test]
fn a_killed_caller_leaves_nothing_half_made() {
    let sandbox = Sandbox::new();
    for step in 0..30_u64 {
        let name = format!("it{step}");
        let command = sandbox.command(&["run", "--name", &name, "--rm", "box", "sleep", "1000"]).spawn();
        corten_testkit::pause(std::time::Duration::from_micros(step * 400));
        command.signal(9);
        command.finish();
        // Whether it came to life is open; that it can be removed, and its name used again, is not.
        sandbox.corten(&["rm", "-f", &name]);
        let again = sandbox.corten(&["run", "--rm", "--name", &name, "box", "true"]);
        assert_eq!(again, Output::new(0, "", ""), "killed after {} us", step * 400);
    }
}
