//! `commit`: what a container changed becomes an image.

use corten_spec::image_config::{ContainerConfig, Empty};
use corten_spec::{ImageId, Reference};
use corten_store::{ChildOptions, Image, ImageError};
use jiff::Timestamp;

use super::record::ContainerRecord;
use super::snapshot;
use super::spec::MountKind;
use super::stillness::Stillness;
use crate::images::changes;
use crate::{Engine, Error, events};

/// What a commit may say of the image.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    pub author: String,
    pub message: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Hold a running container still while it is read.
    pub pause: bool,
    /// `REPOSITORY[:TAG]`.
    pub reference: Option<Reference>,
}

/// Makes an image of a container. Blocking, in a process of one thread; leaves nothing on an error, and no container
/// paused that was not, however this process ends.
pub fn commit(engine: &Engine, record: &ContainerRecord, options: &CommitOptions) -> Result<ImageId, Error> {
    let store = engine.store();
    let image = store.image(&record.image)?.ok_or_else(|| ImageError::NotFound(record.image.to_string()));
    let mut config = config_of(record, &image.map_err(corten_store::StoreError::from)?);
    changes::apply(&mut config, &options.changes)?;
    store.collect_stale_ingests()?;
    let mut stillness = if options.pause { Stillness::hold(engine, record)? } else { None };
    let mut ended = Ok(());
    let child = ChildOptions {
        parent: record.image.clone(),
        snapshot: snapshot::of_image(engine, record),
        config,
        author: options.author.clone(),
        message: options.message.clone(),
        created_by: record.process.command.join(" "),
        created: Timestamp::now().to_string(),
        reference: options.reference.clone(),
    };
    // It goes on as soon as it has been read; that the image is made durable is no business of its.
    let made = store.commit_container(&child, || {
        if let Some(stillness) = stillness.take() {
            ended = stillness.end();
        }
    });
    if let Some(stillness) = stillness {
        ended = stillness.end();
    }
    let id = made?;
    ended?;
    let name = options.reference.as_ref().map(Reference::familiar).unwrap_or_default();
    events::container(
        engine,
        record,
        "commit",
        &[("comment", &options.message), ("imageID", &id.to_string()), ("imageRef", &name)],
    );
    Ok(id)
}

/// What the container runs with, image and flags taken together, as docker's own config of it has it.
fn config_of(record: &ContainerRecord, image: &Image) -> ContainerConfig {
    let (spec, base) = (&record.spec, &image.config.config);
    let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let anonymous = record.mounts.iter().filter(|mount| mount.anonymous);
    let volumes = anonymous.filter(|mount| matches!(mount.source, MountKind::Volume { .. }));
    ContainerConfig {
        user: record.process.user.clone(),
        exposed_ports: record.exposed_ports.iter().map(|port| (port.clone(), Empty {})).collect(),
        env: environment(&spec.env, &base.env),
        entrypoint: words(&record.process.entrypoint),
        cmd: words(&record.process.command),
        healthcheck: record.healthcheck.clone(),
        args_escaped: base.args_escaped,
        volumes: base
            .volumes
            .keys()
            .chain(volumes.map(|mount| &mount.target))
            .map(|path| (path.clone(), Empty {}))
            .collect(),
        working_dir: spec.workdir.clone().unwrap_or_else(|| base.working_dir.clone()),
        // Triggers were for the image that this one was made of.
        on_build: Vec::new(),
        labels: record.labels.clone(),
        stop_signal: spec.stop_signal.clone().unwrap_or_else(|| base.stop_signal.clone()),
        stop_timeout: spec.stop_timeout.or(base.stop_timeout),
        shell: None,
    }
}

/// The user's variables, then the image's others. One that was unset (`NAME` alone) stays unset.
fn environment(user: &[String], image: &[String]) -> Vec<String> {
    fn name(entry: &str) -> &str {
        entry.split_once('=').map_or(entry, |(name, _)| name)
    }
    let is_users = |entry: &&String| user.iter().any(|other| name(other) == name(entry));
    let later = |at: usize, entry: &String| user.iter().skip(at + 1).any(|other| name(other) == name(entry));
    let set = user.iter().enumerate().filter(|(at, entry)| entry.contains('=') && !later(*at, entry));
    set.map(|(_, entry)| entry).chain(image.iter().filter(|entry| !is_users(entry))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let check = |user: &[&str], image: &[&str], expected: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
            assert_eq!(environment(&owned(user), &owned(image)), expected);
        };
        check(&["A=1"], &["PATH=/p", "A=0"], &["A=1", "PATH=/p"]);
        check(&["A"], &["PATH=/p", "A=0"], &["PATH=/p"]);
        check(&["A=1", "A=2", "B=1", "B"], &[], &["A=2"]);
    }
}
