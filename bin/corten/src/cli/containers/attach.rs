//! `corten attach`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::ErrorKind;
use corten_engine::containers::{self, Status};

use super::session::{Session, SessionOptions};
use crate::cli::flags::{self, AttachFlags};
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten attach [OPTIONS] CONTAINER")]
struct AttachArgs {
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    flags: AttachFlags,
    #[arg(value_name = "CONTAINER")]
    name: String,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Attach local standard input, output, and error streams to a running container";
    let args: AttachArgs =
        flags::parse("corten attach", about, arguments).map_err(|error| error.code_unless_help(1))?;
    let engine = context.engine()?;
    let record = containers::find(&engine, &args.name)?;
    let current = containers::state::read(&engine, &record)?;
    let Some(run) = current.run.as_ref().filter(|_| current.is_running()) else {
        return Err(CliError::bare("You cannot attach to a stopped container, start it first", 1));
    };
    if current.status == Status::Paused {
        return Err(CliError::bare("You cannot attach to a paused container, unpause it first", 1));
    }
    let mut options = SessionOptions::new(&context.settings, &args.flags, &[], &record.spec)?;
    options.stdin &= !args.no_stdin;
    let socket = containers::connect(&engine, &record).map_err(|error| match error.kind() {
        ErrorKind::Internal => {
            CliError::from(error).hint("Its worker is starting or ending: try again, or see 'corten logs'")
        }
        _ => error.into(),
    })?;
    let session = Session::new(socket, options, record.spec.tty)?;
    session.serve_attached(&engine, &record, run.init.pid)
}
