//! A small parser for docker's flag syntax (pflag's): a table of flags, no work before the first one is met.
//!
//! run and create have some ninety flags; building clap's tree for them costs a tenth of a container's start.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::cli::{CliError, moment};
use crate::ui::Ui;

type Set<T> = fn(&mut T, &str) -> Result<(), String>;

/// One flag of a command whose flags end up in a `T`.
#[derive(Debug)]
pub(crate) struct Flag<T> {
    long: &'static str,
    short: Option<char>,
    /// What the value is called; `None` is a switch, which takes a value only behind `=`.
    value: Option<&'static str>,
    /// Empty for a name that is accepted but not shown.
    help: &'static str,
    set: Set<T>,
}

// By hand: a derive would ask the same of `T`, of which there is none in here.
impl<T> Clone for Flag<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Flag<T> {}

impl<T> Flag<T> {
    pub(super) fn long(&self) -> &'static str {
        self.long
    }

    pub(super) const fn switch(
        long: &'static str,
        short: Option<char>,
        help: &'static str,
        set: Set<T>,
    ) -> Self {
        Self { long, short, value: None, help, set }
    }

    pub(super) const fn value(
        long: &'static str,
        short: Option<char>,
        value: &'static str,
        help: &'static str,
        set: Set<T>,
    ) -> Self {
        Self { long, short, value: Some(value), help, set }
    }

    /// An old name of a flag that takes a value.
    pub(super) const fn alias(long: &'static str, value: &'static str, set: Set<T>) -> Self {
        Self { long, short: None, value: Some(value), help: "", set }
    }

    /// As docker names it in a complaint.
    fn name(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// How a command is called, for help and complaints.
pub(crate) struct Usage {
    /// `corten run`
    pub(crate) name: &'static str,
    /// `[OPTIONS] IMAGE [COMMAND] [ARG...]`
    pub(crate) synopsis: &'static str,
    pub(crate) about: &'static str,
}

/// Reads flags up to the first argument that is none; returns them and the arguments from there on.
pub(crate) fn parse<T: Default>(
    usage: &Usage,
    tables: &[&[Flag<T>]],
    arguments: Vec<OsString>,
) -> Result<(T, Vec<String>), CliError> {
    read(usage, tables, arguments, Words::Last)
}

/// As [`parse`] for a command whose flags may stand behind its arguments as well, up to a `--`.
pub(crate) fn parse_mixed<T: Default>(
    usage: &Usage,
    tables: &[&[Flag<T>]],
    arguments: Vec<OsString>,
) -> Result<(T, Vec<String>), CliError> {
    read(usage, tables, arguments, Words::Between)
}

/// Where arguments that are no flags may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Last,
    Between,
}

fn read<T: Default>(
    usage: &Usage,
    tables: &[&[Flag<T>]],
    arguments: Vec<OsString>,
    where_words: Words,
) -> Result<(T, Vec<String>), CliError> {
    let mut flags = T::default();
    let mut words = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let mut rest = Vec::new();
    while let Some(word) = words.next() {
        if word == "--help" {
            Ui::new().raw(help(usage, tables).as_bytes());
            return Err(CliError::silent(0));
        }
        let taken = match word.as_str().strip_prefix("--") {
            Some("") => None,
            Some(long) => Some(take_long(&mut flags, tables, long, &mut words)),
            None if word.len() > 1 && word.starts_with('-') => {
                Some(take_short(&mut flags, tables, &word, &mut words))
            }
            None => {
                rest.push(word.clone());
                None
            }
        };
        match taken {
            Some(taken) => taken.map_err(|reason| complain(usage, &reason))?,
            None if where_words == Words::Between && word != "--" => {}
            None => break,
        }
    }
    rest.extend(words);
    Ok((flags, rest))
}

/// docker's shape of a usage error.
pub(crate) fn complain(usage: &Usage, reason: &str) -> CliError {
    let Usage { name, synopsis, .. } = usage;
    CliError::usage(format!(
        "{reason}\n\nUsage:  {name} {synopsis}\n\nRun '{name} --help' for more information"
    ))
}

fn find<'a, T>(tables: &[&'a [Flag<T>]], matches: impl Fn(&Flag<T>) -> bool) -> Option<&'a Flag<T>> {
    tables.iter().flat_map(|table| table.iter()).find(|flag| matches(flag))
}

fn take_long<T>(
    flags: &mut T,
    tables: &[&[Flag<T>]],
    word: &str,
    words: &mut impl Iterator<Item = String>,
) -> Result<(), String> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    let flag = find(tables, |flag| flag.long == name).ok_or_else(|| format!("unknown flag: --{name}"))?;
    match (value, flag.value) {
        (Some(value), _) => set(flags, flag, value),
        (None, None) => set(flags, flag, "true"),
        (None, Some(_)) => {
            let value = words.next().ok_or_else(|| format!("flag needs an argument: --{name}"))?;
            set(flags, flag, &value)
        }
    }
}

/// A cluster of short flags: switches, and at its end one that takes the rest or the next word.
fn take_short<T>(
    flags: &mut T,
    tables: &[&[Flag<T>]],
    word: &str,
    words: &mut impl Iterator<Item = String>,
) -> Result<(), String> {
    let mut rest = word.get(1..).unwrap_or_default();
    while let Some(short) = rest.chars().next() {
        let cluster = rest;
        rest = rest.get(short.len_utf8()..).unwrap_or_default();
        let unknown = || format!("unknown shorthand flag: '{short}' in -{cluster}");
        let flag = find(tables, |flag| flag.short == Some(short)).ok_or_else(unknown)?;
        let attached = rest.strip_prefix('=');
        match (flag.value, attached) {
            (_, Some(value)) => return set(flags, flag, value),
            (None, None) => set(flags, flag, "true")?,
            (Some(_), None) if !rest.is_empty() => return set(flags, flag, rest),
            (Some(_), None) => {
                let missing = || format!("flag needs an argument: '{short}' in -{cluster}");
                return set(flags, flag, &words.next().ok_or_else(missing)?);
            }
        }
    }
    Ok(())
}

fn set<T>(flags: &mut T, flag: &Flag<T>, text: &str) -> Result<(), String> {
    (flag.set)(flags, text)
        .map_err(|reason| format!("invalid argument \"{text}\" for \"{}\" flag: {reason}", flag.name()))
}

fn help<T>(usage: &Usage, tables: &[&[Flag<T>]]) -> String {
    let Usage { name, synopsis, about } = usage;
    let mut shown: Vec<&Flag<T>> =
        tables.iter().flat_map(|table| table.iter()).filter(|flag| !flag.help.is_empty()).collect();
    shown.sort_by_key(|flag| flag.long);
    let left = |flag: &Flag<T>| {
        let short = flag.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
        format!("  {short}--{} {}", flag.long, flag.value.unwrap_or_default())
    };
    let width = shown.iter().map(|flag| left(flag).len()).max().unwrap_or(0);
    let mut text = format!("Usage:  {name} {synopsis}\n\n{about}\n\nOptions:\n");
    for flag in shown {
        // Writing to a String cannot fail.
        writeln!(text, "{:<width$}   {}", left(flag), flag.help).unwrap_or_default();
    }
    text
}

/// A field that takes what a flag says.
pub(super) trait Value {
    fn read(&mut self, text: &str) -> Result<(), String>;
}

impl Value for bool {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
            "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
            _ => return Err(format!("strconv.ParseBool: parsing \"{text}\": invalid syntax")),
        };
        Ok(())
    }
}

impl Value for Option<bool> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        self.insert(false).read(text)
    }
}

impl Value for Vec<String> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        self.push(text.to_owned());
        Ok(())
    }
}

impl Value for Option<String> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = Some(text.to_owned());
        Ok(())
    }
}

/// A length of time in nanoseconds, as Go writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) i64);

impl Value for Duration {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = Self(moment::duration(text)?);
        Ok(())
    }
}

macro_rules! numbers {
    ($($number:ty: $parser:literal),*) => {$(
        impl Value for Option<$number> {
            fn read(&mut self, text: &str) -> Result<(), String> {
                let reason = |_| format!("strconv.{}: parsing \"{text}\": invalid syntax", $parser);
                *self = Some(text.parse().map_err(reason)?);
                Ok(())
            }
        }
    )*};
}

numbers!(i32: "ParseInt", i64: "ParseInt", u16: "ParseUint", u64: "ParseUint");

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Flags {
        tty: bool,
        stdin: bool,
        name: Option<String>,
        env: Vec<String>,
        size: Option<i64>,
    }

    const TABLE: &[Flag<Flags>] = &[
        Flag::switch("tty", Some('t'), "t", |flags, text| flags.tty.read(text)),
        Flag::switch("interactive", Some('i'), "i", |flags, text| flags.stdin.read(text)),
        Flag::value("name", None, "string", "n", |flags, text| flags.name.read(text)),
        Flag::value("env", Some('e'), "list", "e", |flags, text| flags.env.read(text)),
        Flag::value("size", Some('s'), "int", "s", |flags, text| flags.size.read(text)),
    ];

    const USAGE: Usage = Usage { name: "corten x", synopsis: "[OPTIONS]", about: "about" };

    fn read(line: &str) -> Result<(Flags, Vec<String>), CliError> {
        parse(&USAGE, &[TABLE], line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect())
    }

    #[test]
    fn clusters_values_and_the_first_word() {
        let (flags, words) =
            read("-ite A=1 --env B=2 -eC=3 --name=n --tty=false -s -5 image -t --name x").unwrap();
        let env = ["A=1", "B=2", "C=3"].map(str::to_owned).to_vec();
        assert_eq!(flags, Flags { tty: false, stdin: true, name: Some("n".to_owned()), env, size: Some(-5) });
        assert_eq!(words, ["image", "-t", "--name", "x"]);
        assert_eq!(read("-t -- -i").unwrap().1, ["-i"]);
        assert_eq!(read("-t - x").unwrap().1, ["-", "x"]);
    }

    #[test]
    fn complaints_are_docker_s() {
        let cases = [
            ("--nope", "unknown flag: --nope"),
            ("-itx", "unknown shorthand flag: 'x' in -x"),
            ("--name", "flag needs an argument: --name"),
            ("-te", "flag needs an argument: 'e' in -e"),
            (
                "-s x",
                "invalid argument \"x\" for \"-s, --size\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            ("--tty=maybe", "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool"),
        ];
        for (line, expected) in cases {
            let error = format!("{:?}", read(line).unwrap_err());
            assert!(error.contains(&format!("{expected:?}").trim_matches('"').to_owned()), "{line}: {error}");
        }
    }

    #[test]
    fn help_is_sorted_and_aligned() {
        let text = help(&USAGE, &[TABLE]);
        assert!(
            text.lines().any(|line| line.starts_with("  -e, --env list ") && line.ends_with("   e")),
            "{text}"
        );
        assert!(text.find("--env").unwrap() < text.find("--tty").unwrap());
    }
}
