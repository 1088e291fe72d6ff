//! Container names: docker's grammar, and random ones of an adjective and a metal or mineral.

use corten_store::containers::{Claim, NameOwner};

use super::record::ContainerRecord;
use super::{lookup, random_number};
use crate::{Engine, Error};

const ADJECTIVES: [&str; 32] = [
    "amber", "brisk", "calm", "clever", "copper", "crisp", "eager", "early", "fair", "gentle", "golden",
    "hardy", "keen", "lively", "lucid", "mellow", "nimble", "noble", "patient", "plain", "proud", "quick",
    "quiet", "ready", "rustic", "silver", "solid", "steady", "sturdy", "swift", "tidy", "warm",
];

const NOUNS: [&str; 32] = [
    "agate", "alloy", "anvil", "basalt", "beryl", "bolt", "brass", "chrome", "cobalt", "crane", "flint",
    "forge", "garnet", "girder", "granite", "harbor", "hull", "ingot", "iron", "jasper", "keel", "marble",
    "mica", "nickel", "opal", "pewter", "quartz", "rivet", "slate", "steel", "titan", "zinc",
];

/// Checks a name as docker does.
pub(crate) fn validate(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if first && rest && name.len() >= 2 {
        return Ok(());
    }
    Err(invalid(name))
}

/// docker's complaint about a name that is none.
pub(super) fn invalid(name: &str) -> Error {
    Error::invalid(format!(
        "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        name.escape_debug()
    ))
}

/// docker's complaint about a name that another container has.
pub(crate) fn taken(name: &str, holder: &NameOwner) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or \
         rename) that container to be able to reuse that name.",
        holder.id
    ))
}

/// Claims a name, taking it from a container that no longer exists or has another. Returns who holds it otherwise.
pub(crate) fn claim(engine: &Engine, name: &str, owner: &NameOwner) -> Result<Option<NameOwner>, Error> {
    loop {
        let Claim::Held(holder) = engine.store().claim_name(name, owner)? else { return Ok(None) };
        let creating = holder.boot == engine.boot() && holder.creator.is_alive();
        // The container may have another name by now, of which a killed rename has left this one.
        let is_named = |record: ContainerRecord| record.name == name;
        if creating || lookup::load(engine, &holder.id).is_ok_and(is_named) {
            return Ok(Some(holder));
        }
        engine.store().release_name(name, &holder.id)?;
    }
}

/// Makes a name up; after a few collisions with a number behind it.
pub(super) fn random(attempt: u32) -> Result<String, Error> {
    let number = random_number()? as usize;
    let pick = |words: &'static [&'static str; 32], shift: u32| words[(number >> shift) % 32];
    let name = format!("{}_{}", pick(&ADJECTIVES, 0), pick(&NOUNS, 5));
    Ok(if attempt == 0 { name } else { format!("{name}{}", (number >> 10) % (10 << attempt.min(16))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_grammar() {
        for name in ["web", "a1", "x_y.z-1", "0a"] {
            assert!(validate(name).is_ok(), "{name}");
        }
        for name in ["", "a", "-x", ".x", "a/b", "a b", "ä1", "a:b"] {
            assert!(validate(name).is_err(), "{name}");
        }
    }

    #[test]
    fn random_names_are_valid() {
        for attempt in 0..20 {
            validate(&random(attempt).unwrap()).unwrap();
        }
    }
}
