//! Copy-up: a new volume begins with what the image has at its mount point.
//!
//! Runs inside the container's user namespace on both sides, so ids stay as they are. Overwrites what an
//! interrupted earlier copy left. A copy that fails takes back what it made: the volume is empty again, and so the
//! next start copies anew. The trees are an image's, hence of any width and depth: one pair of directories is open
//! at a time, the way back up is `..`.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use corten_sys::{Errno, SysError};
use rustix::fs::{AtFlags, Dir as Entries, FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid};

/// Copies the directory `from` (in the image) into the directory `to` (the volume), with ids, modes and times.
pub(crate) fn copy(from: impl AsFd, to: impl AsFd, name: &str) -> Result<(), SysError> {
    let copied = Walk::begin(&from, &to, name, Task::Copy).and_then(Walk::go);
    copied.inspect_err(|_| {
        // What cannot be taken back stays; the failure that the user is told is the first one.
        Walk::begin(&from, &to, name, Task::TakeBack).and_then(Walk::go).unwrap_or_default();
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Copy,
    /// Removes from the volume what the image has, and nothing else.
    TakeBack,
}

/// Both trees, at the same place.
struct Walk {
    task: Task,
    from: OwnedFd,
    to: OwnedFd,
    /// The way down to here, this directory included.
    way: Vec<Level>,
}

struct Level {
    name: CString,
    /// Of the source.
    stat: Stat,
    /// Of the target: `..` must lead back to it, though others may move directories of a volume.
    identity: (u64, u64),
    /// Directories that are still to be walked.
    below: Vec<CString>,
}

impl Walk {
    fn begin(from: impl AsFd, to: impl AsFd, name: &str, task: Task) -> Result<Self, SysError> {
        let open = |fd: BorrowedFd<'_>| directory(fd, ".").map_err(|errno| SysError::at("open", name, errno));
        let (from, to) = (open(from.as_fd())?, open(to.as_fd())?);
        let mut walk = Self { task, from, to, way: Vec::new() };
        let name = CString::new(name).map_err(|_| SysError::at("open", name, Errno::INVAL))?;
        walk.enter(name)?;
        Ok(walk)
    }

    fn go(mut self) -> Result<(), SysError> {
        loop {
            match self.way.last_mut().map(|level| level.below.pop()) {
                Some(Some(name)) => self.descend(name)?,
                Some(None) => self.ascend()?,
                None => return Ok(()),
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.way.iter().map(|level| OsStr::from_bytes(level.name.to_bytes())).collect()
    }

    fn failed(&self, call: &'static str, name: Option<&CStr>, errno: Errno) -> SysError {
        let path = match name {
            Some(name) => self.path().join(OsStr::from_bytes(name.to_bytes())),
            None => self.path(),
        };
        SysError::at(call, path, errno)
    }

    fn descend(&mut self, name: CString) -> Result<(), SysError> {
        let failed = |walk: &Self, errno| walk.failed("copy", Some(&name), errno);
        if self.task == Task::Copy {
            allow_existing(rustix::fs::mkdirat(&self.to, &name, Mode::from_bits_truncate(0o700)))
                .map_err(|errno| failed(self, errno))?;
        }
        let to = match directory(self.to.as_fd(), &name) {
            Err(_) if self.task == Task::TakeBack => return Ok(()),
            other => other.map_err(|errno| failed(self, errno))?,
        };
        self.from = directory(self.from.as_fd(), &name).map_err(|errno| failed(self, errno))?;
        self.to = to;
        self.enter(name)
    }

    /// Takes over what is directly in the directories just opened.
    fn enter(&mut self, name: CString) -> Result<(), SysError> {
        let stat = |fd: &OwnedFd| rustix::fs::fstat(fd);
        let stats = stat(&self.from).and_then(|from| Ok((from, stat(&self.to)?)));
        let (from, to) = stats.map_err(|errno| self.failed("stat", Some(&name), errno))?;
        self.way.push(Level { name, stat: from, identity: (to.st_dev, to.st_ino), below: Vec::new() });
        let failed = |errno| self.failed("readdir", None, errno);
        let mut below = Vec::new();
        for entry in Entries::read_from(&self.from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = rustix::fs::statat(&self.from, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| self.failed("stat", Some(name), errno))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                below.push(name.to_owned());
            } else {
                self.entry(name, &stat).map_err(|errno| self.failed("copy", Some(name), errno))?;
            }
        }
        if let Some(level) = self.way.last_mut() {
            level.below = below;
        }
        Ok(())
    }

    /// Takes over, or back, what is no directory.
    fn entry(&self, name: &CStr, stat: &Stat) -> Result<(), Errno> {
        let (from, to) = (&self.from, &self.to);
        if self.task == Task::TakeBack {
            return match rustix::fs::unlinkat(to, name, AtFlags::empty()) {
                Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
                other => other,
            };
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                allow_existing(rustix::fs::symlinkat(target, to, name))?;
                owner_of_link(to, name, stat)
            }
            FileType::RegularFile => file(from, to, name, stat),
            FileType::Fifo => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                allow_existing(rustix::fs::mknodat(to, name, FileType::Fifo, mode, 0))?;
                owner_of_link(to, name, stat)
            }
            // Devices cannot be made here, sockets mean nothing without their process.
            _ => Ok(()),
        }
    }

    /// Finishes a directory whose contents are there, and goes back to the one above.
    fn ascend(&mut self) -> Result<(), SysError> {
        if self.task == Task::Copy
            && let Some(level) = self.way.last()
        {
            attributes(&self.to, &level.stat).map_err(|errno| self.failed("copy", None, errno))?;
        }
        let Some(done) = self.way.pop() else { return Ok(()) };
        let Some(level) = self.way.last() else { return Ok(()) };
        let failed = |errno| self.failed("open", None, errno);
        let from = directory(self.from.as_fd(), "..").map_err(failed)?;
        let to = directory(self.to.as_fd(), "..").map_err(failed)?;
        let stat = rustix::fs::fstat(&to).map_err(failed)?;
        if (stat.st_dev, stat.st_ino) != level.identity {
            return Err(failed(Errno::AGAIN));
        }
        if self.task == Task::TakeBack {
            // What somebody else has put in there meanwhile is theirs.
            rustix::fs::unlinkat(&to, &done.name, AtFlags::REMOVEDIR).unwrap_or_default();
        }
        (self.from, self.to) = (from, to);
        Ok(())
    }
}

fn allow_existing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn directory<P: rustix::path::Arg>(at: BorrowedFd<'_>, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, OFlags::RDONLY | OFlags::NONBLOCK | flags, Mode::empty())?;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | flags;
    let target = rustix::fs::openat(to, name, create, Mode::from_bits_truncate(0o600))?;
    let (mut source, mut target) = (File::from(source), File::from(target));
    io::copy(&mut source, &mut target).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    attributes(&target, stat)
}

fn attributes(fd: impl AsFd, stat: &Stat) -> Result<(), Errno> {
    rustix::fs::fchown(&fd, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(stat.st_mode))?;
    let at = |sec, nsec: u64| rustix::fs::Timespec { tv_sec: sec, tv_nsec: nsec.cast_signed() };
    let times = Timestamps {
        last_access: at(stat.st_atime, stat.st_atime_nsec),
        last_modification: at(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::futimens(&fd, &times)
}

fn owner_of_link(to: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use corten_sys::{Dir, fs, tree};

    use super::*;

    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Self {
            let base = std::env::temp_dir().join(format!("corten-populate-{name}-{}", std::process::id()));
            fs::create_dir_all(base.join("from"), 0o755).unwrap();
            fs::create_dir_all(base.join("to"), 0o755).unwrap();
            Self(base)
        }

        fn copy(&self) -> Result<(), SysError> {
            copy(Dir::open(self.0.join("from"))?, Dir::open(self.0.join("to"))?, "/data")
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            tree::remove(&self.0).unwrap();
        }
    }

    #[test]
    fn a_wide_and_a_deep_tree_with_odd_names() {
        let scene = Scene::new("wide");
        let from = scene.0.join("from");
        for number in 0..200 {
            fs::create_dir(from.join(format!("d{number}")), 0o751).unwrap();
        }
        let odd = OsString::from_vec(b"\xff\xfe odd".to_vec());
        Dir::open(&from).unwrap().write(&odd, b"odd", 0o644).unwrap();
        let mut deepest = Dir::open(&from).unwrap();
        for _ in 0..300 {
            deepest = deepest.create_dir_all(odd.to_string_lossy().repeat(9), 0o700).unwrap();
        }
        deepest.write("leaf", b"deep", 0o640).unwrap();
        drop(deepest);
        scene.copy().unwrap();
        let to = scene.0.join("to");
        assert_eq!(fs::list(&to).unwrap().len(), 202);
        assert_eq!(Dir::open(&to).unwrap().read(&odd, 100).unwrap(), b"odd");
        let mut deepest = Dir::open(&to).unwrap();
        for _ in 0..300 {
            deepest = deepest.open_dir(odd.to_string_lossy().repeat(9)).unwrap();
        }
        assert_eq!(deepest.read("leaf", 100).unwrap(), b"deep");
    }

    #[test]
    fn a_copy_that_fails_takes_back_what_it_made_and_nothing_else() {
        let scene = Scene::new("fails");
        let (from, to) = (scene.0.join("from"), scene.0.join("to"));
        for directory in ["a/b", "c"] {
            fs::create_dir_all(from.join(directory), 0o755).unwrap();
            fs::write_atomic(from.join(directory).join("file"), b"x").unwrap();
        }
        // Somebody else's file where the image has a directory.
        fs::create_dir_all(to.join("a/b"), 0o755).unwrap();
        fs::write_atomic(to.join("a/theirs"), b"x").unwrap();
        fs::write_atomic(to.join("c"), b"x").unwrap();
        let error = scene.copy().unwrap_err();
        assert_eq!(error.to_string(), "copy /data/c: not a directory");
        let mut left = fs::list(&to).unwrap();
        left.sort();
        assert_eq!(left, ["a", "c"]);
        assert_eq!(fs::list(to.join("a")).unwrap(), ["theirs"]);
    }
}
