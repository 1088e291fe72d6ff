//! Many objects at once: hundreds of containers, a thousand tags. What is listed, found, removed and swept is right;
//! how fast is the bench's matter.
//!
//! Containers beyond the first are copies of its record and directories, as fast as the disk makes them.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use corten_testkit::{Archive, Sandbox};

const CONTAINERS: usize = 500;
const TAGS: usize = 1000;

/// Makes `CONTAINERS` created ones, `c0` and so on, and returns their ids in that order.
fn create_many(sandbox: &Sandbox) -> Vec<String> {
    let first = sandbox.ok(&["create", "--name", "c0", "-l", "of=many", "box", "true"]);
    let containers = sandbox.root().join("containers");
    let record = std::fs::read_to_string(containers.join(&first).join("container.json")).unwrap();
    let owner = std::fs::read_link(containers.join("names/c0")).unwrap();
    let owner = owner.to_str().unwrap().to_owned();
    let copy = |number: usize| {
        let id = format!("{:08x}{}", number * 7919, &first[8..]);
        let directory = containers.join(&id);
        for below in ["rw/upper", "rw/work"] {
            std::fs::create_dir_all(directory.join(below)).unwrap();
        }
        std::fs::copy(containers.join(&first).join("exits"), directory.join("exits")).unwrap();
        let text = record.replace(&first, &id).replace("\"name\":\"c0\"", &format!("\"name\":\"c{number}\""));
        std::fs::write(directory.join("container.json"), text).unwrap();
        symlink(owner.replace(&first, &id), containers.join(format!("names/c{number}"))).unwrap();
        id
    };
    std::iter::once(first.clone()).chain((1..CONTAINERS).map(copy)).collect()
}

fn lines(sandbox: &Sandbox, words: &[&str]) -> BTreeSet<String> {
    let text = sandbox.ok(words);
    let lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), text.lines().count(), "{words:?}: a line twice");
    lines
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

#[test]
fn containers() {
    let sandbox = Sandbox::new();
    let ids = create_many(&sandbox);
    let all: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(lines(&sandbox, &["ps", "-aq", "--no-trunc"]), all);
    assert_eq!(lines(&sandbox, &["ps", "-aq", "--no-trunc", "--filter", "label=of=many"]), all);
    assert_eq!(lines(&sandbox, &["ps", "-aq", "--filter", "name=^/c49[0-9]$"]).len(), 10);
    assert_eq!(lines(&sandbox, &["ps", "-q"]).len(), 0);
    let words: Vec<&str> =
        ["inspect", "-f", "{{.Id}}"].into_iter().chain(all.iter().map(String::as_str)).collect();
    assert_eq!(lines(&sandbox, &words), all);
    // A name and an id each mean one; the beginning of several ids means none.
    assert_eq!(sandbox.ok(&["inspect", "-f", "{{.Name}}", &ids[77][..12]]), "/c77");
    let output = sandbox.corten(&["rm", "0"]);
    assert!(output.code == 1 && output.stderr.contains("ultiple"), "{output:?}");
    let output = sandbox.corten(&["create", "--name", "c499", "box", "true"]);
    assert!(output.code == 1 && output.stderr.contains("already in use"), "{output:?}");
    // Among them one is made, runs, and goes.
    assert_eq!(sandbox.ok(&["run", "--rm", "box", "echo", "ran"]), "ran");
    sandbox.ok(&["start", "-a", "c250"]);
    assert_eq!(lines(&sandbox, &["ps", "-aq", "--filter", "status=exited"]).len(), 1);
    // Some by name, some by id, one twice, one that is none: the others go all the same.
    let mut words = vec!["rm".to_owned(), "nosuch".to_owned()];
    words.extend((0..CONTAINERS / 2).map(|number| format!("c{number}")));
    words.extend(ids[CONTAINERS / 2..400].iter().map(|id| id[..12].to_owned()));
    let output = sandbox.corten(&words);
    assert_eq!((output.code, output.stdout.lines().count()), (1, 400), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let left: BTreeSet<String> = ids[400..].iter().cloned().collect();
    assert_eq!(lines(&sandbox, &["ps", "-aq", "--no-trunc"]), left);
    assert_eq!(entries(&sandbox.root().join("containers/names")), 100);
    let words: Vec<&str> = ["rm", "-f"].into_iter().chain(left.iter().map(String::as_str)).collect();
    assert_eq!(lines(&sandbox, &words), left);
}

/// What killed commands leave is swept; what has a record, or a maker that lives, is not.
#[test]
fn what_is_swept_among_many() {
    let sandbox = Sandbox::new();
    let ids = create_many(&sandbox);
    let containers = sandbox.root().join("containers");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let run = sandbox.run_root().join(boot.trim());
    let dead = format!("{} {} 4194303 1", "f".repeat(64), "0".repeat(36));
    for number in 0..100 {
        let id = format!("{number:0>64}");
        std::fs::create_dir_all(containers.join(&id).join("rw/upper")).unwrap();
        symlink(dead.replace(&"f".repeat(64), &id), containers.join(format!("names/orphan{number}")))
            .unwrap();
        symlink("4194303 1", run.join("creating").join(&id)).unwrap();
    }
    // No command has marked this one: that its record is missing is no wish that its data go.
    let kept = "d".repeat(64);
    std::fs::create_dir_all(containers.join(&kept).join("rw/upper/data")).unwrap();
    let own = std::process::id();
    let stat = std::fs::read_to_string(format!("/proc/{own}/stat")).unwrap();
    let start = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
    let creating = "e".repeat(64);
    std::fs::create_dir_all(containers.join(&creating)).unwrap();
    symlink(format!("{creating} {} {own} {start}", boot.trim()), containers.join("names/creating")).unwrap();
    sandbox.ok(&["rm", "c0"]);
    // A name that is missed has everything looked at.
    assert_eq!(sandbox.corten(&["rm", "-f", "missed"]).code, 0);
    assert_eq!(
        entries(&containers),
        CONTAINERS - 1 + 3,
        "the rest, the one being created, the kept, and names/"
    );
    assert!(containers.join(&kept).join("rw/upper/data").exists());
    std::fs::remove_dir_all(containers.join(&kept)).unwrap();
    assert_eq!(entries(&containers.join("names")), CONTAINERS);
    assert_eq!(entries(&sandbox.root().join("trash")), 0);
    std::fs::remove_dir_all(containers.join(&creating)).unwrap();
    std::fs::remove_file(containers.join("names/creating")).unwrap();
    let words: Vec<&str> = ["rm"].into_iter().chain(ids[1..].iter().map(String::as_str)).collect();
    assert_eq!(sandbox.ok(&words).lines().count(), CONTAINERS - 1);
}

#[test]
fn tags_and_images() {
    let sandbox = Sandbox::new();
    let repository = sandbox.root().join("images/refs/docker.io/library/box");
    for number in 0..TAGS {
        std::fs::copy(repository.join(":latest"), repository.join(format!(":t{number}"))).unwrap();
    }
    for number in 0..50 {
        let archive = Archive::default().file("number", 0o644, number.to_string().as_bytes()).finish();
        sandbox.import(&format!("small{number}"), &archive, &[]);
    }
    let names = lines(&sandbox, &["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(names.len(), TAGS + 1 + 50);
    let ids: BTreeSet<String> =
        sandbox.ok(&["images", "-q", "--no-trunc"]).lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), 51);
    assert_eq!(sandbox.ok(&["run", "--rm", "box:t999", "echo", "ran"]), "ran");
    sandbox.ok(&["create", "--name", "it", "box:t500", "true"]);
    // Some by their names, the rest with their image, which a container still needs.
    let mut words = vec!["rmi".to_owned()];
    words.extend((0..100).map(|number| format!("box:t{number}")));
    words.extend((0..50).map(|number| format!("small{number}")));
    let output = sandbox.corten(&words);
    let untagged = output.stdout.lines().filter(|line| line.starts_with("Untagged: ")).count();
    assert_eq!((output.code, untagged), (0, 150), "{}", output.stderr);
    assert_eq!(lines(&sandbox, &["images", "--format", "{{.Repository}}:{{.Tag}}"]).len(), TAGS - 100 + 1);
    let id = sandbox.ok(&["images", "-q", "--no-trunc", "box:latest"]);
    assert_eq!(sandbox.corten(&["rmi", &id]).code, 1);
    let output = sandbox.corten(&["rmi", "-f", &id]);
    let untagged = output.stdout.lines().filter(|line| line.starts_with("Untagged: ")).count();
    assert_eq!((output.code, untagged), (0, TAGS - 100 + 1), "{}", output.stderr);
    assert_eq!(sandbox.ok(&["images", "-q"]), "");
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(entries(&sandbox.root().join("layers")), 1);
    assert_eq!(sandbox.ok(&["start", "-a", "it"]), "");
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(entries(&sandbox.root().join("layers")), 0);
}
