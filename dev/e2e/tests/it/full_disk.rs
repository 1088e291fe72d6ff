//! A disk that is full, at every point at which it can be: one clear line, nothing left, and all well when there is
//! room again.

use corten_testkit::{Archive, Disk, Output, Sandbox, busybox_archive, busybox_tree, until};

const PAGE: u64 = 4096;
const REASON: &str = ": no space left on device";

/// A sandbox whose store, or run directory, is on a disk of its own.
struct Place {
    sandbox: Sandbox,
    disk: Disk,
}

impl Place {
    fn store_on(disk: Disk) -> Self {
        let volatile = disk.path().with_extension("run");
        Self::new(Sandbox::with_roots(&disk.path().join("store"), &volatile), disk)
    }

    fn run_root_on(disk: Disk) -> Self {
        let store = disk.path().with_extension("store");
        Self::new(Sandbox::with_roots(&store, &disk.path().join("run")), disk)
    }

    fn new(mut sandbox: Sandbox, disk: Disk) -> Self {
        sandbox.import("box", &busybox_archive(), &[]);
        sandbox.ok(&["run", "--rm", "box", "true"]);
        sandbox.begin();
        Self { sandbox, disk }
    }

    /// Runs a command that either succeeds or says that the disk is full; says whether it succeeded.
    fn try_to(&self, words: &[&str], code: i32) -> Option<Output> {
        let output = self.sandbox.corten(words);
        if output.code == 0 && output.stderr.is_empty() {
            return Some(output);
        }
        said(words, &output, code);
        None
    }

    /// Nothing is left of what a command began.
    fn nothing_left(&self, what: &str) {
        until(&format!("nothing left of {what}: {:?}", self.sandbox.leftovers()), || {
            self.sandbox.leftovers().is_empty().then_some(())
        });
    }

    /// What is removed after a container that was made, started or not.
    fn remove(&self, name: &str) {
        if self.sandbox.corten(&["inspect", name]).code == 0 {
            self.sandbox.ok(&["rm", "-f", "-v", name]);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for end in ["run", "store"] {
            std::fs::remove_dir_all(self.disk.path().with_extension(end)).unwrap_or_default();
        }
    }
}

/// One line that ends with the reason, and a hint.
fn said(words: &[&str], output: &Output, code: i32) {
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.is_empty()).collect();
    let [line, rest @ ..] = lines.as_slice() else { panic!("{words:?}: {output:?}") };
    let others = rest.iter().all(|line| line.starts_with("hint: ") || line.starts_with("Run 'corten"));
    let hinted = rest.iter().any(|line| line.contains("file system is full"));
    assert!(output.code == code && line.ends_with(REASON) && others && hinted, "{words:?}: {output:?}");
    assert!(!line.contains(".tmp"), "names a file that nobody knows: {line}");
}

/// Runs everything that writes; returns how many commands were refused for want of room.
fn every_command(place: &Place, what: &str) -> usize {
    let mut refused = 0;
    let mut try_to = |words: &[&str], code: i32| {
        let output = place.try_to(words, code);
        refused += usize::from(output.is_none());
        output
    };
    let ran = |output: Option<Output>| output.is_none_or(|output| output.stdout == "ran\n");
    assert!(ran(try_to(&["run", "--rm", "box", "echo", "ran"], 125)), "{what}");
    place.nothing_left(what);
    assert!(ran(try_to(&["run", "--name", "it", "box", "echo", "ran"], 125)), "{what}");
    place.remove("it");
    try_to(&["run", "-d", "--name", "it", "-v", "/anonymous", "box", "sleep", "1000"], 125);
    place.remove("it");
    place.nothing_left(what);
    if try_to(&["create", "--name", "it", "box", "true"], 1).is_some() {
        try_to(&["start", "it"], 1);
    }
    place.remove("it");
    try_to(&["volume", "create", "vol"], 1);
    place.sandbox.corten(&["volume", "rm", "vol"]);
    try_to(&["tag", "box", "other:tag"], 1);
    place.sandbox.corten(&["rmi", "other:tag"]);
    place.nothing_left(what);
    refused
}

fn small(size: &str) -> Disk {
    Disk::tmpfs(&[("size", size), ("mode", "0755")])
}

#[test]
fn no_page_left_for_the_store() {
    let place = Place::store_on(small("12m"));
    for room in 0..12 {
        place.disk.fill(room * PAGE);
        let refused = every_command(&place, &format!("a store with room for {room} pages"));
        assert!(room > 0 || refused > 0, "nothing was refused without any room");
        place.disk.free();
    }
    assert_eq!(place.sandbox.ok(&["run", "--rm", "box", "echo", "again"]), "again");
}

#[test]
fn no_file_left_for_the_store() {
    let place = Place::store_on(Disk::tmpfs(&[("nr_inodes", "1500"), ("mode", "0755")]));
    for room in 0..16 {
        place.disk.fill_with_files(room);
        let refused = every_command(&place, &format!("a store with room for {room} files"));
        assert!(room > 0 || refused > 0, "nothing was refused without any room");
        place.disk.free();
    }
    // Making room must not need room.
    place.sandbox.ok(&["create", "--name", "it", "box", "true"]);
    place.disk.fill_with_files(0);
    place.sandbox.ok(&["rm", "it"]);
    place.disk.free();
    assert_eq!(place.sandbox.ok(&["run", "--rm", "box", "echo", "again"]), "again");
}

#[test]
fn no_page_and_no_file_left_for_what_runs() {
    let place = Place::run_root_on(Disk::tmpfs(&[("size", "1m"), ("nr_inodes", "200"), ("mode", "0755")]));
    for room in 0..12 {
        place.disk.fill(room * PAGE);
        let refused = every_command(&place, &format!("a run directory with room for {room} pages"));
        assert!(room > 0 || refused > 0, "nothing was refused without any room");
        place.disk.free();
    }
    for room in 0..16 {
        place.disk.fill_with_files(room);
        let refused = every_command(&place, &format!("a run directory with room for {room} files"));
        assert!(room > 0 || refused > 0, "nothing was refused without any room");
        place.disk.free();
    }
    assert_eq!(place.sandbox.ok(&["run", "--rm", "box", "echo", "again"]), "again");
}

#[test]
fn an_ext4_that_is_full() {
    let Some(disk) = Disk::ext4(24 << 20) else { return };
    let place = Place::store_on(disk);
    for room in [0, 1, 2, 4, 8, 16] {
        place.disk.fill(room * PAGE);
        let refused = every_command(&place, &format!("an ext4 with room for {room} pages"));
        assert!(room > 0 || refused > 0, "nothing was refused without any room");
        place.disk.free();
    }
    assert_eq!(place.sandbox.ok(&["run", "--rm", "box", "echo", "again"]), "again");
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

#[test]
fn archives_in_and_out() {
    let disk = small("12m");
    let place = Place::store_on(disk);
    let layers = || std::fs::read_dir(place.disk.path().join("store/layers")).unwrap().count();
    let big = (0..20).fold(Archive::default().dir("d/", 0o755), |archive, number| {
        archive.file(&format!("d/{number}"), 0o644, &noise(1 << 20))
    });
    let big = big.finish();
    let other = Sandbox::empty();
    other.import("big", &big, &[]);
    let saved = other.directory().join("big.tar");
    other.ok(&["save", "-o", saved.to_str().unwrap(), "big"]);
    let before = layers();
    for words in [&["import", "-", "big"][..], &["load"]] {
        let archive = if words == ["load"] { std::fs::read(&saved).unwrap() } else { big.clone() };
        said(words, &place.sandbox.command(words).input(archive).run(), 1);
        place.nothing_left("an archive");
        assert_eq!(layers(), before, "{words:?}: a partial layer");
    }
    assert_eq!(place.sandbox.ok(&["images", "-q"]).lines().count(), 1);
    let target = small("1m");
    let path = target.path().join("box.tar");
    let words = ["save", "-o", path.to_str().unwrap(), "box"];
    said(&words, &place.sandbox.corten(&words), 1);
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0, "a partial archive");
}

/// The payload goes on; the log has whole lines only, and says what is missing.
#[test]
fn a_log_that_cannot_be_written() {
    let place = Place::store_on(small("12m"));
    place.sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let say = |text: &str| place.sandbox.ok(&["exec", "it", "sh", "-c", &format!("{text} > /proc/1/fd/1")]);
    let log = || place.sandbox.corten(&["logs", "it"]).stdout;
    say("echo before");
    until("a line", || (log() == "before\n").then_some(()));
    place.disk.fill(0);
    // More than the rest of the last page, and than a pipe holds: whoever waits for the log would wait for ever.
    say("for i in 1 2 3 4 5 6; do head -c 20000 /dev/zero | tr '\\0' x; echo; done");
    assert_eq!(place.sandbox.corten(&["exec", "it", "echo", "alive"]), Output::new(0, "alive\n", ""));
    place.disk.free();
    say("echo after");
    until("the log", || log().ends_with("after\n").then_some(()));
    let output = place.sandbox.corten(&["logs", "it"]);
    assert!(output.stdout.starts_with("before\n"), "{output:?}");
    assert!(
        output.stderr.starts_with("corten: output is missing here: ") && output.stderr.contains(REASON),
        "{output:?}"
    );
    place.sandbox.ok(&["rm", "-f", "it"]);
    place.nothing_left("the container");
}

/// A new volume that could not take over what the image has takes it over at the next start.
#[test]
fn a_volume_that_could_not_be_filled() {
    let place = Place::store_on(small("16m"));
    let tree = (0..30).fold(busybox_tree().dir("content/", 0o755), |archive, number| {
        archive.dir(&format!("content/{number}/"), 0o755).file(
            &format!("content/{number}/file"),
            0o644,
            &noise(20_000),
        )
    });
    place.sandbox.import("full", &tree.finish(), &[]);
    place.disk.fill(40 * PAGE);
    let words = ["run", "--rm", "-v", "vol:/content", "full", "true"];
    let output = place.sandbox.corten(&words);
    said(&words, &output, 125);
    assert!(output.stderr.contains("/content/"), "{output:?}");
    place.disk.free();
    let count = ["run", "--rm", "-v", "vol:/content", "full", "sh", "-c", "cat /content/*/file | wc -c"];
    assert_eq!(place.sandbox.ok(&count), "600000");
    place.sandbox.ok(&["volume", "rm", "vol"]);
    place.sandbox.ok(&["rmi", "full"]);
    place.nothing_left("the volume");
}

/// What runs goes on, and its end is recorded.
#[test]
fn a_container_on_a_disk_that_fills_up() {
    let place = Place::store_on(small("12m"));
    let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
    place.sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script]);
    until("the trap", || (place.sandbox.corten(&["logs", "it"]).stdout == "up\n").then_some(()));
    place.disk.fill(0);
    let output = place.sandbox.corten(&["exec", "it", "sh", "-c", "echo x > /tmp/file"]);
    assert!(output.code == 1 && output.stderr.contains("No space left on device"), "{output:?}");
    place.sandbox.ok(&["stop", "it"]);
    assert_eq!(place.sandbox.ok(&["wait", "it"]), "7");
    place.sandbox.ok(&["start", "it"]);
    place.sandbox.ok(&["kill", "it"]);
    assert_eq!(place.sandbox.ok(&["wait", "it"]), "137");
    place.sandbox.ok(&["rm", "it"]);
    place.disk.free();
}

/// The id of a container that nobody can be told is no container.
#[test]
fn a_cidfile_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let disk = small("64k");
    disk.fill(0);
    let path = disk.path().join("cid");
    let path = path.to_str().unwrap();
    for words in [
        &["run", "-d", "--cidfile", path, "box", "true"],
        &["create", "--init", "--cidfile", path, "box", "true"][..],
    ] {
        let output = sandbox.corten(words);
        assert!(output.code != 0 && output.stderr.contains(&format!("{path}{REASON}")), "{output:?}");
        assert_eq!(sandbox.ok(&["ps", "-aq"]), "");
    }
}
