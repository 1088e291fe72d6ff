//! What the guest starts with: busybox, the kernel's modules, corten and the script.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Task;
use super::cpio::Archive;
use super::kernel::Kernel;
use crate::failure::{Failure, Result};
use crate::rootfs::Busybox;

/// Printed before the script's output and, with its exit code, after it.
pub(super) const BEGIN: &str = "corten-guest: begin";
pub(super) const EXIT: &str = "corten-guest: exit ";

/// busybox init as PID 1 reaps orphans, as a real one does.
const INITTAB: &str = "::sysinit:/etc/rc\n::once:/etc/task\n";

/// Leaves the initial ramfs, on which pivot_root(2) does not work, for a tmpfs with the same contents.
const INIT: &str = "\
#!/bin/busybox sh
export PATH=/bin
mkdir /new
mount -t tmpfs -o mode=0755 tmpfs /new
cp -a /bin /dev /etc /lib /mnt /proc /root /run /sys /tmp /var /new
exec switch_root /new /bin/busybox init
";

const MOUNTS: &str = "\
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,ptmxmode=0666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
mount -t tmpfs -o nosuid,nodev tmpfs /tmp
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
";

const SETTLE: &str = "\
mount -t ext4 /dev/vda /var/lib/corten || exit 1
ip link set lo up
hostname guest
";

/// `sync` and a read-only remount keep the disk readable for whoever looks at it afterwards.
const TASK: &str = "\
#!/bin/sh
export PATH=/bin HOME=/root TERM=dumb
cd /root
echo 'corten-guest: begin'
sh /etc/command </dev/null
code=$?
sync
echo
echo \"corten-guest: exit $code\"
reboot -f
";

pub(super) fn write(path: &Path, kernel: &Kernel, busybox: &Busybox, task: &Task) -> Result<()> {
    let mut archive = Archive::default();
    for dir in ["dev", "proc", "sys", "run", "tmp", "root", "etc", "var/lib/corten", "mnt"] {
        archive.dir(dir);
    }
    // init opens it before devtmpfs is mounted.
    archive.char_device("dev/console", 5, 1);
    archive.file("bin/busybox", 0o755, &busybox.binary);
    for applet in &busybox.applets {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("etc/inittab", 0o644, INITTAB.as_bytes());

    let mut rc = format!("#!/bin/sh\nexport PATH=/bin\n{MOUNTS}");
    for module in kernel.modules()? {
        let content = fs::read(&module.path).map_err(|error| Failure::io("read", &module.path, &error))?;
        archive.file(&format!("lib/modules/{}.ko", module.name), 0o644, &content);
        writeln!(rc, "insmod /lib/modules/{}.ko", module.name)
            .map_err(|error| Failure::new(error.to_string()))?;
    }
    rc.push_str(SETTLE);
    archive.file("etc/rc", 0o755, rc.as_bytes());
    archive.file("etc/task", 0o755, TASK.as_bytes());
    archive.file("etc/command", 0o644, task.script.as_bytes());

    let corten = [("bin/corten".to_owned(), task.binary.clone())];
    for (guest, host) in corten.iter().chain(&task.files) {
        let content = fs::read(host).map_err(|error| Failure::io("read", host, &error))?;
        archive.file(guest, 0o755, &content);
    }
    fs::write(path, archive.finish()).map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, EXIT, TASK};

    #[test]
    fn the_markers_are_what_the_script_prints() {
        assert!(TASK.contains(&format!("echo '{BEGIN}'\n")));
        assert!(TASK.contains(&format!("echo \"{EXIT}$code\"\n")));
    }
}
