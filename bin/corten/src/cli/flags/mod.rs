//! The flags that run and create share, and how each becomes part of a `ContainerSpec`.

mod args;
mod convert;
mod mounts;
mod security;
pub(crate) mod table;
pub(crate) mod update;
mod values;

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

pub(crate) use args::{AttachFlags, CONTAINER, ContainerFlags, RUN};
pub(crate) use convert::{read_environment, to_spec};

use super::CliError;

/// Parses one command's arguments, building only that command's parser.
pub(crate) fn parse<A: clap::Args + FromArgMatches>(
    name: &'static str,
    about: &'static str,
    arguments: Vec<OsString>,
) -> Result<A, CliError> {
    let command = A::augment_args(Command::new(name).about(about).bin_name(name))
        .no_binary_name(true)
        .disable_version_flag(true)
        // docker's -h is the host name.
        .disable_help_flag(true)
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Print usage"))
        .args_override_self(true);
    let matches = command.try_get_matches_from(arguments).map_err(|error| usage(name, &error))?;
    from_matches(&matches).map_err(|error| usage(name, &error))
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arity {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

/// Refuses a wrong number of arguments in docker's words; `synopsis` is what stands behind the name in the usage.
pub(crate) fn check_count(
    name: &str,
    synopsis: &str,
    arity: Arity,
    arguments: &[String],
) -> Result<(), CliError> {
    let count = arguments.len();
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let reason = match arity {
        Arity::None if count > 0 => "accepts no arguments".to_owned(),
        Arity::Exactly(wanted) if count != wanted => format!("requires {wanted} {}", plural(wanted)),
        Arity::AtLeast(least) if count < least => format!("requires at least {least} {}", plural(least)),
        Arity::AtMost(most) if count > most => format!("requires at most {most} {}", plural(most)),
        Arity::Between(least, most) if count < least || count > most => {
            format!("requires at least {least} and at most {most} {}", plural(most))
        }
        _ => return Ok(()),
    };
    let text = format!(
        "corten: '{name}' {reason}\n\nUsage:  {name} {synopsis}\n\nRun '{name} --help' for more information"
    );
    Err(CliError::usage(text).code(1))
}

fn from_matches<A: FromArgMatches>(matches: &ArgMatches) -> Result<A, clap::Error> {
    A::from_arg_matches(matches)
}

/// clap's report in docker's shape: the reason, then where help is.
fn usage(name: &str, error: &clap::Error) -> CliError {
    use clap::error::{ContextKind, ErrorKind};
    let text = match error.kind() {
        ErrorKind::DisplayHelp => {
            let mut ui = crate::ui::Ui::new();
            ui.raw(error.to_string().as_bytes());
            return CliError::silent(0);
        }
        ErrorKind::UnknownArgument => {
            let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
            match flag.strip_prefix("--") {
                Some(_) => format!("unknown flag: {flag}"),
                None => format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-')),
            }
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    };
    CliError::usage(format!("{text}\n\nUsage:  {name} [OPTIONS]\n\nRun '{name} --help' for more information"))
}
