//! `corten save`: images into one archive.

use std::ffi::OsString;

use clap::Args;
use corten_engine::images;

use crate::cli::archive_file::{self, ArchiveFile};
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten save";

#[derive(Debug, Args)]
#[command(override_usage = "corten save [OPTIONS] IMAGE [IMAGE...]")]
struct SaveArgs {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    output: Option<String>,
    /// Save only the given platform (os[/arch[/variant]]): an image of another one is refused
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Save one or more images to a tar archive (streamed to STDOUT by default)";
    let args: SaveArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS] IMAGE [IMAGE...]", Arity::AtLeast(1), &args.words)?;
    if args.output.is_none() && context.ui.is_terminal() {
        let text = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
        return Err(CliError::bare(text, 1));
    }
    let target = args.output.as_ref().map(|path| context.settings.directory.join(path));
    if let Some(path) = &target {
        archive_file::check_target(path)
            .map_err(|reason| CliError::bare(format!("failed to save image: {reason}"), 1))?;
    }
    let engine = context.engine()?;
    let items = images::to_save(&engine, &args.words, args.platform.as_deref())?;
    let Some(path) = target else {
        images::save(&engine, &items, &mut std::io::stdout().lock())?;
        return Ok(0);
    };
    let mut output = ArchiveFile::create(&path)?;
    images::save(&engine, &items, output.file())?;
    output.publish()?;
    Ok(0)
}
