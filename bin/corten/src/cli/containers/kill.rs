//! `corten kill`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;
use corten_sys::signal;

use super::targets;
use crate::cli::flags;
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten kill [OPTIONS] CONTAINER [CONTAINER...]")]
struct KillArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string", default_value = "KILL")]
    signal: String,
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: KillArgs = flags::parse("corten kill", "Kill one or more running containers", arguments)?;
    targets::require(&args.names, "corten kill")?;
    let signal = self::signal(&args.signal)?;
    targets::each(context, &args.names, |_, engine, record| {
        containers::kill(engine, record, signal).map_err(|error| {
            CliError::from(error).within(&format!("cannot kill container: {}", record.name))
        })?;
        Ok(None)
    })
}

/// Reads a signal or says docker's words.
pub(super) fn signal(text: &str) -> Result<i32, CliError> {
    signal::parse(text).ok_or_else(|| CliError::daemon(format!("invalid signal: {text}")))
}
