//! Volumes: the local driver's options, prune, and that nothing of the user's goes that was not named.

use std::path::PathBuf;

use corten_sys::mount::{self, MountFlags};
use corten_testkit::{Output, Sandbox, until};

use crate::unwatched::kill_all;

/// The error line of a command that failed as docker's do.
fn refused(sandbox: &Sandbox, words: &[&str], code: i32, reason: &str) {
    let output = sandbox.corten(words);
    assert!(
        output.code == code && output.stderr.contains(reason) && output.stdout.is_empty(),
        "{words:?}: {output:?}"
    );
}

fn data(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.root().join("volumes").join(name).join("_data")
}

fn is_mounted(sandbox: &Sandbox, name: &str) -> bool {
    mount::is_mount_point(&data(sandbox, name)).unwrap()
}

fn unmounted(sandbox: &Sandbox, name: &str) {
    until("the volume is unmounted", || (!is_mounted(sandbox, name)).then_some(()));
}

const TMPFS: [&str; 6] = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000"];

fn create(sandbox: &Sandbox, name: &str, options: &[&str]) {
    let words: Vec<&str> = ["volume", "create"].iter().chain(options).chain(&[name]).copied().collect();
    assert_eq!(sandbox.ok(&words), name);
}

#[test]
fn options_of_the_driver() {
    let sandbox = Sandbox::new();
    let cases: [(&[&str], &str); 7] = [
        (&["-o", "foo=bar"], "create v1: invalid option: \"foo\""),
        (&["-o", "type=tmpfs"], "create v1: missing required option: \"device\""),
        (&["-o", "device=/tmp"], "create v1: missing required option: \"type\""),
        (&["-o", "size=10m"], "create v1: quota size requested but no quota support"),
        (&["-d", "nosuch"], "create v1: error looking up volume plugin nosuch: plugin \"nosuch\" not found"),
        (&["--limit-bytes", "10m"], "--limit-bytes: no quota can be kept for a local volume"),
        (&["--availability", "pause"], "--availability: only volumes of a swarm's cluster have it"),
    ];
    for (options, reason) in cases {
        let words: Vec<&str> = ["volume", "create"].iter().chain(options).chain(&["v1"]).copied().collect();
        refused(&sandbox, &words, 1, reason);
    }
    refused(&sandbox, &["volume", "ls", "--cluster"], 1, "--cluster: only volumes of a swarm's");
    assert_eq!(sandbox.ok(&["volume", "ls", "-q"]), "");
    create(&sandbox, "shm", &TMPFS);
    assert_eq!(
        sandbox.ok(&["volume", "inspect", "-f", "{{json .Options}} {{json .Labels}}", "shm"]),
        "{\"device\":\"tmpfs\",\"o\":\"size=1m,uid=1000\",\"type\":\"tmpfs\"} null"
    );
    // What a mount asks for is a volume's, too.
    let spec =
        "type=volume,src=asked,dst=/x,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=2m";
    let output = sandbox.corten(&["run", "--rm", "--mount", spec, "box", "grep", " /x ", "/proc/mounts"]);
    assert!(output.code == 0 && output.stdout.contains("size=2048k"), "{output:?}");
    unmounted(&sandbox, "asked");
    sandbox.ok(&["volume", "rm", "shm", "asked"]);
}

#[test]
fn a_file_system_lives_with_its_users() {
    let sandbox = Sandbox::new();
    create(&sandbox, "shm", &TMPFS);
    assert!(!is_mounted(&sandbox, "shm"));
    sandbox.ok(&["run", "-d", "--name", "one", "-v", "shm:/x", "box", "sleep", "1000"]);
    assert!(is_mounted(&sandbox, "shm"));
    sandbox.ok(&["exec", "one", "sh", "-c", "echo kept >/x/file; stat -c %u /x"]);
    let read = ["run", "--rm", "-v", "shm:/y:ro", "box", "cat", "/y/file"];
    assert_eq!(sandbox.ok(&read), "kept");
    let two = sandbox.ok(&["run", "-d", "--name", "two", "-v", "shm:/y", "box", "sleep", "1000"]);
    refused(&sandbox, &["volume", "rm", "shm"], 1, "remove shm: volume is in use - [");
    sandbox.ok(&["rm", "-f", "one"]);
    assert!(is_mounted(&sandbox, "shm"));
    assert_eq!(sandbox.ok(&["exec", "two", "cat", "/y/file"]), "kept");
    // A user that counts no longer, as a start leaves it that was killed.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let users = sandbox.run_root().join(boot.trim()).join("volumes/shm");
    std::fs::write(users.join("0123456789ab"), "").unwrap();
    // Where keeper and worker are killed, the next look cleans up.
    kill_all(&sandbox, &two);
    sandbox.ok(&["rm", "-f", "two"]);
    unmounted(&sandbox, "shm");
    // It was a new one.
    assert_eq!(
        sandbox.corten(&read),
        Output::new(1, "", "cat: can't open '/y/file': No such file or directory\n")
    );
    unmounted(&sandbox, "shm");
    sandbox.ok(&["volume", "rm", "shm"]);
}

#[test]
fn what_a_volume_binds_is_not_the_volumes() {
    let sandbox = Sandbox::new();
    let theirs = sandbox.directory().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("file"), "precious\n").unwrap();
    let device = format!("device={}", theirs.display());
    create(&sandbox, "bound", &["-o", "type=none", "-o", &device, "-o", "o=bind"]);
    create(&sandbox, "sealed", &["-o", "type=none", "-o", &device, "-o", "o=bind,ro"]);
    let script = ["box", "sh", "-c", "cat /x/file && echo more >>/x/file"];
    let run = |volume: &str| {
        let bind = format!("{volume}:/x");
        let words: Vec<&str> = ["run", "--rm", "-v", &bind].iter().chain(&script).copied().collect();
        sandbox.corten(&words)
    };
    assert_eq!(run("bound"), Output::new(0, "precious\n", ""));
    let output = run("sealed");
    assert!(output.code == 1 && output.stderr.contains("Read-only file system"), "{output:?}");
    // Neither removing it while something is left mounted, nor pruning, reaches what is bound.
    unmounted(&sandbox, "bound");
    mount::mount(theirs.to_str().unwrap(), &data(&sandbox, "bound"), "none", MountFlags::BIND, "").unwrap();
    sandbox.ok(&["volume", "prune", "-a", "-f"]);
    assert_eq!(sandbox.ok(&["volume", "ls", "-q"]), "bound\nsealed");
    sandbox.ok(&["volume", "rm", "bound", "sealed"]);
    assert_eq!(std::fs::read_to_string(theirs.join("file")).unwrap(), "precious\nmore\n");
    // Nor does removing a plain one on which somebody has mounted something.
    create(&sandbox, "plain", &[]);
    mount::mount(theirs.to_str().unwrap(), &data(&sandbox, "plain"), "none", MountFlags::BIND, "").unwrap();
    refused(&sandbox, &["volume", "rm", "plain"], 1, "remove plain: something is mounted on ");
    mount::unmount(data(&sandbox, "plain")).unwrap();
    sandbox.ok(&["volume", "rm", "plain"]);
    assert!(theirs.join("file").exists());
}

#[test]
fn what_cannot_be_mounted() {
    let sandbox = Sandbox::new();
    let absent = "-o type=none -o device=/nonexist -o o=bind";
    let cases = [
        ("absent", absent, 127, ", flags: 0x1000: no such file or directory"),
        ("strange", "-o type=nosuch -o device=/tmp/x", 125, ": no such device"),
        ("wrong", "-o type=tmpfs -o device=x -o o=bad,opt", 125, ", data: bad,opt: invalid argument"),
    ];
    for (name, options, code, reason) in cases {
        create(&sandbox, name, &options.split(' ').collect::<Vec<_>>());
        let bind = format!("{name}:/x");
        let path = data(&sandbox, name);
        let text =
            format!("error while mounting volume '{}': failed to mount local volume: mount ", path.display());
        for words in [
            &["run", "--rm", "-v", &bind, "box", "true"][..],
            &["run", "-v", &bind, "--name", "it", "box", "true"],
        ] {
            refused(&sandbox, words, code, &text);
            refused(&sandbox, &["run", "--rm", "-v", &bind, "box", "true"], code, reason);
        }
        sandbox.ok(&["rm", "it"]);
        assert!(!is_mounted(&sandbox, name));
        sandbox.ok(&["volume", "rm", name]);
    }
}

#[test]
fn prune() {
    let sandbox = Sandbox::new();
    let anonymous = sandbox.ok(&["volume", "create"]);
    std::fs::write(data(&sandbox, &anonymous).join("file"), [0; 2000]).unwrap();
    create(&sandbox, "named", &["--label", "tier=front"]);
    create(&sandbox, "other", &[]);
    create(&sandbox, "used", &[]);
    create(&sandbox, "shm", &TMPFS);
    sandbox.ok(&["create", "--name", "it", "-v", "used:/x", "-v", "/y", "box", "true"]);
    assert_eq!(
        sandbox.ok(&["volume", "inspect", "-f", "{{json .Labels}}", &anonymous]),
        "{\"com.docker.volume.anonymous\":\"\"}"
    );
    let question = "WARNING! This will remove anonymous local volumes not used by at least one container.\n\
                    Are you sure you want to continue? [y/N] ";
    let asked = |words: &[&str], answer: &str| sandbox.command(words).input(answer).run();
    assert_eq!(asked(&["volume", "prune"], "n\n"), Output::new(0, question, ""));
    let deleted = format!("{question}Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 2kB\n");
    assert_eq!(asked(&["volume", "prune"], "y\n"), Output::new(0, &deleted, ""));
    assert_eq!(sandbox.ok(&["volume", "prune", "-f"]), "Total reclaimed space: 0B");
    let filtered = ["volume", "prune", "-f", "-a", "--filter", "label=tier=front"];
    assert_eq!(sandbox.ok(&filtered), "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 0B");
    let filtered = ["volume", "prune", "-f", "--filter", "all=true", "--filter", "label!=tier"];
    assert_eq!(sandbox.ok(&filtered), "Deleted Volumes:\nother\n\nTotal reclaimed space: 0B");
    // What is pinned stays as well.
    create(&sandbox, "pinned", &[]);
    sandbox.ok(&["pin", "pinned"]);
    assert_eq!(sandbox.ok(&["volume", "prune", "-f", "-a"]), "Total reclaimed space: 0B");
    sandbox.ok(&["unpin", "pinned"]);
    sandbox.ok(&["volume", "rm", "pinned"]);
    let left = sandbox.ok(&["volume", "ls", "-q"]);
    assert!(left.contains("shm") && left.contains("used") && left.lines().count() == 3, "{left}");
    for (words, reason) in [
        (&["volume", "prune", "-f", "--filter", "foo=bar"][..], "invalid filter 'foo'"),
        (&["volume", "prune", "-f", "--filter", "until=1h"], "invalid filter 'until'"),
        (&["volume", "prune", "-f", "--filter", "all=bar"], "invalid filter 'all=[bar]'"),
        (
            &["volume", "prune", "-fa", "--filter", "all=1"],
            "conflicting options: cannot specify both --all and --filter all=1",
        ),
        (&["volume", "prune", "x"], "accepts no arguments"),
    ] {
        refused(&sandbox, words, 1, reason);
    }
    sandbox.ok(&["rm", "-v", "it"]);
    sandbox.ok(&["volume", "rm", "shm", "used"]);
}
