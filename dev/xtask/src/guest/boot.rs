//! Starting QEMU and reading what the guest says on its serial line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use super::Task;
use super::initramfs::{BEGIN, EXIT};
use crate::failure::{Failure, Result};
use crate::shell::Cmd;

/// Sparse: takes the space that is written to it.
const DISK_BYTES: u64 = 4 << 30;

/// Makes an empty ext4 disk in `dir`.
pub(super) fn make_disk(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("disk.ext4");
    let file = File::create(&path).map_err(|error| Failure::io("create", &path, &error))?;
    file.set_len(DISK_BYTES).map_err(|error| Failure::io("grow", &path, &error))?;
    Cmd::new("mkfs.ext4").args(["-q", "-F"]).arg(&path).read()?;
    Ok(path)
}

/// Boots, passes the script's output on, and returns its exit code. QEMU is gone when this returns.
pub(super) fn run(kernel: &Path, initrd: &Path, disk: &Path, task: &Task) -> Result<u8> {
    let arguments = format!("console=ttyS0 quiet loglevel=3 panic=-1 {}", task.arguments);
    let drive = format!("file={},if=virtio,format=raw,cache=unsafe", disk.display());
    let mut command = Cmd::new("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "1G",
            "-nographic",
            "-no-reboot",
            "-nic",
            "none",
        ])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .args(["-drive", &drive, "-append", &arguments])
        .into_command();
    command.stdout(Stdio::piped());
    let child = command.spawn().map_err(|error| Failure::new(format!("run qemu-system-x86_64: {error}")))?;
    let mut qemu = Qemu(child);
    let lines = qemu.lines()?;
    follow(&lines, Instant::now() + task.timeout)
}

/// The emulator; ended with its owner.
struct Qemu(Child);

impl Qemu {
    fn lines(&mut self) -> Result<Receiver<String>> {
        let stdout = self.0.stdout.take().ok_or_else(|| Failure::new("qemu-system-x86_64: no output"))?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(receiver)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only when it is already gone.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Prints what comes between the markers. What comes before them is kept for a guest that does not get there.
fn follow(lines: &Receiver<String>, deadline: Instant) -> Result<u8> {
    let mut before = Vec::new();
    let mut begun = false;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if begun => match line.strip_prefix(EXIT).and_then(|code| code.parse().ok()) {
                Some(code) => return Ok(code),
                None => println!("{line}"),
            },
            // The firmware leaves its escape codes in front of the first line.
            Ok(line) if line.ends_with(BEGIN) => begun = true,
            Ok(line) => before.push(line),
            Err(reason) => {
                if !begun {
                    for line in before.iter().rev().take(30).rev() {
                        eprintln!("guest: {line}");
                    }
                }
                let what = if begun { "the command" } else { "the boot" };
                return Err(Failure::new(match reason {
                    RecvTimeoutError::Timeout => format!("guest: {what} did not end in time"),
                    RecvTimeoutError::Disconnected => {
                        format!("guest: ended during {what}, without an exit code")
                    }
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::follow;

    fn outcome(lines: &[&str]) -> Result<u8, String> {
        let (sender, receiver) = mpsc::channel();
        for line in lines {
            sender.send((*line).to_owned()).unwrap();
        }
        drop(sender);
        follow(&receiver, Instant::now() + Duration::from_secs(5)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_exit_code_is_the_one_after_the_marker() {
        assert_eq!(outcome(&["\u{1b}[2Jcorten-guest: begin", "hi", "", "corten-guest: exit 3", "x"]), Ok(3));
        assert_eq!(outcome(&["corten-guest: exit 0", "corten-guest: begin", "corten-guest: exit 7"]), Ok(7));
    }

    #[test]
    fn a_guest_that_dies_is_a_failure_not_a_success() {
        assert_eq!(
            outcome(&["Kernel panic"]),
            Err("guest: ended during the boot, without an exit code".to_owned())
        );
        let died = outcome(&["corten-guest: begin", "corten-guest: exit soon"]);
        assert_eq!(died, Err("guest: ended during the command, without an exit code".to_owned()));
    }

    #[test]
    fn a_guest_that_hangs_is_given_up() {
        let (_sender, receiver) = mpsc::channel();
        let failure = follow(&receiver, Instant::now()).unwrap_err();
        assert_eq!(failure.to_string(), "guest: the boot did not end in time");
    }
}
