//! `corten undo`: brings back what `rm`, `rmi` and `volume rm` have taken away.

use std::ffi::OsString;

use clap::Args;
use corten_engine::Engine;
use corten_engine::undo::{self, RemovedKind, Undoable};
use corten_sys::clock;
use jiff::Timestamp;

use crate::cli::flags;
use crate::cli::listing::{Listing, Row, row};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten undo";
const ABOUT: &str = "Bring back removed containers, images and volumes: what the last command removed, or what is named. \
                     They are kept for an hour and up to 1 GiB, and let go with --clear";

#[derive(Debug, Args)]
#[command(override_usage = "corten undo [OPTIONS] [OBJECT...]")]
struct UndoArgs {
    /// List what can be brought back
    #[arg(short, long)]
    list: bool,
    /// Let everything go that could be brought back: its space is free at once
    #[arg(long, conflicts_with_all = ["list", "name", "words"])]
    clear: bool,
    /// Another name for the container, where its own is taken
    #[arg(long, value_name = "string")]
    name: Option<String>,
    /// Format the list using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string", requires = "list")]
    format: Option<String>,
    #[arg(value_name = "OBJECT")]
    words: Vec<String>,
}

const LISTING: Listing<'_> = Listing {
    headers: &[
        ("Kind", "KIND"),
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Removed", "REMOVED"),
        ("Expires", "KEPT FOR"),
        ("Size", "SIZE"),
    ],
    table: "{{.Kind}}\t{{.Name}}\t{{.ID}}\t{{.Removed}}\t{{.Expires}}\t{{.Size}}",
    row_type: "*undo.Removal",
};

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: UndoArgs = flags::parse(NAME, ABOUT, arguments)?;
    let engine = context.engine()?;
    if args.clear {
        let bytes = undo::clear(&engine, None)?;
        undo::tidy(&engine)?;
        context.ui.line(format!("Total reclaimed space: {}", human::size(bytes)));
        return Ok(0);
    }
    let all = undo::list(&engine)?;
    if args.list {
        let named =
            |one: &&Undoable| args.words.is_empty() || args.words.iter().any(|word| one.is_called(word));
        let rows = all.iter().filter(named).map(listed).collect();
        LISTING.print(&mut context.ui, args.format.as_deref(), rows)?;
        return Ok(0);
    }
    let chosen = if args.words.is_empty() { undo::last(all) } else { choose(all, &args.words)? };
    if chosen.is_empty() {
        let text = "nothing to undo: what is removed is kept for an hour, up to 1 GiB";
        return Err(CliError::new(text, 1));
    }
    if args.name.is_some() && chosen.len() != 1 {
        return Err(CliError::new("--name goes with one container: name it, or its ID, as the object", 1));
    }
    restore(context, &engine, &chosen, args.name.as_deref())
}

/// The newest removal of each name.
fn choose(all: Vec<Undoable>, words: &[String]) -> Result<Vec<Undoable>, CliError> {
    let one = |word: &String| {
        let found = all.iter().find(|one| one.is_called(word)).cloned();
        let missing = || {
            let text =
                format!("no removed object is called {word}: 'corten undo --list' shows what can come back");
            CliError::new(text, 1)
        };
        found.ok_or_else(missing)
    };
    words.iter().map(one).collect()
}

/// The oldest first: what was removed last may stand on it.
fn restore(
    context: &mut Context,
    engine: &Engine,
    chosen: &[Undoable],
    name: Option<&str>,
) -> Result<u8, CliError> {
    let mut failures = Vec::new();
    for one in chosen.iter().rev() {
        match undo::restore(engine, one, name) {
            Ok(()) => {
                let shown = name.unwrap_or(&one.removal.name);
                context.ui.line(format!("Restored {} {shown}", one.removal.kind.name()));
            }
            Err(error) => failures.push(CliError::from(error)),
        }
    }
    CliError::all(failures)
}

fn listed(one: &Undoable) -> Row {
    let removal = &one.removal;
    let id = match removal.id.strip_prefix("sha256:").unwrap_or(&removal.id) {
        id if removal.kind == RemovedKind::Volume => id,
        id => id.get(..12).unwrap_or(id),
    };
    let moment = human::timestamp(removal.time);
    let left = (one.expires - clock::wall_nanos()) / 1_000_000_000;
    row([
        ("Kind", removal.kind.name().to_owned()),
        ("ID", id.to_owned()),
        ("Name", removal.name.clone()),
        ("Removed", human::since(moment, Timestamp::now())),
        ("Expires", human::duration(left)),
        ("Size", human::size(removal.size)),
    ])
}
