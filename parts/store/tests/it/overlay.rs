//! Whiteouts and opaque directories as the kernel sees them, in both mount modes.

use std::process::Command;

use crate::archive::Tar;
use crate::scene::Scene;

#[test]
fn both_modes_hide_the_same() {
    let scene = Scene::new();
    let lower = scene.tree(
        &Tar::new().file("gone", b"1").file("dir/old", b"2").file("stays", b"3").file("swap/old", b"4").end(),
    );
    let upper = scene.tree(
        &Tar::new()
            .file(".wh.gone", b"")
            .file("dir/.wh..wh..opq", b"")
            .file("dir/new", b"5")
            .file(".wh.swap", b"")
            .file("swap/new", b"6")
            .end(),
    );
    let target = scene.path.join("merged");
    corten_sys::fs::create_dir(&target, 0o755).unwrap();
    for (unshare, options) in [(&["-m"][..], ""), (&["-m", "-U", "-r"][..], ",userxattr")] {
        let script = format!(
            "mount -t overlay overlay -o lowerdir={}:{}{options} {t} && cd {t} && find . -type f | sort",
            upper.display(),
            lower.display(),
            t = target.display()
        );
        let output = Command::new("unshare").args(unshare).args(["sh", "-c", &script]).output().unwrap();
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(listed, "./dir/new\n./stays\n./swap/new\n", "{unshare:?}: {error}");
    }
}
