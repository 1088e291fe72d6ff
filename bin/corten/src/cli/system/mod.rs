//! Commands about everything: version, info, inspect, events, boot.

pub(crate) mod boot;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod df;
pub(crate) mod events;
mod help_text;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod install;
pub(crate) mod man;
pub(crate) mod pin;
pub(crate) mod prune;
pub(crate) mod undo;
pub(crate) mod version;

use serde_json::Value;

use super::CliError;
use super::template::{Missing, Template};

/// Renders one document by `-f`: `json`, or a template for data that docker calls `kind`.
fn formatted(format: &str, value: &Value, kind: &str) -> Result<String, CliError> {
    if format == "json" {
        return Ok(value.to_string());
    }
    let wrong = |error| CliError::bare(format!("template parsing error: {error}"), 64);
    let template = Template::parse(format).map_err(wrong)?;
    template.render(value, Missing::Refused(kind)).map_err(|error| CliError::bare(error.to_string(), 1))
}
