//! Binds, volumes, tmpfs, read-only roots.

use std::os::unix::fs::{MetadataExt, chown};

use corten_testkit::{Output, Sandbox, busybox_tree};

fn failed(text: &str) -> String {
    format!("corten: Error response from daemon: {text}\n\nRun 'corten run --help' for more information\n")
}

/// `corten run --rm FLAGS box sh -c SCRIPT`.
fn run(sandbox: &Sandbox, flags: &[&str], script: &str) -> Output {
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", script]).copied().collect();
    sandbox.corten(&words)
}

#[test]
fn a_bind_shows_the_hosts_files_as_they_are() {
    let sandbox = Sandbox::new();
    let source = sandbox.directory().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("mine"), "text\n").unwrap();
    chown(source.join("mine"), Some(1000), Some(50)).unwrap();
    let text = source.to_str().unwrap();
    let script = "cat /x/mine; stat -c %u:%g /x/mine; echo new > /x/new; stat -c %u:%g /x/new";
    assert_eq!(
        run(&sandbox, &["-v", &format!("{text}:/x")], script),
        Output::new(0, "text\n1000:50\n0:0\n", "")
    );
    let made = std::fs::metadata(source.join("new")).unwrap();
    assert_eq!(made.uid(), 0, "container root writes a bind as host root (D11)");
    let read_only = [
        vec!["-v".to_owned(), format!("{text}:/x:ro")],
        vec!["--mount".to_owned(), format!("type=bind,src={text},dst=/x,readonly")],
    ];
    for flags in read_only {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = run(&sandbox, &flags, "cat /x/mine; echo > /x/other");
        assert_eq!(
            output,
            Output::new(1, "text\n", "sh: can't create /x/other: Read-only file system\n"),
            "{flags:?}"
        );
    }
    let file = format!("{text}/mine:/etc/one");
    assert_eq!(
        run(&sandbox, &["-v", &file], "cat /etc/one; ls -A /etc | grep one"),
        Output::new(0, "text\none\n", "")
    );
}

#[test]
fn a_missing_source_is_made_for_v_and_refused_for_mount() {
    let sandbox = Sandbox::new();
    let source = sandbox.directory().join("made/deep");
    let text = source.to_str().unwrap();
    assert_eq!(
        run(&sandbox, &["--mount", &format!("type=bind,src={text},dst=/x")], "true"),
        Output::new(
            125,
            "",
            &failed(&format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {text}"
            ))
        )
    );
    assert!(!source.exists());
    assert_eq!(run(&sandbox, &["-v", &format!("{text}:/x")], "echo 1 > /x/f"), Output::new(0, "", ""));
    assert_eq!(std::fs::read_to_string(source.join("f")).unwrap(), "1\n");
}

/// B13: read-only means what is mounted below as well.
#[test]
fn a_read_only_bind_is_read_only_all_the_way_down() {
    let sandbox = Sandbox::new();
    let source = sandbox.directory().join("source");
    std::fs::create_dir_all(source.join("below")).unwrap();
    let mount = format!(
        "mount --make-rprivate / && mount -t tmpfs none {0}/below && touch {0}/below/there && exec \"$@\"",
        source.display()
    );
    let bind = format!("{}:/x:ro", source.display());
    let words = ["run", "--rm", "-v", &bind, "box", "sh", "-c", "ls /x/below; echo > /x/below/new"];
    let output = sandbox.command(&words).through(["unshare", "-m", "sh", "-c", &mount, "sh"]).run();
    assert_eq!(output, Output::new(1, "there\n", "sh: can't create /x/below/new: Read-only file system\n"));
}

#[test]
fn a_volume_takes_over_what_the_image_has_there() {
    let sandbox = Sandbox::new();
    let script = "stat -c '%n %u:%g %a' /data /data/mine; cat /data/mine";
    let expected = "/data 0:0 755\n/data/mine 1000:50 640\ncontent of the image\n";
    assert_eq!(run(&sandbox, &["-v", "vol:/data"], script), Output::new(0, expected, ""));
    run(
        &sandbox,
        &["-v", "vol:/data"],
        "echo changed > /data/mine; rm -f /data/nothing; echo kept > /data/new",
    );
    let again = run(&sandbox, &["-v", "vol:/data"], "cat /data/mine /data/new");
    assert_eq!(again, Output::new(0, "changed\nkept\n", ""));
    assert_eq!(
        run(&sandbox, &["-v", "vol:/x:ro"], "cat /x/new; echo > /x/no"),
        Output::new(1, "kept\n", "sh: can't create /x/no: Read-only file system\n")
    );
    let bare = run(&sandbox, &["--mount", "type=volume,src=bare,dst=/data,volume-nocopy"], "ls -A /data");
    assert_eq!(bare, Output::new(0, "", ""));
    assert_eq!(
        run(&sandbox, &["-v", "other:/data:ro"], "cat /data/mine"),
        Output::new(0, "content of the image\n", ""),
        "read-only and new"
    );
    sandbox.ok(&["volume", "rm", "other"]);
    assert_eq!(sandbox.ok(&["volume", "ls", "-q"]), "bare\nvol");
    assert_eq!(sandbox.ok(&["volume", "rm", "vol", "bare"]), "vol\nbare");
    let output = sandbox.corten(&["volume", "rm", "vol"]);
    assert_eq!(output.code, 1, "{output:?}");
}

/// As `-v /:/host` does on every host with snapd, whose run directory has such files.
#[test]
fn a_bind_of_a_tree_with_pinned_mount_namespaces() {
    let sandbox = Sandbox::new();
    let source = sandbox.directory().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("mine"), "text\n").unwrap();
    let text = source.to_str().unwrap();
    // On one CPU: from Linux 6.18 on only there a later namespace has the greater id, without which it cannot be pinned.
    let pin = format!("cd {text} && touch pinned && unshare --mount=pinned true && exec \"$@\"");
    let bind = format!("{text}:/x");
    let words = ["run", "--rm", "-v", &bind, "box", "cat", "/x/mine", "/x/pinned"];
    let output =
        sandbox.command(&words).through(["taskset", "1", "unshare", "-m", "sh", "-c", &pin, "sh"]).run();
    assert_eq!(output, Output::new(0, "text\n", ""), "the file is there, the namespace is not");
}

#[test]
fn mounts_of_the_users_at_places_of_the_containers_own() {
    let sandbox = Sandbox::new();
    let own = run(&sandbox, &["-v", "etc:/etc", "-h", "mine"], "cat /etc/hostname; echo > /etc/hosts");
    assert_eq!(own, Output::new(0, "mine\n", ""));
    let cgroup = run(&sandbox, &["-v", "empty:/sys/fs/cgroup"], "ls -A /sys/fs/cgroup");
    assert_eq!(cgroup, Output::new(0, "", ""));
    let read_only = run(&sandbox, &["--read-only"], "echo > /etc/hosts");
    assert_eq!(read_only, Output::new(1, "", "sh: can't create /etc/hosts: Read-only file system\n"));
    sandbox.ok(&["volume", "rm", "etc", "empty"]);
}

#[test]
fn anonymous_volumes_go_with_rm() {
    let sandbox = Sandbox::new();
    sandbox.import("withvol", &corten_testkit::busybox_archive(), &["VOLUME /data"]);
    assert_eq!(
        sandbox.ok(&[
            "run",
            "--rm",
            "-v",
            "/other",
            "withvol",
            "sh",
            "-c",
            "cat /data/mine; echo 1 > /other/f"
        ]),
        "content of the image"
    );
    sandbox.ok(&["run", "--name", "it", "withvol", "touch", "/data/new"]);
    assert_eq!(sandbox.ok(&["volume", "ls", "-q"]).lines().count(), 1);
    sandbox.ok(&["rm", "-v", "it"]);
    assert_eq!(sandbox.ok(&["volume", "ls", "-q"]), "");
    sandbox.ok(&["run", "--name", "it", "withvol", "true"]);
    sandbox.ok(&["rm", "it"]);
    let left = sandbox.ok(&["volume", "ls", "-q"]);
    assert_eq!(left.lines().count(), 1, "rm without -v keeps it");
    sandbox.ok(&["volume", "rm", &left]);
}

#[test]
fn a_volume_in_use_stays() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["volume", "create", "vol"]);
    sandbox.ok(&["create", "--name", "it", "-v", "vol:/x", "box", "true"]);
    let output = sandbox.corten(&["volume", "rm", "vol"]);
    assert!(output.code == 1 && output.stderr.contains("in use"), "{output:?}");
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["volume", "rm", "vol"]);
}

#[test]
fn volumes_from_another_container() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "run",
        "--name",
        "from",
        "-v",
        "vol:/one",
        "-v",
        "/two",
        "box",
        "sh",
        "-c",
        "echo 1 > /one/f; echo 2 > /two/f",
    ]);
    assert_eq!(run(&sandbox, &["--volumes-from", "from"], "cat /one/f /two/f"), Output::new(0, "1\n2\n", ""));
    let output = run(&sandbox, &["--volumes-from", "from:ro"], "echo > /one/f");
    assert_eq!(output, Output::new(1, "", "sh: can't create /one/f: Read-only file system\n"));
    sandbox.ok(&["rm", "-v", "from"]);
    sandbox.ok(&["volume", "rm", "vol"]);
}

#[test]
fn read_only_roots_and_tmpfs() {
    let sandbox = Sandbox::new();
    let output = run(&sandbox, &["--read-only"], "echo > /tmp/f; echo > /dev/shm/f && echo shm");
    assert_eq!(output, Output::new(0, "shm\n", "sh: can't create /tmp/f: Read-only file system\n"));
    let output = run(
        &sandbox,
        &["--read-only", "--tmpfs", "/tmp:size=1m,mode=1777"],
        "echo > /tmp/f && df -k /tmp | tail -1 | awk '{print $2}'; stat -c %a /tmp",
    );
    assert_eq!(output, Output::new(0, "1024\n1777\n", ""));
    let output = run(
        &sandbox,
        &["--mount", "type=tmpfs,dst=/new/dir,tmpfs-size=1048576"],
        "df -k /new/dir | tail -1 | awk '{print $2}'",
    );
    assert_eq!(output, Output::new(0, "1024\n", ""));
}

#[test]
fn changes_stay_between_starts() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "create",
        "--name",
        "it",
        "box",
        "sh",
        "-c",
        "echo x >> /root/f; rm -rf /home; wc -l < /root/f; ls -d /home 2>/dev/null; true",
    ]);
    for expected in ["1", "2", "3"] {
        assert_eq!(sandbox.ok(&["start", "-a", "it"]), expected);
    }
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn three_hundred_levels_and_names_that_are_not_text() {
    let sandbox = Sandbox::new();
    let deep = ["d"; 300].join("/");
    let path = sandbox.directory().join(&deep);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("f"), "deep\n").unwrap();
    let bind = format!("{}:/x/{deep}", path.display());
    assert_eq!(run(&sandbox, &["-v", &bind], &format!("cat /x/{deep}/f")), Output::new(0, "deep\n", ""));
    let script = "cd /vol; n=$(printf 'a\\377\\376b'); echo odd > \"$n\"; mkdir \"d$n\"; for f in *; do printf '%s\\n' \"$f\"; done | od -c | head -1; cat \"$n\"";
    let first = run(&sandbox, &["-v", "vol:/vol"], script);
    assert_eq!(first, Output::new(0, "0000000   a 377 376   b  \\n   d   a 377 376   b  \\n\nodd\n", ""));
    let again = run(&sandbox, &["-v", "vol:/vol"], "cat /vol/a*; rm -r /vol/*a*; ls -A /vol");
    assert_eq!(again, Output::new(0, "odd\n", ""));
    sandbox.ok(&["volume", "rm", "vol"]);
}

/// B10, B11, B02: what a hostile image puts where we write or mount leads nowhere outside.
#[test]
fn links_in_an_image_stay_inside_it() {
    let sandbox = Sandbox::new();
    let canary = sandbox.directory().join("canary");
    std::fs::create_dir(&canary).unwrap();
    std::fs::write(canary.join("secret"), "token\n").unwrap();
    let hostile = busybox_tree()
        .symlink("way", &canary)
        .symlink("up", "../../../../../../..")
        .symlink("etc/hosts", canary.join("hosts"))
        .symlink("etc/hostname", canary.join("secret"))
        .symlink("etc/resolv.conf", "/way/resolv")
        .finish();
    sandbox.import("hostile", &hostile, &[]);
    let binary = format!("up{}", canary.display());
    for flags in [
        &["-w", "/way/made"][..],
        &["-w", &format!("/{binary}/made")],
        &["-v", "/way/volume"],
        &["--tmpfs", "/way/tmpfs"],
        &["-v", "/way:/etc/x/../../way/bind"],
    ] {
        let words: Vec<&str> = ["run", "--rm"]
            .iter()
            .chain(flags)
            .chain(&["hostile", "sh", "-c", "cat /way/secret /etc/hostname; true"])
            .copied()
            .collect();
        let output = sandbox.corten(&words);
        assert!(!output.stdout.contains("token"), "{flags:?}: {output:?}");
        let names: Vec<_> =
            std::fs::read_dir(&canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"], "{flags:?}: {output:?}");
    }
    assert_eq!(std::fs::read_to_string(canary.join("secret")).unwrap(), "token\n");
    std::fs::remove_dir("/way").unwrap_or_default();
}

#[test]
fn a_false_proc_or_sys_is_no_way_around_the_masks() {
    let sandbox = Sandbox::new();
    for (name, target) in [("proc", "/data"), ("sys", "tmp"), ("dev", "/etc"), ("proc", "../../nowhere")] {
        let image = busybox_tree().symlink(name, target).finish();
        sandbox.import("false", &image, &[]);
        let output = sandbox.corten(&["run", "--rm", "false", "sh", "-c", "cat /proc/self/status /data/self/status 2>/dev/null | grep -c -m1 Seccomp:; echo > /proc/sys/kernel/core_pattern"]);
        let started = output.stdout == "1\n" && output.stderr.contains("Read-only");
        assert!(output.code == 125 || started, "{name} -> {target}: {output:?}");
    }
}
