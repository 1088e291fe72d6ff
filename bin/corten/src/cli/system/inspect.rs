//! `corten inspect`: any object as docker's JSON; and the inspect of one kind of object.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;
use corten_engine::{Engine, ErrorKind};
use serde_json::Value;

use crate::cli::containers::as_command;
use crate::cli::containers::inspect_json::container_json;
use crate::cli::flags::{self, Arity};
use crate::cli::images::inspect_json::image_json;
use crate::cli::template::{Missing, Template, TemplateError};
use crate::cli::volumes::inspect::volume_json;
use crate::cli::{CliError, Context};

/// docker's words for what it can inspect; those of them that are here.
const TYPES: [&str; 3] = ["container", "image", "volume"];

#[derive(Debug, Args)]
#[command(override_usage = "corten inspect [OPTIONS] NAME|ID [NAME|ID...]")]
struct InspectArgs {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long, value_name = "string")]
    r#type: Option<String>,
    /// Show a container as something else: "oci", the config.json of an OCI runtime; "run", the command that makes it
    #[arg(long = "as", value_name = "string")]
    form: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

/// Inspects containers, images and volumes, in this order.
pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    const NAME: &str = "corten inspect";
    let about = "Return low-level information on corten objects";
    let args: InspectArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS] NAME|ID [NAME|ID...]", Arity::AtLeast(1), &args.words)?;
    let only = args.r#type.as_deref();
    if let Some(kind) = only.filter(|kind| !TYPES.contains(kind)) {
        let known = TYPES.map(|kind| format!("\"{kind}\"")).join(", ");
        return Err(CliError::bare(format!("unknown type: \"{kind}\": must be one of {known}"), 1));
    }
    let mut size_ignored = false;
    let engine = context.engine()?;
    if let Some(form) = &args.form {
        let form = match form.as_str() {
            "oci" => as_oci,
            "run" => as_run,
            _ => {
                let text = format!("unknown form: \"{form}\": must be one of \"oci\", \"run\"");
                return Err(CliError::bare(text, 1));
            }
        };
        return show_as(context, &engine, &args, form);
    }
    let result = show(context, args.format.as_deref(), &args.words, |name| {
        let wanted = |kind| only.is_none_or(|only| only == kind);
        if wanted("container")
            && let Some(value) = container_json(&engine, name, args.size)?
        {
            return Ok(value);
        }
        if wanted("image")
            && let Some(value) = existing(image_json(&engine, name))?
        {
            size_ignored |= args.size;
            return Ok(value);
        }
        if wanted("volume")
            && let Some(value) = existing(volume_json(&engine, name))?
        {
            size_ignored |= args.size;
            return Ok(value);
        }
        Err(match only {
            None => CliError::bare(format!("Error: No such object: {name}"), 1),
            Some("container") => CliError::daemon(format!("No such container: {name}")),
            Some("image") => image_json(&engine, name).map_or_else(CliError::from, |_| CliError::silent(1)),
            Some(_) => volume_json(&engine, name).map_or_else(CliError::from, |_| CliError::silent(1)),
        })
    });
    if size_ignored {
        context.ui.note("WARNING: --size ignored for images and volumes");
    }
    result
}

/// One document a container, not a list: each is a file of its own.
fn show_as(
    context: &mut Context,
    engine: &Engine,
    args: &InspectArgs,
    form: fn(&mut Context, &Engine, &str) -> Result<String, CliError>,
) -> Result<u8, CliError> {
    let other_type = args.r#type.as_deref().is_some_and(|kind| kind != "container");
    if args.format.is_some() || args.size || other_type {
        return Err(CliError::bare(
            "conflicting options: --as goes with no --format, --size or other --type",
            1,
        ));
    }
    let mut failed = false;
    for name in &args.words {
        match form(context, engine, name) {
            Ok(text) => context.ui.line(text),
            Err(error) => {
                failed = true;
                error.report(&mut context.ui);
            }
        }
    }
    Ok(u8::from(failed))
}

/// What the command cannot say is told of beside it.
fn as_run(context: &mut Context, engine: &Engine, name: &str) -> Result<String, CliError> {
    let line = as_command::command_line(&containers::find(engine, name)?);
    for lacking in &line.lacking {
        context.ui.note(format!("WARNING: {lacking}"));
    }
    Ok(line.text)
}

fn as_oci(_: &mut Context, engine: &Engine, name: &str) -> Result<String, CliError> {
    let config = containers::oci_config(engine, &containers::find(engine, name)?)?;
    serde_json::to_string_pretty(&config)
        .map_err(|error| CliError::bare(format!("encode config.json of {name}: {error}"), 1))
}

/// Takes an object that is not there, or whose name is none of its kind's, for "look further".
fn existing(found: Result<Value, corten_engine::Error>) -> Result<Option<Value>, CliError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidArgument) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Args)]
struct OneKindArgs {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

/// `corten image inspect`, `corten volume inspect`: `json` makes the document of an object.
pub(crate) fn one_kind(
    context: &mut Context,
    (name, about, synopsis): (&'static str, &'static str, &str),
    arguments: Vec<OsString>,
    json: fn(&Engine, &str) -> Result<Value, corten_engine::Error>,
) -> Result<u8, CliError> {
    let args: OneKindArgs = flags::parse(name, about, arguments)?;
    flags::check_count(name, synopsis, Arity::AtLeast(1), &args.words)?;
    let engine = context.engine()?;
    show(context, args.format.as_deref(), &args.words, |name| Ok(json(&engine, name)?))
}

#[derive(Debug, Args)]
#[command(override_usage = "corten container inspect [OPTIONS] CONTAINER [CONTAINER...]")]
struct ContainerArgs {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

/// `corten container inspect`.
pub(crate) fn container(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    const NAME: &str = "corten container inspect";
    let about = "Display detailed information on one or more containers";
    let args: ContainerArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS] CONTAINER [CONTAINER...]", Arity::AtLeast(1), &args.words)?;
    let engine = context.engine()?;
    show(context, args.format.as_deref(), &args.words, |name| {
        container_json(&engine, name, args.size)?
            .ok_or_else(|| CliError::daemon(format!("No such container: {name}")))
    })
}

/// Shows what `find` has of each name: one indented list, `json` for a compact one, or a template's line each.
/// All names are tried; those that are missing are told of at the end.
pub(crate) fn show(
    context: &mut Context,
    format: Option<&str>,
    names: &[String],
    mut find: impl FnMut(&str) -> Result<Value, CliError>,
) -> Result<u8, CliError> {
    let format = format.filter(|format| !format.is_empty());
    let template = match format {
        None | Some("json") => None,
        Some(text) => Some(Template::parse(text).map_err(|error| failed(&error).code(64))?),
    };
    let mut failures = Vec::new();
    let mut found = Vec::new();
    let mut lines = String::new();
    for name in names {
        let shown = find(name).and_then(|value| match &template {
            None => {
                found.push(value);
                Ok(())
            }
            Some(template) => {
                let line = template.render(&value, Missing::NoEntry).map_err(|error| failed(&error))?;
                lines.push_str(&line);
                lines.push('\n');
                Ok(())
            }
        });
        failures.extend(shown.err());
    }
    match template {
        // docker ends an empty output with a line too.
        Some(_) if lines.is_empty() => context.ui.line(""),
        Some(_) => context.ui.raw(lines.as_bytes()),
        None if format.is_some() => context.ui.line(Value::Array(found).to_string()),
        None => context.ui.line(indented(&Value::Array(found))),
    }
    CliError::all(failures)
}

fn failed(error: &TemplateError) -> CliError {
    CliError::bare(format!("template parsing error: {error}"), 1)
}

/// As Go indents: four spaces.
fn indented(value: &Value) -> String {
    use serde::Serialize;
    use serde_json::ser::{PrettyFormatter, Serializer};
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        // A value always serialises; compact is what there would be otherwise.
        Err(_) => value.to_string(),
    }
}
