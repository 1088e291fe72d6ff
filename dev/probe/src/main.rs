//! Makes every system call and prints what became of each: `INTERFACE NUMBER VARIANT VERDICT OUTCOME`.
//!
//! The verdict is that of the seccomp filters above it, asked without carrying the call out; the outcome is what the
//! kernel answers when it is carried out in a child. `cargo xtask seccomp` runs it in containers and compares.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test program: it prints, and runs itself"
)]

#[cfg(target_arch = "x86_64")]
mod cases;
#[cfg(target_arch = "x86_64")]
mod report;

use std::process::ExitCode;

#[cfg(target_arch = "x86_64")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("ask") => report::ask_from(arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(0)),
        _ => report::all(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn main() -> ExitCode {
    eprintln!("probe: only x86_64 has the interfaces that are compared");
    ExitCode::FAILURE
}
