//! check: what is damaged is found, and only what can come again is removed.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use corten_testkit::{Output, Sandbox, busybox_archive};

/// Overwrites the beginning of a file in place.
fn damage(path: &PathBuf) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"damaged").unwrap();
}

fn only_entry(sandbox: &Sandbox, directory: &str) -> PathBuf {
    let mut entries = fs::read_dir(sandbox.root().join(directory)).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
fn a_whole_store_has_no_problem() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "-v", "data:/data", "box", "true"]);
    let checked = "Checked 1 image, 1 layer, 1 blob, 1 container, 1 volume: no problem found\n";
    for words in [&["check"][..], &["check", "--quick"], &["check", "--repair"]] {
        assert_eq!(sandbox.corten(words), Output::new(0, checked, ""));
    }
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["volume", "rm", "data"]);
}

#[test]
fn a_damaged_layer_is_found_and_its_image_can_come_again() {
    let sandbox = Sandbox::new();
    damage(&only_entry(&sandbox, "layers").join("fs/bin/busybox"));
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let output = sandbox.corten(&["check", "--repair"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("was changed on disk"), "{output:?}");
    assert!(
        output.stdout.contains("; container it stands on it: save what it holds, remove it"),
        "{output:?}"
    );
    assert!(output.stdout.ends_with(": 2 problems found\n"), "{output:?}");
    assert_eq!(sandbox.corten(&["check", "--quick"]).code, 0);
    sandbox.ok(&["rm", "it"]);
    let output = sandbox.corten(&["check"]);
    assert!(output.code == 1 && output.stdout.contains("; corten check --repair removes it"), "{output:?}");
    let output = sandbox.corten(&["check", "--repair"]);
    assert!(output.code == 0 && output.stdout.ends_with(": 3 problems repaired\n"), "{output:?}");
    assert!(output.stdout.contains("reference box:latest: it names image "), "{output:?}");
    let output = sandbox.corten(&["check"]);
    assert!(output.code == 0 && output.stdout.ends_with("no problem found\n"), "{output:?}");
    sandbox.import("box", &busybox_archive(), &[]);
    sandbox.ok(&["run", "--rm", "box", "true"]);
}

#[test]
fn records_are_read_and_volumes_never_touched() {
    let sandbox = Sandbox::new();
    damage(&only_entry(&sandbox, "blobs/sha256"));
    fs::create_dir_all(sandbox.root().join("volumes/bare/_data")).unwrap();
    let id = sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let record = sandbox.root().join("containers").join(&id).join("container.json");
    let kept = fs::read(&record).unwrap();
    damage(&record);
    let output = sandbox.corten(&["check"]);
    for part in [
        "blob sha256:",
        "has content with the digest",
        "volume bare: its record is missing; what is in it is left: ",
        &format!("container {}: record ", &id[..12]),
    ] {
        assert!(output.code == 1 && output.stdout.contains(part), "{part} in {output:?}");
    }
    fs::write(&record, kept).unwrap();
    sandbox.ok(&["rm", "it"]);
    let output = sandbox.corten(&["check", "--repair"]);
    assert!(output.code == 1 && output.stdout.ends_with(", 1 left\n"), "{output:?}");
    assert!(sandbox.root().join("volumes/bare/_data").exists());
    fs::remove_dir_all(sandbox.root().join("volumes/bare")).unwrap();
    assert_eq!(sandbox.ok(&["images", "-q"]), "");
}
