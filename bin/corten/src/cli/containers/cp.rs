//! `corten cp`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::Engine;
use corten_engine::containers;
use corten_engine::containers::copy::{CopyEnd, CopyFailure, CopyOptions, copy};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten cp";
const SYNOPSIS: &str = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tcorten cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\t\
    corten cp [OPTIONS] CONTAINER:SRC_PATH CONTAINER:DEST_PATH";

#[derive(Debug, Args)]
#[command(
    override_usage = "corten cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tcorten cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\tcorten cp [OPTIONS] CONTAINER:SRC_PATH CONTAINER:DEST_PATH"
)]
struct CpArgs {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    follow_link: bool,
    /// Say nothing of what was copied. So it is anyway if no terminal is attached
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, hide_possible_values = true, value_name = "bool")]
    quiet: Option<bool>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Copy files/folders between a container and the local filesystem.\n\nUse '-' as the source to read a tar \
        archive from stdin and extract it to a directory in a container.\nUse '-' as the destination to stream a tar \
        archive of a container source to stdout.";
    let args: CpArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, SYNOPSIS, Arity::Exactly(2), &args.words)?;
    let [source, destination] = args.words.as_slice() else { return Err(CliError::silent(1)) };
    for (text, what) in [(source, "source"), (destination, "destination")] {
        if text.is_empty() {
            return Err(CliError::bare(format!("{what} can not be empty"), 1));
        }
    }
    if container_of(source).is_none() && container_of(destination).is_none() {
        return Err(CliError::bare("must specify at least one container source", 1));
    }
    let engine = context.engine()?;
    let from = end(context, &engine, source)?;
    let to = end(context, &engine, destination)?;
    let quiet = args.quiet.unwrap_or_else(|| !context.ui.is_terminal());
    let options = CopyOptions { archive: args.archive, follow: args.follow_link };
    let (mut input, mut output) = (std::io::stdin(), std::io::stdout());
    let copied =
        copy(&engine, &from, &to, options, &mut input, &mut output).map_err(|failure| match failure {
            CopyFailure::Client(text) => CliError::bare(text, 1),
            CopyFailure::Daemon(error) => error.into(),
        })?;
    if !quiet && !matches!(to, CopyEnd::Archive) {
        context.ui.note(format!("Successfully copied {} to {}", human::size(copied.bytes), copied.target));
    }
    Ok(0)
}

/// The container and the path of `CONTAINER:PATH`; `None` for a path of the host's.
fn container_of(text: &str) -> Option<(&str, &str)> {
    let (container, path) = text.split_once(':').filter(|_| !text.starts_with('/'))?;
    // `./a:b` is a path.
    (!container.starts_with('.')).then_some((container, path))
}

fn end(context: &Context, engine: &Engine, text: &str) -> Result<CopyEnd, CliError> {
    Ok(match container_of(text) {
        Some((name, path)) => CopyEnd::Container {
            record: Box::new(containers::find(engine, name)?),
            name: name.to_owned(),
            path: path.to_owned(),
        },
        None if text == "-" => CopyEnd::Archive,
        None => CopyEnd::Host { directory: context.settings.directory.clone(), path: text.to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        let cases = [
            ("a:b", Some(("a", "b"))),
            ("a:", Some(("a", ""))),
            ("a:b:c", Some(("a", "b:c"))),
            ("/a:b", None),
            ("./a:b", None),
            ("../a:b", None),
            ("a", None),
            ("-", None),
        ];
        for (text, expected) in cases {
            assert_eq!(container_of(text), expected, "{text}");
        }
    }
}
