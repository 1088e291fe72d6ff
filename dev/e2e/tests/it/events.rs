//! events: what has happened, and what happens while one looks.

use corten_testkit::{Background, Sandbox, until};

/// The actions of past events, in order.
fn actions(sandbox: &Sandbox, more: &[&str]) -> String {
    let words = ["events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}"];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    sandbox.ok(&words).replace('\n', ", ")
}

#[test]
fn a_life_of_a_container() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "one", "-l", "tier=front", "box", "sleep", "1000"]);
    sandbox.ok(&["exec", "one", "true"]);
    sandbox.ok(&["rename", "one", "two"]);
    sandbox.ok(&["pause", "two"]);
    sandbox.ok(&["unpause", "two"]);
    sandbox.ok(&["restart", "-s", "KILL", "two"]);
    sandbox.ok(&["stop", "-s", "KILL", "two"]);
    sandbox.ok(&["rm", "two"]);
    assert_eq!(
        actions(&sandbox, &["-f", "type=container"]),
        "container create, container start, container exec_create: true , container exec_start: true , \
         container exec_die, container rename, container pause, container unpause, container kill, container die, \
         container stop, container start, container restart, container kill, container die, container stop, \
         container destroy"
    );
    let shown = |filter: &str, template: &str| {
        let words = ["events", "--since", "1h", "--until", "0s", "-f", filter, "--format", template];
        sandbox.ok(&words).replace('\n', ", ")
    };
    let attributes = "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}} {{.Actor.Attributes.tier}}";
    assert_eq!(shown("event=die", attributes), "two 137 front, two 137 front");
    assert_eq!(shown("event=rename", "{{.Actor.Attributes.oldName}}"), "/one");
    assert_eq!(shown("event=exec_create", "{{.Action}}"), "exec_create: true ");
}

#[test]
fn what_goes_with_its_end_says_so_before_wait_does() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--rm", "box", "sleep", "1000"]);
    assert_eq!(sandbox.ok(&["kill", &id]), id);
    sandbox.corten(&["wait", &id]);
    until("its end", || sandbox.ok(&["ps", "-aq"]).is_empty().then_some(()));
    assert_eq!(
        actions(&sandbox, &["-f", "type=container"]),
        "container create, container start, container kill, container die, container destroy"
    );
}

#[test]
fn images_and_volumes() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["tag", "box", "other:1"]);
    sandbox.ok(&["rmi", "other:1"]);
    sandbox.ok(&["volume", "create", "data"]);
    sandbox.ok(&["volume", "create", "data"]);
    sandbox.ok(&["volume", "rm", "data"]);
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    sandbox.ok(&["container", "prune", "-f"]);
    assert_eq!(
        actions(&sandbox, &[]),
        "image import, image tag, image untag, volume create, volume destroy, container create, \
         container destroy, container prune"
    );
    assert_eq!(actions(&sandbox, &["-f", "type=volume", "-f", "event=create"]), "volume create");
    assert_eq!(actions(&sandbox, &["-f", "container=it"]), "container create, container destroy");
}

/// Waits until a command follows the journal: from then on it misses nothing.
fn watches(command: &Background) {
    until("the watch", || {
        let is_reading = |line: &str| line.starts_with("inotify wd");
        let fds = std::fs::read_dir(format!("/proc/{}/fdinfo", command.pid())).ok()?;
        fds.flatten()
            .find(|fd| std::fs::read_to_string(fd.path()).is_ok_and(|text| text.lines().any(is_reading)))
    });
}

#[test]
fn those_to_come_are_shown_as_they_come() {
    let sandbox = Sandbox::new();
    let mut watching =
        sandbox.command(&["events", "-f", "container=web", "--format", "{{.Action}}."]).spawn();
    watches(&watching);
    sandbox.ok(&["run", "--name", "web", "box", "true"]);
    watching.wait_for("die.");
    watching.signal(2);
    watching.finish();
    sandbox.ok(&["container", "prune", "-f"]);
    // Until a moment to come.
    let words = ["events", "--until", "-1s", "-f", "event=create", "--format", "{{.Actor.Attributes.name}}"];
    let mut watching = sandbox.command(&words).spawn();
    watches(&watching);
    sandbox.ok(&["create", "--name", "late", "box", "true"]);
    watching.wait_for("late");
    assert_eq!(watching.finish().code, 0);
    sandbox.ok(&["rm", "late"]);
}

#[test]
fn wrong_questions() {
    let sandbox = Sandbox::new();
    let check = |words: &[&str], code: i32, part: &str| {
        let words: Vec<&str> = ["events"].iter().chain(words).copied().collect();
        let output = sandbox.corten(&words);
        assert!(output.code == code && output.stderr.contains(part), "{words:?}: {output:?}");
    };
    check(&["-f", "nope=1"], 1, "invalid filter 'nope'");
    check(&["-f", "nope"], 125, "bad format of filter (expected name=value)");
    check(&["--format", "{{.Id"], 64, "Error parsing format: template: :1: unclosed action");
    check(&["--since", "1h", "--until", "0s", "--format", "{{.Nope}}"], 1, "can't evaluate field Nope");
    check(&["--since", "x"], 1, "failed to parse value as time or duration: \"x\"");
    check(&["one"], 1, "accepts no arguments");
}
