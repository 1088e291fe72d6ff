//! `corten stop`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers::{self, StopOptions};

use super::targets;
use crate::cli::flags;
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten stop [OPTIONS] CONTAINER [CONTAINER...]")]
struct StopArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, alias = "time", value_name = "int", allow_hyphen_values = true)]
    timeout: Option<i64>,
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: StopArgs = flags::parse("corten stop", "Stop one or more running containers", arguments)?;
    targets::require(&args.names, "corten stop")?;
    let signal = args.signal.as_deref().map(super::kill::signal).transpose()?;
    let options = StopOptions { signal, timeout: args.timeout };
    targets::each(context, &args.names, |_, engine, record| {
        containers::stop(engine, record, &options)?;
        Ok(None)
    })
}
