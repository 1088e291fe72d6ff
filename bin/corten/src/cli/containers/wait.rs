//! `corten wait`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;

use super::targets;
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten wait CONTAINER [CONTAINER...]")]
struct WaitArgs {
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Block until one or more containers stop, then print their exit codes";
    let args: WaitArgs = flags::parse("corten wait", about, arguments)?;
    flags::check_count("corten wait", "CONTAINER [CONTAINER...]", Arity::AtLeast(1), &args.names)?;
    targets::each_name(context, &args.names, |_, engine, name| {
        Ok(Some(containers::wait_for(engine, name)?.to_string()))
    })
}
