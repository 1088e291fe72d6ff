//! import, images, tag, rmi, save, load.

use corten_testkit::{Output, Sandbox, busybox_archive};

fn listed(sandbox: &Sandbox) -> Vec<String> {
    let text = sandbox.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn tags_come_and_go() {
    let sandbox = Sandbox::new();
    assert_eq!(listed(&sandbox), ["box:latest"]);
    sandbox.ok(&["tag", "box", "localhost:5000/a/b:v1"]);
    assert_eq!(listed(&sandbox), ["box:latest", "localhost:5000/a/b:v1"]);
    assert_eq!(sandbox.ok(&["run", "--rm", "localhost:5000/a/b:v1", "echo", "same"]), "same");
    assert_eq!(sandbox.ok(&["rmi", "localhost:5000/a/b:v1"]), "Untagged: localhost:5000/a/b:v1");
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let output = sandbox.corten(&["rmi", "box"]);
    assert!(
        output.code == 1 && output.stderr.contains("it") || output.stderr.contains("using"),
        "{output:?}"
    );
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["rmi", "box"]);
    assert_eq!(listed(&sandbox), Vec::<String>::new());
    let left = || std::fs::read_dir(sandbox.root().join("layers")).unwrap().count();
    assert_eq!(left(), 1, "an undo could still need it");
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(left(), 0, "the layer went with its last image");
}

/// With a tag and a digest the digest decides, wherever an image is named.
#[test]
fn a_tag_and_a_digest() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["tag", "box", "other:v1"]);
    let id = sandbox.ok(&["images", "-q", "--no-trunc", "box"]);
    for name in [format!("other:v1@{id}"), format!("other@{id}"), format!("other:nope@{id}")] {
        assert_eq!(sandbox.ok(&["inspect", "-f", "{{.Id}}", &name]), id, "{name}");
        assert_eq!(sandbox.ok(&["run", "--rm", &name, "echo", "it"]), "it", "{name}");
    }
    let wrong = format!("other:v1@sha256:{}", "0".repeat(64));
    let missing = Output::new(1, "", &format!("Error response from daemon: No such image: {wrong}\n"));
    assert_eq!(sandbox.corten(&["rmi", &wrong]), missing);
    assert_eq!(sandbox.ok(&["rmi", &format!("other:v1@{id}")]), "Untagged: other:v1");
    assert_eq!(listed(&sandbox), ["box:latest"]);
}

#[test]
fn an_archive_round_trip_keeps_ids() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["tag", "box", "second:tag"]);
    let id = sandbox.ok(&["images", "-q", "--no-trunc", "box"]);
    let path = sandbox.directory().join("saved.tar");
    let text = path.to_str().unwrap();
    sandbox.ok(&["save", "-o", text, "box", "second:tag"]);
    sandbox.ok(&["rmi", "box", "second:tag"]);
    let output = sandbox.corten(&["load", "-i", text]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(listed(&sandbox), ["box:latest", "second:tag"]);
    assert_eq!(sandbox.ok(&["images", "-q", "--no-trunc", "box"]), id);
    assert_eq!(sandbox.ok(&["run", "--rm", "second:tag", "cat", "/data/mine"]), "content of the image");
    let bytes = std::fs::read(&path).unwrap();
    let cut = sandbox.command(&["load"]).input(&bytes[..bytes.len() / 2]).run();
    assert!(cut.code == 1 && cut.stderr.lines().count() == 1, "{cut:?}");
    let mut changed = bytes;
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    sandbox.ok(&["rmi", "box", "second:tag"]);
    let output = sandbox.command(&["load"]).input(changed).run();
    assert!(output.code == 1 && output.stderr.contains("digest"), "{output:?}");
}

/// An image removed while a container of it runs: refused; by force: the container goes on.
#[test]
fn what_runs_keeps_its_layers() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let output = sandbox.corten(&["rmi", "box"]);
    assert_eq!(output.code, 1, "{output:?}");
    sandbox.corten(&["rmi", "-f", "box"]);
    assert_eq!(
        sandbox.corten(&["exec", "it", "cat", "/data/mine"]),
        Output::new(0, "content of the image\n", "")
    );
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn the_same_archive_twice_is_one_layer() {
    let sandbox = Sandbox::new();
    sandbox.import("again", &busybox_archive(), &[]);
    assert_eq!(std::fs::read_dir(sandbox.root().join("layers")).unwrap().count(), 1);
}

#[test]
fn as_a_tree() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["tag", "box", "other:v1"]);
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let output = sandbox.corten(&["images", "--tree"]);
    let id = sandbox.ok(&["images", "-q", "other"]);
    let lines: Vec<&str> = output.stdout.lines().collect();
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(words(3), ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"]);
    assert_eq!(lines[4], "box:latest");
    assert_eq!((words(5)[0], words(5)[1], words(5)[4]), ("other:v1", id.as_str(), "U"), "{output:?}");
    assert!(lines[6].starts_with("└─ linux/"), "{output:?}");
    assert!(
        output.stderr.starts_with("WARNING: This output is designed for human readability."),
        "{output:?}"
    );
    for flag in ["--quiet", "--no-trunc"] {
        let refused = Output::new(1, "", &format!("{flag} is not yet supported with --tree\n"));
        assert_eq!(sandbox.corten(&["images", "--tree", flag]), refused);
    }
    sandbox.ok(&["rm", "it"]);
}
