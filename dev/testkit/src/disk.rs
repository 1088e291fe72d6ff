//! A small file system of its own, which a case may fill and free again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use corten_sys::mount::{self, MountAttrFlags};
use corten_sys::{Dir, fs};

/// Mounted until it is dropped; declare it after the sandbox that uses it, which is to go first.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    image: Option<PathBuf>,
}

/// The name of the file that takes all the space.
const FILLER: &str = "filler";

impl Disk {
    /// A tmpfs with these options.
    pub fn tmpfs(options: &[(&str, &str)]) -> Self {
        let disk = Self { path: unique(), image: None };
        fs::create_dir_all(&disk.path, 0o755).expect("create a mount point");
        let options: Vec<_> = options.iter().map(|&(key, value)| (key, Some(value))).collect();
        let made = mount::new_filesystem("tmpfs", &options, MountAttrFlags::empty()).expect("make a tmpfs");
        let onto = Dir::open(&disk.path).expect("open a mount point");
        mount::attach(&made, &onto, "disk").expect("mount a tmpfs");
        disk
    }

    /// An ext4 of that many bytes on a loop device; none where the machine has no loop device.
    pub fn ext4(bytes: u64) -> Option<Self> {
        let path = unique();
        let image = path.with_extension("img");
        let disk = Self { path, image: Some(image.clone()) };
        fs::create_dir_all(&disk.path, 0o755).expect("create a mount point");
        File::create(&image).and_then(|file| file.set_len(bytes)).expect("create a disk image");
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if output.status.success() { Ok(()) } else { Err(said) }
        };
        let (image, target) = (image.display().to_string(), disk.path.display().to_string());
        run("mkfs.ext4", &["-q", "-m", "0", &image]).expect("mkfs.ext4");
        match run("mount", &["-o", "loop", &image, &target]) {
            Ok(()) => Some(disk),
            Err(said) => {
                crate::skip("loop", &said);
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all space but `room` bytes.
    pub fn fill(&self, room: u64) {
        let path = self.path.join(FILLER);
        let mut file = File::create(&path).expect("create the filler");
        let zeros = vec![0_u8; 64 << 10];
        let mut step = zeros.len();
        while step >= 512 {
            if file.write_all(&zeros[..step]).is_err() {
                step /= 2;
            }
        }
        let length = file.metadata().expect("stat the filler").len();
        file.set_len(length.saturating_sub(room)).expect("make room");
        file.sync_all().expect("sync the filler");
    }

    /// Takes all files that there can be but `room`.
    pub fn fill_with_files(&self, room: usize) {
        let directory = self.path.join(FILLER);
        fs::create_dir_all(&directory, 0o755).expect("create the filler");
        let mut made = 0_usize;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        while options.open(directory.join(made.to_string())).is_ok() {
            made += 1;
        }
        for number in made.saturating_sub(room)..made {
            fs::remove_file(directory.join(number.to_string())).expect("make room");
        }
    }

    /// Gives back what was filled.
    pub fn free(&self) {
        let path = self.path.join(FILLER);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("free the space");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What fails here is a mount that was never made, or one that a failed case still uses.
        mount::unmount(&self.path).unwrap_or_default();
        std::fs::remove_dir(&self.path).unwrap_or_default();
        self.image.iter().for_each(|image| std::fs::remove_file(image).unwrap_or_default());
    }
}

fn unique() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("corten-disk-{}-{serial}", std::process::id()))
}
