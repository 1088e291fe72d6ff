//! `corten save`: images into one archive.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use corten_engine::images;
use corten_sys::fs;

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
        check_target(path).map_err(|reason| CliError::bare(format!("failed to save image: {reason}"), 1))?;
    }
    let engine = context.engine()?;
    let items = images::to_save(&engine, &args.words, args.platform.as_deref())?;
    let Some(path) = target else {
        images::save(&engine, &items, &mut std::io::stdout().lock())?;
        return Ok(0);
    };
    let mut output = Output::create(&path)?;
    images::save(&engine, &items, &mut output.file)?;
    output.publish()?;
    Ok(0)
}

/// Refuses what no archive can be put in place of, in docker's words.
fn check_target(path: &Path) -> Result<(), String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = fs::open_path(directory) {
        return Err(format!("invalid output path: {error}"));
    }
    let Ok(metadata) = path.metadata() else { return Ok(()) };
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err("cannot write to a directory".to_owned()),
        () if kind.is_char_device() => Err("cannot write to a character device file".to_owned()),
        () if kind.is_block_device() => Err("cannot write to a block device file".to_owned()),
        () => Err("cannot write to an irregular file".to_owned()),
    }
}

/// A file beside the target that takes its place when it is whole, and goes when it is not.
struct Output {
    file: File,
    staged: Option<PathBuf>,
    target: PathBuf,
}

impl Output {
    fn create(path: &Path) -> Result<Self, CliError> {
        // A link stays, what it leads to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let staged = target.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = fs::open_with(&staged, OpenOptions::new().write(true).create_new(true).mode(0o600))?;
        Ok(Self { file, staged: Some(staged), target })
    }

    fn publish(mut self) -> Result<(), CliError> {
        self.file.flush().map_err(|error| CliError::bare(format!("write the archive: {error}"), 1))?;
        if let Some(staged) = &self.staged {
            fs::rename(staged, &self.target)?;
        }
        self.staged = None;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged {
            // The failure that brought us here is what the user is told.
            fs::remove_file(staged).unwrap_or_default();
        }
    }
}
