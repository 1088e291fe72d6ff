//! `corten unpause`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;

use super::targets;
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten unpause";
const SYNOPSIS: &str = "CONTAINER [CONTAINER...]";

#[derive(Debug, Args)]
#[command(override_usage = "corten unpause CONTAINER [CONTAINER...]")]
struct UnpauseArgs {
    #[arg(value_name = "CONTAINER", hide = true)]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: UnpauseArgs =
        flags::parse(NAME, "Unpause all processes within one or more containers", arguments)?;
    flags::check_count(NAME, SYNOPSIS, Arity::AtLeast(1), &args.names)?;
    targets::each(context, &args.names, |_, engine, record| {
        containers::unpause(engine, record)?;
        Ok(None)
    })
}
