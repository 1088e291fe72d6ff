//! Bad input: one clear line, docker's exit code, and nothing left (the sandbox sees to that).

use corten_testkit::{Archive, Sandbox};

#[test]
fn one_line_and_the_code() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(300);
    let check = |words: &[&str], code: i32, part: &str| {
        let output = sandbox.corten(words);
        assert!(
            output.code == code && output.stdout.is_empty() && output.stderr.contains(part),
            "{words:?}: {output:?}"
        );
        let said: Vec<&str> = output
            .stderr
            .lines()
            .filter(|line| {
                !line.is_empty()
                    && !line.starts_with("Run '")
                    && !line.starts_with("hint: ")
                    && !line.starts_with("Usage:")
            })
            .collect();
        assert_eq!(said.len(), 1, "{words:?}: {said:?}");
    };
    check(&["run", "--rm", "nosuch", "true"], 125, "nosuch");
    check(&["run", "--rm", "box/UPPER", "true"], 125, "invalid reference format");
    check(&["run", "--rm", "box:../x", "true"], 125, "invalid reference format");
    check(&["run", "--rm", "box"], 125, "no command specified");
    check(&["run", "--memory", "1x", "box", "true"], 125, "invalid size");
    check(&["run", "--memory", "1k", "box", "true"], 125, "6MB");
    check(&["run", "--cpus", "-1", "box", "true"], 125, "");
    check(&["run", "--cpuset-cpus", "0-9999", "box", "true"], 125, "");
    check(&["run", "--ulimit", "nope=1", "box", "true"], 125, "nope");
    check(&["run", "--restart", "sometimes", "box", "true"], 125, "sometimes");
    check(&["run", "--restart", "always", "--rm", "box", "true"], 125, "onflicting options");
    check(&["run", "--stop-signal", "NOPE", "box", "true"], 125, "NOPE");
    check(&["run", "-v", "a:b:c:d", "box", "true"], 125, "");
    check(&["run", "-v", "/x:relative", "box", "true"], 125, "absolute");
    check(&["run", "-v", "/tmp:/", "box", "true"], 125, "'/'");
    check(&["run", "--mount", "type=nope,dst=/x", "box", "true"], 125, "nope");
    check(&["run", "--mount", "dst=/x,src=vol,nonsense=1", "box", "true"], 125, "nonsense");
    check(&["run", "--env-file", "/nonexistent", "box", "true"], 125, "/nonexistent");
    check(&["run", "--pid", "nope", "box", "true"], 125, "nope");
    check(&["run", "--device", "/dev/nonexistent", "box", "true"], 125, "/dev/nonexistent");
    check(&["run", "--log-driver", "nope", "box", "true"], 125, "nope");
    check(&["run", "--network", "nope", "box", "true"], 125, "nope");
    check(&["run", "-p", "80:80", "box", "true"], 125, "");
    check(&["run", "--name", &long[..], "box", "true"], 125, "");
    for name in ["..", ".", "a/b", "-rf", "a b", "a\nb", "%2e", "\u{e4}"] {
        check(&["run", &format!("--name={name}"), "box", "true"], 125, "Invalid container name");
    }
    for name in ["..", "a/b", "nosuch", "-", ""] {
        check(&["rm", "--", name], 1, "");
        check(&["stop", "--", name], 1, "");
    }
    check(&["exec", "nosuch", "true"], 1, "No such container: nosuch");
    check(&["rmi", "nosuch"], 1, "nosuch");
    check(&["logs", "nosuch"], 1, "nosuch");
    check(&["volume", "rm", "nosuch"], 1, "nosuch");
    check(&["volume", "create", "../x"], 1, "../x");
    check(&["nonsense"], 1, "nonsense");
    check(&["kill", "-s", "NOPE", "nosuch"], 1, "");
    // As docker's, a container whose start failed stays, created, until it is removed.
    let created = sandbox.ok(&["ps", "-aq"]);
    let words: Vec<&str> = ["rm", "-f"].into_iter().chain(created.lines()).collect();
    sandbox.ok(&words);
}

#[test]
fn values_that_would_forge_a_file_of_ours() {
    let sandbox = Sandbox::new();
    for flags in [
        ["--hostname", "a\nb"],
        ["--add-host", "x:1.2.3.4\n5.6.7.8 y"],
        ["--domainname", "a b"],
        ["--hostname", "a/b"],
        ["--add-host", "x:nope"],
    ] {
        let words: Vec<&str> = ["run", "--rm"]
            .iter()
            .chain(&flags)
            .chain(&["box", "cat", "/etc/hosts", "/etc/hostname"])
            .copied()
            .collect();
        let output = sandbox.corten(&words);
        assert!(output.code == 125 || !output.stdout.contains("5.6.7.8 y\n"), "{flags:?}: {output:?}");
    }
}

/// Each archive is refused, or unpacked without leaving the layer.
#[test]
fn hostile_archives() {
    let sandbox = Sandbox::new();
    let canary = sandbox.file("canary", b"whole");
    let path = canary.to_str().unwrap();
    let up = format!("{}{path}", "../".repeat(20));
    let archives = [
        ("absolute", Archive::default().file(path, 0o644, b"broken").finish()),
        ("dots", Archive::default().file(&up[..up.len().min(100)], 0o644, b"broken").finish()),
        (
            "symlink",
            Archive::default().symlink("l", sandbox.directory()).file("l/canary", 0o644, b"broken").finish(),
        ),
        ("hardlink", Archive::default().hardlink("h", path).file("h", 0o644, b"broken").finish()),
        ("hardlink up", Archive::default().hardlink("h", &up[..up.len().min(100)]).finish()),
        ("fifo", Archive::default().fifo("f").finish()),
        ("dot", Archive::default().file("..", 0o644, b"").finish()),
    ];
    for (name, archive) in archives {
        let output = sandbox.command(&["import", "-", "hostile"]).input(archive).run();
        assert!(output.code == 0 || (output.code == 1 && !output.stderr.is_empty()), "{name}: {output:?}");
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "whole", "{name}");
        sandbox.corten(&["rmi", "hostile"]);
    }
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"no archive at all\n".repeat(100)),
        ("cut", corten_testkit::busybox_archive()[..70_000].to_vec()),
        ("gzip cut", vec![0x1f, 0x8b, 8, 0, 0, 0]),
    ] {
        let output = sandbox.command(&["import", "-", "bad"]).input(bytes).run();
        assert!(output.code == 1 && output.stderr.lines().count() == 1, "{name}: {output:?}");
    }
}

#[test]
fn an_ordinary_user_is_told() {
    let sandbox = Sandbox::empty();
    let binary = corten_testkit::binary();
    let visible = std::env::temp_dir().join(format!("corten-e2e-bin-{}", std::process::id()));
    std::fs::copy(&binary, &visible).unwrap();
    let output = corten_testkit::Invocation::new([visible.as_os_str(), "ps".as_ref()])
        .through(["setpriv", "--reuid", "65534", "--clear-groups", "--"])
        .env("CORTEN_ROOT", sandbox.root())
        .run();
    std::fs::remove_file(&visible).unwrap();
    assert!(output.code == 1 && output.stderr.starts_with("corten: corten needs root"), "{output:?}");
}
