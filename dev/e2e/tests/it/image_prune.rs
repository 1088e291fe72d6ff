//! image prune, history, and what images made of images mean for rmi.

use corten_testkit::{Output, Sandbox};

const MISSING: &str = "Error response from daemon: No such image: nope:latest\n";

/// `next` is made of `box`, which has no name any more.
fn with_nameless_parent() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "--name", "it", "box", "sh", "-c", "head -c 3000 /dev/zero > /file"]);
    sandbox.ok(&["commit", "-m", "made", "it", "next"]);
    sandbox.ok(&["rm", "it"]);
    sandbox
}

#[test]
fn parents() {
    let sandbox = with_nameless_parent();
    let id = |name: &str| sandbox.ok(&["inspect", "-f", "{{.Id}}", name]);
    let (parent, child) = (id("box"), id("next"));
    let refused = sandbox.corten(&["rmi", "-f", &parent]);
    let short = &parent[7..19];
    let text = format!(
        "Error response from daemon: conflict: unable to delete {short} (cannot be forced) - image has dependent child images\n"
    );
    assert_eq!(refused, Output::new(1, "", &text));
    assert_eq!(sandbox.ok(&["rmi", "box"]), "Untagged: box:latest", "only the name");
    let ids = |words: &[&str]| {
        let words: Vec<&str> = ["images", "-q", "--no-trunc"].iter().chain(words).copied().collect();
        sandbox.ok(&words)
    };
    assert_eq!(ids(&[]), child, "an intermediate image is not listed");
    assert_eq!(ids(&["-a"]), format!("{child}\n{parent}"));
    assert_eq!(ids(&["--filter", "dangling=true"]), "");
    assert_eq!(sandbox.ok(&["image", "prune", "-f"]), "Total reclaimed space: 0B", "it is needed");
    // The parent goes with its last child, unless it is to stay.
    sandbox.ok(&["tag", "next", "other"]);
    sandbox.ok(&["rmi", "next"]);
    let removed = sandbox.ok(&["rmi", "--no-prune", "other"]);
    assert!(!removed.contains(&parent), "{removed}");
    assert_eq!(ids(&[]), parent);
    sandbox.ok(&["rmi", &parent]);
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(std::fs::read_dir(sandbox.root().join("layers")).unwrap().count(), 0);
}

#[test]
fn the_parent_goes_with_its_last_child() {
    let sandbox = with_nameless_parent();
    sandbox.ok(&["rmi", "box"]);
    let removed = sandbox.ok(&["rmi", "next"]);
    assert_eq!(removed.lines().filter(|line| line.starts_with("Deleted: sha256:")).count(), 4, "{removed}");
    assert_eq!(sandbox.ok(&["images", "-aq"]), "");
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(std::fs::read_dir(sandbox.root().join("layers")).unwrap().count(), 0);
}

#[test]
fn steps_of_history() {
    let sandbox = with_nameless_parent();
    let short = |name: &str| sandbox.ok(&["inspect", "-f", "{{.Id}}", name])[7..19].to_owned();
    let (parent, child) = (short("box"), short("next"));
    let line = |format: &str| sandbox.ok(&["history", "--format", format, "next"]);
    assert_eq!(
        line("{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}").lines().next().unwrap(),
        format!("{child} sh -c head -c 3000 /dev/zero > /file 3kB made")
    );
    assert_eq!(sandbox.ok(&["image", "history", "-q", "next"]), format!("{child}\n{parent}"));
    let numbers = sandbox.ok(&["history", "-H=false", "next"]);
    assert!(numbers.starts_with("IMAGE          CREATED AT             CREATED BY"), "{numbers}");
    assert!(numbers.contains("   3000      made"), "{numbers}");
    let table = sandbox.ok(&["history", "next"]);
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"], "{table}");
    // Without its parent here, as after load, a step has no image.
    let path = sandbox.directory().join("next.tar");
    sandbox.ok(&["save", "-o", path.to_str().unwrap(), "next"]);
    sandbox.ok(&["rmi", "next", "box"]);
    sandbox.ok(&["load", "-i", path.to_str().unwrap()]);
    assert_eq!(line("{{.ID}}"), format!("{child}\n<missing>"));
    assert_eq!(sandbox.ok(&["history", "--no-trunc", "-q", "next"]).lines().next().unwrap().len(), 71);
    // A step without a layer.
    sandbox.ok(&["create", "--name", "it", "next", "true"]);
    sandbox.ok(&["commit", "-c", "ENV A=1", "it", "third"]);
    assert_eq!(sandbox.ok(&["history", "--format", "{{.Size}}", "third"]).lines().next().unwrap(), "0B");
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["rmi", "third", "next"]);
    assert_eq!(sandbox.corten(&["history", "nope"]), Output::new(1, "", MISSING));
    sandbox.import("box", &corten_testkit::busybox_archive(), &[]);
    let wrong = sandbox.corten(&["history", "--platform", "linux/s390x", "box"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("does not match the specified platform"), "{wrong:?}");
    let unknown = sandbox.corten(&["history", "--format", "{{.Nope}}", "box"]);
    assert!(
        unknown.stderr.contains("can't evaluate field Nope in type *image.historyContext"),
        "{unknown:?}"
    );
}

#[test]
fn pruned_by_name_and_without() {
    let sandbox = Sandbox::new();
    for name in ["aa", "bb"] {
        sandbox.ok(&["run", "--name", name, "box", "sh", "-c", &format!("echo {name} > /file")]);
        sandbox.ok(&["commit", "-c", &format!("LABEL name={name}"), name, name]);
        sandbox.ok(&["rm", name]);
    }
    // `aa` loses its name to another.
    sandbox.ok(&["tag", "bb", "aa"]);
    let names = || sandbox.ok(&["images", "--format", "{{.Repository}}"]).replace('\n', " ");
    assert_eq!(names(), "aa bb <none> box");
    assert_eq!(
        sandbox.ok(&["image", "prune", "-f", "--filter", "label=name=bb"]),
        "Total reclaimed space: 0B"
    );
    assert_eq!(sandbox.ok(&["image", "prune", "-f", "--filter", "until=1h"]), "Total reclaimed space: 0B");
    let done = sandbox.ok(&["image", "prune", "-f"]);
    let lines: Vec<&str> = done.lines().collect();
    assert_eq!((lines[0], lines.len()), ("Deleted Images:", 5), "{done}");
    assert!(lines[1].starts_with("deleted: sha256:") && lines[4] == "Total reclaimed space: 3B", "{done}");
    assert_eq!(names(), "aa bb box");
    // What containers use stays, running or not; the rest goes.
    sandbox.ok(&["create", "--name", "user", "bb", "true"]);
    let question = "WARNING! This will remove all images without at least one container associated to them.\n\
        Are you sure you want to continue? [y/N] ";
    assert_eq!(sandbox.command(&["image", "prune", "-a"]).input("n\n").run(), Output::new(0, question, ""));
    let question =
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ";
    assert_eq!(sandbox.command(&["image", "prune"]).input("n\n").run(), Output::new(0, question, ""));
    let done = sandbox.ok(&["image", "prune", "-a", "-f"]);
    assert!(done.contains("untagged: aa:latest\nuntagged: box:latest\n"), "{done}");
    assert_eq!(names(), "bb");
    sandbox.ok(&["rm", "user"]);
    let done = sandbox.ok(&["image", "prune", "-f", "--filter", "dangling=false"]);
    assert!(done.ends_with("MB"), "{done}");
    assert_eq!(sandbox.ok(&["images", "-aq"]), "");
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(std::fs::read_dir(sandbox.root().join("layers")).unwrap().count(), 0);
    let wrong = sandbox.corten(&["image", "prune", "-f", "--filter", "nope=1"]);
    assert_eq!(wrong, Output::new(1, "", "Error response from daemon: invalid filter 'nope'\n"));
}
