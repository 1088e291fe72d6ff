//! What a case leaves behind: mounts, links, cgroups, processes, nft tables, entries of the store.
//!
//! Tests run side by side, so everything is told apart by the sandbox's directory or by the ids of the
//! containers it started, which a watch on the run directory has noted.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use corten_sys::fs;
use rustix::fs::inotify;

/// How long what is deferred may take: the removal of cgroups, run directories, trash.
const PATIENCE: Duration = Duration::from_secs(8);

/// Processes that a case killed on purpose, and whose remains are ours to reap.
static EXPECTED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Says that this process will be orphaned by a case: its zombie is no leftover.
pub fn expect_orphan(pid: i32) {
    EXPECTED.lock().expect("no test thread died here").insert(pid);
}

/// Notes the id of every container that is started in a run directory.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    pub(crate) fn new(run_root: &Path) -> Option<Self> {
        let boot = corten_sys::clock::boot_id().ok()?;
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
        let directory = run_root.join(boot).join("containers");
        inotify::add_watch(&fd, &directory, inotify::WatchFlags::CREATE).ok()?;
        Some(Self(fd))
    }

    /// The ids since the last question.
    pub(crate) fn started(&self) -> Vec<String> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 64 << 10];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut ids = Vec::new();
        while let Ok(event) = reader.next() {
            ids.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        ids
    }
}

/// Everything found at one moment, one line each.
#[derive(Debug)]
pub(crate) struct Leftovers(BTreeSet<String>);

impl Leftovers {
    pub(crate) fn of(base: &Path, root: &Path, run_root: &Path, ids: &BTreeSet<String>) -> Self {
        let mut found = BTreeSet::new();
        found.extend(mounts(base));
        found.extend(listing("link", Path::new("/sys/class/net")));
        found.extend(cgroups(ids));
        found.extend(processes(base, ids));
        found.extend(nft_tables());
        for directory in
            ["containers", "containers/names", "ingest", "trash", "volumes", "intents", "networks"]
        {
            found.extend(listing(directory, &root.join(directory)));
        }
        for boot in fs::list(root.join("scratch")).unwrap_or_default() {
            found.extend(listing("scratch", &root.join("scratch").join(boot)));
        }
        for boot in fs::list(run_root).unwrap_or_default() {
            for directory in ["containers", "creating", "ids", "volumes"] {
                found.extend(listing(&format!("run {directory}"), &run_root.join(&boot).join(directory)));
            }
        }
        Self(found)
    }

    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

/// Asks until nothing is left or the patience is over, and returns what is.
pub(crate) fn wait_until_none(ask: impl Fn() -> Vec<String>) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = ask();
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        crate::wait::pause(Duration::from_millis(20));
    }
}

fn listing(what: &str, directory: &Path) -> Vec<String> {
    let names = fs::list(directory).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !(what == "containers" && name == "names"))
        .map(|name| format!("{what}: {name}"))
        .collect()
}

fn mounts(base: &Path) -> Vec<String> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    // With its slash: the first sandbox is no prefix of the tenth.
    let base = format!("{}/", base.display());
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_left = |line: &&str| {
        line.contains(&base) && !line.contains("/template ") && !line.contains("/template/mnt ")
    };
    text.lines().filter(is_left).map(|line| format!("mount: {line}")).collect()
}

/// Directories named by one of the ids, in every hierarchy.
fn cgroups(ids: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if ids.iter().any(|id| name.contains(id.as_str())) {
                found.push(format!("cgroup: {}", entry.path().display()));
            }
            left.push(entry.path());
        }
    }
    found
}

/// Keepers, workers and payloads of the ids, commands in the sandbox, and zombies that nobody of corten reaped.
fn processes(base: &Path, ids: &BTreeSet<String>) -> Vec<String> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    // With its slash: the first sandbox is no prefix of the tenth.
    let base = format!("{}/", base.display());
    let expected = EXPECTED.lock().expect("no test thread died here");
    let mut found = Vec::new();
    let mut zombies = Vec::new();
    for pid in fs::list("/proc").unwrap_or_default().iter().filter_map(|name| name.parse::<i32>().ok()) {
        let read = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
        };
        let Some(stat) = Stat::parse(&read("stat")) else { continue };
        if pid == own || expected.contains(&pid) {
            continue;
        }
        if stat.state == 'Z' {
            // An orphan comes to us, the subreaper, and stays. A keeper leads its session and ends so; whatever
            // else has come was its own to reap.
            if stat.parent == own && stat.session != pid && is_of_case(&stat, ids) {
                zombies.push((pid, stat.command));
            }
            continue;
        }
        let (line, cgroup) = (read("cmdline"), read("cgroup"));
        let of_id = ids.iter().any(|id| line.contains(id.as_str()) || cgroup.contains(id.as_str()));
        if of_id || (stat.command.contains("corten") && read("environ").contains(&base)) {
            found.push(format!("process: {pid} {line}"));
        }
    }
    found.extend(zombies.into_iter().map(|(pid, command)| format!("{ZOMBIE}{pid} ({command})")));
    found
}

/// Says whether a zombie is one of a keeper of the ids: by its name, which it has from its keeper until it executes
/// something, or by that of its session's leader. Of a zombie the kernel tells neither command line nor cgroup.
fn is_of_case(zombie: &Stat, ids: &BTreeSet<String>) -> bool {
    let leader = fs::read(format!("/proc/{}/stat", zombie.session)).unwrap_or_default();
    let leader = Stat::parse(&String::from_utf8_lossy(&leader)).map(|leader| leader.command);
    let is_keeper = |name: &str| {
        let short = name.strip_prefix(KEEPER).filter(|short| short.len() == SHORT);
        short.is_some_and(|short| ids.iter().any(|id| id.starts_with(short)))
    };
    is_keeper(&zombie.command) || leader.is_some_and(|leader| is_keeper(&leader))
}

/// A keeper's name as the kernel shows it, before the beginning of the container's id.
const KEEPER: &str = "corten-";

/// So much of an id goes into a name: the test's own, corten-e2e, is none.
const SHORT: usize = 8;

/// Ends the processes among what is left, and lets the zombies be the matter of this one case.
pub(crate) fn settle(left: &[String]) {
    let pid = |line: &str, what: &str| line.strip_prefix(what)?.split(' ').next()?.parse::<i32>().ok();
    for line in left {
        if let Some(zombie) = pid(line, ZOMBIE) {
            expect_orphan(zombie);
        }
        let process = pid(line, "process: ").and_then(rustix::process::Pid::from_raw);
        if let Some(pidfd) = process.and_then(|process| corten_sys::process::open_pidfd(process).ok()) {
            corten_sys::process::send_signal(&pidfd, 9).map(drop).unwrap_or_default();
        }
    }
}

const ZOMBIE: &str = "zombie: ";

struct Stat {
    command: String,
    state: char,
    parent: i32,
    session: i32,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.rsplit_once(") ")?;
        let mut fields = tail.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        Some(Self { command: head.split_once('(')?.1.to_owned(), state, parent, session })
    }
}

/// None where there is no nft to ask.
fn nft_tables() -> Vec<String> {
    let Ok(output) = Command::new("nft").args(["list", "tables"]).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains("corten")).map(|line| format!("nft: {line}")).collect()
}
