//! The image most cases run: the host's static busybox with its applets, users, and the usual directories.

use std::path::Path;
use std::process::Command;

use corten_sys::fs;

use crate::tar::Archive;

/// From package busybox-static; the guest has it at the same place.
const BUSYBOX: &str = "/bin/busybox";

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
    daemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
    user:x:1000:1000:user:/home/user:/bin/sh\n\
    4000:x:0:0:a name of digits:/root:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\ndaemon:x:1:\nstaff:x:50:user\nuser:x:1000:\nextra:x:2000:user\n";

/// The archive of the image.
pub fn busybox_archive() -> Vec<u8> {
    busybox_tree().finish()
}

/// The same without its end: a case adds what it needs.
pub fn busybox_tree() -> Archive {
    let binary =
        fs::read(BUSYBOX).unwrap_or_else(|error| panic!("package busybox-static is needed: {error}"));
    let mut archive = Archive::default();
    for (path, mode) in
        [("bin/", 0o755), ("etc/", 0o755), ("root/", 0o700), ("home/", 0o755), ("tmp/", 0o1777)]
    {
        archive = archive.dir(path, mode);
    }
    archive = archive
        .dir_of("home/user/", 0o755, (1000, 1000))
        .dir("data/", 0o755)
        .file_of(b"data/mine", 0o640, (1000, 50), b"content of the image\n")
        .file("etc/passwd", 0o644, PASSWD)
        .file("etc/group", 0o644, GROUP)
        .file("etc/plain", 0o644, b"not a program\n")
        .file("bin/busybox", 0o755, &binary);
    for applet in applets() {
        if applet != "busybox" {
            archive = archive.symlink(&format!("bin/{applet}"), "busybox");
        }
    }
    archive
}

fn applets() -> Vec<String> {
    assert!(Path::new(BUSYBOX).exists(), "package busybox-static is needed");
    let listed = Command::new(BUSYBOX).arg("--list").output().expect("busybox --list");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}
