//! AppArmor and SELinux: honoured where they are active, refused otherwise.
//!
//! `apparmor.bin` is the profile below, compiled: `apparmor_parser -S -K -T -M /etc/apparmor.d/abi/3.0 FILE`.
//!
//! ```text
//! profile corten-e2e flags=(attach_disconnected,mediate_deleted) {
//!   file, capability, network, signal, ptrace,
//!   deny /etc/plain r,
//! }
//! ```

use std::path::Path;

use corten_testkit::{Output, Sandbox, skip};

const PROFILE: &[u8] = include_bytes!("apparmor.bin");
const SECURITY: &str = "/sys/kernel/security/apparmor";

/// Loads the profile; false where there is no AppArmor.
fn load() -> bool {
    if !Path::new("/sys/module/apparmor/parameters/enabled").exists() {
        skip("apparmor", "not active on this kernel");
        return false;
    }
    std::fs::write(format!("{SECURITY}/.replace"), PROFILE).unwrap();
    true
}

#[test]
fn an_apparmor_profile() {
    if !load() {
        return;
    }
    let sandbox = Sandbox::new();
    let confined = ["--security-opt", "apparmor=corten-e2e"];
    let run = |flags: &[&str], script: &str| {
        let words: Vec<&str> =
            ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", script]).copied().collect();
        sandbox.corten(&words)
    };
    let script = "cat /proc/self/attr/current; cat /etc/plain";
    let open = Output::new(0, "unconfined\nnot a program\n", "");
    let shut = Output::new(1, "corten-e2e (enforce)\n", "cat: can't open '/etc/plain': Permission denied\n");
    assert_eq!(run(&[], script), open);
    assert_eq!(run(&["--security-opt", "apparmor=unconfined"], script), open);
    assert_eq!(run(&confined, script), shut);
    for more in [
        &["--init"][..],
        &["-u", "1000"],
        &["--userns", "host"],
        &["--security-opt", "no-new-privileges"],
        &["--security-opt", "seccomp=unconfined"],
        &["--cap-drop", "ALL"],
    ] {
        let flags: Vec<&str> = confined.iter().chain(more).copied().collect();
        assert_eq!(run(&flags, script), shut, "{more:?}");
    }
    // A further process is in the same profile; a privileged one in none.
    sandbox.ok(&["run", "-d", "--name", "it", confined[0], confined[1], "box", "sleep", "1000"]);
    assert_eq!(sandbox.corten(&["exec", "it", "sh", "-c", script]), shut);
    assert_eq!(sandbox.corten(&["exec", "--privileged", "it", "sh", "-c", script]), open);
    assert_eq!(sandbox.ok(&["inspect", "-f", "{{.AppArmorProfile}}", "it"]), "corten-e2e");
    sandbox.ok(&["rm", "-f", "it"]);
    let output = sandbox.corten(&["create", "--security-opt", "apparmor=nosuch", "box", "true"]);
    assert!(
        output.code == 1 && output.stderr.contains("apparmor=nosuch: no such profile is loaded"),
        "{output:?}"
    );
    assert!(sandbox.ok(&["info"]).contains("apparmor\n   Default: unconfined"));
}

#[test]
fn what_is_not_active_is_refused() {
    let sandbox = Sandbox::new();
    let check = |flags: &[&str], reason: &str| {
        let words: Vec<&str> = ["run", "--rm"].iter().chain(flags).chain(&["box", "true"]).copied().collect();
        let output = sandbox.corten(&words);
        let code = if reason.is_empty() { 0 } else { 125 };
        assert!(output.code == code && output.stderr.contains(reason), "{flags:?}: {output:?}");
    };
    check(&["--security-opt", "apparmor=unconfined"], "");
    check(&["--security-opt", "label=disable"], "");
    if !Path::new("/sys/module/apparmor/parameters/enabled").exists() {
        check(&["--security-opt", "apparmor=some"], "apparmor=some: AppArmor is not active on this host");
    }
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        check(&["--security-opt", "label=type:some"], "label=type:some: SELinux is not active on this host");
        check(&["-v", "/tmp:/x:z"], "option z: SELinux is not active on this host");
        check(&["-v", "vol:/x:Z"], "option Z: SELinux is not active on this host");
    }
}
