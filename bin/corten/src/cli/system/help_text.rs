//! The help of a command, read back: what completion offers and man pages are made of is what `--help` says.

use std::process::{Command, Stdio};

use corten_sys::SysError;

use crate::cli::CliError;

/// A command's help, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HelpText {
    pub(super) usage: String,
    pub(super) about: String,
    pub(super) options: Vec<OptionHelp>,
    /// Members of a group, or all commands.
    pub(super) commands: Vec<(String, String)>,
}

/// One option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OptionHelp {
    /// `-a, --all[=<bool>]`.
    pub(super) spelling: String,
    pub(super) about: String,
}

impl OptionHelp {
    /// `--all`.
    pub(super) fn long(&self) -> Option<&str> {
        let start = self.spelling.find("--")?;
        let rest = self.spelling.get(start..)?;
        rest.split([' ', '[', '=', ',']).next()
    }
}

/// Asks this binary for the help of a command.
pub(super) fn of(words: &[&str]) -> Result<HelpText, CliError> {
    let output = Command::new("/proc/self/exe").args(words).arg("--help").stdin(Stdio::null()).output();
    let output = output.map_err(|error| SysError::io("run", "/proc/self/exe", &error))?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> HelpText {
    let mut help = HelpText::default();
    let mut section = "";
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(usage) = trimmed.strip_prefix("Usage:") {
            help.usage = usage.trim().to_owned();
        } else if !line.starts_with(' ') && trimmed.ends_with(':') {
            section = trimmed;
        } else if trimmed.is_empty() {
        } else if section.is_empty() {
            help.about = [help.about.as_str(), trimmed].join(" ").trim().to_owned();
        } else if section.ends_with("Options:") {
            match trimmed.starts_with('-') {
                true => help.options.push(option(trimmed)),
                // The rest of a description, on a line of its own.
                false => {
                    if let Some(last) = help.options.last_mut() {
                        last.about = [last.about.as_str(), trimmed].join(" ").trim().to_owned();
                    }
                }
            }
        } else if section.ends_with("Commands:")
            && let Some((name, about)) = trimmed.split_once("  ")
        {
            help.commands.push((name.to_owned(), about.trim().to_owned()));
        }
    }
    help
}

fn option(line: &str) -> OptionHelp {
    let (spelling, about) = line.split_once("  ").unwrap_or((line, ""));
    OptionHelp { spelling: spelling.to_owned(), about: about.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes() {
        let option = |spelling: &str, about: &str| OptionHelp {
            spelling: spelling.to_owned(),
            about: about.to_owned(),
        };
        let ours = "Usage:  corten run [OPTIONS] IMAGE\n\nRun it\n\nOptions:\n  -a, --attach list    Attach\n      --rm             Remove\n                       it\n";
        let help = parse(ours);
        assert_eq!((help.usage.as_str(), help.about.as_str()), ("corten run [OPTIONS] IMAGE", "Run it"));
        assert_eq!(help.options, [option("-a, --attach list", "Attach"), option("--rm", "Remove it")]);
        let claps = "List containers\n\nUsage: corten ps [OPTIONS]\n\nOptions:\n  -a, --all[=<bool>]\n          Show all\n";
        let help = parse(claps);
        assert_eq!(help.about, "List containers");
        assert_eq!(help.options, [option("-a, --all[=<bool>]", "Show all")]);
        assert_eq!(help.options.first().and_then(OptionHelp::long), Some("--all"));
        let group = "Usage:  corten volume COMMAND\n\nManage volumes\n\nCommands:\n  create      Create a volume\n  ls          List\n";
        let pair = |name: &str, about: &str| (name.to_owned(), about.to_owned());
        assert_eq!(parse(group).commands, [pair("create", "Create a volume"), pair("ls", "List")]);
    }
}
