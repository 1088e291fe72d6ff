//! The process of a container: the image's defaults under the user's flags, by docker's rules.

use corten_store::Image;

use super::super::record::ProcessRecord;
use super::super::spec::ContainerSpec;
use crate::Error;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Takes image and flags together.
pub(super) fn compose(spec: &ContainerSpec, image: &Image, id: &str) -> Result<ProcessRecord, Error> {
    let config = &image.config.config;
    let (entrypoint, command) = match &spec.entrypoint {
        // A user's entrypoint drops the image's command with the image's entrypoint.
        Some(entrypoint) => (entrypoint.clone(), spec.command.clone()),
        None => {
            let entrypoint = config.entrypoint.clone().unwrap_or_default();
            let command = if spec.command.is_empty() {
                config.cmd.clone().unwrap_or_default()
            } else {
                spec.command.clone()
            };
            (entrypoint, command)
        }
    };
    if entrypoint.is_empty() && command.is_empty() {
        return Err(Error::invalid("no command specified"));
    }
    let workdir = spec.workdir.clone().unwrap_or_else(|| config.working_dir.clone());
    if !workdir.is_empty() && !workdir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{workdir}' is invalid, it needs to be an absolute path"
        )));
    }
    Ok(ProcessRecord {
        entrypoint,
        command,
        env: environment(spec, &config.env, id),
        workdir: super::mounts::clean(&workdir),
        user: spec.user.clone().unwrap_or_else(|| config.user.clone()),
    })
}

/// docker's own variables, then the image's, then the user's; a later one of a name replaces an earlier one.
fn environment(spec: &ContainerSpec, image: &[String], id: &str) -> Vec<String> {
    let hostname = spec.hostname.as_deref().unwrap_or_else(|| id.get(..12).unwrap_or_default());
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if spec.tty {
        env.push("TERM=xterm".to_owned());
    }
    // An image's entry without a value would be filled from somebody's environment elsewhere; here it is none.
    for entry in image.iter().filter(|entry| entry.contains('=')).chain(&spec.env) {
        set(&mut env, entry);
    }
    env
}

fn set(env: &mut Vec<String>, entry: &str) {
    let Some((name, _)) = entry.split_once('=') else {
        env.retain(|other| other.split('=').next() != Some(entry));
        return;
    };
    match env.iter_mut().find(|other| other.split('=').next() == Some(name)) {
        Some(slot) => entry.clone_into(slot),
        None => env.push(entry.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(image: &[&str], user: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
        let spec = ContainerSpec { env: owned(user), ..ContainerSpec::default() };
        environment(&spec, &owned(image), "0123456789abcdef")
    }

    #[test]
    fn later_entries_replace_earlier_ones() {
        let got = env(&["PATH=/image", "A=1", "BROKEN", "=x"], &["A=2", "HOSTNAME"]);
        assert_eq!(got, ["PATH=/image", "A=2", "=x"]);
        assert_eq!(env(&[], &[]), [DEFAULT_PATH, "HOSTNAME=0123456789ab"]);
    }
}
