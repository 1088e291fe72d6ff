//! diff: what a container changed, as docker tells it.

use std::os::unix::ffi::OsStrExt;

use corten_testkit::{Output, Sandbox, busybox_tree, until};

const SCRIPT: &str = "rm -r /data/old; mkdir /data/old; echo n > /data/old/new; touch /data/added; rm /data/mine; \
    mkdir /new; echo 1 > /new/f; ln /new/f /new/g; chmod 700 /tmp; ln -s x /link; echo > /etc/hosts; rm /bin/awk; \
    rm /bin/zcat; mkdir /bin/zcat; touch /bin/zcat/1; rm -r /data/file; mkdir /data/file; rm -r /data/dir; echo > \
    /data/dir; chmod 644 /etc/passwd; chown 0:0 /etc/plain; touch /etc/group";
const CHANGES: &str = "\
C /bin\nD /bin/awk\nC /bin/zcat\nA /bin/zcat/1\n\
C /data\nA /data/added\nC /data/dir\nC /data/file\nD /data/mine\nC /data/old\nD /data/old/a\nA /data/old/new\nD /data/old/sub\n\
C /etc\nC /etc/group\n\
A /link\nA /new\nA /new/f\nA /new/g\nC /tmp\n";

fn image() -> Vec<u8> {
    busybox_tree()
        .dir("data/old/", 0o755)
        .file("data/old/a", 0o644, b"a")
        .dir("data/old/sub/", 0o755)
        .file("data/old/sub/b", 0o644, b"b")
        .file("data/file", 0o644, b"f")
        .dir("data/dir/", 0o755)
        .file("data/dir/in", 0o644, b"f")
        .finish()
}

#[test]
fn added_changed_deleted() {
    let sandbox = Sandbox::new();
    sandbox.import("tree", &image(), &[]);
    let script = format!("{SCRIPT}; echo done; exec sleep 1000");
    sandbox.ok(&["run", "-d", "--name", "it", "tree", "sh", "-c", &script]);
    until("done", || sandbox.ok(&["logs", "it"]).contains("done").then_some(()));
    assert_eq!(sandbox.corten(&["diff", "it"]), Output::new(0, CHANGES, ""), "while it runs");
    sandbox.ok(&["kill", "it"]);
    assert_eq!(sandbox.corten(&["container", "diff", "it"]), Output::new(0, CHANGES, ""), "when it does not");
    // Several layers: what an image in between changed is no change of the container's.
    sandbox.ok(&["commit", "it", "next"]);
    sandbox.ok(&["run", "--name", "again", "next", "sh", "-c", "rm /data/old/new; touch /bin/zcat/2"]);
    let expected = "C /bin\nC /bin/zcat\nA /bin/zcat/2\nC /data\nC /data/old\nD /data/old/new\n";
    assert_eq!(sandbox.corten(&["diff", "again"]), Output::new(0, expected, ""));
    sandbox.ok(&["rm", "it", "again"]);
    sandbox.ok(&["rmi", "next", "tree"]);
}

/// What corten makes or mounts is nobody's change; a mount point that a user asked for is one, as in docker.
#[test]
fn nothing_of_corten_s_own() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "run", "--name", "it", "--init", "-t", "-v", "/data", "--tmpfs", "/tmp", "box", "touch", "/tmp/x",
        "/data/y",
    ]);
    assert_eq!(sandbox.ok(&["diff", "it"]), "");
    sandbox.ok(&["run", "--name", "point", "-v", "/srv/v", "box", "true"]);
    assert_eq!(sandbox.ok(&["diff", "point"]), "A /srv\nA /srv/v");
    sandbox.ok(&["create", "--name", "new", "box", "true"]);
    assert_eq!(sandbox.ok(&["diff", "new"]), "");
    sandbox.ok(&["rm", "-v", "it", "point", "new"]);
}

#[test]
fn names_that_are_no_text() {
    let sandbox = Sandbox::new();
    let script = "touch \"/$(printf '\\377\\376 x')\"; printf 'a\\nb' | xargs -0 touch";
    sandbox.ok(&["run", "--name", "it", "-w", "/", "box", "sh", "-c", script]);
    let mut command = sandbox.command(&["diff", "it"]).command();
    let output = command.output().unwrap();
    assert_eq!(output.stdout, b"A /a\nb\nA /\xff\xfe x\n", "{:?}", String::from_utf8_lossy(&output.stdout));
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe x");
    assert!(name.to_str().is_none());
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn bad_input() {
    let sandbox = Sandbox::new();
    let missing = Output::new(1, "", "Error response from daemon: No such container: nope\n");
    for verb in ["diff", "export", "commit"] {
        assert_eq!(sandbox.corten(&[verb, "nope"]), missing, "{verb}");
    }
    let usage = "corten: 'corten diff' requires 1 argument\n\nUsage:  corten diff CONTAINER\n\n\
        Run 'corten diff --help' for more information\n";
    assert_eq!(sandbox.corten(&["diff"]), Output::new(1, "", usage));
}
