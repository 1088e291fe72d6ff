//! `corten rm`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::ErrorKind;
use corten_engine::containers::{self, RemoveOptions};
use corten_engine::undo;

use super::targets;
use crate::cli::flags;
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten rm [OPTIONS] CONTAINER [CONTAINER...]")]
struct RmArgs {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: RmArgs = flags::parse("corten rm", "Remove one or more containers", arguments)?;
    targets::require(&args.names, "corten rm")?;
    let options = RemoveOptions { force: args.force, volumes: args.volumes, keep: true };
    let mut missing = false;
    let removed = targets::each_name(context, &args.names, |context, engine, name| {
        match containers::find(engine, name) {
            Ok(record) => containers::remove(engine, &record, options)?,
            // What is to be gone and is not there is no failure, but is told of.
            Err(error) if args.force && error.kind() == ErrorKind::NotFound => {
                missing = true;
                CliError::from(error).report(&mut context.ui);
                return Ok(Some(String::new()));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    });
    // Once, however many there were. Of what is not found a command that was killed may have left something.
    let sweep = if missing { containers::sweep_all } else { containers::sweep };
    let swept = context.engine().and_then(|engine| {
        sweep(&engine)?;
        Ok(undo::tidy(&engine)?)
    });
    removed.and_then(|code| swept.map(|()| code))
}
