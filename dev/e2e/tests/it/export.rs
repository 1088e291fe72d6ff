//! export: the root file system as one archive.

use std::process::Command;

use corten_testkit::{Output, Sandbox, until};

/// The members of an archive as the host's tar lists them, without those of the image's programs.
fn listed(archive: &[u8], sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.file("listed.tar", archive);
    let output = Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (kind, owner, name) = (words[0], words[1], words[5..].join(" "));
        (!name.starts_with("bin/")).then(|| format!("{kind} {owner} {name}"))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn what_a_container_sees() {
    let sandbox = Sandbox::new();
    let script = "rm /etc/plain; echo new > /etc/own; chown 1000:50 /etc/own; chmod 4711 /etc/own; ln /etc/own /etc/two; \
        ln -s own /etc/sym; mkfifo /etc/pipe; echo v > /home/vol/file; truncate -s 5000000 /home/sparse; echo done; \
        exec sleep 1000";
    sandbox.ok(&["run", "-d", "--name", "it", "-v", "/home/vol", "box", "sh", "-c", script]);
    until("done", || sandbox.ok(&["logs", "it"]).contains("done").then_some(()));
    let export = || sandbox.command(&["export", "it"]).command().output().unwrap().stdout;
    let running = export();
    let expected = [
        "-rwxr-xr-x 0/0 .dockerenv",
        "drwxr-xr-x 0/0 data/",
        "-rw-r----- 1000/50 data/mine",
        "drwxr-xr-x 0/0 dev/",
        "drwxr-xr-x 0/0 etc/",
        "-rw-r--r-- 0/0 etc/group",
        "-rw-r--r-- 0/0 etc/hostname",
        "-rw-r--r-- 0/0 etc/hosts",
        "-rws--x--x 1000/50 etc/own",
        "-rw-r--r-- 0/0 etc/passwd",
        "prw-r--r-- 0/0 etc/pipe",
        "-rw-r--r-- 0/0 etc/resolv.conf",
        "lrwxrwxrwx 0/0 etc/sym -> own",
        "hrws--x--x 1000/50 etc/two link to etc/own",
        "drwxr-xr-x 0/0 home/",
        "-rw-r--r-- 0/0 home/sparse",
        "drwxr-xr-x 1000/1000 home/user/",
        "drwxr-xr-x 0/0 home/vol/",
        "drwxr-xr-x 0/0 proc/",
        "drwx------ 0/0 root/",
        "drwxr-xr-x 0/0 sys/",
        "drwxrwxrwt 0/0 tmp/",
    ];
    assert_eq!(listed(&running, &sandbox), expected);
    sandbox.ok(&["kill", "it"]);
    assert_eq!(export(), running, "the same when it does not run");
    let path = sandbox.directory().join("out.tar");
    sandbox.ok(&["container", "export", "-o", path.to_str().unwrap(), "it"]);
    assert_eq!(std::fs::read(&path).unwrap(), running);
    // And in again.
    sandbox.import("again", &running, &[]);
    let seen =
        sandbox.ok(&["run", "--rm", "again", "sh", "-c", "stat -c '%a %u:%g %h' /etc/two; ls /home/vol"]);
    assert_eq!(seen, "4711 1000:50 2");
    sandbox.ok(&["rm", "-v", "it"]);
    sandbox.ok(&["rmi", "again"]);
}

#[test]
fn attributes_and_long_names() {
    let sandbox = Sandbox::new();
    let long = "n".repeat(200);
    let script = format!("mkdir -p /{long}/{long}; echo x > /{long}/{long}/{long}; ln -s {long}/{long} /l");
    sandbox.ok(&["run", "--name", "it", "box", "sh", "-c", &script]);
    let archive = sandbox.command(&["export", "it"]).command().output().unwrap().stdout;
    let members = listed(&archive, &sandbox);
    assert!(members.contains(&format!("-rw-r--r-- 0/0 {long}/{long}/{long}")), "{members:?}");
    assert!(members.contains(&format!("lrwxrwxrwx 0/0 l -> {long}/{long}")), "{members:?}");
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn bad_targets() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let directory = sandbox.directory().to_str().unwrap().to_owned();
    let cases = [
        (
            "/nope/x",
            "failed to export container: invalid output path: stat /nope: no such file or directory\n",
        ),
        (directory.as_str(), "failed to export container: cannot write to a directory\n"),
        ("/dev/null", "failed to export container: cannot write to a character device file\n"),
    ];
    for (path, expected) in cases {
        assert_eq!(sandbox.corten(&["export", "-o", path, "it"]), Output::new(1, "", expected));
    }
    let kept = sandbox.file("kept", b"kept");
    let output = sandbox.corten(&["export", "-o", kept.to_str().unwrap(), "nope"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(std::fs::read(kept).unwrap(), b"kept", "a failed export touches nothing");
    sandbox.ok(&["rm", "it"]);
}
