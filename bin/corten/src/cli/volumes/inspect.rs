//! `corten volume inspect`, and a volume as docker's `inspect` shows it.

use std::ffi::OsString;

use corten_engine::{Engine, Error, volumes};
use serde_json::{Value, json};

use crate::cli::system::inspect;
use crate::cli::{CliError, Context, human};

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Display detailed information on one or more volumes";
    let words = ("corten volume inspect", about, "[OPTIONS] VOLUME [VOLUME...]");
    inspect::one_kind(context, words, arguments, volume_json)
}

/// The volume of that name.
pub(crate) fn volume_json(engine: &Engine, name: &str) -> Result<Value, Error> {
    let volume = volumes::find(engine, name)?;
    // The record's own clock: no other number of nanoseconds is in there.
    let created = human::timestamp(volume.created);
    let or_null = |map: &std::collections::BTreeMap<String, String>| match map.is_empty() {
        true => Value::Null,
        false => json!(map),
    };
    Ok(json!({
        "CreatedAt": created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "Driver": volume.driver,
        "Labels": or_null(&volume.labels),
        "Mountpoint": volumes::mountpoint(engine, name).to_string_lossy(),
        "Name": volume.name,
        "Options": or_null(&volume.options),
        "Scope": "local",
    }))
}
