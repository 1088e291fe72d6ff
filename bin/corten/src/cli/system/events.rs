//! `corten events`.

use std::ffi::OsString;
use std::ops::ControlFlow;

use clap::Args;
use corten_engine::events::{self, Event, EventFilters, ReadOptions};
use corten_sys::clock;
use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::flags::{self, Arity};
use crate::cli::template::{Missing, Template, TemplateError};
use crate::cli::{CliError, Context, filters, human, moment};
use crate::ui::Output;

const NAME: &str = "corten events";

#[derive(Debug, Args)]
#[command(override_usage = "corten events [OPTIONS]")]
struct EventsArgs {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    until: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: EventsArgs = flags::parse(NAME, "Get real time events from the server", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let look = Look::new(args.format.as_deref())
        .map_err(|error| CliError::bare(format!("Error parsing format: {error}"), 64))?;
    let options = options(&args)?;
    let mut failure = None;
    events::read(&context.engine()?, &options, |event| match look.render(event) {
        Ok(line) => match context.ui.deliver(Output::Data, line.as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        },
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(0), |error| Err(CliError::bare(error.to_string(), 1)))
}

fn options(args: &EventsArgs) -> Result<ReadOptions, CliError> {
    let mut chosen = EventFilters::default();
    for (key, value) in filters::split(NAME, "-f, --filter", &args.filter)? {
        chosen.add(&key, &value)?;
    }
    let now = clock::wall_nanos();
    let time = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| moment::parse(text, now).map_err(CliError::daemon)).transpose()
    };
    Ok(ReadOptions { since: time(&args.since)?, until: time(&args.until)?, filters: chosen })
}

/// How an event is shown.
enum Look {
    Line,
    Json,
    Template(Template),
}

impl Look {
    fn new(format: Option<&str>) -> Result<Self, TemplateError> {
        match format {
            None | Some("") => Ok(Self::Line),
            Some("json" | "{{json .}}" | "{{ json . }}") => Ok(Self::Json),
            Some(text) => Ok(Self::Template(Template::parse(text)?)),
        }
    }

    fn render(&self, event: &Event) -> Result<String, TemplateError> {
        let line = match self {
            Self::Line => line(event, &TimeZone::system()),
            Self::Json => document(event).to_string(),
            Self::Template(template) => {
                template.render(&fields(event), Missing::Refused("*events.Message"))?
            }
        };
        Ok(line + "\n")
    }
}

/// docker's line: the moment with all its digits, and the attributes in order.
fn line(event: &Event, zone: &TimeZone) -> String {
    let moment = human::timestamp(event.time_nano);
    let zoned = Zoned::new(moment, zone.clone());
    let offset = if zoned.offset().is_zero() { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
    let moment = zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f");
    let Event { kind, action, actor, .. } = event;
    let mut text = format!("{moment}{offset} {kind} {action} {}", actor.id);
    if !actor.attributes.is_empty() {
        let attributes = actor.attributes.iter().map(|(name, value)| format!("{name}={value}"));
        text.push_str(&format!(" ({})", attributes.collect::<Vec<_>>().join(", ")));
    }
    text
}

/// The event as docker's API has it, with the members that it has kept from before 1.10 for containers and images.
fn document(event: &Event) -> Value {
    let mut document = serde_json::to_value(event).unwrap_or_default();
    let from = match event.kind.as_str() {
        "container" => event.actor.attributes.get("image"),
        "image" => None,
        _ => return document,
    };
    document["status"] = json!(event.action);
    document["id"] = json!(event.actor.id);
    if let Some(from) = from {
        document["from"] = json!(from);
    }
    document
}

/// The event as templates see it: by the names that its members have in Go.
fn fields(event: &Event) -> Value {
    let document = document(event);
    let text = |name: &str| document.get(name).cloned().unwrap_or_else(|| json!(""));
    json!({
        "Status": text("status"),
        "ID": text("id"),
        "From": text("from"),
        "Type": event.kind,
        "Action": event.action,
        "Actor": document["Actor"],
        "Scope": event.scope,
        "Time": event.time,
        "TimeNano": event.time_nano,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = r#"{"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"web","image":"redis"}},
                       "scope":"local","time":1,"timeNano":1000000020}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(
            line(&event, &TimeZone::UTC),
            "1970-01-01T00:00:01.000000020Z container start abc (image=redis, name=web)"
        );
        let render = |format: &str| Look::new(Some(format)).unwrap().render(&event).unwrap();
        assert_eq!(
            render("{{.Type}} {{.Status}} {{.Actor.Attributes.name}} {{.From}}"),
            "container start web redis\n"
        );
        assert_eq!(
            render("json"),
            "{\"Action\":\"start\",\"Actor\":{\"Attributes\":{\"image\":\"redis\",\"name\":\"web\"},\"ID\":\"abc\"},\
             \"Type\":\"container\",\"from\":\"redis\",\"id\":\"abc\",\"scope\":\"local\",\"status\":\"start\",\
             \"time\":1,\"timeNano\":1000000020}\n"
        );
    }
}
