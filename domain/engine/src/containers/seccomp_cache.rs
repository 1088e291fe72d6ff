//! Compiled seccomp programs: the built-in one is kept as bytes in the run directory, keyed by what it depends on.

use corten_runtime::capabilities::CapSet;
use corten_runtime::seccomp::{self, Arch};
use corten_sys::fs;

use super::oci_spec;
use super::record::ContainerRecord;
use super::spec::Seccomp;
use crate::host::HostFacts;
use crate::{Engine, Error};

/// The program for init: four bytes of flags, then the instructions; empty where the container is unconfined.
pub(crate) fn program(
    engine: &Engine,
    record: &ContainerRecord,
    facts: &HostFacts,
) -> Result<Vec<u8>, Error> {
    let caps = oci_spec::bounding_set(&record.spec)?;
    match &record.spec.security.seccomp {
        Seccomp::Unconfined => Ok(Vec::new()),
        Seccomp::Builtin if record.spec.privileged => Ok(Vec::new()),
        Seccomp::Builtin => builtin(engine, caps, facts),
        Seccomp::Custom(text) => {
            let profile = seccomp::parse(text.as_bytes()).map_err(|error| {
                Error::invalid(format!("seccomp profile: {}", crate::error::with_causes(&error)))
            })?;
            // A profile of `null` is docker's way of writing "unconfined".
            profile.map_or(Ok(Vec::new()), |profile| compile(&profile, caps, facts))
        }
    }
}

fn builtin(engine: &Engine, caps: CapSet, facts: &HostFacts) -> Result<Vec<u8>, Error> {
    let (major, minor) = facts.kernel;
    let policy = seccomp::FINGERPRINT;
    let path = engine.run().join(format!("seccomp-{policy:016x}-{:x}-{major}.{minor}", caps.bits()));
    if let Some(bytes) = fs::read_if_exists(&path)? {
        return Ok(bytes);
    }
    let bytes = compile(&seccomp::docker_default(), caps, facts)?;
    fs::write_atomic(&path, &bytes)?;
    Ok(bytes)
}

fn compile(profile: &seccomp::Profile, caps: CapSet, facts: &HostFacts) -> Result<Vec<u8>, Error> {
    let program = seccomp::compile(profile, caps, Arch::NATIVE, facts.kernel)
        .map_err(|error| Error::invalid(format!("seccomp profile: {}", crate::error::with_causes(&error))))?;
    let mut bytes = program.flags.to_le_bytes().to_vec();
    bytes.extend_from_slice(&program.instructions);
    Ok(bytes)
}
