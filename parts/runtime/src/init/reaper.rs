//! `--init`: process 1 that passes signals on to the payload and reaps orphans, then ends as the payload did.

use corten_sys::process::{self, Pid};
use corten_sys::{clock, signal::SignalFd, title};
use rustix::process::{WaitOptions, WaitStatus};

/// Serves as process 1 until the payload has ended. Never returns.
pub(crate) fn main(payload: Pid) -> ! {
    title::replace("corten-init");
    // The payload's start is reported when the last copy of the socket closes; this one would stay.
    if process::close_all_but(&[]).is_err() {
        process::exit_now(125);
    }
    let all: Vec<i32> = (1..=64).filter(|&signal| !matches!(signal, 9 | 11 | 19 | 32 | 33)).collect();
    let Ok(signals) = SignalFd::new(&all) else { process::exit_now(125) };
    // What ended before its signal could be held back was not told of.
    reap(payload);
    loop {
        // With no deadline this only ends on a signal or an error.
        clock::wait_readable(&signals, None).unwrap_or_default();
        while let Some(signal) = signals.next() {
            if signal == CHILD {
                reap(payload);
            } else if let Ok(pidfd) = process::open_pidfd(payload) {
                // A payload that ended meanwhile needs no signal.
                process::send_signal(&pidfd, signal).unwrap_or_default();
            }
        }
    }
}

const CHILD: i32 = 17;

fn reap(payload: Pid) {
    while let Ok(Some((pid, status))) = rustix::process::waitpid(None, WaitOptions::NOHANG) {
        if pid == payload {
            process::exit_now(code(status));
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(125)
}
