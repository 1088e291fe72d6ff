//! Filters that this machine's kernel takes and keeps, each on a thread of its own.

use corten_runtime::capabilities::{self, CapSet};
use corten_runtime::seccomp::{Arch, Profile, compile, docker_default, parse};
use corten_sys::{Errno, fs, seccomp};
use rustix::net::{AddressFamily, SocketType, socket};

/// Runs `check` on a thread under the profile; the filter ends with the thread.
fn filtered<T: Send + 'static>(profile: &Profile, check: impl FnOnce() -> T + Send + 'static) -> T {
    let program = compile(profile, CapSet::DEFAULT, Arch::NATIVE, (6, 18)).unwrap();
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        seccomp::set_mode_filter(&program.instructions, program.flags).unwrap();
        check()
    });
    thread.join().unwrap()
}

#[test]
fn the_kernel_keeps_the_default_profile() {
    filtered(&docker_default(), || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("Seccomp:\t2"), "{status}");
        for family in [AddressFamily::UNIX, AddressFamily::INET, AddressFamily::NETLINK] {
            socket(family, SocketType::DGRAM, None).unwrap();
        }
        for (family, name) in [(38, "AF_ALG"), (40, "AF_VSOCK")] {
            let made = socket(AddressFamily::from_raw(family), SocketType::STREAM, None);
            assert_eq!(made.err(), Some(Errno::PERM), "{name}");
        }
        let host = rustix::system::sethostname(b"must-not-happen");
        assert_eq!(host, Err(Errno::PERM));
        // Threads are still made: clone3 answers ENOSYS, and the C library falls back to clone.
        std::thread::spawn(|| ()).join().unwrap();
    });
}

#[test]
fn a_custom_profile_is_loaded() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls":[{"names":["getpriority"],"action":"SCMP_ACT_ERRNO","errnoRet":22}]}"#;
    let profile = parse(text.as_bytes()).unwrap().unwrap();
    let answer = filtered(&profile, || rustix::process::getpriority_process(None));
    assert_eq!(answer, Err(Errno::INVAL));
}

#[test]
fn a_bad_program_is_refused_with_its_size() {
    let error = std::thread::spawn(|| seccomp::set_mode_filter(&[0; 16], 0).unwrap_err()).join().unwrap();
    assert_eq!(error.to_string(), "seccomp filter of 2 instructions: invalid argument");
}

#[test]
fn capabilities_are_given_up() {
    let read = || fs::read_to_string("/proc/thread-self/status").unwrap();
    let thread = std::thread::spawn(move || {
        let keep = CapSet::DEFAULT;
        capabilities::limit_bounding(keep).unwrap();
        capabilities::apply(keep, keep, CapSet::EMPTY, CapSet::EMPTY).unwrap();
        (read(), CapSet::bounding())
    });
    let (status, bounding) = thread.join().unwrap();
    for line in ["CapInh:\t0000000000000000", "CapPrm:\t00000000a80425fb", "CapEff:\t00000000a80425fb"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    assert!(status.contains("CapBnd:\t00000000a80425fb"), "{status}");
    assert!(status.contains("CapAmb:\t0000000000000000"), "{status}");
    assert_eq!(bounding, CapSet::DEFAULT);

    let ambient = std::thread::spawn(move || {
        let one = CapSet::parse_all(["net_raw"]).unwrap();
        capabilities::apply(one, one, one, one).unwrap();
        read()
    });
    assert!(ambient.join().unwrap().contains("CapAmb:\t0000000000002000"));
}
