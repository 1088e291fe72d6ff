//! Where corten may stand: stores on file systems of their own, private mount namespaces, first commands at once.

use corten_testkit::{Capability, Output, Sandbox, busybox_archive, have};

/// A script run by `unshare -m` with `$B` the binary, `$D` the sandbox's directory, and a store of its own.
fn in_a_mount_namespace(sandbox: &Sandbox, script: &str) -> Output {
    let script = format!(
        "set -e\nmount --make-rprivate /\ncd {directory}\nB={binary}\n{script}",
        directory = sandbox.directory().display(),
        binary = corten_testkit::binary().display()
    );
    corten_testkit::Invocation::new(["unshare", "-m", "sh", "-c", &script])
        .env("CORTEN_ROOT", sandbox.directory().join("store"))
        .env("CORTEN_RUN_ROOT", sandbox.directory().join("volatile"))
        .input(busybox_archive())
        .run()
}

/// Everything that touches a host path, with store, run directory and bind source on file systems of their own.
const LIFE: &str = "
$B import - box >/dev/null
echo there > bind/file
$B run --rm -v $PWD/bind:/x -v vol:/data box sh -c 'cat /x/file /data/mine; echo new > /x/new'
cat bind/new
id=$($B run -d --name it -v $PWD/bind:/x box sh -c 'echo logged; sleep 1000')
$B exec it cat /x/file
$B rm -f it >/dev/null
$B volume rm vol >/dev/null
";

const SHOWN: &str = "there\ncontent of the image\nnew\nthere\n";

#[test]
fn from_inside_a_private_mount_namespace() {
    let mut sandbox = Sandbox::empty();
    sandbox.begin();
    assert_eq!(in_a_mount_namespace(&sandbox, &format!("mkdir bind\n{LIFE}")), Output::new(0, SHOWN, ""));
}

#[test]
fn everything_on_a_tmpfs_of_its_own() {
    let mut sandbox = Sandbox::empty();
    sandbox.begin();
    let mounts = "mkdir bind store volatile\nfor d in bind store volatile; do mount -t tmpfs none $d; done";
    assert_eq!(in_a_mount_namespace(&sandbox, &format!("{mounts}\n{LIFE}")), Output::new(0, SHOWN, ""));
}

#[test]
fn everything_on_an_ext4_of_its_own() {
    if !have(&[Capability::Root, Capability::Loop]) {
        return;
    }
    let mut sandbox = Sandbox::empty();
    sandbox.begin();
    let mounts = "mkdir bind store volatile\nfor d in bind store; do truncate -s 64M $d.img; mkfs.ext4 -q $d.img; mount -o loop $d.img $d; done\nmount -t tmpfs none volatile";
    let output = in_a_mount_namespace(&sandbox, &format!("{mounts}\n{LIFE}"));
    if output.stderr.contains("loop device") {
        corten_testkit::skip("loop", output.stderr.trim());
        return;
    }
    assert_eq!(output, Output::new(0, SHOWN, ""));
}

/// More mounts than a container's mount namespace is copied with (`runtime/src/template.rs`).
const MANY_MOUNTS: &str = "
mkdir m store volatile
mount -t tmpfs none m
mount -t tmpfs none volatile
i=0
while [ $i -lt 120 ]; do mkdir m/$i; mount -t tmpfs none m/$i; i=$((i+1)); done
";

/// On a host with many mounts no container gets a copy of them, and starts as anywhere, also where the host's mounts
/// are shared with other namespaces.
#[test]
fn a_host_with_many_mounts() {
    for propagation in ["", "mount --make-rshared /\nunshare -m --propagation slave true\n"] {
        let mut sandbox = Sandbox::empty();
        sandbox.begin();
        let script = format!(
            "{propagation}{MANY_MOUNTS}
$B import - box >/dev/null
$B run --rm box echo first
lines=$($B run --rm box sh -c 'wc -l < /proc/self/mountinfo')
[ $lines -lt 60 ] && echo few
ls volatile/*/template
mkdir bind
echo there > bind/file
$B run --rm --userns host -v $PWD/bind:/x box cat /x/file
umount -R m volatile
"
        );
        let output = in_a_mount_namespace(&sandbox, &script);
        assert_eq!(output, Output::new(0, "first\nfew\nmnt\nthere\n", ""), "{propagation:?}");
    }
}

/// A keeper that dies before it has its order takes the waiting init with it, and the command says so at once.
#[test]
fn a_keeper_that_dies_early() {
    for mounts in ["mkdir store volatile\n", MANY_MOUNTS] {
        let mut sandbox = Sandbox::empty();
        sandbox.begin();
        let script = format!(
            "{mounts}
$B import - box >/dev/null
mkfifo env
$B run --rm --env-file env box true 2>/dev/null &
run=$!
child() {{ set -- $(cat /proc/$1/task/$1/children); echo $1; }}
until keeper=$(child $run) && [ -n \"$keeper\" ]; do :; done
until init=$(child $keeper) && [ -n \"$init\" ]; do :; done
kill -9 $keeper
echo A=b > env
wait $run || echo failed
until [ ! -e /proc/$init/ns/pid ] || grep -q '^State:.Z' /proc/$init/status; do :; done
echo gone
umount -R m volatile 2>/dev/null || true
"
        );
        assert_eq!(in_a_mount_namespace(&sandbox, &script), Output::new(0, "failed\ngone\n", ""), "{mounts}");
    }
}

/// The very first commands of a boot may come all at once.
#[test]
fn the_first_commands_at_once() {
    for _ in 0..5 {
        let sandbox = Sandbox::empty();
        let running: Vec<_> =
            (0..12).map(|_| sandbox.command(&["run", "--rm", "hello-world"]).spawn()).collect();
        let ended: Vec<Output> = running.into_iter().map(corten_testkit::Background::finish).collect();
        let wrong: Vec<&Output> =
            ended.iter().filter(|output| output.code != 0 || !output.stderr.is_empty()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
