//! `corten pin` and `corten unpin`: objects that no command removes.

use std::ffi::OsString;

use clap::Args;
use corten_engine::pins::{self, Pinnable};
use corten_engine::{Engine, containers};

use crate::cli::flags::{self, Arity};
use crate::cli::listing::{Listing, row};
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
#[command(override_usage = "corten pin [OPTIONS] [OBJECT...]")]
struct PinArgs {
    /// Only objects of the given type: container, image or volume
    #[arg(long, value_name = "string", value_parser = ["container", "image", "volume"], hide_possible_values = true)]
    r#type: Option<String>,
    #[arg(value_name = "OBJECT")]
    words: Vec<String>,
}

#[derive(Debug, Args)]
#[command(override_usage = "corten unpin [OPTIONS] OBJECT [OBJECT...]")]
struct UnpinArgs {
    /// Only objects of the given type: container, image or volume
    #[arg(long, value_name = "string", value_parser = ["container", "image", "volume"], hide_possible_values = true)]
    r#type: Option<String>,
    #[arg(value_name = "OBJECT")]
    words: Vec<String>,
}

const LISTING: Listing<'_> = Listing {
    headers: &[("Kind", "KIND"), ("Name", "NAME")],
    table: "{{.Kind}}\t{{.Name}}",
    row_type: "*pins.Pin",
};

/// Pins what is named, or lists what is pinned.
pub(crate) fn pin(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about =
        "Protect containers, images or volumes from every removal; without an object, list what is protected";
    let args: PinArgs = flags::parse("corten pin", about, arguments)?;
    let engine = context.engine()?;
    if args.words.is_empty() {
        let mut rows = Vec::new();
        for pinned in pins::list(&engine)? {
            if args.r#type.as_deref().is_none_or(|kind| kind == pinned.kind()) {
                rows.push(row([("Kind", pinned.kind().to_owned()), ("Name", name(&engine, &pinned))]));
            }
        }
        LISTING.print(&mut context.ui, None, rows)?;
        return Ok(0);
    }
    each(context, &engine, &args.words, args.r#type.as_deref(), |object| pins::pin(&engine, object))
}

/// Takes pins away.
pub(crate) fn unpin(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    const NAME: &str = "corten unpin";
    let about = "Let containers, images or volumes be removed again";
    let args: UnpinArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS] OBJECT [OBJECT...]", Arity::AtLeast(1), &args.words)?;
    let engine = context.engine()?;
    each(context, &engine, &args.words, args.r#type.as_deref(), |object| {
        pins::unpin(&engine, object).map(drop)
    })
}

fn each(
    context: &mut Context,
    engine: &Engine,
    words: &[String],
    kind: Option<&str>,
    act: impl Fn(&Pinnable) -> Result<(), corten_engine::Error>,
) -> Result<u8, CliError> {
    let mut failures = Vec::new();
    for word in words {
        match pins::find(engine, word, kind).and_then(|object| act(&object)) {
            Ok(()) => context.ui.line(word),
            Err(error) => failures.push(CliError::from(error)),
        }
    }
    CliError::all(failures)
}

/// As the user calls it, where it is still there.
fn name(engine: &Engine, pinned: &Pinnable) -> String {
    match pinned {
        Pinnable::Container(id) => {
            containers::load(engine, id).map_or_else(|_| id.clone(), |record| record.name)
        }
        Pinnable::Image(id) => id.to_string(),
        Pinnable::Volume(name) => name.clone(),
    }
}
