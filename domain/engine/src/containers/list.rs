//! Listing containers by docker's filters: each a pure function of record and state.

use std::collections::{HashMap, HashSet};

use corten_monitor::health::HealthStatus;
use corten_spec::ImageId;
use corten_spec::digest::DiffId;
use corten_sys::fs;

use super::health;
use super::lookup;
use super::pattern::Pattern;
use super::record::{ContainerRecord, MountRecord};
use super::size::{self, ContainerSize};
use super::spec::{MountKind, NetworkMode};
use super::state::{self, ContainerState, Status};
use crate::{Engine, Error};

/// Which containers to list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Those that do not run as well.
    pub all: bool,
    /// Only so many, the newest, running or not.
    pub last: Option<usize>,
    pub filters: Filters,
    pub size: bool,
}

/// A container with what a list shows of it.
#[derive(Debug, Clone)]
pub struct ListedContainer {
    pub record: Box<ContainerRecord>,
    pub state: ContainerState,
    /// Of a container that is probed and has run.
    pub health: Option<HealthStatus>,
    pub size: Option<ContainerSize>,
    /// The reference it was created from means another image by now, or none.
    pub image_moved: bool,
}

/// docker's filters: values of one key are alternatives (labels all have to match), keys all have to match.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    ids: Vec<Text>,
    names: Vec<Text>,
    labels: Vec<(String, Option<String>)>,
    exited: Vec<i32>,
    statuses: Vec<&'static str>,
    ancestors: Vec<String>,
    before: Option<String>,
    since: Option<String>,
    volumes: Vec<String>,
    networks: Vec<String>,
    publish: Vec<Ports>,
    expose: Vec<Ports>,
    health: Vec<&'static str>,
    tasks: Vec<bool>,
}

/// A value that is matched as it stands or as a regular expression.
#[derive(Debug, Clone)]
struct Text {
    plain: String,
    pattern: Option<Pattern>,
}

/// A range of ports of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ports {
    first: u16,
    last: u16,
    protocol: String,
}

const STATUSES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTHS: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

impl Filters {
    /// Adds one `key=value`.
    pub fn add(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let invalid = || Error::invalid(format!("invalid filter '{key}={value}'"));
        let one_of =
            |words: &[&'static str]| words.iter().copied().find(|&word| word == value).ok_or_else(invalid);
        let no_number = |_| Error::invalid(format!("strconv.Atoi: parsing \"{value}\": invalid syntax"));
        match key {
            "id" => self.ids.push(Text::new(value)),
            "name" => self.names.push(Text::new(value)),
            "label" => self.labels.push(match value.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (value.to_owned(), None),
            }),
            "exited" => self.exited.push(value.parse().map_err(no_number)?),
            "status" => self.statuses.push(one_of(&STATUSES)?),
            "ancestor" => self.ancestors.push(value.to_owned()),
            "before" => self.before = Some(value.to_owned()),
            "since" => self.since = Some(value.to_owned()),
            "volume" => self.volumes.push(value.to_owned()),
            "network" => self.networks.push(value.to_owned()),
            "publish" => self.publish.push(Ports::filter(key, value)?),
            "expose" => self.expose.push(Ports::filter(key, value)?),
            "health" => self.health.push(one_of(&HEALTHS).map_err(|_| no_health(value))?),
            "is-task" => self.tasks.push(match value {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(Error::invalid(format!("invalid filter 'is-task=[{value}]'"))),
            }),
            // Only Windows containers have one; docker takes and forgets it here as well.
            "isolation" => {}
            _ => return Err(Error::invalid(format!("invalid filter '{key}'"))),
        }
        Ok(())
    }

    /// Asking for a status asks for containers that do not run.
    fn wants_all(&self) -> bool {
        !self.statuses.is_empty()
    }

    /// What the record alone decides; ancestors, before and since are decided with the others'.
    fn match_record(&self, record: &ContainerRecord) -> bool {
        let label = |(name, value): &(String, Option<String>)| {
            record.labels.get(name).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
        };
        any(&self.ids, |text| text.matches(&record.id))
            && any(&self.names, |text| text.matches(&record.name) || text.matches(&format!("/{}", record.name)))
            && self.labels.iter().all(label)
            && any(&self.volumes, |volume| record.mounts.iter().any(|mount| is_volume(mount, volume)))
            && any(&self.networks, |network| network == network_name(record))
            && any(&self.expose, |wanted| record.exposed_ports.iter().any(|own| wanted.includes(own)))
            // No port is published yet, and no container belongs to a swarm.
            && self.publish.is_empty()
            && any(&self.tasks, |&task| !task)
    }

    fn match_health(&self, health: Option<HealthStatus>) -> bool {
        any(&self.health, |&wanted| wanted == health.map_or("none", HealthStatus::name))
    }

    fn match_state(&self, state: &ContainerState) -> bool {
        let code = state.exit.map(|exit| exit.code.unwrap_or(255));
        any(&self.statuses, |&status| status == state.status.name())
            && any(&self.exited, |wanted| state.status == Status::Exited && code == Some(*wanted))
    }
}

fn no_health(value: &str) -> Error {
    Error::invalid(format!("unrecognized filter value for health: {value}"))
}

/// Says whether one of the alternatives matches, or there are none.
fn any<T>(alternatives: &[T], matches: impl FnMut(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(matches)
}

impl Text {
    fn new(plain: &str) -> Self {
        Self { plain: plain.to_owned(), pattern: Pattern::parse(plain) }
    }

    fn matches(&self, text: &str) -> bool {
        self.plain == text || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }
}

impl Ports {
    /// Reads the value of a filter.
    fn filter(key: &str, text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| {
            let range = text.split_once('/').map_or(text, |(range, _)| range);
            let reason = if !range.is_empty() && range.bytes().all(|byte| byte.is_ascii_digit()) {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Error::invalid(format!(
                "error while looking up for {key} {text}: strconv.ParseUint: parsing \"{range}\": {reason}"
            ))
        })
    }

    /// Reads `80`, `80/udp` or `8000-8080/tcp`.
    fn parse(text: &str) -> Option<Self> {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let ports =
            Self { first: first.parse().ok()?, last: last.parse().ok()?, protocol: protocol.to_lowercase() };
        (ports.first <= ports.last && matches!(protocol, "tcp" | "udp" | "sctp")).then_some(ports)
    }

    fn includes(&self, own: &str) -> bool {
        let overlaps =
            |own: Self| own.first <= self.last && self.first <= own.last && own.protocol == self.protocol;
        Self::parse(own).is_some_and(overlaps)
    }
}

fn is_volume(mount: &MountRecord, wanted: &str) -> bool {
    let source = match &mount.source {
        MountKind::Volume { name, .. } => name.as_deref() == Some(wanted),
        MountKind::Bind { .. } => mount.path.to_str() == Some(wanted),
        MountKind::Tmpfs { .. } | MountKind::Image { .. } => return false,
    };
    source || mount.target == wanted
}

/// The name of the network that a container is in.
pub fn network_name(record: &ContainerRecord) -> &'static str {
    match record.spec.network {
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
    }
}

/// Lists containers, the newest first.
pub fn select(engine: &Engine, options: &ListOptions) -> Result<Vec<ListedContainer>, Error> {
    let filters = &options.filters;
    let all = options.all || options.last.is_some() || filters.wants_all();
    let positioned = filters.before.is_some() || filters.since.is_some();
    // What does not run has no directory in the run root: `ps` among a thousand stopped ones reads none of them.
    let present = fs::list(engine.run().join("containers"))?;
    let ids = if all || positioned { lookup::ids(engine)? } else { present.clone() };
    let present: HashSet<String> = present.into_iter().collect();
    let mut records = lookup::read_all(engine, &ids);
    if let Some(name) = &filters.before {
        let mark = lookup::find(engine, name)?;
        records = records.into_iter().skip_while(|record| record.id != mark.id).skip(1).collect();
    }
    if let Some(name) = &filters.since {
        let mark = lookup::find(engine, name)?;
        records = records.into_iter().take_while(|record| record.id != mark.id).collect();
    }
    let ancestors = ancestors(engine, &filters.ancestors);
    let mut images = HashMap::new();
    let mut listed = Vec::new();
    for record in records {
        if options.last.is_some_and(|last| listed.len() >= last) {
            break;
        }
        let descends = filters.ancestors.is_empty()
            || filters.ancestors.contains(&record.spec.image)
            || ancestors.iter().any(|ancestor| ancestor.is_below(&record));
        if !descends || !filters.match_record(&record) {
            continue;
        }
        let at_rest = !present.contains(&record.id);
        let read = if at_rest { state::read_at_rest } else { state::read };
        let state = read(engine, &record)?;
        if !(all || runs(&state)) || !filters.match_state(&state) {
            continue;
        }
        let health = health::read(engine, &record, &state)?.map(|health| health.status);
        if !filters.match_health(health) {
            continue;
        }
        let size = if options.size { Some(size::size(engine, &record)?) } else { None };
        let image_moved = image_moved(engine, &record, &mut images);
        listed.push(ListedContainer { record, state, health, size, image_moved });
    }
    Ok(listed)
}

/// docker counts a container that waits for its restart among the running ones.
fn runs(state: &ContainerState) -> bool {
    state.is_running() || state.status == Status::Restarting
}

/// An image whose layers a container's begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ancestor {
    id: ImageId,
    /// Topmost first.
    layers: Vec<DiffId>,
}

impl Ancestor {
    fn is_below(&self, record: &ContainerRecord) -> bool {
        self.id == record.image || !self.layers.is_empty() && record.layers.ends_with(&self.layers)
    }
}

/// A name that means no image has no descendants; that is no error, in docker either.
fn ancestors(engine: &Engine, names: &[String]) -> Vec<Ancestor> {
    let image = |name: &String| engine.store().resolve_image(name).ok();
    let ancestor = |image: corten_store::Image| Ancestor {
        id: image.id,
        layers: image.layers.into_iter().rev().map(|layer| layer.diff_id).collect(),
    };
    names.iter().filter_map(image).map(ancestor).collect()
}

fn image_moved(
    engine: &Engine,
    record: &ContainerRecord,
    known: &mut HashMap<String, Option<ImageId>>,
) -> bool {
    let name = &record.spec.image;
    if !known.contains_key(name) {
        known.insert(name.clone(), engine.store().resolve_image(name).ok().map(|image| image.id));
    }
    known.get(name).and_then(Option::as_ref) != Some(&record.image)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use corten_monitor::exits::ExitRecord;

    pub(in super::super) fn record() -> ContainerRecord {
        let mount = |target: &str, source, path: &str| MountRecord {
            below: None,
            target: target.to_owned(),
            read_only: false,
            relabel: None,
            source,
            path: path.into(),
            layers: Vec::new(),
            anonymous: false,
            populate: false,
        };
        let volume = MountKind::Volume {
            name: Some("data".to_owned()),
            no_copy: false,
            subpath: None,
            labels: Default::default(),
            options: Default::default(),
        };
        let bind =
            MountKind::Bind { path: "/srv".to_owned(), create: true, recursive: true, propagation: None };
        let digest = |byte: char| {
            corten_spec::Digest::parse(&format!("sha256:{}", byte.to_string().repeat(64))).unwrap()
        };
        ContainerRecord {
            version: 1,
            id: "0123456789ab".repeat(5) + "cdef",
            name: "my_web".to_owned(),
            created: 0,
            image: ImageId(digest('a')),
            spec: super::super::ContainerSpec::default(),
            layers: vec![DiffId(digest('2')), DiffId(digest('1'))],
            highest_id: 0,
            process: super::super::record::ProcessRecord {
                entrypoint: Vec::new(),
                command: Vec::new(),
                env: Vec::new(),
                workdir: "/".to_owned(),
                user: String::new(),
            },
            mounts: vec![
                mount("/data", volume, "/store/data"),
                mount("/mnt", bind, "/srv"),
                mount("/tmp", MountKind::Tmpfs { options: Vec::new() }, ""),
            ],
            hostname: String::new(),
            stop_signal: 15,
            process_label: String::new(),
            mount_label: String::new(),
            labels: [("tier".to_owned(), "front".to_owned())].into(),
            exposed_ports: vec!["80/tcp".to_owned(), "9000-9005/udp".to_owned()],
            stopped_by_user: false,
            healthcheck: None,
            shell: Vec::new(),
        }
    }

    fn filters(list: &[&str]) -> Filters {
        let mut filters = Filters::default();
        for filter in list {
            let (key, value) = filter.split_once('=').unwrap();
            filters.add(key, value).unwrap();
        }
        filters
    }

    #[test]
    fn records() {
        let cases: [(&[&str], bool); 25] = [
            (&[], true),
            (&["id=0123"], true),
            (&["id=9999"], false),
            (&["name=web"], true),
            (&["name=^/my_web$"], true),
            (&["name=^my"], true),
            (&["name=^web"], false),
            (&["name=nope", "name=web"], true),
            (&["name=web", "id=f{2}"], false),
            (&["label=tier"], true),
            (&["label=tier=front"], true),
            (&["label=tier=back"], false),
            (&["label=tier", "label=other"], false),
            (&["volume=data"], true),
            (&["volume=/data"], true),
            (&["volume=/srv"], true),
            (&["volume=/tmp"], false),
            (&["network=none"], true),
            (&["network=host"], false),
            (&["expose=80"], true),
            (&["expose=79-81/tcp"], true),
            (&["expose=80/udp", "expose=9003/udp"], true),
            (&["expose=9006/udp"], false),
            (&["publish=80"], false),
            (&["is-task=false"], true),
        ];
        for (list, expected) in cases {
            assert_eq!(filters(list).match_record(&record()), expected, "{list:?}");
        }
        for wrong in
            [("status", "gone"), ("exited", "x"), ("expose", "99999"), ("nope", "x"), ("health", "ill")]
        {
            assert!(Filters::default().add(wrong.0, wrong.1).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn states() {
        let state = |status, code| ContainerState {
            status,
            run: None,
            exit: Some(ExitRecord { generation: 1, code, ..ExitRecord::default() }),
        };
        let cases: [(&[&str], ContainerState, bool); 6] = [
            (&["status=exited", "status=created"], state(Status::Exited, Some(0)), true),
            (&["status=running"], state(Status::Exited, Some(0)), false),
            (&["exited=3", "exited=0"], state(Status::Exited, Some(3)), true),
            (&["exited=255"], state(Status::Exited, None), true),
            (&["exited=3"], state(Status::Running, Some(3)), false),
            (&["exited=3"], state(Status::Exited, Some(4)), false),
        ];
        for (list, state, expected) in cases {
            assert_eq!(filters(list).match_state(&state), expected, "{list:?}");
        }
    }

    #[test]
    fn healths() {
        let cases: [(&[&str], Option<HealthStatus>, bool); 6] = [
            (&[], None, true),
            (&["health=none"], None, true),
            (&["health=healthy"], None, false),
            (&["health=none"], Some(HealthStatus::Starting), false),
            (&["health=starting", "health=healthy"], Some(HealthStatus::Healthy), true),
            (&["health=unhealthy"], Some(HealthStatus::Healthy), false),
        ];
        for (list, health, expected) in cases {
            assert_eq!(filters(list).match_health(health), expected, "{list:?}");
        }
    }

    #[test]
    fn an_ancestor_is_the_image_or_has_the_lowest_layers() {
        let record = record();
        let ancestor = |id: &ImageId, layers: &[DiffId]| Ancestor { id: id.clone(), layers: layers.to_vec() };
        let other = ImageId(record.layers[0].0.clone());
        assert!(ancestor(&record.image, &[]).is_below(&record));
        assert!(ancestor(&other, &record.layers[1..]).is_below(&record));
        assert!(!ancestor(&other, &record.layers[..1]).is_below(&record));
        assert!(!ancestor(&other, &[]).is_below(&record));
    }
}
