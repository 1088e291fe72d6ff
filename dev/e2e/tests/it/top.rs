//! top: the processes of a container, as ps shows them, without a ps.

use corten_testkit::{Output, Sandbox, until};

#[test]
fn the_processes_of_the_container_and_no_others() {
    let sandbox = Sandbox::new();
    let script = "sleep 1001 & echo up; exec sleep 1000";
    let id = sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script]);
    until("the second", || {
        let shown = sandbox.ok(&["top", "it", "-o", "args", "--no-headers"]);
        (shown == "sleep 1000\nsleep 1001").then_some(())
    });
    let init = sandbox.pid_of(&id, "init");
    let shown = sandbox.ok(&["top", "it"]);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert!(
        shown.starts_with("UID                 PID                 PPID                C     "),
        "{shown}"
    );
    assert_eq!(
        (lines.len(), lines[1][1], lines[1][7..].join(" ")),
        (3, init.to_string().as_str(), "sleep 1000".to_owned())
    );
    assert_eq!((lines[2][2], lines[2][7..].join(" ")), (lines[1][1], "sleep 1001".to_owned()));
    // A process that exec made is one of the container's.
    let running = sandbox.command(&["exec", "it", "sleep", "1002"]).spawn();
    until("the third", || {
        let shown = sandbox.ok(&["container", "top", "it", "aux"]);
        let found = shown.starts_with("USER ") && shown.contains("sleep 1002");
        found.then_some(())
    });
    sandbox.ok(&["pause", "it"]);
    assert_eq!(sandbox.ok(&["top", "it", "-o", "comm,pid", "-p", &init.to_string()]).lines().count(), 2);
    sandbox.ok(&["rm", "-f", "it"]);
    assert_eq!(running.finish().code, 137);
}

#[test]
fn refusals() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["create", "--name", "it", "box", "sleep", "1000"]);
    let check = |words: &[&str], expected: &str| {
        let text = format!("Error response from daemon: {expected}\n");
        assert_eq!(sandbox.corten(words), Output::new(1, "", &text), "{words:?}");
    };
    check(&["top", "nosuch"], "No such container: nosuch");
    check(&["top", "it"], &format!("Container {id} is not running"));
    sandbox.ok(&["start", "it"]);
    check(&["top", "it", "-o", "nonsense"], "ps: error: unknown user-defined format specifier \"nonsense\"");
    check(&["top", "it", "--nonsense"], "ps: error: unknown gnu long option");
    check(
        &["top", "it", "-L"],
        "ps: error: option -L is not understood by corten, which reads the processes itself",
    );
    let output = sandbox.corten(&["top"]);
    assert!(output.code == 1 && output.stderr.contains("requires at least 1 argument"), "{output:?}");
    sandbox.ok(&["rm", "-f", "it"]);
}

/// What a process calls itself does not reach the caller's terminal as commands.
#[test]
fn names_are_harmless() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "odd", "box", "sh", "-c", "sleep 1000 ; : \u{1b}[2J"]);
    let shown = sandbox.ok(&["top", "odd"]);
    assert!(!shown.contains('\u{1b}') && shown.contains("?[2J"), "{shown:?}");
    sandbox.ok(&["rm", "-f", "odd"]);
}
