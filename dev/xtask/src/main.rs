//! `cargo xtask VERB`: everything the project does to itself. One module per verb.
//!
//! Not shipped, and not linked against the product: what it checks, it checks from outside.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a build tool prints, reads its environment and runs programs; the product's rules fence the product"
)]

mod bench;
mod demo;
mod deny;
mod differential;
mod docker;
mod elf;
mod engines;
mod failure;
mod guest;
mod prerequisites;
mod rootfs;
mod scratch;
mod seccomp;
mod shell;
mod test;
mod tidy;
mod ustar;
mod workspace;

use std::env;
use std::process::ExitCode;

use failure::{Failure, Result};

const USAGE: &str = "\
usage: cargo xtask VERB

  demo [--debian]        build corten and show it: hello-world, then a shell in a real root file system
  test [STEP]            everything CI runs, or one step of it; installs what it needs
  tidy                   layers, closures, headers, file lengths, the unsafe fence, lock size
  deny                   licences, banned crates and sources of the dependencies (deny.toml)
  bench [CASE…]          corten beside its peers (--list, --install, --runs N, --peers a,b)
  seccomp                every system call under docker and under corten, each difference and its reason
                         (--profile FILE: docker with that profile; --binary FILE: that corten)
  differential [NAME…]   command lines on corten and on docker, each difference and its reason; of the scenarios
                         with these names alone (--binary FILE: that corten, --verbose)
  guest [-- COMMAND]     run COMMAND in a QEMU guest with Debian's 6.1 kernel and cgroup v2 (--timeout SECONDS)";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let Some((verb, rest)) = args.split_first() else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    match verb.as_str() {
        "demo" => demo::run(rest).map(|()| ExitCode::SUCCESS),
        "test" => test::run(rest).map(|()| ExitCode::SUCCESS),
        "tidy" => tidy::run(rest).map(|()| ExitCode::SUCCESS),
        "deny" => deny::run(rest).map(|()| ExitCode::SUCCESS),
        "bench" => bench::run(rest),
        "seccomp" => seccomp::run(rest).map(|()| ExitCode::SUCCESS),
        "differential" => differential::run(rest).map(|()| ExitCode::SUCCESS),
        "guest" => guest::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::new(format!("unknown verb {other:?}; `cargo xtask help` lists them"))),
    }
}
