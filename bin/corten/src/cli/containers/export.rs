//! `corten export`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;

use crate::cli::archive_file::{self, ArchiveFile};
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten export";

#[derive(Debug, Args)]
#[command(override_usage = "corten export [OPTIONS] CONTAINER")]
struct ExportArgs {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    output: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: ExportArgs = flags::parse(NAME, "Export a container's filesystem as a tar archive", arguments)?;
    flags::check_count(NAME, "[OPTIONS] CONTAINER", Arity::Exactly(1), &args.words)?;
    let output = args.output.as_ref().filter(|output| !output.is_empty());
    if output.is_none() && context.ui.is_terminal() {
        return Err(CliError::bare(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            1,
        ));
    }
    let target = output.map(|path| context.settings.directory.join(path));
    if let Some(path) = &target {
        archive_file::check_target(path)
            .map_err(|reason| CliError::bare(format!("failed to export container: {reason}"), 1))?;
    }
    let engine = context.engine()?;
    let record = containers::find(&engine, args.words.first().map(String::as_str).unwrap_or_default())?;
    let Some(path) = target else {
        containers::export(&engine, &record, &mut std::io::stdout().lock())?;
        return Ok(0);
    };
    let mut file = ArchiveFile::create(&path)?;
    containers::export(&engine, &record, file.file())?;
    file.publish()?;
    Ok(0)
}
