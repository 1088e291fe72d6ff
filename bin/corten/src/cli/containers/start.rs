//! `corten start`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::ErrorKind;
use corten_engine::containers::{self, StartOptions, Status};
use corten_sys::socket;

use super::session::{Session, SessionOptions};
use super::targets;
use crate::cli::flags::{self, AttachFlags};
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten start [OPTIONS] CONTAINER [CONTAINER...]")]
struct StartArgs {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: StartArgs = flags::parse("corten start", "Start one or more stopped containers", arguments)?;
    targets::require(&args.names, "corten start")?;
    if args.attach || args.interactive {
        return attached(context, &args);
    }
    targets::each(context, &args.names, |context, engine, record| {
        if containers::state::read(engine, record)?.status == Status::Running {
            return Ok(None);
        }
        let keeper = context.take_keeper()?;
        match containers::start(engine, record, keeper, StartOptions::default()) {
            // Somebody else was faster.
            Err(error)
                if error.kind() == ErrorKind::Conflict
                    && containers::state::read(engine, record)?.status == Status::Running => {}
            started => drop(started.map_err(|error| CliError::from(error).code(1))?),
        }
        Ok(None)
    })
}

fn attached(context: &mut Context, args: &StartArgs) -> Result<u8, CliError> {
    let [name] = args.names.as_slice() else {
        return Err(CliError::bare("you cannot start and attach multiple containers at once", 1));
    };
    let engine = context.engine()?;
    let record = containers::find(&engine, name)?;
    let flags = AttachFlags { detach_keys: args.detach_keys.clone(), sig_proxy: true };
    let mut options = SessionOptions::new(&context.settings, &flags, &[], &record.spec)?;
    options.stdin &= args.interactive;
    let keeper = context.take_keeper()?;
    let (ours, theirs) = socket::pair()?;
    let session = Session::new(ours, options, record.spec.tty)?;
    let start = StartOptions { client: Some(theirs), ..StartOptions::default() };
    let running = containers::start(&engine, &record, keeper, start)?;
    session.serve(&engine, &record, running)
}
