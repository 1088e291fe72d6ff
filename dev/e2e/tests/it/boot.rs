//! What outlives a boot: `corten boot`, its stop at shutdown, and what calls them. Real reboots are the guest's.

use std::path::Path;

use corten_testkit::{Output, Sandbox, until};
use serde_json::json;

use crate::adoption::{kill, worker};
use crate::lifecycle::state;

/// One container of each policy that can run, all running; `stopped` and `away` were stopped by the user.
fn start_all(sandbox: &Sandbox) {
    let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done";
    let names = ["always", "unless", "stopped", "away", "failure", "no"];
    let policies = ["always", "unless-stopped", "unless-stopped", "always", "on-failure", "no"];
    for (name, policy) in names.iter().zip(policies) {
        sandbox.ok(&["run", "-d", "--name", name, "--restart", policy, "box", "sh", "-c", script]);
        until("the trap", || (sandbox.corten(&["logs", name]).stdout == "up\n").then_some(()));
    }
    for name in ["stopped", "away"] {
        sandbox.ok(&["stop", name]);
    }
}

fn running(sandbox: &Sandbox) -> Vec<String> {
    let mut names: Vec<_> =
        sandbox.ok(&["ps", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// Makes a container that is to come back after a boot, and ends at once when it is stopped.
fn service(sandbox: &Sandbox, verb: &[&str], name: &str) {
    let flags = ["--name", name, "--stop-signal", "KILL", "--restart", "always"];
    sandbox.ok(&[verb, &flags, &["box", "sleep", "1000"]].concat());
}

#[test]
fn a_shutdown_and_a_boot() {
    let sandbox = Sandbox::new();
    start_all(&sandbox);
    assert_eq!(sandbox.corten(&["boot"]), Output::new(0, "away\n", ""), "the others run, or shall not");
    assert_eq!(sandbox.ok(&["boot", "--stop"]), "");
    assert_eq!(running(&sandbox), Vec::<String>::new());
    for name in ["always", "unless", "failure", "no"] {
        assert_eq!(state(&sandbox, name), json!(["exited", false, 7, false]), "{name}: asked to end");
    }
    assert_eq!(sandbox.ok(&["boot"]), "always\nunless\naway", "the oldest first");
    assert_eq!(running(&sandbox), ["always", "away", "unless"]);
    assert_eq!(sandbox.ok(&["boot"]), "");
    assert_eq!(sandbox.ok(&["boot", "--stop"]), "");
    assert_eq!(sandbox.ok(&["boot", "--stop"]), "");
    sandbox.ok(&["rm", "always", "unless", "stopped", "away", "failure", "no"]);
}

/// As after a power cut: no process and no run directory is left.
#[test]
fn a_boot_after_a_power_cut() {
    let sandbox = Sandbox::new();
    let run = |name: &str, policy: &str| {
        sandbox.ok(&["run", "-d", "--name", name, "--restart", policy, "box", "sleep", "1000"])
    };
    let ids = [run("first", "always"), run("second", "unless-stopped"), run("third", "no")];
    for id in &ids {
        let init = sandbox.pid_of(id, "init");
        let worker = worker(&sandbox, id);
        kill(sandbox.pid_of(id, "keeper"));
        kill(worker);
        kill(init);
    }
    // The kernel's part of it; the cgroup of one that starts again is taken over as it is.
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let path = hierarchy.path().join("corten").join(&ids[2]);
        until("an empty cgroup", || (!path.exists() || std::fs::remove_dir(&path).is_ok()).then_some(()));
    }
    let boot = corten_sys::clock::boot_id().unwrap();
    std::fs::remove_dir_all(sandbox.run_root().join(boot)).unwrap();
    assert_eq!(sandbox.ok(&["boot"]), "first\nsecond");
    assert_eq!(running(&sandbox), ["first", "second"]);
    sandbox.ok(&["rm", "-f", "first", "second", "third"]);
}

#[test]
fn one_that_cannot_start_keeps_nobody_else_from_it() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "broken", "--restart", "always", "box", "nosuchprogram"]);
    service(&sandbox, &["create"], "fine");
    let output = sandbox.corten(&["boot"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "fine\n"));
    assert!(output.stderr.contains("nosuchprogram"), "{output:?}");
    sandbox.ok(&["rm", "-f", "broken", "fine"]);
}

#[test]
fn whom_others_join_starts_first_and_stops_last() {
    let sandbox = Sandbox::new();
    service(&sandbox, &["run", "-d"], "old");
    let joins = ["--pid", "container:old", "--stop-signal", "KILL", "--restart", "always"];
    let words = [&["run", "-d", "--name", "joins"], &joins[..], &["box", "sleep", "1000"]].concat();
    sandbox.ok(&words);
    assert_eq!(sandbox.ok(&["boot", "--stop"]), "");
    assert_eq!(sandbox.ok(&["boot"]), "old\njoins");
    let pids = sandbox.ok(&["exec", "old", "ps"]);
    assert_eq!(pids.matches("sleep 1000").count(), 2, "{pids}");
    sandbox.ok(&["rm", "-f", "joins", "old"]);
}

fn texts(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else {
                found.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

/// Below a directory that is another system's: with systemd, with OpenRC, with neither.
#[test]
fn what_calls_boot_is_installed_and_goes_again() {
    let sandbox = Sandbox::new();
    let kinds = [
        ("systemd", Some("lib/systemd/systemd"), "etc/systemd/system/corten.service"),
        ("openrc", Some("sbin/openrc-run"), "etc/init.d/corten"),
        ("script", None, "etc/init.d/corten"),
    ];
    for (kind, mark, file) in kinds {
        let target = sandbox.directory().join(kind);
        if let Some(mark) = mark {
            let mark = target.join(mark);
            std::fs::create_dir_all(mark.parent().unwrap()).unwrap();
            std::fs::write(&mark, "").unwrap();
        } else {
            std::fs::create_dir_all(&target).unwrap();
        }
        let before = texts(&target);
        let words = ["system", "install", "--target", target.to_str().unwrap()];
        let said = sandbox.ok(&words);
        let path = target.join(file);
        assert!(said.starts_with(&format!("wrote {}\nlinked ", path.display())), "{kind}: {said}");
        let text = std::fs::read_to_string(&path).unwrap();
        let roots =
            format!("--root {} --run-root {} boot", sandbox.root().display(), sandbox.run_root().display());
        assert!(text.contains(&roots), "{kind}: {text}");
        assert_eq!(sandbox.ok(&words), format!("{} is there already", path.display()));
        if kind == "script" {
            // It does what it says: through the link of a run level, on these very roots.
            service(&sandbox, &["create"], "it");
            let script = |name: &str, word: &str| {
                let output =
                    std::process::Command::new("sh").arg(target.join(name)).arg(word).output().unwrap();
                (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
            };
            assert_eq!(script("etc/rc2.d/S99corten", "start"), (Some(0), "it\n".to_owned()));
            assert_eq!(running(&sandbox), ["it"]);
            assert_eq!(script("etc/rc6.d/K01corten", "stop"), (Some(0), String::new()));
            assert_eq!(running(&sandbox), Vec::<String>::new());
            assert_eq!(script("etc/init.d/corten", "nope").0, Some(2));
            sandbox.ok(&["rm", "it"]);
        }
        let undo = ["system", "uninstall", "--target", target.to_str().unwrap()];
        assert!(sandbox.ok(&undo).contains(&format!("removed {}", path.display())));
        assert_eq!((texts(&target), sandbox.ok(&undo)), (before, String::new()), "{kind}");
    }
}

#[test]
fn boot_refuses() {
    let sandbox = Sandbox::new();
    let check = |words: &[&str], part: &str| {
        let output = sandbox.corten(words);
        assert!(output.code == 1 && output.stderr.contains(part) && output.stdout.is_empty(), "{output:?}");
    };
    check(&["boot", "it"], "corten: 'corten boot' accepts no arguments");
    check(&["boot", "--nope"], "unknown flag: --nope");
    check(&["system", "install", "x"], "corten: 'corten system install' accepts no arguments");
}
