//! A command on a pseudo-terminal: what a user at a keyboard has.

use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use corten_sys::pty::{self, Size};
use corten_sys::{Dir, clock};

use crate::invocation::{Invocation, code_of};
use crate::wait::DEADLINE;

/// A terminal with a command on it.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    line: String,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts the command as the leader of a session whose terminal has `rows` and `columns`.
    pub fn start(invocation: &Invocation, rows: u16, columns: u16) -> Self {
        let devpts = Dir::open("/dev/pts").expect("open /dev/pts");
        let (master, slave) = pty::open_in(&devpts).expect("a pseudo-terminal");
        pty::set_size(&master, Size { rows, columns }).expect("resize");
        let stdio = || Stdio::from(slave.try_clone().expect("dup"));
        // Becomes the leader of a session with that terminal and then the command itself (util-linux, busybox).
        let mut command = invocation.clone().through(["setsid", "-c"]).command();
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", invocation.line()));
        Self { master, child, line: invocation.line(), seen: Vec::new() }
    }

    /// Types.
    pub fn send(&self, text: &str) {
        rustix::io::write(&self.master, text.as_bytes()).expect("write to the terminal");
    }

    /// Changes the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        pty::set_size(&self.master, Size { rows, columns }).expect("resize");
    }

    /// Waits until the screen has shown `text` since the last wait; returns all that was shown up to it.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let shown = String::from_utf8_lossy(&self.seen).into_owned();
            if let Some(at) = shown.find(text) {
                let end = at + text.len();
                self.seen = shown.as_bytes()[end..].to_vec();
                return shown[..end].to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{}: no {text:?} on the screen: {shown:?}", self.line);
            assert!(self.read(left) || !left.is_zero(), "{}: closed without {text:?}: {shown:?}", self.line);
        }
    }

    /// Waits for the end of the command; what was shown since the last wait, and its exit code.
    pub fn finish(mut self) -> (String, i32) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.read(Duration::from_millis(10));
            if let Ok(Some(status)) = self.child.try_wait() {
                while self.read(Duration::ZERO) {}
                return (String::from_utf8_lossy(&self.seen).into_owned(), code_of(status));
            }
            if Instant::now() >= deadline {
                self.child.kill().unwrap_or_default();
                panic!("{}: killed at its deadline: {:?}", self.line, String::from_utf8_lossy(&self.seen));
            }
        }
    }

    /// Closes the terminal under the command, as a window that is closed, and waits for its end.
    pub fn hang_up(mut self) -> i32 {
        drop(self.master);
        code_of(self.child.wait().expect("wait for a child"))
    }

    /// Reads what there is; false where nothing came.
    fn read(&mut self, timeout: Duration) -> bool {
        if !clock::wait_readable(&self.master, Some(timeout)).unwrap_or(false) {
            return false;
        }
        let mut buffer = [0; 16 << 10];
        match rustix::io::read(&self.master, &mut buffer) {
            Ok(count) if count > 0 => {
                self.seen.extend_from_slice(&buffer[..count]);
                true
            }
            // EIO: nobody has the terminal open any more.
            _ => {
                crate::wait::pause(Duration::from_millis(5));
                false
            }
        }
    }
}
