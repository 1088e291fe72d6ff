//! `corten volume rm`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::{ErrorKind, volumes};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten volume rm";

#[derive(Debug, Args)]
#[command(override_usage = "corten volume rm [OPTIONS] VOLUME [VOLUME...]")]
struct RmArgs {
    /// Force the removal of one or more volumes: one that is not there is no failure
    #[arg(short, long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Remove one or more volumes. You cannot remove a volume that is in use by a container";
    let args: RmArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS] VOLUME [VOLUME...]", Arity::AtLeast(1), &args.words)?;
    let engine = context.engine()?;
    let mut failures = Vec::new();
    for name in &args.words {
        match volumes::remove(&engine, name) {
            Err(error) if !(args.force && error.kind() == ErrorKind::NotFound) => {
                failures.push(CliError::from(error));
            }
            _ => context.ui.line(name),
        }
    }
    CliError::all(failures)
}
