//! Asking and carrying out, and a line for each.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use corten_sys::probe::{self, Asker, Interface, Outcome, Verdict};
use corten_sys::process::Exit;

use crate::cases::{self, Case};

/// How long a call may take that is carried out; no call should, but machines are slow at times.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls that are asked about only: `sync` writes the host's disks whatever its arguments, `restart_syscall` answers for
/// whichever call was interrupted before, `pause` and the old `sigsuspend` wait for ever.
const ASKED_ONLY: [(Interface, u32); 10] = [
    (Interface::X86_64, 34),
    (Interface::I386, 29),
    (Interface::X32, 34),
    (Interface::I386, 72),
    (Interface::X86_64, 162),
    (Interface::I386, 36),
    (Interface::X32, 162),
    (Interface::X86_64, 219),
    (Interface::I386, 0),
    (Interface::X32, 219),
];

/// Prints a line for every case.
pub(crate) fn all() -> Result<(), Box<dyn Error>> {
    let cases = cases::all();
    let verdicts = verdicts(cases.len())?;
    let mut out = String::new();
    for (Case { call, variant }, verdict) in cases.iter().zip(&verdicts) {
        let interface = match call.interface {
            Interface::X86_64 => "x86_64",
            Interface::I386 => "i386",
            Interface::X32 => "x32",
        };
        let outcome = if ASKED_ONLY.contains(&(call.interface, call.number)) {
            "not-made".to_owned()
        } else {
            describe(probe::carry_out(call, PATIENCE)?)
        };
        out.push_str(&format!("{interface} {} {variant} {verdict} {outcome}\n", call.number));
    }
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}

/// The verdicts of all cases, asked by children: a filter that kills ends one, and the next goes on behind that case.
fn verdicts(count: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut verdicts = Vec::with_capacity(count);
    while verdicts.len() < count {
        let mut child = Command::new("/proc/self/exe")
            .args(["ask", &verdicts.len().to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        for line in lines.lines() {
            verdicts.push(line?);
        }
        let status = child.wait()?;
        match status.signal() {
            Some(signal) if verdicts.len() < count => verdicts.push(format!("killed-{signal}")),
            _ if verdicts.len() == count => {}
            _ => return Err(format!("asking stopped at case {}: {status}", verdicts.len()).into()),
        }
    }
    Ok(verdicts)
}

/// Prints the verdicts of the cases from this one on, each as soon as it is known.
pub(crate) fn ask_from(first: usize) -> Result<(), Box<dyn Error>> {
    // Started before the filter is there, so that nothing it does is ever held back.
    let (sender, receiver) = mpsc::channel::<probe::Listener>();
    thread::spawn(move || match receiver.recv() {
        Ok(listener) => listener.serve(),
        Err(_) => Ok(()),
    });
    let (asker, listener) = Asker::install()?;
    sender.send(listener)?;
    let mut out = std::io::stdout();
    for case in cases::all().iter().skip(first) {
        let verdict = match asker.ask(&case.call) {
            Verdict::Passed => "pass".to_owned(),
            Verdict::Refused(errno) => name(errno),
        };
        out.write_all(format!("{verdict}\n").as_bytes())?;
    }
    Ok(())
}

fn describe(outcome: Outcome) -> String {
    match outcome {
        Outcome::Returned => "ok".to_owned(),
        Outcome::Errno(errno) => name(errno),
        Outcome::Ended(Exit::Code(_)) => "exits".to_owned(),
        Outcome::Ended(Exit::Signal(signal)) => format!("killed-{signal}"),
        Outcome::Waits => "waits".to_owned(),
        Outcome::NotMade => "not-made".to_owned(),
    }
}

/// The errnos that system calls without sense are answered with (asm-generic/errno-base.h, errno.h).
const ERRNOS: [(i32, &str); 32] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (15, "ENOTBLK"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (22, "EINVAL"),
    (25, "ENOTTY"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
    (34, "ERANGE"),
    (36, "ENAMETOOLONG"),
    (38, "ENOSYS"),
    (88, "ENOTSOCK"),
    (93, "EPROTONOSUPPORT"),
    (94, "ESOCKTNOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (97, "EAFNOSUPPORT"),
    (110, "ETIMEDOUT"),
    (130, "EOWNERDEAD"),
];

fn name(errno: i32) -> String {
    match ERRNOS.iter().find(|(number, _)| *number == errno) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("errno-{errno}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, Outcome, describe};

    #[test]
    fn outcomes_are_one_word() {
        let check = |outcome, expected: &str| assert_eq!(describe(outcome), expected);
        check(Outcome::Returned, "ok");
        check(Outcome::Errno(1), "EPERM");
        check(Outcome::Errno(77), "errno-77");
        check(Outcome::Ended(Exit::Code(255)), "exits");
        check(Outcome::Ended(Exit::Signal(31)), "killed-31");
        check(Outcome::Waits, "waits");
        check(Outcome::NotMade, "not-made");
    }
}
