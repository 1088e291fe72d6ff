//! `corten man`: manual pages, made of what `--help` says.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use corten_sys::fs;

use super::help_text::{self, HelpText};
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten man";

#[derive(Debug, Args)]
#[command(override_usage = "corten man DIRECTORY")]
struct ManArgs {
    #[arg(value_name = "DIRECTORY")]
    words: Vec<String>,
}

/// Writes `corten.1`, a page for every command and one for every command of a group.
pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Write the manual pages of all commands into a directory, /usr/share/man/man1 perhaps";
    let args: ManArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "DIRECTORY", Arity::Exactly(1), &args.words)?;
    let directory = Path::new(args.words.first().map(String::as_str).unwrap_or_default());
    fs::create_dir_all(directory, 0o755)?;
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut count = 0;
    while let Some(words) = waiting.pop() {
        let help = help_text::of(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        for (name, _) in &help.commands {
            waiting.push(words.iter().chain([name]).cloned().collect());
        }
        let title = [&["corten".to_owned()][..], &words].concat().join("-");
        fs::write_atomic(directory.join(format!("{title}.1")), page(&title, &help).as_bytes())?;
        count += 1;
    }
    context.ui.line(format!("{count} pages in {}", directory.display()));
    Ok(0)
}

fn page(title: &str, help: &HelpText) -> String {
    let about = if help.about.is_empty() { title } else { &help.about };
    let mut text = format!(
        ".TH {} 1 \"\" \"corten {}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n.SH DESCRIPTION\n{}.\n",
        quoted(&title.to_uppercase()),
        env!("CARGO_PKG_VERSION"),
        escaped(title),
        escaped(about),
        escaped(&help.usage),
        escaped(about),
    );
    let items = |heading: &str, items: &[(&str, &str)]| {
        let mut text = if items.is_empty() { String::new() } else { format!(".SH {heading}\n") };
        for (term, about) in items {
            text.push_str(&format!(".TP\n.B {}\n{}\n", escaped(term), escaped(about)));
        }
        text
    };
    let commands: Vec<_> =
        help.commands.iter().map(|(name, about)| (name.as_str(), about.as_str())).collect();
    let options: Vec<_> =
        help.options.iter().map(|one| (one.spelling.as_str(), one.about.as_str())).collect();
    text.push_str(&items("COMMANDS", &commands));
    text.push_str(&items("OPTIONS", &options));
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\(dq"))
}

/// Text that roff takes as it is: no escapes, hyphens that can be copied, no request at the beginning of a line.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roff() {
        let help = HelpText {
            usage: "corten ps [OPTIONS]".to_owned(),
            about: "List containers".to_owned(),
            options: vec![help_text::OptionHelp {
                spelling: "-a, --all".to_owned(),
                about: ".all \\ of them".to_owned(),
            }],
            commands: Vec::new(),
        };
        let page = page("corten-ps", &help);
        for part in [
            ".TH \"CORTEN-PS\" 1 ",
            "\n.SH NAME\ncorten\\-ps \\- List containers\n",
            "\n.SH OPTIONS\n.TP\n.B \\-a, \\-\\-all\n\\&.all \\e of them\n",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
