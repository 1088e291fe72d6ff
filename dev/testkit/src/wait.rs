//! Waiting for a state, with a deadline: the only place that lets time pass.

use std::time::{Duration, Instant};

use corten_sys::clock;

/// How long anything may take that is not under test for its speed. Two shared cores, thirty tests at once.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer; panics with `what` when the deadline has passed.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        pause(Duration::from_millis(10));
    }
}

/// Lets a little time pass between two questions.
pub fn pause(time: Duration) {
    clock::poll(&mut [], Some(time)).unwrap_or_default();
}
