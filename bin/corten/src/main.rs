//! The corten binary: dispatches to a personality or a command. No logic.
//!
//! Order matters (architecture D2, D3): a command that starts a container clones its keeper before anything is
//! parsed, while the heap is clean.

mod cli;
mod settings;
mod ui;

use std::process::ExitCode;

use corten_engine::launch;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| name == launch::START_OVER) {
        cli::start_over(arguments);
    }
    cli::main()
}
