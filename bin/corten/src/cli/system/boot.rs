//! `corten boot`: for the host's init system, and after a boot by hand.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers::boot;

use crate::cli::{CliError, Context, flags};

#[derive(Debug, Args)]
#[command(override_usage = "corten boot [OPTIONS]")]
struct BootArgs {
    /// Stop all containers for the host's shutdown; the next boot starts what it would have started anyway
    #[arg(long)]
    stop: bool,
    #[arg(value_name = "ARG", hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Start the containers that should run (restart policies always and unless-stopped)";
    let args: BootArgs =
        flags::parse("corten boot", about, arguments).map_err(|error| error.code_unless_help(1))?;
    flags::check_count("corten boot", "[OPTIONS]", flags::Arity::None, &args.words)?;
    let engine = context.engine()?;
    if args.stop {
        return Ok(u8::from(!boot::stop_all(&engine)?.is_empty()));
    }
    let mut failed = false;
    for record in boot::due(&engine)? {
        failed |= !boot::start_afresh(&engine, &record)?;
    }
    Ok(u8::from(failed))
}
