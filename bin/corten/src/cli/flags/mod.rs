//! The flags that run and create share, and how each becomes part of a `ContainerSpec`.

mod args;
mod convert;
mod health;
mod lacking;
mod mounts;
mod security;
pub(crate) mod table;
pub(crate) mod update;
mod values;

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

pub(crate) use args::{AttachFlags, CONTAINER, ContainerFlags, RUN};
pub(crate) use convert::{read_environment, to_spec};
pub(crate) use lacking::LACKING;

use super::CliError;

/// Parses one command's arguments, building only that command's parser.
pub(crate) fn parse<A: clap::Args + FromArgMatches>(
    name: &'static str,
    about: &'static str,
    arguments: Vec<OsString>,
) -> Result<A, CliError> {
    let mut command = A::augment_args(Command::new(name).about(about).bin_name(name))
        .no_binary_name(true)
        .disable_version_flag(true)
        // docker's -h is the host name.
        .disable_help_flag(true)
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Print usage"))
        .args_override_self(true);
    let matches =
        command.try_get_matches_from_mut(arguments).map_err(|error| usage(name, &mut command, &error))?;
    from_matches(&matches).map_err(|error| usage(name, &mut command, &error))
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
fn usage(name: &str, command: &mut Command, error: &clap::Error) -> CliError {
    use clap::error::{ContextKind, ErrorKind};
    let context = |kind: ContextKind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let text = match error.kind() {
        ErrorKind::DisplayHelp => {
            let mut ui = crate::ui::Ui::new();
            ui.raw(error.to_string().as_bytes());
            return CliError::silent(0);
        }
        ErrorKind::UnknownArgument => {
            let flag = context(ContextKind::InvalidArg);
            match flag.strip_prefix("--") {
                Some(_) => format!("unknown flag: {flag}"),
                None => format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-')),
            }
        }
        // Numbers and switches are all that clap reads here.
        kind @ (ErrorKind::ValueValidation | ErrorKind::InvalidValue) => {
            let value = context(ContextKind::InvalidValue);
            let parser = if kind == ErrorKind::InvalidValue { "ParseBool" } else { "ParseInt" };
            let digits = value.strip_prefix('-').unwrap_or(&value);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let reason =
                if is_number && parser == "ParseInt" { "value out of range" } else { "invalid syntax" };
            let flag = flag_name(command, &context(ContextKind::InvalidArg));
            format!(
                "invalid argument \"{value}\" for \"{flag}\" flag: strconv.{parser}: parsing \"{value}\": {reason}"
            )
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    };
    let synopsis = command.render_usage().to_string();
    let synopsis = synopsis.strip_prefix("Usage: ").unwrap_or(&synopsis);
    CliError::usage(format!("{text}\n\nUsage:  {synopsis}\n\nRun '{name} --help' for more information"))
}

/// `-t, --timeout`, as docker names a flag that clap calls `--timeout <int>`.
fn flag_name(command: &Command, shown: &str) -> String {
    let long = shown.split([' ', '=', '[']).next().unwrap_or_default();
    let flag = command.get_arguments().find(|arg| arg.get_long() == long.strip_prefix("--"));
    match flag.and_then(Arg::get_short) {
        Some(short) => format!("-{short}, {long}"),
        None => long.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Args)]
    #[command(override_usage = "corten x [OPTIONS] NAME")]
    struct Flags {
        #[arg(short, long, value_name = "int", allow_hyphen_values = true)]
        timeout: Option<i64>,
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
        all: Option<bool>,
    }

    #[test]
    fn complaints_are_docker_s() {
        let end = "\n\nUsage:  corten x [OPTIONS] NAME\n\nRun 'corten x --help' for more information";
        let cases = [
            (
                "-t x",
                "invalid argument \"x\" for \"-t, --timeout\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "--timeout 99999999999999999999",
                "invalid argument \"99999999999999999999\" for \"-t, --timeout\" flag: strconv.ParseInt: parsing \
                 \"99999999999999999999\": value out of range",
            ),
            (
                "--all=x",
                "invalid argument \"x\" for \"--all\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            ("--nope", "unknown flag: --nope"),
            ("-y", "unknown shorthand flag: 'y' in -y"),
        ];
        for (line, expected) in cases {
            let words = line.split(' ').map(OsString::from).collect();
            let error = parse::<Flags>("corten x", "about", words).map(|flags| (flags.timeout, flags.all));
            let expected = format!("{:?}", CliError::usage(format!("{expected}{end}")));
            assert_eq!(format!("{:?}", error.unwrap_err()), expected, "{line}");
        }
    }
}
