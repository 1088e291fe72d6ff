//! Cgroups of this machine's version, and the parts of v2 that need no controller on a hybrid machine's v2 mount.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use corten_runtime::cgroups::devices::docker_default;
use corten_runtime::cgroups::resources::{
    Access, Blkio, Cpu, DeviceKind, DeviceRule, DeviceValue, HugepageLimit, Memory,
};
use corten_runtime::cgroups::{Cgroup, CgroupError, Controller, Hierarchy, Layout, Resources};
use corten_sys::fs;

const PATIENCE: Duration = Duration::from_secs(10);

/// A parent cgroup of this test alone, removed with everything in it at the end.
struct Parent {
    layout: Layout,
    name: String,
}

impl Parent {
    fn new(test: &str, layout: Layout) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let pid = rustix::process::getpid();
        Self { layout, name: format!("corten-it-{test}-{}", pid.as_raw_nonzero()) }
    }

    fn create(&self, resources: &Resources) -> Cgroup {
        Cgroup::create(&self.layout, &self.name, "c1", resources).unwrap()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let cgroup = Cgroup::open(self.layout.clone(), &self.name).unwrap();
        let killed = cgroup.kill_all(PATIENCE);
        let removed = cgroup.remove(PATIENCE);
        if !std::thread::panicking() {
            killed.unwrap();
            removed.unwrap();
            assert_eq!(cgroup.directories(), Vec::<PathBuf>::new());
        }
    }
}

/// This machine's layout, and beside a v1 layout the v2 mount of a hybrid one.
fn layouts() -> Vec<(&'static str, Layout)> {
    let detected = Layout::detect().unwrap();
    let unified = PathBuf::from("/sys/fs/cgroup/unified");
    if detected.is_v2() {
        vec![("v2", detected)]
    } else if fs::exists(unified.join("cgroup.procs")) {
        vec![("v1", detected), ("hybrid", Layout::V2(unified))]
    } else {
        vec![("v1", detected)]
    }
}

/// Prints the line that counts as a skip.
#[allow(clippy::print_stdout, reason = "the test runner counts these lines")]
fn skipped(test: &str, reason: &str) {
    println!("SKIP {test}: {reason}");
}

/// Starts a shell in the cgroup; it waits for a line first so that it is inside before it does anything.
fn start_in(cgroup: &Cgroup, script: &str) -> Child {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut files: Vec<OwnedFd> = cgroup.tasks_files().unwrap();
    if files.is_empty() {
        files = cgroup.procs_files().unwrap();
        assert!(cgroup.dir_fd().unwrap().is_some());
    }
    for file in files {
        rustix::io::write(&file, child.id().to_string().as_bytes()).unwrap();
    }
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    child
}

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap().trim().to_owned()
}

fn v1_directory(layout: &Layout, controller: Controller, cgroup: &Cgroup) -> Option<PathBuf> {
    let Layout::V1(hierarchies) = layout else { return None };
    let found: Option<&Hierarchy> =
        hierarchies.iter().find(|hierarchy| hierarchy.controllers.contains(&controller));
    found.map(|hierarchy| hierarchy.mount.join(cgroup.path()))
}

fn limits() -> Resources {
    Resources {
        memory: Memory { limit: Some(64 << 20), reservation: Some(32 << 20), ..Memory::default() },
        cpu: Cpu { shares: Some(512), nano_cpus: Some(500_000_000), ..Cpu::default() },
        pids: Some(32),
        ..Resources::default()
    }
}

#[test]
fn v1_limits_are_written() {
    let layout = Layout::detect().unwrap();
    if layout.is_v2() {
        return skipped("v1_limits_are_written", "the layout is v2");
    }
    let parent = Parent::new("v1-limits", layout.clone());
    let mut resources = limits();
    resources.devices = Some(docker_default());
    let cgroup = parent.create(&resources);
    let at = |controller| v1_directory(&layout, controller, &cgroup).unwrap();
    assert_eq!(read(&at(Controller::Memory), "memory.limit_in_bytes"), "67108864");
    assert_eq!(read(&at(Controller::Memory), "memory.soft_limit_in_bytes"), "33554432");
    assert_eq!(read(&at(Controller::Cpu), "cpu.shares"), "512");
    assert_eq!(read(&at(Controller::Cpu), "cpu.cfs_quota_us"), "50000");
    assert_eq!(read(&at(Controller::Pids), "pids.max"), "32");
    let devices = read(&at(Controller::Devices), "devices.list");
    assert_eq!(devices.lines().count(), 11, "{devices}");
    assert!(devices.contains("c 1:3 rwm") && devices.contains("b *:* m"), "{devices}");
    // Only what is needed was entered.
    for controller in [Controller::Freezer, Controller::Blkio, Controller::Cpuset] {
        if let Some(directory) = v1_directory(&layout, controller, &cgroup) {
            assert!(!fs::exists(directory), "{controller}");
        }
    }
    let reopened = Cgroup::open(layout, cgroup.path()).unwrap();
    assert_eq!(reopened, cgroup);
    cgroup.remove(PATIENCE).unwrap();
    cgroup.remove(PATIENCE).unwrap();
}

#[test]
fn v1_update_and_late_hierarchies() {
    let layout = Layout::detect().unwrap();
    if layout.is_v2() {
        return skipped("v1_update_and_late_hierarchies", "the layout is v2");
    }
    let parent = Parent::new("v1-update", layout.clone());
    let both = |limit: i64, swap: i64| Resources {
        memory: Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() },
        ..Resources::default()
    };
    let cgroup = parent.create(&both(32 << 20, 64 << 20));
    let child = start_in(&cgroup, "exec sleep 100");
    // Up past the former memory plus swap, then down again: each needs the other order.
    cgroup.update(&both(128 << 20, 256 << 20)).unwrap();
    cgroup.update(&both(16 << 20, 16 << 20)).unwrap();
    let memory = v1_directory(&layout, Controller::Memory, &cgroup).unwrap();
    assert_eq!(read(&memory, "memory.memsw.limit_in_bytes"), (16 << 20).to_string());
    let cpuset = Cpu { cpus: Some("0".to_owned()), ..Cpu::default() };
    cgroup.update(&Resources { cpu: cpuset, ..Resources::default() }).unwrap();
    let directory = v1_directory(&layout, Controller::Cpuset, &cgroup).unwrap();
    assert_eq!(read(&directory, "cpuset.cpus"), "0");
    let inside = read(&directory, "cgroup.procs");
    assert!(inside.lines().any(|pid| pid == child.id().to_string()), "{inside}");
    // What fails halfway leaves what was there, and so does a restore.
    let cpu = Cpu { shares: Some(77), cpus: Some("0-7999".to_owned()), ..Cpu::default() };
    cgroup.update(&Resources { cpu, ..both(200 << 20, 200 << 20) }).unwrap_err();
    let former = cgroup.update(&both(100 << 20, 100 << 20)).unwrap();
    assert_eq!(read(&memory, "memory.limit_in_bytes"), (100 << 20).to_string());
    former.restore();
    assert_eq!(read(&memory, "memory.limit_in_bytes"), (16 << 20).to_string());
    assert_eq!(read(&memory, "memory.memsw.limit_in_bytes"), (16 << 20).to_string());
    let cpu = v1_directory(&layout, Controller::Cpu, &cgroup).unwrap();
    assert_eq!(read(&cpu, "cpu.shares"), "1024");
    end(&cgroup, child);
}

/// Kills what is in the cgroup and checks that this is what ended `child`.
fn end(cgroup: &Cgroup, mut child: Child) {
    cgroup.kill_all(PATIENCE).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(cgroup.pids().unwrap(), Vec::<i32>::new());
    cgroup.remove(PATIENCE).unwrap();
}

#[test]
fn v1_io_cpuset_and_hugepages() {
    let layout = Layout::detect().unwrap();
    if layout.is_v2() {
        return skipped("v1_io_cpuset_and_hugepages", "the layout is v2");
    }
    let parent = Parent::new("v1-io", layout.clone());
    let Ok(root) = rustix::fs::stat("/") else { panic!("stat /") };
    let (major, minor) = (rustix::fs::major(root.st_dev), rustix::fs::minor(root.st_dev));
    let rate = vec![DeviceValue { major, minor, value: 1 << 20 }];
    let weight = layout.has_io_weight(&parent.name).then_some(300);
    let resources = Resources {
        cpu: Cpu { cpus: Some("0".to_owned()), mems: Some("0".to_owned()), ..Cpu::default() },
        blkio: Blkio { weight, read_bps: rate.clone(), write_iops: rate, ..Blkio::default() },
        ..Resources::default()
    };
    let cgroup = parent.create(&resources);
    let blkio = v1_directory(&layout, Controller::Blkio, &cgroup).unwrap();
    assert_eq!(read(&blkio, "blkio.throttle.read_bps_device"), format!("{major}:{minor} 1048576"));
    if fs::exists(blkio.join("blkio.bfq.weight")) {
        assert_eq!(weight, Some(300));
        assert!(read(&blkio, "blkio.bfq.weight").ends_with("300"));
    }
    end(&cgroup, start_in(&cgroup, "exec sleep 100"));

    let huge = Resources {
        hugepages: vec![HugepageLimit { size: "2MB".to_owned(), limit: 0 }],
        ..Resources::default()
    };
    if layout.has(Controller::Hugetlb) {
        parent.create(&huge).remove(PATIENCE).unwrap();
    } else {
        let error = Cgroup::create(&layout, &parent.name, "c2", &huge).unwrap_err();
        assert_eq!(error.to_string(), "huge page limit: no hugetlb controller is mounted");
    }
}

#[test]
fn what_cannot_be_set_is_named_and_leaves_nothing() {
    for (kind, layout) in layouts() {
        let parent = Parent::new("bad", layout.clone());
        if kind != "hybrid" {
            let cpu = Cpu { cpus: Some("4000".to_owned()), ..Cpu::default() };
            let resources = Resources { cpu, ..Resources::default() };
            let error = Cgroup::create(&layout, &parent.name, "c1", &resources).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, CgroupError::Write { .. }), "{text}");
            assert!(text.starts_with("cpuset cpus: write \"4000\" to /sys/fs/cgroup/"), "{text}");
        }
        if kind == "hybrid" {
            let error = Cgroup::create(&layout, &parent.name, "c1", &limits()).unwrap_err();
            assert_eq!(error.to_string(), "memory limit: no memory controller is mounted");
        }
        let gone = Cgroup::open(layout, &format!("{}/c1", parent.name)).unwrap();
        assert_eq!(gone.directories(), Vec::<PathBuf>::new());
        assert_eq!(gone.pids().unwrap(), Vec::<i32>::new());
        gone.kill_all(PATIENCE).unwrap();
        assert!(gone.tasks_files().is_err() || gone.layout().is_v2());
    }
}

#[test]
fn v2_limits_are_written() {
    let layout = Layout::detect().unwrap();
    let Layout::V2(mount) = &layout else {
        return skipped("v2_limits_are_written", "the layout is v1");
    };
    let parent = Parent::new("v2-limits", layout.clone());
    let mut resources = limits();
    resources.memory.swap = Some(96 << 20);
    resources.cpu.cpus = Some("0".to_owned());
    resources.devices = Some(docker_default());
    let cgroup = parent.create(&resources);
    let directory = mount.join(cgroup.path());
    assert_eq!(read(&directory, "memory.max"), "67108864");
    assert_eq!(read(&directory, "memory.low"), "33554432");
    if layout.has_swap_limit(&parent.name) {
        assert_eq!(read(&directory, "memory.swap.max"), "33554432");
    }
    assert_eq!(read(&directory, "cpu.weight"), "59");
    assert_eq!(read(&directory, "cpu.max"), "50000 100000");
    assert_eq!(read(&directory, "cpuset.cpus"), "0");
    assert_eq!(read(&directory, "pids.max"), "32");
    let update = Resources { pids: Some(-1), ..Resources::default() };
    cgroup.update(&update).unwrap();
    assert_eq!(read(&directory, "pids.max"), "max");
    assert_eq!(read(&directory, "memory.max"), "67108864");
    let cpu = Cpu { shares: Some(77), cpus: Some("nonsense".to_owned()), ..Cpu::default() };
    cgroup.update(&Resources { cpu, pids: Some(5), ..Resources::default() }).unwrap_err();
    assert_eq!(
        (read(&directory, "cpu.weight"), read(&directory, "pids.max")),
        ("59".to_owned(), "max".to_owned())
    );
    end(&cgroup, start_in(&cgroup, "exec sleep 100"));
}

#[test]
fn v2_a_parent_with_processes_is_named() {
    let layout = Layout::detect().unwrap();
    let Layout::V2(mount) = &layout else {
        return skipped("v2_a_parent_with_processes_is_named", "the layout is v1");
    };
    let parent = Parent::new("v2-busy", layout.clone());
    fs::create_dir(mount.join(&parent.name), 0o755).unwrap();
    let busy = Cgroup::open(layout.clone(), &parent.name).unwrap();
    let mut child = start_in(&busy, "exec sleep 100");
    let error = Cgroup::create(&layout, &parent.name, "c1", &limits()).unwrap_err();
    assert!(matches!(error, CgroupError::BusyParent { .. }), "{error}");
    let pids = Resources { pids: Some(10), ..Resources::default() };
    let error = Cgroup::create(&layout, &parent.name, "c1", &pids).unwrap_err();
    assert!(error.to_string().starts_with("pids limit: enable the pids controller below"), "{error}");
    // Without limits there is nothing to enable, and the cgroup is a usable one.
    let free = parent.create(&Resources::default());
    end(&free, start_in(&free, "exec sleep 100"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn processes_are_frozen_thawed_and_killed() {
    for (kind, layout) in layouts() {
        let parent = Parent::new(&format!("freeze-{kind}"), layout);
        let cgroup = parent.create(&Resources::default());
        let child = start_in(&cgroup, "while :; do (sleep 0.01); done");
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.thaw().unwrap();
        cgroup.freeze().unwrap();
        assert!(cgroup.is_frozen().unwrap());
        let frozen = cgroup.pids().unwrap();
        assert!(frozen.contains(&i32::try_from(child.id()).unwrap()));
        cgroup.freeze().unwrap();
        assert_eq!(cgroup.pids().unwrap(), frozen);
        cgroup.thaw().unwrap();
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.freeze().unwrap();
        end(&cgroup, child);
    }
}

#[test]
fn a_fork_bomb_is_killed() {
    for (kind, layout) in layouts() {
        let parent = Parent::new(&format!("bomb-{kind}"), layout);
        let resources = Resources::default();
        let cgroup = parent.create(&resources);
        // Bounded where no pids controller can bound it: each generation ends the former.
        let child =
            start_in(&cgroup, "f() { (f) & exit; }; for i in 1 2 3 4 5 6 7 8; do (f) & done; sleep 100");
        let mut seen = std::collections::HashSet::new();
        let started = Instant::now();
        while seen.len() < 40 {
            seen.extend(cgroup.pids().unwrap());
            assert!(started.elapsed() < PATIENCE, "{kind}: it does not fork");
        }
        end(&cgroup, child);
    }
}

#[test]
fn nested_cgroups_of_the_container_go_too() {
    for (kind, layout) in layouts() {
        let parent = Parent::new(&format!("nested-{kind}"), layout);
        let cgroup = parent.create(&Resources::default());
        let child = start_in(&cgroup, "exec sleep 100");
        for directory in cgroup.directories() {
            fs::create_dir_all(directory.join("a/b/c"), 0o755).unwrap();
            fs::create_dir_all(directory.join("a/d"), 0o755).unwrap();
            let procs = directory.join("a/b/c/cgroup.procs");
            fs::write_kernel_file(procs, child.id().to_string().as_bytes()).unwrap();
        }
        assert_eq!(cgroup.pids().unwrap(), [i32::try_from(child.id()).unwrap()]);
        let busy = cgroup.remove(Duration::from_millis(50)).unwrap_err();
        assert!(busy.to_string().contains("resource busy"), "{busy}");
        end(&cgroup, child);
    }
}

#[test]
fn out_of_memory_kills_are_counted() {
    let layout = Layout::detect().unwrap();
    let parent = Parent::new("oom", layout.clone());
    let mut memory = Memory { limit: Some(16 << 20), ..Memory::default() };
    if layout.has_swap_limit(&parent.name) {
        memory.swap = memory.limit;
    }
    let cgroup = parent.create(&Resources { memory, ..Resources::default() });
    assert_eq!(cgroup.oom_kills().unwrap(), 0);
    let mut child = start_in(&cgroup, "exec tail /dev/zero");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(cgroup.oom_kills().unwrap(), 1);
    cgroup.remove(PATIENCE).unwrap();
}

#[test]
fn the_device_list_decides() {
    for (kind, layout) in layouts() {
        let parent = Parent::new(&format!("devices-{kind}"), layout);
        let devices = Some(docker_default());
        let cgroup = parent.create(&Resources { devices, ..Resources::default() });
        let verdict = |script: &str| start_in(&cgroup, script).wait().unwrap().success();
        assert!(verdict("exec 3</dev/null 4>/dev/zero"), "{kind}");
        assert!(!verdict("exec 3</dev/kmsg"), "{kind}");
        // Replaced, not added: what the first list refused is open now and the other way round.
        let node = |minor| DeviceRule {
            allow: true,
            kind: DeviceKind::Char,
            major: Some(1),
            minor: Some(minor),
            access: Access::ALL,
        };
        let devices = Some(vec![node(11), node(3)]);
        cgroup.update(&Resources { devices, ..Resources::default() }).unwrap();
        assert!(verdict("exec 3</dev/kmsg"), "{kind}");
        assert!(!verdict("exec 3</dev/zero"), "{kind}");
        cgroup.update(&Resources { devices: Some(Vec::new()), ..Resources::default() }).unwrap();
        assert!(!verdict("exec 3</dev/null"), "{kind}");
        if let Some(directory) = cgroup.dir_fd().unwrap() {
            let ids = corten_sys::bpf::query_cgroup_device(directory.as_fd()).unwrap();
            assert_eq!(ids.len(), 1, "one program, however often replaced");
        }
        cgroup.remove(PATIENCE).unwrap();
    }
}

#[test]
fn an_id_can_be_used_again_but_not_taken_over() {
    for (kind, layout) in layouts() {
        let parent = Parent::new(&format!("again-{kind}"), layout);
        let first = parent.create(&Resources::default());
        let second = parent.create(&Resources::default());
        assert_eq!(first, second);
        let child = start_in(&first, "exec sleep 100");
        let layout = &parent.layout;
        let error = Cgroup::create(layout, &parent.name, "c1", &Resources::default()).unwrap_err();
        assert!(error.to_string().ends_with("resource busy"), "{error}");
        assert_eq!(first.pids().unwrap(), [i32::try_from(child.id()).unwrap()]);
        end(&first, child);
    }
}
