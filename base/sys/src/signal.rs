//! Signals as descriptors, dispositions for a payload, and signal names.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::error::{Errno, SysError};
use crate::process::last_errno;

/// A descriptor that becomes readable when one of its signals is pending (signalfd(2)).
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
}

impl SignalFd {
    /// Blocks the signals for this process and opens the descriptor, non-blocking.
    pub fn new(signals: &[i32]) -> Result<Self, SysError> {
        let set = signal_set(signals);
        // SAFETY: `set` is a live, initialised set; the old mask is not asked for.
        let rc = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if rc != 0 {
            return Err(SysError::new("sigprocmask", "", last_errno()));
        }
        // SAFETY: as above; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(SysError::new("signalfd", "", last_errno()));
        }
        // SAFETY: a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Takes the next pending signal, or `None`.
    pub fn next(&self) -> Option<i32> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut info) {
            // ssi_signo is the first 32-bit word.
            Ok(length) if length >= 4 => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
            _ => None,
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: all-zero is a valid set; sigemptyset below makes it so by contract.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is live.
    unsafe { libc::sigemptyset(&raw mut set) };
    for &signal in signals {
        // SAFETY: `set` is live; an unknown number is refused with EINVAL and changes nothing.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// Gives a payload what a fresh process has: every disposition default, nothing blocked.
pub fn reset_all() {
    for signal in 1..=64 {
        if !matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
            // SAFETY: SIG_DFL installs no handler; a number the C library reserves is refused with EINVAL.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    let none = signal_set(&[]);
    // SAFETY: `none` is a live, initialised set.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Ignores a signal in this process.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Ends this process by its own default action of `signal`, so that its parent sees the signal.
pub fn die_of(signal: i32) -> Errno {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: raises a signal in this process.
    unsafe { libc::raise(signal) };
    Errno::INVAL
}

/// The signals of Linux on x86_64 and aarch64, by their names without `SIG`.
const NAMES: [(&str, i32); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("IOT", 6),
    ("POLL", 29),
];

/// Reads a signal as docker does: a number, or a name in any case with or without `SIG`, also `RTMIN+n`.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(&(_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(number);
    }
    let (base, sign, offset) = match name.split_once(['+', '-']) {
        Some((base, offset)) => (base, if name.contains('-') { -1 } else { 1 }, offset.parse::<i32>().ok()?),
        None => (name, 1, 0),
    };
    let start = match base {
        "RTMIN" => 34,
        "RTMAX" => 64,
        _ => return None,
    };
    let number = start + sign * offset;
    (34..=64).contains(&number).then_some(number)
}

/// The name of a signal with its `SIG`, or its number.
pub fn name(signal: i32) -> String {
    match NAMES.iter().find(|(_, number)| *number == signal) {
        Some((name, _)) => format!("SIG{name}"),
        None => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_number_and_name() {
        let cases = [
            ("9", Some(9)),
            ("KILL", Some(9)),
            ("sigterm", Some(15)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("0", None),
            ("65", None),
            ("SIGNOPE", None),
            ("RTMIN+40", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!((name(9), name(40)), ("SIGKILL".to_owned(), "40".to_owned()));
    }
}
