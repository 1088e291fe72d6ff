//! Which events: docker's filters. All keys must match; of one key's values, any (of labels, every one).

use std::collections::BTreeMap;

use super::Event;
use crate::{Error, filter};

/// Filters by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilters(BTreeMap<String, Vec<String>>);

const KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Actions with something behind a colon, which their first word finds.
const WITH_DETAIL: &[&str] = &["health_status", "exec_create", "exec_start"];

impl EventFilters {
    /// Adds a filter.
    pub fn add(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if !KEYS.contains(&key) {
            let valid = KEYS.join(", ");
            return Err(Error::invalid(format!("invalid filter '{key}'")).hint(format!("valid are {valid}")));
        }
        self.0.entry(key.to_owned()).or_default().push(value.to_owned());
        Ok(())
    }

    pub(super) fn matches(&self, event: &Event) -> bool {
        self.0.iter().all(|(key, values)| {
            let any = |matches: &dyn Fn(&str) -> bool| values.iter().any(|value| matches(value));
            match key.as_str() {
                "event" => {
                    let by_start = values.iter().any(|value| WITH_DETAIL.contains(&value.as_str()));
                    any(&|value| event.action == value || by_start && event.action.starts_with(value))
                }
                "type" => any(&|value| event.kind == value),
                "scope" => any(&|value| event.scope == value),
                "label" => values.iter().all(|value| filter::has_label(&event.actor.attributes, value)),
                "image" => any(&|value| is_image(event, value)),
                kind => any(&|value| is_object(event, kind, value)),
            }
        })
    }
}

/// An image by its ID or a name, with or without the tag, or a container of it.
fn is_image(event: &Event, wanted: &str) -> bool {
    let key = if event.kind == "image" { "name" } else { "image" };
    let name = event.actor.attributes.get(key).map(String::as_str).unwrap_or_default();
    let untagged = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    [event.actor.id.as_str(), name, untagged].contains(&wanted)
}

/// An object of a kind by the start of its ID or name, or what happened to something in it.
fn is_object(event: &Event, kind: &str, wanted: &str) -> bool {
    if event.kind != kind {
        return false;
    }
    let name = event.actor.attributes.get("name").map(String::as_str).unwrap_or_default();
    event.actor.id.starts_with(wanted) || name.starts_with(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::Actor;
    use super::*;

    fn event(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Event {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            ..Event::default()
        }
    }

    #[test]
    fn filters() {
        let start =
            event("container", "start", "abcdef", &[("image", "redis:7"), ("name", "web"), ("tier", "a")]);
        let exec = event("container", "exec_start: sh -c true", "abcdef", &[("image", "redis:7")]);
        let tag = event("image", "tag", "sha256:12", &[("name", "localhost:5000/redis")]);
        type Case<'a> = (&'a Event, &'a [(&'a str, &'a str)], bool);
        let cases: [Case<'_>; 17] = [
            (&start, &[], true),
            (&start, &[("event", "start")], true),
            (&start, &[("event", "star")], false),
            (&start, &[("event", "die"), ("event", "start")], true),
            (&exec, &[("event", "exec_start")], true),
            (&exec, &[("event", "exec_create")], false),
            (&start, &[("type", "image")], false),
            (&start, &[("container", "abc")], true),
            (&start, &[("container", "web")], true),
            (&start, &[("container", "web"), ("event", "die")], false),
            (&tag, &[("container", "sha256")], false),
            (&start, &[("image", "redis")], true),
            (&start, &[("image", "redis:6")], false),
            (&tag, &[("image", "localhost:5000/redis")], true),
            (&start, &[("label", "tier=a")], true),
            (&start, &[("label", "tier"), ("label", "other")], false),
            (&start, &[("scope", "swarm")], false),
        ];
        for (event, filters, expected) in cases {
            let mut all = EventFilters::default();
            for (key, value) in filters {
                all.add(key, value).unwrap();
            }
            assert_eq!(all.matches(event), expected, "{filters:?} on {event:?}");
        }
        assert!(EventFilters::default().add("nope", "1").is_err());
    }
}
