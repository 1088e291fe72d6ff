//! The corten binary: dispatches to a personality or a command. No logic.
//!
//! Order matters (architecture D2, D3): a command that starts a container clones its keeper before anything is
//! parsed, while the heap is clean.

mod cli;
mod client_config;
mod settings;
mod ui;

use std::process::ExitCode;

use corten_engine::launch;
use corten_runtime::init;
use corten_sys::arena::Arena;
use corten_sys::socket;

#[global_allocator]
static ALLOCATOR: Arena = Arena;

fn main() -> ExitCode {
    // What is made for containers is readable in them, whatever the caller's habit.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if name == init::PROTECTED {
        let number = arguments.next().unwrap_or_default();
        init::resume(socket::inherited(&number.to_string_lossy()));
    }
    if name == launch::START_OVER {
        cli::start_over(arguments);
    }
    if name == launch::PROBE {
        return cli::health_probe(arguments);
    }
    cli::main()
}
