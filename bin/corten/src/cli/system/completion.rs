//! `corten completion`, and the hidden `__complete` that its scripts ask what fits.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers::list::{self, ListOptions};
use corten_engine::{Engine, images, volumes};

use super::help_text;
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, is_group};

const NAME: &str = "corten completion";

#[derive(Debug, Args)]
#[command(override_usage = "corten completion bash|zsh|fish")]
struct CompletionArgs {
    #[arg(value_name = "SHELL")]
    words: Vec<String>,
}

const BASH: &str = r#"# corten completion for bash: source <(corten completion bash)
_corten() {
    local IFS=$'\n'
    COMPREPLY=($(corten __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
    [ ${#COMPREPLY[@]} -eq 0 ] && compopt -o default
}
complete -F _corten corten
"#;

const ZSH: &str = r#"#compdef corten
# corten completion for zsh: source <(corten completion zsh)
_corten() {
    local -a candidates
    local line
    while IFS= read -r line; do
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <(corten __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#candidates} )); then _describe corten candidates; else _files; fi
}
compdef _corten corten
"#;

const FISH: &str = r#"# corten completion for fish: corten completion fish | source
function __corten_complete
    set -l words (commandline -opc)
    corten __complete $words[2..] (commandline -ct) 2>/dev/null
end
complete -c corten -a '(__corten_complete)'
"#;

/// Prints the script of a shell.
pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Print the completion script for a shell: bash, zsh or fish";
    let args: CompletionArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "bash|zsh|fish", Arity::Exactly(1), &args.words)?;
    let script = match args.words.first().map(String::as_str) {
        Some("bash") => BASH,
        Some("zsh") => ZSH,
        Some("fish") => FISH,
        other => {
            let text = format!("unknown shell: {}: must be bash, zsh or fish", other.unwrap_or_default());
            return Err(CliError::new(text, 1));
        }
    };
    context.ui.raw(script.as_bytes());
    Ok(0)
}

/// Prints what the last word can become, each with a tab and a description.
pub(crate) fn complete(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((begun, before)) = words.split_last() else { return Ok(0) };
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let mut found = if begun.starts_with('-') {
        flags_of(&before)?
    } else {
        match help_text::of(&command_of(&before))?.commands {
            commands if commands.is_empty() => objects(context, &before)?,
            commands => commands,
        }
    };
    found.retain(|(word, _)| word.starts_with(begun));
    for (word, about) in found {
        context.ui.line(format!("{word}\t{about}"));
    }
    Ok(0)
}

/// The words that name a command: the first, or the first two of a group.
fn command_of<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let count = if words.first().is_some_and(|word| is_group(word)) { 2 } else { 1 };
    words.iter().copied().take_while(|word| !word.starts_with('-')).take(count).collect()
}

fn flags_of(words: &[&str]) -> Result<Vec<(String, String)>, CliError> {
    let options = help_text::of(&command_of(words))?.options;
    let pair = |option: &help_text::OptionHelp| Some((option.long()?.to_owned(), option.about.clone()));
    Ok(options.iter().filter_map(pair).collect())
}

/// What a command's arguments name.
fn objects(context: &Context, words: &[&str]) -> Result<Vec<(String, String)>, CliError> {
    let command = command_of(words);
    let engine = context.engine()?;
    let name = match command.as_slice() {
        ["container" | "image" | "volume", name] => name,
        [name] => name,
        _ => return Ok(Vec::new()),
    };
    match (command.first(), *name) {
        (Some(&"volume"), "rm" | "remove" | "inspect") => all_volumes(&engine),
        (Some(&"image"), "inspect" | "rm" | "remove" | "history" | "save" | "tag")
        | (_, "run" | "create" | "rmi" | "history" | "save" | "tag" | "images") => all_images(&engine),
        (_, "exec" | "attach" | "stop" | "kill" | "pause" | "top" | "port" | "stats") => {
            all_containers(&engine, false)
        }
        (
            _,
            "rm" | "remove" | "start" | "restart" | "unpause" | "logs" | "rename" | "update" | "wait" | "why"
            | "commit" | "diff" | "export" | "cp",
        ) => all_containers(&engine, true),
        (Some(&"container"), "inspect") => all_containers(&engine, true),
        (_, "inspect" | "pin" | "unpin") => {
            let mut found = all_containers(&engine, true)?;
            found.extend(all_images(&engine)?);
            found.extend(all_volumes(&engine)?);
            Ok(found)
        }
        _ => Ok(Vec::new()),
    }
}

fn all_containers(engine: &Engine, all: bool) -> Result<Vec<(String, String)>, CliError> {
    let listed = list::select(engine, &ListOptions { all, ..ListOptions::default() })?;
    Ok(listed
        .into_iter()
        .map(|one| (one.record.name, format!("container of {}", one.record.spec.image)))
        .collect())
}

fn all_images(engine: &Engine) -> Result<Vec<(String, String)>, CliError> {
    let listed = images::list(engine, &images::Filters::default())?;
    let named = |one: &images::Listed| {
        let about = format!("image {}", one.image.id.short());
        one.tags.iter().map(|tag| (tag.familiar(), about.clone())).collect::<Vec<_>>()
    };
    Ok(listed.iter().flat_map(named).collect())
}

fn all_volumes(engine: &Engine) -> Result<Vec<(String, String)>, CliError> {
    Ok(volumes::list(engine)?.into_iter().map(|volume| (volume.name, "volume".to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_command() {
        for (words, expected) in [
            (&["run", "-d", "box"][..], &["run"][..]),
            (&["volume", "rm", "x"], &["volume", "rm"]),
            (&["volume"], &["volume"]),
            (&["volume", "--x"], &["volume"]),
            (&[], &[]),
        ] {
            assert_eq!(command_of(words), expected);
        }
    }
}
