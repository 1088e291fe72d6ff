//! `corten rmi`: takes names away, and images with their last name.

use std::ffi::OsString;

use clap::Args;
use corten_engine::images::{self, Removal, RemoveOptions};
use corten_engine::{ErrorKind, undo};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten rmi";

#[derive(Debug, Args)]
#[command(override_usage = "corten rmi [OPTIONS] IMAGE [IMAGE...]")]
struct RmiArgs {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Remove only the given platform variant: an image here has one platform, which must be that one
    #[arg(long, value_name = "strings")]
    platform: Vec<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: RmiArgs = flags::parse(NAME, "Remove one or more images", arguments)?;
    flags::check_count(NAME, "[OPTIONS] IMAGE [IMAGE...]", Arity::AtLeast(1), &args.words)?;
    if !args.platform.is_empty() {
        let text = "--platform: every image here has one platform; name the image by its ID instead";
        return Err(CliError::bare(text, 1));
    }
    let engine = context.engine()?;
    let mut failures = Vec::new();
    for name in &args.words {
        let options = RemoveOptions { force: args.force, keep: true, keep_parents: args.no_prune };
        match images::remove(&engine, name, options) {
            Ok(done) => {
                for removal in done {
                    context.ui.line(match removal {
                        Removal::Untagged(reference) => format!("Untagged: {reference}"),
                        Removal::Deleted(digest) => format!("Deleted: {digest}"),
                    });
                }
            }
            // As docker: said, and no failure, where all that was wanted is that it be gone.
            Err(error) if args.force && error.kind() == ErrorKind::NotFound => {
                CliError::from(error).report(&mut context.ui);
            }
            Err(error) => failures.push(CliError::from(error)),
        }
    }
    // The images are gone already; their bytes go while the user reads on.
    context.ui.flush();
    let emptied = images::collect(&engine).and_then(|()| undo::tidy(&engine));
    failures.extend(emptied.err().map(CliError::from));
    CliError::all(failures)
}
