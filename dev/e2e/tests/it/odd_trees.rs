//! Trees that are very wide, very deep, or oddly named: imported, run, copied into volumes, removed, with few
//! descriptors.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use corten_testkit::{Archive, Sandbox, busybox_tree};

/// Far more directories than descriptors.
const WIDE: usize = 2000;
const DEEP: usize = 300;

/// A name of ustar has 100 bytes, so a deep path takes PAX: by the host's tar, of a tree made by its shell.
fn deep_archive(sandbox: &Sandbox) -> Vec<u8> {
    let script = format!(
        "set -e; mkdir deep; cd deep; i=0; while [ $i -lt {DEEP} ]; do mkdir level; \
         cd level; i=$((i+1)); done; echo leaf > leaf"
    );
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .current_dir(sandbox.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run("sh", &["-c", &script]);
    run("tar", &["--format=posix", "-c", "deep"])
}

fn tree() -> Archive {
    let odd = b"data/\xff\xfe odd\n name";
    let archive = busybox_tree().file_of(odd, 0o640, (1000, 50), b"odd\n").fifo("data/fifo");
    (0..WIDE).fold(archive, |archive, number| archive.dir(&format!("data/d{number}/"), 0o751))
}

#[test]
fn copied_into_volumes_with_few_descriptors() {
    let sandbox = Sandbox::new();
    sandbox.import("wide", &tree().finish(), &[]);
    let script = "find /data -type d | wc -l; cat /data/*odd*; stat -c '%a %u:%g' /data/*odd* /data/d7";
    let seen = format!("{}\nodd\n640 1000:50\n751 0:0", WIDE + 1);
    let words = |volume: &'static str| {
        ["run", "--rm", "--ulimit", "nofile=40", "-v", volume, "wide", "sh", "-c", script]
    };
    assert_eq!(sandbox.ok(&words("vol:/data")), seen);
    assert_eq!(sandbox.ok(&words("/data")), seen, "an anonymous one, which goes with its container");
    let odd = OsStr::from_bytes(b"\xff\xfe odd\n name");
    let copied = sandbox.root().join("volumes/vol/_data").join(odd);
    assert_eq!(std::fs::read_to_string(copied).unwrap(), "odd\n");
    sandbox.ok(&["volume", "rm", "vol"]);
    sandbox.ok(&["rmi", "wide"]);
}

#[test]
fn three_hundred_levels() {
    let sandbox = Sandbox::new();
    sandbox.import("deep", &deep_archive(&sandbox), &[]);
    let walk =
        format!("cd /deep; i=0; while [ $i -lt {DEEP} ]; do cd level || exit 9; i=$((i+1)); done; cat leaf");
    let both = busybox_tree().finish();
    sandbox.import("tools", &both, &[]);
    // The tools of one image, the tree of the other, copied into a volume first.
    sandbox.ok(&["volume", "create", "vol"]);
    let filled =
        sandbox.corten(&["run", "--rm", "--ulimit", "nofile=40", "-v", "vol:/deep", "deep", "/none"]);
    assert_eq!(filled.code, 127, "{filled:?}");
    assert_eq!(sandbox.ok(&["run", "--rm", "-v", "vol:/deep", "tools", "sh", "-c", &walk]), "leaf");
    sandbox.ok(&["volume", "rm", "vol"]);
    // A container whose own layer is as deep and as wide, removed with few descriptors.
    let make = format!(
        "mkdir /mine; cd /mine; i=0; while [ $i -lt {WIDE} ]; do echo $i; i=$((i+1)); done | xargs mkdir; \
         i=0; while [ $i -lt {DEEP} ]; do mkdir level; \
         cd level; i=$((i+1)); done; echo x > \"$(printf '\\377\\376')\""
    );
    sandbox.ok(&["run", "--name", "it", "tools", "sh", "-c", &make]);
    let few = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    let by_few = |words: &[&str]| {
        let output = sandbox.command(words).through(few).run();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{words:?}: {output:?}");
        output.stdout
    };
    // The directories, the levels, the leaf, and the directory that has them all.
    assert_eq!(by_few(&["diff", "it"]).lines().count(), WIDE + DEEP + 2);
    by_few(&["export", "-o", "exported.tar", "it"]);
    // An unpacking layer keeps more of them open, and still far fewer than there are.
    let some = ["sh", "-c", "ulimit -n 150; exec \"$@\"", "sh"];
    let committed = sandbox.command(&["commit", "it", "committed"]).through(some).run();
    assert_eq!((committed.code, committed.stderr.as_str()), (0, ""), "{committed:?}");
    by_few(&["cp", "it:/mine", "copied"]);
    by_few(&["create", "--name", "other", "tools", "true"]);
    by_few(&["cp", "copied", "other:/mine"]);
    assert_eq!(by_few(&["diff", "other"]).lines().count(), WIDE + DEEP + 2);
    let count = ["run", "--rm", "committed", "sh", "-c", "find /mine | wc -l"];
    assert_eq!(sandbox.ok(&count), (WIDE + DEEP + 2).to_string());
    by_few(&["rm", "other"]);
    by_few(&["rmi", "committed"]);
    let removed = sandbox.command(&["rm", "it"]).through(few).run();
    assert_eq!((removed.code, removed.stderr.as_str()), (0, ""), "{removed:?}");
    let removed = sandbox.command(&["rmi", "deep", "tools"]).through(few).run();
    assert_eq!((removed.code, removed.stderr.as_str()), (0, ""), "{removed:?}");
    assert_eq!(std::fs::read_dir(sandbox.root().join("trash")).unwrap().count(), 0);
}
