//! The SELinux labels of a new container, by docker's rules.

use corten_runtime::selinux::{self, Defaults, Labels};
use corten_sys::{fs, label};
use rustix::rand::GetRandomFlags;

use super::super::record::ContainerRecord;
use super::super::spec::{ContainerSpec, MountSpec, Share};
use super::super::{list, load};
use crate::{Engine, Error};

/// Chooses the labels; none where SELinux is not active, or where its policy knows no containers. What was asked for
/// and cannot be had is refused.
pub(super) fn choose(engine: &Engine, spec: &ContainerSpec) -> Result<Labels, Error> {
    if !engine.facts()?.selinux {
        return no_labels(spec, "SELinux is not active on this host");
    }
    if !selinux::has_policy() {
        return no_labels(spec, "SELinux has no policy loaded");
    }
    let defaults = Defaults::of_host()?;
    for context in [&defaults.process, &defaults.file] {
        if !selinux::knows(&context.render())? {
            return no_labels(
                spec,
                &format!("the SELinux policy of this host does not know {}", context.render()),
            );
        }
    }
    let options = options(engine, spec)?;
    let level = match selinux::wants_categories(&options) {
        true => free_level(engine)?,
        false => defaults.process.level.clone(),
    };
    let labels = selinux::labels(&defaults, &level, &options).map_err(Error::invalid)?;
    for label in [&labels.process, &labels.mount] {
        if !label.is_empty() && !selinux::knows(label)? {
            let asked = options.iter().map(|option| format!("label={option}")).collect::<Vec<_>>().join(" ");
            return Err(Error::invalid(format!(
                "security option {asked}: the SELinux policy of this host does not know {label}"
            )));
        }
    }
    label_layers(engine, &defaults)?;
    Ok(labels)
}

/// Labels the layers of images as every container may read them, once: what comes later is made where its directory
/// says so.
fn label_layers(engine: &Engine, defaults: &Defaults) -> Result<(), Error> {
    let store = engine.store();
    let (layers, ingest) = (store.path("layers"), store.path("ingest"));
    let wanted = if selinux::knows(&defaults.layer.render())? { &defaults.layer } else { &defaults.file };
    let wanted = wanted.render();
    if label::get(&layers).as_deref() == Some(wanted.as_str()) {
        return Ok(());
    }
    label::set_tree(ingest, &wanted)?;
    for name in fs::list(&layers)? {
        label::set_tree(layers.join(name), &wanted)?;
    }
    // Last: it says that the rest is done.
    Ok(label::set(&layers, &wanted)?)
}

/// No labels, if none were asked for.
fn no_labels(spec: &ContainerSpec, reason: &str) -> Result<Labels, Error> {
    if let Some(option) = spec.security.labels.iter().find(|&option| option != "disable") {
        return Err(Error::unsupported(format!("security option label={option}: {reason}")));
    }
    let relabelled = |mount: &&MountSpec| mount.relabel.is_some();
    if let Some((mount, relabel)) =
        spec.mounts.iter().find(relabelled).and_then(|mount| Some((mount, mount.relabel?)))
    {
        return Err(Error::unsupported(format!(
            "volume {}: option {}: {reason}",
            mount.target,
            relabel.letter()
        )));
    }
    Ok(Labels::default())
}

/// The label options of a container: its own, or else what follows from the processes and memory that it shares.
fn options(engine: &Engine, spec: &ContainerSpec) -> Result<Vec<String>, Error> {
    if !spec.security.labels.is_empty() {
        return Ok(spec.security.labels.clone());
    }
    let modes = &spec.namespaces;
    if spec.privileged || modes.ipc == Share::Host || modes.pid == Share::Host {
        return Ok(vec!["disable".to_owned()]);
    }
    let of = |share: &Share| match share {
        Share::Container(id) => load(engine, id).map(|other| Some(selinux::options_of(&other.process_label))),
        _ => Ok(None),
    };
    shared(of(&modes.ipc)?, of(&modes.pid)?).map_err(Error::invalid)
}

/// What follows for a container that shares memory with one and processes with another; `None` where it shares none.
fn shared(ipc: Option<Vec<String>>, pid: Option<Vec<String>>) -> Result<Vec<String>, &'static str> {
    match (ipc, pid) {
        (Some(ipc), Some(pid)) if ipc.is_empty() || pid.is_empty() => Ok(Vec::new()),
        (Some(ipc), Some(pid)) if ipc != pid => {
            Err("--ipc and --pid containers SELinux labels aren't the same")
        }
        (ipc, pid) => Ok(pid.or(ipc).unwrap_or_default()),
    }
}

/// A level whose two categories no other container has.
fn free_level(engine: &Engine) -> Result<String, Error> {
    let taken = list(engine)?;
    loop {
        let mut random = [0_u8; 4];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|errno| corten_sys::SysError::new("getrandom", "", errno))?;
        let Some(level) = selinux::level_of(random) else { continue };
        let has = |record: &ContainerRecord| record.mount_label.ends_with(&format!(":{level}"));
        if !taken.iter().any(has) {
            return Ok(level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_decides() {
        let one = || vec!["type:a".to_owned()];
        let other = || vec!["type:b".to_owned()];
        assert_eq!(shared(None, None), Ok(Vec::new()));
        assert_eq!(shared(Some(one()), None), Ok(one()));
        assert_eq!(shared(None, Some(other())), Ok(other()));
        assert_eq!(shared(Some(one()), Some(one())), Ok(one()));
        assert_eq!(shared(Some(Vec::new()), None), Ok(Vec::new()));
        assert_eq!(shared(Some(one()), Some(Vec::new())), Ok(Vec::new()));
        assert!(shared(Some(one()), Some(other())).is_err());
    }
}
