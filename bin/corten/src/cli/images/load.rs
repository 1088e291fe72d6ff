//! `corten load`: images from an archive of docker's or an OCI layout.

use std::ffi::OsString;
use std::io::Read;

use clap::Args;
use corten_engine::images;
use corten_sys::{fs, pty};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten load";

#[derive(Debug, Args)]
#[command(override_usage = "corten load [OPTIONS]")]
struct LoadArgs {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "string")]
    input: Option<String>,
    /// Load only the given platform (os[/arch[/variant]]) of each image
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress the load output: no progress, and here there is none
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Load an image from a tar archive or STDIN";
    let args: LoadArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let mut input: Box<dyn Read + Send> = match args.input.as_deref() {
        Some(path) => Box::new(fs::open(context.settings.directory.join(path)).map_err(CliError::plain)?),
        None if pty::is_terminal(std::io::stdin()) => {
            return Err(CliError::bare("requested load from stdin, but stdin is empty", 1));
        }
        None => Box::new(std::io::stdin()),
    };
    let engine = context.engine()?;
    for image in images::load(&engine, &mut *input, args.platform.as_deref())? {
        for (reference, before) in &image.replaced {
            let reference = reference.familiar();
            context.ui.line(format!(
                "The image {reference} already exists, renaming the old one with ID {before} to empty string"
            ));
        }
        for reference in &image.references {
            context.ui.line(format!("Loaded image: {}", reference.familiar()));
        }
        if image.references.is_empty() {
            context.ui.line(format!("Loaded image ID: {}", image.id));
        }
    }
    Ok(0)
}
