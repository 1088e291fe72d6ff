//! What a payload must not be able to do or see (security.md 1A, 1B, 1F).

use std::os::unix::fs::PermissionsExt;

use corten_testkit::{Output, Sandbox};

fn run(sandbox: &Sandbox, flags: &[&str], script: &str) -> Output {
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", script]).copied().collect();
    sandbox.corten(&words)
}

const CAPS: &str =
    "for set in Inh Prm Eff Bnd Amb; do sed -n \"s/^Cap$set:.//p\" /proc/self/status; done | tr '\\n' ' '";

#[test]
fn capabilities() {
    let sandbox = Sandbox::new();
    let none = "0000000000000000";
    let check = |flags: &[&str], permitted: &str, bounding: &str| {
        let expected = format!("{none} {permitted} {permitted} {bounding} {none} ");
        assert_eq!(run(&sandbox, flags, CAPS), Output::new(0, &expected, ""), "{flags:?}");
    };
    let default = "00000000a80425fb";
    check(&[], default, default);
    check(&["-u", "1000"], none, default);
    check(&["--cap-drop", "ALL"], none, none);
    check(
        &["--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "cap_kill"],
        "0000000000000021",
        "0000000000000021",
    );
    check(&["--cap-add", "SYS_ADMIN"], "00000000a82425fb", "00000000a82425fb");
    check(&["--cap-drop", "net_raw", "--cap-drop", "mknod"], "00000000a00405fb", "00000000a00405fb");
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    check(&["--cap-add", "ALL"], all, all);
    check(&["--privileged"], all, all);
    assert_eq!(run(&sandbox, &["--cap-add", "NOPE"], "true").code, 125);
}

#[test]
fn the_seccomp_filter() {
    let sandbox = Sandbox::new();
    let mode = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t\\n' ' '";
    assert_eq!(run(&sandbox, &[], mode).stdout, "NoNewPrivs: 0 Seccomp: 2 ");
    assert_eq!(
        run(&sandbox, &["--security-opt", "seccomp=unconfined"], mode).stdout,
        "NoNewPrivs: 0 Seccomp: 0 "
    );
    assert_eq!(
        run(&sandbox, &["--security-opt", "no-new-privileges"], mode).stdout,
        "NoNewPrivs: 1 Seccomp: 2 "
    );
    assert_eq!(run(&sandbox, &["--privileged"], mode).stdout, "NoNewPrivs: 0 Seccomp: 0 ");
    let unshare = "unshare -U true 2>&1; mount -t tmpfs none /tmp 2>&1; true";
    let refused =
        "unshare: unshare(0x10000000): Operation not permitted\nmount: permission denied (are you root?)\n";
    assert_eq!(run(&sandbox, &[], unshare), Output::new(0, refused, ""));
    // With the capability the filter lets it pass, and only in the container's own user namespace.
    let allowed = "mount -t tmpfs none /tmp && echo mounted";
    assert_eq!(run(&sandbox, &["--cap-add", "SYS_ADMIN"], allowed), Output::new(0, "mounted\n", ""));
}

#[test]
fn a_profile_of_ones_own() {
    let sandbox = Sandbox::new();
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],
        "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
                    {"names":["nonsense_call"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let path = sandbox.file("profile.json", profile.as_bytes());
    let option = format!("seccomp={}", path.display());
    let output = run(&sandbox, &["--security-opt", &option], "mkdir /tmp/x; echo $?");
    assert_eq!(
        output,
        Output::new(0, "1\n", "mkdir: can't create directory '/tmp/x': Function not implemented\n")
    );
    let broken = sandbox.file("broken.json", b"{\"defaultAction\":");
    for option in
        [format!("seccomp={}", broken.display()), "seccomp=/nonexistent".to_owned(), "nonsense=1".to_owned()]
    {
        let output = run(&sandbox, &["--security-opt", &option], "true");
        assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{option}: {output:?}");
    }
}

/// D11.
#[test]
fn ids_are_not_the_hosts() {
    let sandbox = Sandbox::new();
    let map = |flags: &[&str]| -> Vec<u64> {
        let text = run(&sandbox, flags, "cat /proc/self/uid_map").stdout;
        text.split_whitespace().map(|word| word.parse().unwrap()).collect()
    };
    let (first, second) = (map(&[]), map(&[]));
    assert!(first[0] == 0 && first[1] >= 65_536 && first[2] >= 65_536, "{first:?}");
    assert_eq!(second.len(), 3);
    for flags in [&["--userns", "host"][..], &["--privileged"], &["--network", "host"], &["--pid", "host"]] {
        assert_eq!(map(flags), [0, 0, 4_294_967_295], "{flags:?}");
    }
    let id = sandbox.ok(&["run", "-d", "box", "sleep", "1000"]);
    let running: Vec<u64> = std::fs::read_to_string(format!("/proc/{}/uid_map", sandbox.pid_of(&id, "init")))
        .unwrap()
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let other = map(&[]);
    assert!(
        other[1] >= running[1] + running[2] || running[1] >= other[1] + other[2],
        "{other:?} meets {running:?}"
    );
    sandbox.ok(&["rm", "-f", &id]);
}

/// F22, and the host's root is not below ours.
#[test]
fn mounts_tell_nothing_of_the_host() {
    let sandbox = Sandbox::new();
    let info = run(&sandbox, &[], "cat /proc/self/mountinfo").stdout;
    let own = sandbox.directory().display().to_string();
    // What corten binds from its run directory shows its source: known.
    let known = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
    let leaks: Vec<&str> = info
        .lines()
        .filter(|line| line.contains(&own) || line.contains("corten"))
        .filter(|line| !known.contains(&line.split(' ').nth(4).unwrap_or_default()))
        .collect();
    assert_eq!(leaks, Vec::<&str>::new());
    let roots: Vec<&str> = info.lines().filter(|line| line.split(' ').nth(4) == Some("/")).collect();
    assert!(roots.len() == 1 && roots[0].contains(" overlay "), "{roots:?}");
    // Taking everything off shows nothing below.
    let script = "umount -l / 2>/dev/null; umount -l /proc /sys /dev 2>/dev/null; ls -d /work /usr/share /var/lib/dpkg /../work 2>/dev/null; true";
    assert_eq!(
        run(&sandbox, &["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"], script).stdout,
        ""
    );
    let devices = run(
        &sandbox,
        &[],
        "for l in /proc/self/cwd /proc/self/root /proc/1/root; do readlink $l; done; ls / | tr '\\n' ' '",
    );
    assert_eq!(devices.stdout, "/\n/\n/\nbin data dev etc home proc root sys tmp ");
}

/// F04: only what is the process's own can be written below /proc and /sys.
#[test]
fn nothing_of_the_kernels_can_be_written() {
    let sandbox = Sandbox::new();
    let script = "cd /; for f in $(find /proc /sys -path '/proc/[0-9]*' -prune -o -path /proc/self -prune -o -path /proc/thread-self -prune -o -type f -print 2>/dev/null); do \
        [ -w $f ] || continue; : 2>/dev/null >> $f && echo $f; done 2>/dev/null; true";
    for flags in [&[][..], &["-u", "1000"]] {
        let output = run(&sandbox, flags, script);
        assert_eq!(output.stdout, "", "{flags:?}");
    }
    let fixed = "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /sys/kernel/mm/transparent_hugepage/enabled /proc/irq/default_smp_affinity; do \
        [ -e $f ] && echo 1 2>/dev/null > $f && echo $f; done 2>/dev/null; true";
    assert_eq!(run(&sandbox, &[], fixed).stdout, "");
}

/// F05.
#[test]
fn masked_files_are_empty() {
    let sandbox = Sandbox::new();
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats /proc/interrupts \
        /proc/scsi /proc/acpi /proc/asound /sys/firmware /sys/devices/virtual/powercap /sys/kernel/debug /sys/kernel/security \
        /sys/devices/system/cpu/cpu*/thermal_throttle; do \
        [ -d $f ] && ls -A $f; [ -f $f ] && cat $f; [ -c $f ] && cat $f; done; true";
    assert_eq!(run(&sandbox, &[], script), Output::new(0, "", ""));
}

/// F01, F02: control groups cannot be changed from inside.
#[test]
fn control_groups_are_read_only() {
    let sandbox = Sandbox::new();
    let script = "find /sys/fs/cgroup -type f | while read f; do : 2>/dev/null >> $f && echo $f; done 2>/dev/null; \
        mkdir /sys/fs/cgroup/x 2>/dev/null && echo made a directory; \
        for d in /sys/fs/cgroup/*/; do mkdir $d/x 2>/dev/null && echo made $d/x; done; true";
    assert_eq!(run(&sandbox, &[], script), Output::new(0, "", ""));
}

/// F16.
#[test]
fn devices() {
    let sandbox = Sandbox::new();
    let listed = run(
        &sandbox,
        &[],
        "cd /dev; ls | tr '\\n' ' '; for d in full null random tty urandom zero; do stat -c '%n %t:%T %a' $d; done",
    );
    let names = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    let mut lines = listed.stdout.splitn(2, "full 1:7");
    let first: Vec<&str> = lines.next().unwrap().split_whitespace().filter(|name| *name != "core").collect();
    assert_eq!(first, names.split(' ').filter(|name| *name != "core").collect::<Vec<_>>());
    assert_eq!(
        lines.next().unwrap(),
        " 666\nnull 1:3 666\nrandom 1:8 666\ntty 5:0 666\nurandom 1:9 666\nzero 1:5 666\n"
    );
    let nodes = "for n in 'b 8 0' 'b 254 0' 'c 1 1' 'c 5 1' 'c 10 229' 'c 10 237'; do \
        mknod /tmp/n $n 2>/dev/null && head -c1 /tmp/n >/dev/null 2>&1 && echo $n; rm -f /tmp/n; done; true";
    assert_eq!(run(&sandbox, &[], nodes), Output::new(0, "", ""));
    let output = run(
        &sandbox,
        &[
            "--userns",
            "host",
            "--cap-add",
            "SYSLOG",
            "--device",
            "/dev/kmsg:/dev/mine:r",
            "--device",
            "/dev/zero",
        ],
        "head -c 3 /dev/zero | od -An -c; : < /dev/mine && echo read; (: > /dev/mine) 2>/dev/null || exit 9",
    );
    assert_eq!((output.code, output.stdout.trim()), (9, "\\0  \\0  \\0\nread"), "{output:?}");
}

/// F06: add_key, keyctl, request_key are refused.
#[test]
fn no_keys() {
    let sandbox = Sandbox::new();
    assert_eq!(run(&sandbox, &[], "cat /proc/keys; cat /proc/key-users | wc -l"), Output::new(0, "1\n", ""));
}

/// A05 and A08 for the processes of corten's own.
#[test]
fn supervisors_have_no_environment_and_no_open_doors() {
    let sandbox = Sandbox::new();
    let command =
        sandbox.command(&["run", "-d", "box", "sleep", "1000"]).env("CANARY", "canary-of-the-caller");
    let id = command.run().stdout.trim().to_owned();
    for pid in [sandbox.pid_of(&id, "keeper"), sandbox.worker_of(&id).unwrap(), sandbox.pid_of(&id, "init")] {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("canary"), "{pid}");
    }
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    assert!(
        !sockets.lines().any(|line| line.contains('@') && line.contains("corten")),
        "abstract sockets (A11)"
    );
    sandbox.ok(&["rm", "-f", &id]);
    // G15: nobody else looks into the store or the run directory.
    for directory in [
        sandbox.root().to_owned(),
        sandbox.run_root().join(corten_sys::clock::boot_id().unwrap()).join("ids"),
    ] {
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", directory.display());
    }
}

/// A01: the binary that enters a container cannot be written there.
#[test]
fn corten_cannot_be_overwritten_from_inside() {
    let sandbox = Sandbox::new();
    let script = "for p in /proc/[0-9]*/exe; do : 2>/dev/null >> $p && echo wrote $p; done; true";
    assert_eq!(run(&sandbox, &[], script).stdout, "");
    let before = std::fs::metadata(corten_testkit::binary()).unwrap();
    sandbox.corten(&["run", "--rm", "--entrypoint", "/proc/self/exe", "box", "version"]);
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let output = sandbox.corten(&["exec", "it", "/proc/self/exe", "sh"]);
    assert_ne!(output.code, 0, "{output:?}");
    sandbox.ok(&["rm", "-f", "it"]);
    let after = std::fs::metadata(corten_testkit::binary()).unwrap();
    assert_eq!((before.modified().unwrap(), before.len()), (after.modified().unwrap(), after.len()));
}

/// The same where init has the host's ids and so could write it: what init runs is on a read-only mount of its own.
#[test]
fn init_with_host_ids_runs_from_a_read_only_clone() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--privileged", "--name", "other", "box", "sleep", "1000"]);
    for flags in [&["--privileged"][..], &["--pid", "container:other"], &["--ipc", "container:other"]] {
        // The payload is what init was: corten, waiting for an archive.
        let words = ["run", "-d", "-i", "--name", "it", "--entrypoint", "/proc/self/exe"];
        let words: Vec<&str> =
            words.iter().chain(flags).chain(&["box", "import", "-", "x"]).copied().collect();
        let id = sandbox.ok(&words);
        let program = format!("/proc/{}/exe", sandbox.pid_of(&id, "init"));
        assert!(corten_testkit::is_read_only(&program), "{flags:?}");
        sandbox.ok(&["rm", "-f", "it"]);
    }
    sandbox.ok(&["rm", "-f", "other"]);
}
