//! why: what is known of an end.

use corten_testkit::{Sandbox, until};

fn check(sandbox: &Sandbox, name: &str, parts: &[&str]) {
    let told = sandbox.ok(&["why", name]);
    for part in parts {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn ends_and_their_reasons() {
    let sandbox = Sandbox::new();
    sandbox.corten(&["run", "--name", "shell", "box", "sh", "-c", "echo last; nosuch 2>/dev/null"]);
    check(
        &sandbox,
        "shell",
        &["shell ended with code 127 ", "a shell says of a command that it does not find", "\n    last"],
    );
    sandbox.corten(&["run", "--name", "missing", "box", "/nosuch"]);
    check(
        &sandbox,
        "missing",
        &["missing did not start (127): exec: \"/nosuch\": stat /nosuch: no such file"],
    );
    sandbox.ok(&["run", "-d", "--name", "told", "box", "sleep", "1000"]);
    sandbox.ok(&["kill", "told"]);
    sandbox.corten(&["wait", "told"]);
    check(&sandbox, "told", &["told ended with code 137 ", "by SIGKILL, which a command of corten sent "]);
    sandbox.ok(&["run", "-d", "--name", "hit", "box", "sleep", "1000"]);
    let pid: i32 = sandbox.ok(&["inspect", "-f", "{{.State.Pid}}", "hit"]).parse().unwrap();
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    sandbox.corten(&["wait", "hit"]);
    check(&sandbox, "hit", &["by SIGKILL, from outside or by itself: no command of corten sent it a signal"]);
    sandbox.ok(&["rm", "shell", "missing", "told", "hit"]);
    let output = sandbox.corten(&["why", "nobody"]);
    assert!(output.code == 1 && output.stderr.contains("No such container: nobody"), "{output:?}");
}

#[test]
fn what_runs() {
    let sandbox = Sandbox::new();
    let spin = "while :; do :; done";
    sandbox.ok(&["run", "-d", "--name", "it", "--cpus", "0.1", "--expose", "80", "box", "sh", "-c", spin]);
    until("it is held back", || {
        sandbox.ok(&["why", "it"]).contains("held back by its processor limit").then_some(())
    });
    check(&sandbox, "it", &["it runs since ", "nothing listens on its exposed port 80/tcp"]);
    sandbox.ok(&["rm", "-f", "it"]);
}
