//! `corten restart`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers::{self, StopOptions};

use super::targets;
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten restart";
const SYNOPSIS: &str = "[OPTIONS] CONTAINER [CONTAINER...]";

#[derive(Debug, Args)]
#[command(override_usage = "corten restart [OPTIONS] CONTAINER [CONTAINER...]")]
struct RestartArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    /// Seconds to wait before killing the container (-1 waits for ever)
    #[arg(short, long, alias = "time", value_name = "int", allow_hyphen_values = true)]
    timeout: Option<i64>,
    #[arg(value_name = "CONTAINER", hide = true)]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: RestartArgs = flags::parse(NAME, "Restart one or more containers", arguments)?;
    flags::check_count(NAME, SYNOPSIS, Arity::AtLeast(1), &args.names)?;
    let signal = args.signal.as_deref().map(super::kill::signal).transpose()?;
    let options = StopOptions { signal, timeout: args.timeout };
    targets::each(context, &args.names, |context, engine, record| {
        let keeper = context.take_keeper()?;
        containers::restart(engine, record, keeper, &options).map_err(|error| {
            CliError::from(error).within(&format!("Cannot restart container {}", record.name)).code(1)
        })?;
        Ok(None)
    })
}
