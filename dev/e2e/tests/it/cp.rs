//! cp: docker's path rules, both ways, between containers, as archives; and nothing outside of a container's root.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use corten_testkit::{Archive, Output, Sandbox, until};

/// `src/` in the case's directory: a file `f` of somebody's, a directory `d` with `sub/y`, a symlink `l` to `f`.
fn sources(sandbox: &Sandbox) {
    let at = sandbox.directory().join("src");
    std::fs::create_dir_all(at.join("d/sub")).unwrap();
    std::fs::write(at.join("f"), "file\n").unwrap();
    std::fs::write(at.join("d/sub/y"), "deep\n").unwrap();
    symlink("f", at.join("l")).unwrap();
    chown(at.join("f"), Some(1000), Some(50)).unwrap();
}

fn fails(sandbox: &Sandbox, words: &[&str], expected: &str) {
    let words: Vec<&str> = ["cp"].iter().chain(words).copied().collect();
    assert_eq!(sandbox.corten(&words), Output::new(1, "", &format!("{expected}\n")), "{words:?}");
}

/// A container that runs, and one that does not.
fn both(sandbox: &Sandbox, check: impl Fn(&str)) {
    sandbox.ok(&["run", "-d", "--name", "up", "box", "sleep", "1000"]);
    check("up");
    sandbox.ok(&["run", "--name", "down", "box", "true"]);
    check("down");
    sandbox.ok(&["rm", "-f", "up", "down"]);
}

#[test]
fn paths_into_a_container() {
    let sandbox = Sandbox::new();
    sources(&sandbox);
    both(&sandbox, |name| {
        let into = |source: &str, target: &str| sandbox.ok(&["cp", source, &format!("{name}:{target}")]);
        into("src/f", "/data/");
        into("src/f", "/data/renamed");
        into("src/d", "/data/new");
        into("src/d/.", "/data/contents");
        into("src/d", "/data");
        into("src/d/.", "/data");
        into("src/l", "/data/link");
        sandbox.ok(&["cp", "-L", "src/l", &format!("{name}:/data/followed")]);
        into("src/f", "data/relative");
        let fails = |source: &str, target: &str, expected: &str| {
            fails(&sandbox, &[source, &format!("{name}:{target}")], expected);
        };
        fails(
            "src/f",
            "/nope/x",
            &format!("Error response from daemon: Could not find the file /nope in container {name}"),
        );
        fails("src/f", "/nope/", "no such directory");
        fails("src/f", "/data/renamed/", "no such directory");
        fails("src/d", "/data/renamed", "cannot copy directory");
        fails("src/f", "/data/renamed/x", "Error response from daemon: extraction point is not a directory");
        let nope = sandbox.directory().join("nope");
        fails("nope", "/", &format!("lstat {}: no such file or directory", nope.display()));
        let over = "Error response from daemon: cannot overwrite directory \"/data/d/sub\" with non-directory \"/data\"";
        std::fs::create_dir_all(sandbox.directory().join("odd/d")).unwrap();
        std::fs::write(sandbox.directory().join("odd/d/sub"), "").unwrap();
        fails("odd/d", "/data", over);
        sandbox.ok(&["commit", name, "seen"]);
        let script = "cd /data; find . | sort; stat -c '%n %u:%g' f new/sub/y; cat followed";
        let seen = sandbox.ok(&["run", "--rm", "seen", "sh", "-c", script]);
        let expected = ".\n./contents\n./contents/sub\n./contents/sub/y\n./d\n./d/sub\n./d/sub/y\n./f\n./followed\n./link\n./mine\n\
            ./new\n./new/sub\n./new/sub/y\n./relative\n./renamed\n./sub\n./sub/y\nf 1000:50\nnew/sub/y 0:0\nfile";
        assert_eq!(seen, expected, "{name}");
        sandbox.ok(&["rmi", "seen"]);
    });
}

#[test]
fn paths_out_of_a_container() {
    let sandbox = Sandbox::new();
    let base = sandbox.directory().to_owned();
    sandbox.ok(&[
        "run",
        "--name",
        "make",
        "box",
        "sh",
        "-c",
        "mkdir -p /data/t/sub; echo deep > /data/t/sub/y; ln -s mine /data/l",
    ]);
    sandbox.ok(&["commit", "make", "tree"]);
    for (name, run) in [
        ("up", vec!["run", "-d", "--name", "up", "tree", "sleep", "1000"]),
        ("down", vec!["create", "--name", "down", "tree", "true"]),
    ] {
        sandbox.ok(&run);
        let at = base.join(name);
        std::fs::create_dir_all(at.join("dir")).unwrap();
        let out = |source: &str, target: &str| {
            sandbox.ok(&["cp", &format!("{name}:{source}"), &format!("{name}/{target}")])
        };
        out("/data/mine", "dir");
        out("/data/mine", "dir/renamed");
        out("/data/t", "dir");
        out("/data/t", "new");
        out("/data/t/.", "dir");
        out("data/l", "dir/link");
        sandbox.ok(&["cp", "-L", &format!("{name}:/data/l"), &format!("{name}/dir/followed")]);
        sandbox.ok(&["cp", "-a", &format!("{name}:/data/mine"), &format!("{name}/dir/kept")]);
        let read = |path: &str| std::fs::read_to_string(at.join(path)).unwrap();
        for path in ["dir/mine", "dir/renamed", "dir/followed", "dir/kept"] {
            assert_eq!(read(path), "content of the image\n", "{path}");
        }
        for path in ["dir/t/sub/y", "new/sub/y", "dir/sub/y"] {
            assert_eq!(read(path), "deep\n", "{path}");
        }
        assert_eq!(std::fs::read_link(at.join("dir/link")).unwrap(), Path::new("mine"));
        let owner = |path: &str| {
            std::fs::metadata(at.join(path))
                .map(|meta| (meta.uid(), meta.gid(), meta.mode() & 0o7777))
                .unwrap()
        };
        assert_eq!(owner("dir/mine"), (0, 0, 0o640), "the caller's");
        assert_eq!(owner("dir/kept"), (1000, 50, 0o640), "the image's");
        let fails = |source: &str, target: &str, expected: &str| {
            fails(&sandbox, &[&format!("{name}:{source}"), target], expected);
        };
        let absent = |path: &str| {
            format!("Error response from daemon: Could not find the file {path} in container {name}")
        };
        fails("/nope", ".", &absent("/nope"));
        fails("/data/mine/", ".", "Error response from daemon: lstat /data/mine/: not a directory");
        let nodir = base.join("nodir");
        fails(
            "/data",
            "nodir/x",
            &format!("invalid output path: directory \"{}\" does not exist", nodir.display()),
        );
        fails("/data", &format!("{name}/dir/mine"), "cannot copy directory");
        fails("/data/mine", &format!("{name}/dir/x/"), "no such directory");
    }
    sandbox.ok(&["rm", "-f", "up", "down", "make"]);
    sandbox.ok(&["rmi", "tree"]);
}

#[test]
fn what_is_told() {
    let sandbox = Sandbox::new();
    sources(&sandbox);
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let told = sandbox.corten(&["cp", "-q=false", "src/f", "it:/data/x"]);
    assert_eq!(told, Output::new(0, "", "Successfully copied 2.05kB to it:/data/x\n"));
    let target = sandbox.directory().join("out");
    let told = sandbox.corten(&["cp", "--quiet=false", "it:/data/x", "out"]);
    assert_eq!(told, Output::new(0, "", &format!("Successfully copied 2.05kB to {}\n", target.display())));
    let told = sandbox.corten(&["container", "cp", "it:/data/x", "out"]);
    assert_eq!(told, Output::new(0, "", ""), "no terminal, no word");
    fails(&sandbox, &["a", "b"], "must specify at least one container source");
    fails(&sandbox, &["", "it:/"], "source can not be empty");
    fails(&sandbox, &["it:/", ""], "destination can not be empty");
    fails(&sandbox, &["nope:/x", "."], "Error response from daemon: No such container: nope");
    fails(&sandbox, &["-", "it:/data/x"], "destination \"it:/data/x\" must be a directory");
    let usage = sandbox.corten(&["cp", "it:/x"]);
    assert!(
        usage.code == 1 && usage.stderr.starts_with("corten: 'corten cp' requires 2 arguments\n"),
        "{usage:?}"
    );
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn archives() {
    let sandbox = Sandbox::new();
    both(&sandbox, |name| {
        let archive = Archive::default()
            .dir_of("top/", 0o751, (1000, 50))
            .file_of(b"top/f", 0o640, (1000, 50), b"in\n")
            .hardlink("top/g", "top/f")
            .symlink("top/s", "f")
            .finish();
        let target = format!("{name}:/data");
        let put = sandbox.command(&["cp", "-", &target]).input(archive).run();
        assert_eq!(put, Output::new(0, "", ""));
        let got = sandbox.command(&["cp", &format!("{name}:/data/top"), "-"]).command().output().unwrap();
        let listed =
            corten_testkit::Invocation::new(["tar", "--numeric-owner", "-tv"]).input(got.stdout).run();
        let lines: Vec<String> = listed
            .stdout
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{} {} {}", words[0], words[1], words[5..].join(" "))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "drwxr-x--x 1000/50 top/",
                "-rw-r----- 1000/50 top/f",
                "hrw-r----- 1000/50 top/g link to top/f",
                "lrwxrwxrwx 0/0 top/s -> f",
            ]
        );
        // Out of the directory, and cut short.
        let hostile = Archive::default().file("../../escaped", 0o644, b"x").finish();
        let refused = sandbox.command(&["cp", "-", &target]).input(hostile).run();
        assert_eq!(
            (refused.code, refused.stderr.as_str()),
            (1, "Error response from daemon: \"../../escaped\" is outside of \"/data\"\n")
        );
        let cut = sandbox.command(&["cp", "-", &target]).input(vec![b'x'; 100]).run();
        assert!(cut.code == 1 && cut.stderr.lines().count() == 1, "{cut:?}");
    });
}

/// Where a symlink is on the way it counts as the container has it.
#[test]
fn nothing_leads_out() {
    let sandbox = Sandbox::new();
    sources(&sandbox);
    let secret = sandbox.file("secret", b"secret");
    let outside = sandbox.directory().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let script = format!(
        "mkdir -p /real{out} /real; ln -s {secret} /to-secret; ln -s {out} /to-dir; ln -s ../../../../../../..{out} /up; \
         mkdir -p {out}; ln -s /proc/1/root /magic; exec sleep 1000",
        out = outside.display(),
        secret = secret.display()
    );
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", &script]);
    until("made", || (sandbox.corten(&["exec", "it", "ls", "/magic"]).code == 0).then_some(()));
    for state in ["running", "stopped"] {
        let absent = format!(
            "Error response from daemon: Could not find the file {} in container it",
            secret.display()
        );
        fails(&sandbox, &["-L", "it:/to-secret", "got"], &absent);
        for link in ["/to-dir", "/up"] {
            sandbox.ok(&["cp", "src/f", &format!("it:{link}")]);
            sandbox.ok(&["cp", "src/f", &format!("it:{link}/two")]);
        }
        let archive = Archive::default().file("to-dir/three", 0o644, b"x").finish();
        assert_eq!(sandbox.command(&["cp", "-", "it:/"]).input(archive).run(), Output::new(0, "", ""));
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{state}");
        let magic = sandbox.corten(&["cp", "it:/magic/etc/passwd", "got"]);
        assert!(magic.code == 0 || magic.stderr.starts_with("Error response from daemon: "), "{magic:?}");
        sandbox.ok(&["cp", &format!("it:{}", outside.display()), "copied"]);
        let mut names: Vec<_> = std::fs::read_dir(sandbox.directory().join("copied"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["f", "three", "two"]);
        std::fs::remove_dir_all(sandbox.directory().join("copied")).unwrap();
        if state == "running" {
            sandbox.ok(&["kill", "it"]);
            sandbox.ok(&["wait", "it"]);
        }
    }
    sandbox.ok(&["rm", "-f", "it"]);
}

/// A container that puts a symlink to the host in place of a directory, again and again.
#[test]
fn a_racing_container() {
    let sandbox = Sandbox::new();
    sources(&sandbox);
    let outside = sandbox.directory().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let (name, host) = ("it", outside.display());
    let script = format!(
        "mkdir -p /a/d /real; while true; do mv /a/d /a/e 2>/dev/null; ln -s {host} /a/d; rm -f /a/d; mv /a/e /a/d 2>/dev/null; done"
    );
    sandbox.ok(&["run", "-d", "--name", name, "box", "sh", "-c", &script]);
    for _ in 0..60 {
        // Whichever it meets, it succeeds or says what it met.
        let output = sandbox.corten(&["cp", "src/d", "it:/a/d/"]);
        assert!(output.code <= 1 && output.stderr.lines().count() <= 1, "{output:?}");
        let output = sandbox.corten(&["cp", "src/f", "it:/a/d/x"]);
        assert!(output.code <= 1 && output.stderr.lines().count() <= 1, "{output:?}");
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    sandbox.ok(&["rm", "-f", name]);
}

#[test]
fn volumes_binds_and_what_is_read_only() {
    let sandbox = Sandbox::new();
    sources(&sandbox);
    let bind = sandbox.directory().join("bind");
    std::fs::create_dir(&bind).unwrap();
    let (bound, locked) = (format!("{}:/bound", bind.display()), format!("{}:/locked:ro", bind.display()));
    let words = [
        "--read-only",
        "-v",
        "vol:/data",
        "-v",
        &bound,
        "-v",
        &locked,
        "--tmpfs",
        "/tmp",
        "box",
        "sleep",
        "1000",
    ];
    let run: Vec<&str> = ["create", "--name", "it"].iter().chain(&words).copied().collect();
    sandbox.ok(&run);
    for round in ["before its first start", "running", "stopped"] {
        sandbox.ok(&["cp", "src/f", "it:/data/file"]);
        sandbox.ok(&["cp", "src/f", "it:/bound/file"]);
        let volume = sandbox.root().join("volumes/vol/_data");
        assert_eq!(std::fs::read_to_string(volume.join("file")).unwrap(), "file\n", "{round}");
        assert_eq!(
            std::fs::read_to_string(volume.join("mine")).unwrap(),
            "content of the image\n",
            "{round}"
        );
        let meta = std::fs::metadata(bind.join("file")).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1000, 50), "{round}: ids as they are in the container");
        sandbox.ok(&["cp", "it:/locked/file", "got"]);
        sandbox.ok(&["cp", "it:/data/file", "got"]);
        fails(
            &sandbox,
            &["src/f", "it:/locked/x"],
            "Error response from daemon: mounted volume is marked read-only",
        );
        fails(
            &sandbox,
            &["src/f", "it:/etc/x"],
            "Error response from daemon: container rootfs is marked read-only",
        );
        let tmpfs = sandbox.corten(&["cp", "src/f", "it:/tmp/x"]);
        match round {
            "running" => assert_eq!(tmpfs.code, 0, "{tmpfs:?}"),
            _ => assert_eq!(
                tmpfs.stderr,
                "Error response from daemon: /tmp of container it is mounted only while it runs: start it first\n"
            ),
        }
        std::fs::remove_file(bind.join("file")).unwrap();
        match round {
            "before its first start" => drop(sandbox.ok(&["start", "it"])),
            "running" => {
                sandbox.ok(&["kill", "it"]);
                sandbox.ok(&["wait", "it"]);
            }
            _ => {}
        }
    }
    sandbox.ok(&["rm", "-f", "it"]);
    sandbox.ok(&["volume", "rm", "vol"]);
}

#[test]
fn between_containers() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "run",
        "-d",
        "--name",
        "aa",
        "box",
        "sh",
        "-c",
        "mkdir /t; echo 1 > /t/f; chown 1000:50 /t/f; ln /t/f /t/g; exec sleep 1000",
    ]);
    until("made", || (sandbox.corten(&["exec", "aa", "ls", "/t/g"]).code == 0).then_some(()));
    sandbox.ok(&["run", "-d", "--name", "bb", "box", "sleep", "1000"]);
    sandbox.ok(&["create", "--name", "cc", "box", "true"]);
    let look = ["stat", "-c", "%u:%g %h", "/data/t/f"];
    sandbox.ok(&["cp", "aa:/t", "bb:/data"]);
    let seen = |name: &str| {
        let words: Vec<&str> = ["exec", name].iter().chain(&look).copied().collect();
        sandbox.ok(&words)
    };
    assert_eq!(seen("bb"), "1000:50 2");
    sandbox.ok(&["cp", "bb:/data/t", "cc:/data"]);
    sandbox.ok(&["cp", "cc:/data/t/.", "aa:/data/t"]);
    assert_eq!(seen("aa"), "1000:50 2");
    sandbox.ok(&["cp", "cc:/data/t/f", "cc:/data/h"]);
    sandbox.ok(&["create", "--name", "dd", "box", "true"]);
    sandbox.ok(&["cp", "cc:/data", "dd:/all"]);
    sandbox.ok(&["cp", "dd:/all/h", "aa:/h"]);
    assert_eq!(sandbox.ok(&["exec", "aa", "cat", "/h"]), "1");
    fails(&sandbox, &["aa:/t", "aa:/t/below"], "cannot copy a directory into itself");
    sandbox.ok(&["rm", "-f", "aa", "bb", "cc", "dd"]);
}

/// Ids that the container has no name for: root's, or an error where the copy was to be exact.
#[test]
fn ids_without_a_name() {
    let sandbox = Sandbox::new();
    sources(&sandbox);
    chown(sandbox.directory().join("src/f"), Some(3_000_000), Some(50)).unwrap();
    both(&sandbox, |name| {
        sandbox.ok(&["cp", "src/f", &format!("{name}:/data/x")]);
        let archive =
            sandbox.command(&["cp", &format!("{name}:/data/x"), "-"]).command().output().unwrap().stdout;
        assert_eq!(&archive[108..124], b"0000000\x000000062\0", "{name}");
        fails(
            &sandbox,
            &["-a", "src/f", &format!("{name}:/data/y")],
            "Error response from daemon: 'y' has an owner that the container does not know",
        );
    });
}

/// A start meanwhile waits: an upper directory is never mounted twice.
#[test]
fn a_start_meanwhile() {
    let sandbox = Sandbox::new();
    let big = sandbox.directory().join("big");
    std::fs::write(&big, vec![7; 64 << 20]).unwrap();
    sandbox.ok(&["create", "--name", "it", "box", "sleep", "1000"]);
    let copies: Vec<_> =
        (0..4).map(|n| sandbox.command(&["cp", "big", &format!("it:/data/big{n}")]).spawn()).collect();
    let start = sandbox.command(&["start", "it"]).spawn();
    for copy in copies {
        assert_eq!(copy.finish(), Output::new(0, "", ""));
    }
    assert_eq!(start.finish().code, 0);
    let sums = sandbox.ok(&["exec", "it", "sh", "-c", "cat /data/big* | wc -c"]);
    assert_eq!(sums, (4_u64 * (64 << 20)).to_string());
    // One that is killed leaves a container that can be started.
    sandbox.ok(&["kill", "it"]);
    sandbox.ok(&["wait", "it"]);
    let copy = sandbox.command(&["cp", "big", "it:/data/last"]).spawn();
    copy.signal(9);
    copy.finish();
    sandbox.ok(&["start", "it"]);
    sandbox.ok(&["rm", "-f", "it"]);
}
