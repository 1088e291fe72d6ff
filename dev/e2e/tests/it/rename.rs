//! rename: one name at any time, and nobody else's.

use corten_testkit::{Output, Sandbox, until};
use serde_json::json;

use crate::lifecycle::inspect;

fn names(sandbox: &Sandbox) -> Vec<String> {
    let mut names = corten_sys::fs::list(sandbox.root().join("containers/names")).unwrap();
    names.sort_unstable();
    names
}

#[test]
fn the_old_name_is_free_and_the_new_one_is_taken() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--name", "old", "box", "sleep", "1000"]);
    assert_eq!(sandbox.corten(&["rename", "old", "new"]), Output::new(0, "", ""));
    assert_eq!(
        (names(&sandbox), inspect(&sandbox, "new")["Name"].clone()),
        (vec!["new".to_owned()], json!("/new"))
    );
    assert_eq!(inspect(&sandbox, "new")["Id"], json!(id));
    assert_eq!(sandbox.corten(&["stop", "old"]).code, 1);
    // By id, with docker's slash and blanks.
    sandbox.ok(&["container", "rename", &id[..6], " /again "]);
    sandbox.ok(&["create", "--name", "new", "box", "true"]);
    assert_eq!(names(&sandbox), ["again", "new"]);
    assert_eq!(sandbox.ok(&["exec", "again", "echo", "up"]), "up");
    sandbox.ok(&["rm", "-f", "again", "new"]);
    assert_eq!(names(&sandbox), [""; 0]);
}

/// A container that goes with its end takes its new name with it.
#[test]
fn renamed_while_it_runs_and_gone_with_its_end() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--rm", "--name", "old", "box", "sleep", "1000"]);
    sandbox.ok(&["rename", "old", "new"]);
    sandbox.ok(&["restart", "-t", "0", "new"]);
    sandbox.ok(&["rename", "new", "newer"]);
    sandbox.ok(&["kill", "newer"]);
    until("no name", || names(&sandbox).is_empty().then_some(()));
    assert_eq!(sandbox.ok(&["run", "--rm", "--name", "newer", "box", "echo", "again"]), "again");
}

#[test]
fn refusals() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["create", "--name", "it", "box", "true"]);
    sandbox.ok(&["create", "--name", "other", "box", "true"]);
    let check = |words: &[&str], expected: &str| {
        let text = format!(
            "Error response from daemon: {expected}\nError: failed to rename container named {}\n",
            words[1]
        );
        assert_eq!(sandbox.corten(words), Output::new(1, "", &text), "{words:?}");
    };
    let allocating = |text: &str| format!("Error when allocating new name: {text}");
    let same = "Renaming a container with the same name as its current name";
    check(&["rename", "it", "it"], same);
    check(&["rename", "it", "/it"], same);
    check(
        &["rename", "other", "it"],
        &allocating(&format!(
            "Conflict. The container name \"/it\" is already in use by container \"{id}\". You have to remove (or \
             rename) that container to be able to reuse that name."
        )),
    );
    for name in ["a/b", "..", "x", "-x", "a b", "\u{e4}\u{e4}"] {
        let only = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
        let shown = name.escape_debug();
        // Behind the `--`, or a flag would be looked for.
        let output = sandbox.corten(&["rename", "--", "it", name]);
        let text = allocating(&format!("Invalid container name (/{shown}), {only}"));
        assert!(output.code == 1 && output.stderr.contains(&text), "{output:?}");
    }
    check(&["rename", "nosuch", "yy"], "No such container: nosuch");
    for words in [["rename", "it", ""], ["rename", " ", "yy"]] {
        let text = "Error: Neither old nor new names may be empty\n";
        assert_eq!(sandbox.corten(&words), Output::new(1, "", text));
    }
    let usage = "corten: 'corten rename' requires 2 arguments\n\nUsage:  corten rename CONTAINER NEW_NAME\n\n\
                 Run 'corten rename --help' for more information\n";
    assert_eq!(sandbox.corten(&["rename", "it"]), Output::new(1, "", usage));
    assert_eq!(names(&sandbox), ["it", "other"]);
    sandbox.ok(&["rm", "it", "other"]);
}

/// Twenty containers want one name: one gets it, and every container keeps exactly one.
#[test]
fn one_winner() {
    let sandbox = Sandbox::new();
    for n in 0..20 {
        sandbox.ok(&["create", "--name", &format!("it{n}"), "box", "true"]);
    }
    let running: Vec<_> =
        (0..20).map(|n| sandbox.command(&["rename", &format!("it{n}"), "one"]).spawn()).collect();
    let won = running.into_iter().map(|command| command.finish().code).filter(|code| *code == 0).count();
    let names = names(&sandbox);
    assert_eq!((won, names.len(), names.contains(&"one".to_owned())), (1, 20, true), "{names:?}");
    let words: Vec<&str> = ["rm"].into_iter().chain(names.iter().map(String::as_str)).collect();
    sandbox.ok(&words);
}

/// Killed at any moment, it has one name or both, and both are free when it is gone.
#[test]
fn a_killed_rename_loses_no_name() {
    let sandbox = Sandbox::new();
    for step in 0..20_u64 {
        let id = sandbox.ok(&["create", "--name", "old", "box", "true"]);
        let command = sandbox.command(&["rename", "old", "new"]).spawn();
        corten_testkit::pause(std::time::Duration::from_micros(step * 150));
        command.signal(9);
        command.finish();
        let name = sandbox.ok(&["ps", "-a", "--format", "{{.Names}}"]);
        let spare = if name == "old" { "new" } else { "old" };
        assert_eq!(inspect(&sandbox, &name)["Id"], json!(id));
        // Somebody wants the spare name, or a sweep finds it.
        if step % 2 == 0 {
            sandbox.ok(&["create", "--name", spare, "box", "true"]);
            sandbox.ok(&["rm", spare]);
        }
        sandbox.ok(&["rm", &id]);
        assert_eq!(names(&sandbox), [""; 0]);
    }
}
