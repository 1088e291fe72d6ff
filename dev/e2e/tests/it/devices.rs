//! `--device` and `--device-cgroup-rule`: what is given can be used, by whom its node says, and nothing else.

use std::path::PathBuf;

use corten_testkit::{Output, Sandbox};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

/// A node on the host that not everybody may open. Its directory is the case's.
fn node(sandbox: &Sandbox, name: &str, number: (u32, u32), mode: u32, group: u32) -> PathBuf {
    let path = sandbox.directory().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let numbers = [number.0.to_string(), number.1.to_string()];
    let made =
        std::process::Command::new("mknod").arg(&path).arg("c").args(numbers).status().unwrap().success();
    assert!(made, "mknod {}", path.display());
    chown(&path, Some(0), Some(group)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn run(sandbox: &Sandbox, flags: &[&str], script: &str) -> Output {
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", script]).copied().collect();
    sandbox.corten(&words)
}

const ZERO: (u32, u32) = (1, 5);
/// /dev/kmsg: whoever may write it may open it for writing, which says nothing yet.
const KMSG: (u32, u32) = (1, 11);

const OPEN: &str = "(head -c 2 /dev/mine | od -An -c) 2>&1";

#[test]
fn a_node_that_others_may_not_open() {
    let sandbox = Sandbox::new();
    let mine = node(&sandbox, "mine", ZERO, 0o600, 0);
    let given = format!("{}:/dev/mine", mine.display());
    let zeros = Output::new(0, "  \\0  \\0\n", "");
    let refused = Output::new(0, "head: /dev/mine: Permission denied\n", "");
    for flags in [
        &["--device", &given][..],
        &["--device", &given, "--userns", "host"],
        &["--device", &given, "--read-only"],
    ] {
        let script = format!("stat -c '%a %u:%g %t:%T' /dev/mine; {OPEN}");
        let output = run(&sandbox, flags, &script);
        assert_eq!(output, Output::new(0, "600 0:0 1:5\n  \\0  \\0\n", ""), "{flags:?}");
    }
    assert_eq!(run(&sandbox, &["--device", &given, "-u", "1000"], OPEN), refused);
    assert_eq!(run(&sandbox, &[], "ls /dev/mine").code, 1);
    // Owner and mode are the host's, by the container's ids.
    let staff = node(&sandbox, "staff", ZERO, 0o660, 50);
    let given = format!("{}:/dev/mine", staff.display());
    assert_eq!(run(&sandbox, &["--device", &given, "-u", "1000", "--group-add", "50"], OPEN), zeros);
    assert_eq!(run(&sandbox, &["--device", &given, "-u", "1:1"], OPEN), refused);
    // What the container does to its node is no matter of the host's.
    run(&sandbox, &["--device", &given], "chmod 666 /dev/mine; chown 1000 /dev/mine; rm -f /dev/mine");
    let metadata = std::fs::metadata(&staff).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    // Others that join its user namespace have it by the same ids.
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    assert_eq!(run(&sandbox, &["--device", &given, "--ipc", "container:it"], OPEN), zeros);
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn only_the_access_that_is_given() {
    let sandbox = Sandbox::new();
    let mine = node(&sandbox, "mine", KMSG, 0o600, 0);
    let write = "(: > /dev/mine) 2>&1 && echo opened";
    let refused = Output::new(1, "sh: can't create /dev/mine: Operation not permitted\n", "");
    for flags in [&[][..], &["--userns", "host"]] {
        let with = |device: &str| {
            let device = format!("{}:{device}", mine.display());
            let words: Vec<&str> = ["--device", &device].iter().chain(flags).copied().collect();
            run(&sandbox, &words, write)
        };
        assert_eq!(with("/dev/mine:r"), refused);
        assert_eq!(with("/dev/mine:w"), Output::new(0, "opened\n", ""));
        assert_eq!(with("/dev/mine"), Output::new(0, "opened\n", ""));
    }
    // A rule of its own, for a node that is there already.
    let open = node(&sandbox, "open", KMSG, 0o666, 0);
    let bind = format!("{}:/dev/mine", open.display());
    assert_eq!(run(&sandbox, &["-v", &bind], write), refused);
    assert_eq!(run(&sandbox, &["-v", &bind, "--device-cgroup-rule", "c 1:11 r"], write), refused);
    for rule in ["c 1:11 w", "c 1:* rwm", "c *:11 rw"] {
        let output = run(&sandbox, &["-v", &bind, "--device-cgroup-rule", rule], write);
        assert_eq!(output, Output::new(0, "opened\n", ""), "{rule}");
    }
}

#[test]
fn directories_and_links() {
    let sandbox = Sandbox::new();
    node(&sandbox, "dir/a", ZERO, 0o600, 0);
    node(&sandbox, "dir/sub/b", ZERO, 0o600, 0);
    let directory = sandbox.directory().join("dir");
    std::fs::write(directory.join("file"), "no node").unwrap();
    symlink("a", directory.join("link")).unwrap();
    let given = format!("{}:/dev/given", directory.display());
    let script = "find /dev/given | sort; head -c 1 /dev/given/sub/b | od -An -c";
    let expected = "/dev/given\n/dev/given/a\n/dev/given/sub\n/dev/given/sub/b\n  \\0\n";
    assert_eq!(run(&sandbox, &["--device", &given], script), Output::new(0, expected, ""));
    let link = format!("{}/link:/dev/mine", directory.display());
    assert_eq!(run(&sandbox, &["--device", &link], OPEN), Output::new(0, "  \\0  \\0\n", ""));
    let empty = sandbox.directory().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for path in [empty, directory.join("file"), directory.join("none")] {
        let output = sandbox.corten(&["run", "--rm", "--device", path.to_str().unwrap(), "box", "true"]);
        let reason =
            format!("error gathering device information while adding custom device \"{}\"", path.display());
        assert!(output.code == 125 && output.stderr.contains(&reason), "{output:?}");
    }
}

/// A device stays what it is over a stop and a start, and a further process has it as well.
#[test]
fn over_a_restart_and_for_exec() {
    let sandbox = Sandbox::new();
    let mine = node(&sandbox, "mine", ZERO, 0o600, 0);
    let given = format!("{}:/dev/mine", mine.display());
    sandbox.ok(&["run", "-d", "--name", "it", "--device", &given, "box", "sleep", "1000"]);
    for _ in 0..2 {
        assert_eq!(sandbox.ok(&["exec", "it", "sh", "-c", OPEN]), "  \\0  \\0");
        sandbox.ok(&["kill", "it"]);
        sandbox.ok(&["wait", "it"]);
        sandbox.ok(&["start", "it"]);
    }
    sandbox.ok(&["rm", "-f", "it"]);
}
