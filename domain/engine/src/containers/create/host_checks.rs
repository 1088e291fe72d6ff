//! What was asked for against what this host has.

use corten_runtime::lsm;

use super::super::spec::ContainerSpec;
use crate::Error;

/// Refuses what this host cannot honour.
pub(super) fn check(spec: &ContainerSpec) -> Result<(), Error> {
    apparmor(spec.security.apparmor_to_enter())
}

fn apparmor(profile: &str) -> Result<(), Error> {
    if profile.is_empty() {
        return Ok(());
    }
    if !lsm::has_apparmor() {
        return Err(Error::unsupported(format!(
            "security option apparmor={profile}: AppArmor is not active on this host"
        )));
    }
    if lsm::apparmor_profile_is_loaded(profile)? == Some(false) {
        return Err(Error::invalid(format!(
            "security option apparmor={profile}: no such profile is loaded on this host"
        ))
        .hint("apparmor_parser -r FILE loads the profiles of a file"));
    }
    Ok(())
}
