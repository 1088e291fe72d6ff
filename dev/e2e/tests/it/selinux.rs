//! SELinux labels, where it is active: of processes, of the file systems made for a container, of what is mounted.
//!
//! `selinux.bin` is `selinux.cil`, compiled. It is loaded where there is no policy yet, as in a guest that was booted
//! for these cases; a machine with a policy of its own is left alone.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Once;

use corten_sys::label;
use corten_testkit::{Output, Sandbox, skip};

const POLICY: &[u8] = include_bytes!("selinux.bin");
const SELINUX: &str = "/sys/fs/selinux";

/// Loads the policy, enforcing; false where SELinux is not active or has a policy of its own.
fn enforced() -> bool {
    static LOADED: Once = Once::new();
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        skip("selinux", "not active on this kernel");
        return false;
    }
    LOADED.call_once(|| {
        if std::fs::read_dir(format!("{SELINUX}/class")).unwrap().next().is_none() {
            std::fs::write(format!("{SELINUX}/load"), POLICY).unwrap();
            std::fs::write(format!("{SELINUX}/enforce"), "1").unwrap();
        }
    });
    let ours = std::fs::write(format!("{SELINUX}/context"), "system_u:object_r:system_t:s0").is_ok();
    if !ours {
        skip("selinux", "the machine has a policy of its own");
    }
    ours
}

/// Runs a shell command in a container.
fn run(sandbox: &Sandbox, flags: &[&str], script: &str) -> Output {
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", script]).copied().collect();
    sandbox.corten(&words)
}

fn label_of(path: &Path) -> String {
    label::get(path).unwrap()
}

/// A level of the kind that a container gets: two categories, in order.
fn is_private(level: &str) -> bool {
    let pair = level.strip_prefix("s0:c").and_then(|rest| rest.split_once(",c"));
    pair.is_some_and(|(a, b)| a.parse::<u32>().unwrap() < b.parse::<u32>().unwrap())
}

const CURRENT: &str = "tr -d '\\0' </proc/self/attr/current; echo";

#[test]
fn every_container_has_a_label_of_its_own() {
    if !enforced() {
        return;
    }
    let sandbox = Sandbox::new();
    let mut levels = Vec::new();
    for name in ["one", "two"] {
        sandbox.ok(&["run", "-d", "--name", name, "box", "sleep", "1000"]);
        let process = sandbox.ok(&["inspect", "-f", "{{.ProcessLabel}}", name]);
        let mount = sandbox.ok(&["inspect", "-f", "{{.MountLabel}}", name]);
        let level = process.strip_prefix("system_u:system_r:container_t:").unwrap().to_owned();
        assert!(is_private(&level), "{process}");
        assert_eq!(mount, format!("system_u:object_r:container_file_t:{level}"));
        let pid = sandbox.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
        let current = std::fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap();
        assert_eq!(current.trim_end_matches('\0'), process);
        assert_eq!(sandbox.ok(&["exec", name, "sh", "-c", CURRENT]), process);
        assert_eq!(sandbox.ok(&["exec", "--privileged", name, "sh", "-c", CURRENT]), process);
        // Every file system that was made for it is mounted with its label.
        let mounts = sandbox.ok(&["exec", name, "cat", "/proc/mounts"]);
        for target in ["/", "/dev", "/dev/pts", "/dev/shm", "/sys/firmware"] {
            let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(target));
            if target != "/sys/firmware" || line.is_some() {
                let line = line.unwrap_or_default();
                assert!(
                    line.contains(&format!("context={mount}"))
                        || line.contains(&format!("context=\"{mount}\"")),
                    "{target}: {line}"
                );
            }
        }
        let root = format!("/proc/{pid}/root");
        for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf", "bin/busybox"] {
            assert_eq!(label_of(&Path::new(&root).join(file)), mount, "{file}");
        }
        sandbox.ok(&["exec", name, "sh", "-c", "echo x >/made; echo y >/dev/shm/made"]);
        let oci: String = sandbox.ok(&["inspect", "--as", "oci", name]);
        assert!(oci.contains(&format!("\"selinuxLabel\": \"{process}\"")), "{oci}");
        assert!(oci.contains(&format!("\"mountLabel\": \"{mount}\"")), "{oci}");
        levels.push(level);
    }
    assert_ne!(levels[0], levels[1]);
    // It has the same one after a restart, and the one of another container where it shares with that.
    let before = sandbox.ok(&["inspect", "-f", "{{.ProcessLabel}}", "one"]);
    sandbox.ok(&["restart", "-t", "0", "one"]);
    assert_eq!(sandbox.ok(&["exec", "one", "sh", "-c", CURRENT]), before);
    assert_eq!(run(&sandbox, &["--pid", "container:one"], CURRENT).stdout.trim_end(), before);
    assert_eq!(run(&sandbox, &["--ipc", "container:one"], CURRENT).stdout.trim_end(), before);
    let output = run(&sandbox, &["--ipc", "container:one", "--pid", "container:two"], "true");
    assert!(
        output.code == 125
            && output.stderr.contains("--ipc and --pid containers SELinux labels aren't the same"),
        "{output:?}"
    );
    assert!(sandbox.ok(&["info"]).contains("\n  selinux\n"));
    sandbox.ok(&["rm", "-f", "one", "two"]);
}

#[test]
fn label_options() {
    if !enforced() {
        return;
    }
    let sandbox = Sandbox::new();
    let host = "system_u:system_r:host_t:s0-s0:c0.c1023";
    let current = |flags: &[&str]| {
        let output = run(&sandbox, flags, CURRENT);
        assert_eq!(output.code, 0, "{flags:?}: {output:?}");
        output.stdout.trim_end().to_owned()
    };
    for flags in [
        &["--security-opt", "label=disable"][..],
        &["--security-opt", "label:disable"],
        &["--privileged"],
        &["--pid", "host"],
        &["--ipc", "host"],
        &["--security-opt", "label=type:host_t", "--security-opt", "label=level:s0-s0:c0.c1023"],
    ] {
        assert_eq!(current(flags), host, "{flags:?}");
    }
    assert_eq!(
        current(&["--security-opt", "label=level:s0:c7,c9"]),
        "system_u:system_r:container_t:s0:c7,c9"
    );
    for more in [
        &["--init"][..],
        &["-u", "1000"],
        &["--userns", "host"],
        &["--network", "host"],
        &["--security-opt", "no-new-privileges"],
        &["--cap-drop", "ALL"],
        &["-t"],
    ] {
        assert!(current(more).starts_with("system_u:system_r:container_t:s0:c"), "{more:?}");
    }
    for (option, reason) in [
        (
            "label=type:nosuch_t",
            "label=type:nosuch_t: the SELinux policy of this host does not know system_u:system_r:nosuch_t:s0:c",
        ),
        ("label=level:s9", "does not know system_u:system_r:container_t:s9"),
        (
            "label=enable",
            "Bad label option \"enable\", valid options 'disable' or 'user, role, level, type, filetype' followed by ':' and a value",
        ),
        (
            "label=color:red",
            "Bad label option \"color\", valid options 'disable, user, role, level, type, filetype'",
        ),
    ] {
        let output = run(&sandbox, &["--security-opt", option], "true");
        assert!(output.code == 125 && output.stderr.contains(reason), "{option}: {output:?}");
        assert!(output.stderr.lines().next().unwrap().contains(reason), "{option}: {output:?}");
    }
}

#[test]
fn binds_and_volumes_are_labelled_where_they_are_asked_to_be() {
    if !enforced() {
        return;
    }
    let sandbox = Sandbox::new();
    let base = sandbox.directory().join("data");
    std::fs::create_dir_all(base.join("a/b")).unwrap();
    std::fs::write(base.join("a/b/file"), "secret\n").unwrap();
    symlink("/etc/passwd", base.join("a/link")).unwrap();
    let host = label_of(Path::new("/etc/passwd"));
    let bind = |options: &str| format!("{}:/data{options}", base.display());
    let read = |flags: &[&str]| run(&sandbox, flags, "cat /data/a/b/file");
    // Without a label nothing of the host can be read but by an unconfined container: the control.
    let output = read(&["-v", &bind("")]);
    assert!(output.code == 1 && output.stderr.contains("Permission denied"), "{output:?}");
    assert_eq!(read(&["-v", &bind(""), "--security-opt", "label=disable"]), Output::new(0, "secret\n", ""));
    // Privately: the one container reads it, another does not.
    sandbox.ok(&["create", "--name", "own", "-v", &bind(":Z"), "box", "cat", "/data/a/b/file"]);
    assert_eq!(sandbox.ok(&["start", "-a", "own"]), "secret");
    let own = sandbox.ok(&["inspect", "-f", "{{.MountLabel}}", "own"]);
    for path in ["", "a", "a/b", "a/b/file", "a/link"] {
        assert_eq!(label_of(&base.join(path)), own, "{path}");
    }
    assert_eq!(label_of(Path::new("/etc/passwd")), host);
    assert_eq!(
        sandbox.ok(&["inspect", "-f", "{{(index .Mounts 0).Mode}} {{.HostConfig.Binds}}", "own"]),
        format!("Z [{}]", bind(":Z"))
    );
    let output = read(&["-v", &bind("")]);
    assert!(output.code == 1 && output.stderr.contains("Permission denied"), "{output:?}");
    // Shared: both.
    assert_eq!(read(&["-v", &bind(":ro,z")]), Output::new(0, "secret\n", ""));
    for path in ["", "a", "a/b", "a/b/file", "a/link"] {
        assert_eq!(label_of(&base.join(path)), "system_u:object_r:container_file_t:s0", "{path}");
    }
    assert_eq!(read(&["-v", &bind("")]), Output::new(0, "secret\n", ""));
    sandbox.ok(&["rm", "own"]);
    // A volume is everybody's.
    for _ in 0..2 {
        let output = run(&sandbox, &["-v", "vol:/vol"], "echo more >>/vol/file && cat /vol/file");
        assert!(output.code == 0 && output.stdout.starts_with("more\n"), "{output:?}");
    }
    sandbox.ok(&["volume", "rm", "vol"]);
    // What one container has written, another may read when it is in an image.
    sandbox.ok(&["run", "--name", "writer", "box", "cp", "/bin/busybox", "/busybox"]);
    sandbox.ok(&["commit", "writer", "written"]);
    assert_eq!(sandbox.ok(&["run", "--rm", "written", "/busybox", "echo", "here"]), "here");
    sandbox.ok(&["rm", "writer"]);
    // The host's own directories keep their labels.
    for path in ["/", "/etc", "/usr", "/root", "/home"] {
        std::fs::create_dir_all(path).unwrap();
        let output = run(&sandbox, &["-v", &format!("{path}:/data:z")], "true");
        let reason = format!(
            "error setting label on mount source '{path}': SELinux relabeling of {path} is not allowed"
        );
        assert!(output.code == 125 && output.stderr.contains(&reason), "{output:?}");
    }
    assert_eq!(label_of(Path::new("/etc/passwd")), host);
}
