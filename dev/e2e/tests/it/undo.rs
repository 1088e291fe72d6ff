//! undo, pin and unpin.

use corten_testkit::{Output, Sandbox};

#[test]
fn a_container_comes_back_with_its_files_and_volumes() {
    let sandbox = Sandbox::new();
    let script = "echo one >/file; echo two >/anon/file; exit 3";
    let words = ["run", "--name", "web", "-v", "/anon", "box", "sh", "-c", script];
    assert_eq!(sandbox.corten(&words), Output::new(3, "", ""));
    sandbox.ok(&["rm", "-v", "web"]);
    assert_eq!(sandbox.ok(&["ps", "-aq"]) + &sandbox.ok(&["volume", "ls", "-q"]), "");
    assert_eq!(sandbox.ok(&["undo", "--list", "--format", "{{.Kind}} {{.Name}}", "web"]), "container web");
    let restored = sandbox.ok(&["undo"]);
    assert!(restored.starts_with("Restored container web\nRestored volume "), "{restored}");
    assert_eq!(sandbox.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "web exited");
    assert_eq!(sandbox.ok(&["inspect", "-f", "{{.State.ExitCode}}", "web"]), "3");
    assert_eq!(sandbox.ok(&["run", "--rm", "--volumes-from", "web", "box", "cat", "/anon/file"]), "two");
    let output = sandbox.corten(&["start", "-a", "web"]);
    assert_eq!(output, Output::new(3, "", ""));
    let nothing = "corten: nothing to undo: what is removed is kept for an hour, up to 1 GiB\n";
    assert_eq!(sandbox.corten(&["undo"]), Output::new(1, "", nothing));
    sandbox.ok(&["rm", "-v", "web"]);
}

#[test]
fn a_name_that_was_taken_is_not_taken_back() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["create", "--name", "web", "box", "true"]);
    sandbox.ok(&["rm", "web"]);
    sandbox.ok(&["create", "--name", "web", "box", "true"]);
    let output = sandbox.corten(&["undo"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    let told = "cannot bring container web back: Conflict. The container name \"/web\" is already in use";
    assert!(output.stderr.contains(told) && output.stderr.contains("hint: corten undo --name"), "{output:?}");
    assert_eq!(sandbox.ok(&["undo", "--name", "other", &id]), "Restored container other");
    assert_eq!(sandbox.ok(&["inspect", "-f", "{{.Name}}", &id]), "/other");
    sandbox.ok(&["rm", "web", "other"]);
    sandbox.ok(&["volume", "create", "data"]);
    sandbox.ok(&["volume", "rm", "data"]);
    sandbox.ok(&["volume", "create", "data"]);
    let output = sandbox.corten(&["undo", "data"]);
    let told = "cannot bring volume data back: there is a volume of that name again";
    assert!(output.code == 1 && output.stderr.contains(told), "{output:?}");
    sandbox.ok(&["volume", "rm", "data"]);
    let output = sandbox.corten(&["undo", "nobody"]);
    assert!(output.code == 1 && output.stderr.contains("no removed object is called nobody"), "{output:?}");
    let output = sandbox.corten(&["undo", "--name", "x y", "other"]);
    assert!(output.code == 1 && output.stderr.contains("Invalid container name"), "{output:?}");
}

#[test]
fn images_come_back_with_their_names() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["images", "-q", "--no-trunc", "box"]);
    sandbox.ok(&["tag", "box", "other:1"]);
    sandbox.ok(&["rmi", "other:1"]);
    assert_eq!(sandbox.ok(&["undo"]), "Restored image other:1");
    sandbox.ok(&["rmi", "-f", &id]);
    assert_eq!(sandbox.ok(&["images", "-q"]), "");
    let restored = sandbox.ok(&["undo", "box"]);
    assert!(restored.starts_with("Restored image "), "{restored}");
    let names = sandbox.ok(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    assert_eq!(names, format!("box:latest {id}\nother:1 {id}"));
    sandbox.ok(&["run", "--rm", "other:1", "true"]);
    // A container of an image that is gone needs its layers when it comes back.
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["rmi", "box", "other:1"]);
    assert_eq!(sandbox.ok(&["undo", "it"]), "Restored container it");
    sandbox.ok(&["start", "-a", "it"]);
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn what_is_pinned_is_not_removed() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    sandbox.ok(&["volume", "create", "data"]);
    assert_eq!(sandbox.ok(&["pin", "it", "box", "data"]), "it\nbox\ndata");
    let listed = sandbox.ok(&["pin"]);
    assert!(
        listed.starts_with("KIND")
            && listed.contains("container   it\n")
            && listed.ends_with("volume      data")
    );
    let check = |words: &[&str], what: &str| {
        let output = sandbox.corten(words);
        let told = format!("Error response from daemon: cannot remove {what}: it is pinned\n");
        assert!(output.code == 1 && output.stderr.starts_with(&told), "{words:?}: {output:?}");
    };
    check(&["rm", "-f", "it"], "container it");
    check(&["rmi", "-f", "box"], "image box");
    check(&["volume", "rm", "-f", "data"], "volume data");
    assert_eq!(sandbox.ok(&["container", "prune", "-f"]), "Total reclaimed space: 0B");
    assert_eq!(sandbox.ok(&["unpin", "it", "box", "data"]), "it\nbox\ndata");
    assert_eq!(sandbox.ok(&["pin", "--type", "volume"]), "KIND      NAME");
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["volume", "rm", "data"]);
    let output = sandbox.corten(&["pin", "nobody"]);
    assert_eq!(output, Output::new(1, "", "Error response from daemon: No such object: nobody\n"));
}

#[test]
fn a_digest_beside_the_last_tag_does_not_undo_a_pin() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["images", "-q", "--no-trunc", "box"]);
    let repository = sandbox.root().join("images/refs/docker.io/library/box");
    std::fs::copy(repository.join(":latest"), repository.join(format!("@{id}"))).unwrap();
    sandbox.ok(&["tag", "box", "box:other"]);
    sandbox.ok(&["pin", "box"]);
    // One of two tags may go.
    assert_eq!(sandbox.ok(&["rmi", "box:other"]), "Untagged: box:other");
    let output = sandbox.corten(&["rmi", "box"]);
    let told = "Error response from daemon: cannot remove image box: it is pinned\n";
    assert!(output.code == 1 && output.stderr.starts_with(told), "{output:?}");
    assert_eq!(sandbox.ok(&["images", "-q", "--no-trunc", "box"]).lines().next(), Some(id.as_str()));
    sandbox.ok(&["unpin", "box"]);
}
