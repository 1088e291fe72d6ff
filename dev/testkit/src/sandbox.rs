//! A sandbox: a store and a run directory of its own, and commands in them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use corten_sys::fs;

use crate::fixture::busybox_archive;
use crate::invocation::{Invocation, Output};
use crate::leftovers::{Leftovers, Watch};

/// Roots that nobody else uses. Dropping it asserts that nothing is left behind, unless the case has failed.
#[derive(Debug)]
pub struct Sandbox {
    base: PathBuf,
    root: PathBuf,
    run_root: PathBuf,
    before: Option<Leftovers>,
    watch: Option<Watch>,
    ids: Mutex<BTreeSet<String>>,
}

/// The corten under test: `CORTEN_BIN`, else the one in the path.
pub fn binary() -> PathBuf {
    std::env::var_os("CORTEN_BIN").map_or_else(|| PathBuf::from("/bin/corten"), PathBuf::from)
}

impl Sandbox {
    /// An empty one below the temporary directory, with the busybox image imported as `box`.
    pub fn new() -> Self {
        let mut sandbox = Self::empty();
        sandbox.import("box", &busybox_archive(), &[]);
        sandbox.begin();
        sandbox
    }

    /// One without an image.
    pub fn empty() -> Self {
        corten_sys::process::become_subreaper().expect("become a subreaper");
        let base = unique(&std::env::temp_dir());
        let (root, run_root) = (base.join("root"), base.join("run"));
        fs::create_dir_all(&base, 0o755).expect("create the sandbox");
        Self { base, root, run_root, before: None, watch: None, ids: Mutex::default() }
    }

    /// One whose store is elsewhere, for instance on a file system of its own; nothing is imported.
    pub fn with_roots(root: &Path, run_root: &Path) -> Self {
        let mut sandbox = Self::empty();
        (sandbox.root, sandbox.run_root) = (root.to_owned(), run_root.to_owned());
        sandbox
    }

    /// From here on everything that stays is a leftover.
    pub fn begin(&mut self) {
        self.watch = Watch::new(&self.run_root);
        self.before = Some(Leftovers::of(&self.base, &self.root, &self.run_root, &BTreeSet::new()));
    }

    /// Imports an archive under a name, with `--change`s.
    pub fn import(&self, name: &str, archive: &[u8], changes: &[&str]) {
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let words: Vec<&str> = ["import"].into_iter().chain(changes).chain(["-", name]).collect();
        let output = self.command(&words).input(archive).run();
        assert_eq!(output.code, 0, "import: {output:?}");
    }

    /// A directory for the case's own files; goes with the sandbox.
    pub fn directory(&self) -> &Path {
        &self.base
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn run_root(&self) -> &Path {
        &self.run_root
    }

    /// Writes a file of the case's own and returns its path.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.base.join(name);
        fs::write_atomic(&path, content).expect("write a file of the case");
        path
    }

    /// Runs corten to its end.
    pub fn corten<W: AsRef<OsStr>>(&self, words: &[W]) -> Output {
        self.command(words).run()
    }

    /// Runs corten, which must succeed without a word on stderr, and returns its stdout without the last newline.
    pub fn ok<W: AsRef<OsStr>>(&self, words: &[W]) -> String {
        let command = self.command(words);
        let line = command.line();
        let output = command.run();
        assert!(output.code == 0 && output.stderr.is_empty(), "{line}: {output:?}");
        output.stdout.strip_suffix('\n').unwrap_or(&output.stdout).to_owned()
    }

    /// A corten command to be run or spawned.
    pub fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Invocation {
        Invocation::new([binary().as_os_str()].into_iter().chain(words.iter().map(AsRef::as_ref)))
            .env("CORTEN_ROOT", &self.root)
            .env("CORTEN_RUN_ROOT", &self.run_root)
            .directory(&self.base)
    }

    /// What is there now and was not there at the beginning.
    pub fn leftovers(&self) -> Vec<String> {
        let mut ids = self.ids.lock().expect("no test thread died here");
        if let Some(watch) = &self.watch {
            ids.extend(watch.started());
        }
        let now = Leftovers::of(&self.base, &self.root, &self.run_root, &ids);
        self.before.as_ref().map_or_else(Vec::new, |before| now.since(before))
    }

    /// The runtime record of a container: `init`, `keeper` and so on, with their values.
    pub fn state(&self, id: &str) -> Option<String> {
        let boot = corten_sys::clock::boot_id().expect("boot id");
        let path = self.run_root.join(boot).join("containers").join(id).join("state");
        fs::read_if_exists(path).ok()?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The pid of a container's init or keeper, by its full id.
    pub fn pid_of(&self, id: &str, who: &str) -> i32 {
        let state = self.state(id).unwrap_or_else(|| panic!("container {id} has no runtime record"));
        let line = state.lines().find_map(|line| line.strip_prefix(who)?.strip_prefix(' '));
        let pid = line.and_then(|line| line.split(' ').next()?.parse().ok());
        pid.unwrap_or_else(|| panic!("no {who} in {state:?}"))
    }

    /// The worker of a container: the child of its keeper with that title.
    pub fn worker_of(&self, id: &str) -> Option<i32> {
        let title = format!("corten worker {id}");
        let pids = fs::list("/proc").ok()?.into_iter().filter_map(|name| name.parse::<i32>().ok());
        pids.into_iter().find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).starts_with(&title))
        })
    }

    /// The mount namespace that corten pins in its run root on a host with many mounts: it is there to stay.
    fn drop_template(&self) {
        for boot in fs::list(&self.run_root).unwrap_or_default() {
            // Where there is none, nothing is mounted.
            corten_sys::mount::unmount(self.run_root.join(boot).join("template")).unwrap_or_default();
        }
    }

    fn sweep(&self) {
        let names = fs::list(self.root.join("containers/names")).unwrap_or_default();
        if !names.is_empty() {
            let words: Vec<&str> =
                ["rm", "-f", "-v"].into_iter().chain(names.iter().map(String::as_str)).collect();
            if let Ok(mut child) = self.command(&words).command().spawn() {
                child.wait().map(drop).unwrap_or_default();
            }
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let left = if failed { Vec::new() } else { crate::leftovers::wait_until_none(|| self.leftovers()) };
        if failed || !left.is_empty() {
            self.sweep();
            crate::leftovers::settle(&left);
            crate::leftovers::settle(&self.leftovers());
        }
        self.drop_template();
        // A keeper may still be emptying the trash in there: what it removes first is looked for again.
        let removed = (0..100).any(|_| fs::remove_dir_all(&self.base).is_ok());
        assert!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        assert!(failed || removed, "remove the sandbox {}", self.base.display());
    }
}

fn unique(parent: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    parent.join(format!("corten-e2e-{}-{serial}", std::process::id()))
}
