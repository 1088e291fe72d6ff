//! Events: what happened to containers, images and volumes, as docker tells of it.
//!
//! Written to the journal by whoever did it ([`corten_monitor::events`]: a container's start, end and health are its
//! supervisors' to tell), read back by [`read()`]. An event that cannot be written is warned of and lost: what it tells
//! of has happened.

mod filter;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_monitor::events::{self as journal, Subject};
use corten_spec::ImageId;
use corten_store::Image;
use corten_sys::clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use filter::EventFilters;
pub use read::{ReadOptions, read};

use crate::Engine;
use crate::containers::ContainerRecord;

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    pub scope: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What it happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// Tells of a container: its image, name and labels come with it.
pub fn container(engine: &Engine, record: &ContainerRecord, action: &str, more: &[(&str, &str)]) {
    containers(engine, record, &[(action, more)]);
}

/// What happened, and what there is to say of it.
pub type Happening<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// As [`container`] for several things that happened to one, in one write.
pub fn containers(engine: &Engine, record: &ContainerRecord, happenings: &[Happening<'_>]) {
    let own = container_attributes(record);
    let lines = happenings.iter().map(|(action, more)| {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let name = ("name".to_owned(), record.name.clone());
        let attributes = own.clone().into_iter().chain(more).chain([name]).collect();
        render("container", action, &record.id, &attributes)
    });
    append(engine, &lines.collect::<String>());
}

/// Tells of an image under one of its names.
pub(crate) fn image(engine: &Engine, image: &Image, action: &str, name: &str) {
    let mut attributes = image.config.config.labels.clone();
    attributes.insert("name".to_owned(), name.to_owned());
    append(engine, &render("image", action, &image.id.to_string(), &attributes));
}

/// Tells of images that came or were read, under their IDs.
pub(crate) fn images<'a>(engine: &Engine, ids: impl IntoIterator<Item = &'a ImageId>, action: &str) {
    for id in ids {
        // One that is gone again tells of itself.
        if let Ok(Some(found)) = engine.store().image(id) {
            image(engine, &found, action, &id.to_string());
        }
    }
}

/// Tells of a volume.
pub(crate) fn volume(engine: &Engine, name: &str, action: &str, more: &[(&str, &str)]) {
    append(engine, &render("volume", action, name, &attributes_of(more)));
}

/// Tells that unused objects of a kind were removed.
pub(crate) fn pruned(engine: &Engine, kind: &str, reclaimed: u64) {
    let reclaimed = reclaimed.to_string();
    append(engine, &render(kind, "prune", "", &attributes_of(&[("reclaimed", &reclaimed)])));
}

/// How the supervisors of a container tell of it.
pub(crate) fn subject(engine: &Engine, record: &ContainerRecord) -> Subject {
    let members = object(&container_attributes(record));
    Subject { journal: journal_of(engine), name: record.name.clone(), attributes: members }
}

fn container_attributes(record: &ContainerRecord) -> BTreeMap<String, String> {
    let mut attributes = record.labels.clone();
    attributes.insert("image".to_owned(), record.spec.image.clone());
    attributes
}

fn attributes_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn render(kind: &str, action: &str, id: &str, attributes: &BTreeMap<String, String>) -> String {
    let action = Value::from(action).to_string();
    journal::line(kind, action.trim_matches('"'), id, &object(attributes), clock::wall_nanos())
}

/// The members of a JSON object.
fn object(attributes: &BTreeMap<String, String>) -> String {
    let members: Map<String, Value> =
        attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    let text = Value::Object(members).to_string();
    text.get(1..text.len() - 1).unwrap_or_default().to_owned()
}

fn append(engine: &Engine, lines: &str) {
    if let Err(error) = journal::append(&journal_of(engine), lines) {
        log::warn!("an event is not recorded: {error}");
    }
}

fn journal_of(engine: &Engine) -> PathBuf {
    engine.store().path("events")
}
