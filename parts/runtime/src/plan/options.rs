//! Mount options of fstab and of the runtime-spec, sorted into attributes, propagation and the file system's own.

use corten_sys::mount::MountAttrFlags;

use super::Propagation;

/// What a list of mount options says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MountOptions {
    pub attributes: Attributes,
    pub bind: bool,
    pub recursive: bool,
    /// corten's own word for a bind that keeps the host's ids (its file system may refuse idmapping).
    pub no_idmap: bool,
    pub propagation: Option<Propagation>,
    /// corten's own word for a directory below a bind's source, to be resolved without leaving that.
    pub below: Option<String>,
    /// What is left for the file system.
    pub data: Vec<(String, Option<String>)>,
}

/// `MOUNT_ATTR_*` flags with a default and equality, which the plan's tests want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(u32);

impl Default for Attributes {
    fn default() -> Self {
        Self(MountAttrFlags::empty().bits())
    }
}

impl Attributes {
    /// The bits for mount_setattr(2).
    pub fn bits(self) -> u32 {
        self.0
    }

    fn set(&mut self, flag: MountAttrFlags, on: bool) {
        if on { self.0 |= flag.bits() } else { self.0 &= !flag.bits() }
    }
}

impl MountOptions {
    /// Sorts the options; a contradiction or an unknown propagation is an error text.
    pub fn parse(options: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        for option in options {
            parsed.take(option)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, option: &str) -> Result<(), String> {
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "noidmap" => self.no_idmap = true,
            "ro" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, true),
            "rw" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, false),
            "nosuid" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, true),
            "suid" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, false),
            "nodev" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, true),
            "dev" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, false),
            "noexec" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, true),
            "exec" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, false),
            "noatime" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NOATIME, true),
            "strictatime" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_STRICTATIME, true),
            "nodiratime" => self.attributes.set(MountAttrFlags::MOUNT_ATTR_NODIRATIME, true),
            "relatime" | "defaults" | "async" => {}
            _ => match propagation(option) {
                Some(kind) => self.propagation = Some(kind),
                None if option.is_empty() => return Err("an option is empty".to_owned()),
                None => self.data.push(match option.split_once('=') {
                    Some(("X-corten.below", below)) => {
                        self.below = Some(below.to_owned());
                        return Ok(());
                    }
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (option.to_owned(), None),
                }),
            },
        }
        Ok(())
    }
}

/// Reads a propagation by its mount(8) name, recursive or not.
pub(super) fn propagation(text: &str) -> Option<Propagation> {
    match text {
        "private" | "rprivate" => Some(Propagation::Private),
        "slave" | "rslave" => Some(Propagation::Slave),
        "shared" | "rshared" => Some(Propagation::Shared),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn sorts_flags_propagation_and_data() {
        let parsed = parse("rbind,ro,nosuid,rslave,size=64m,huge");
        assert!(parsed.bind && parsed.recursive);
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
        assert_eq!(parsed.attributes.bits(), flags.bits());
        assert_eq!(parsed.propagation, Some(Propagation::Slave));
        let data = vec![("size".to_owned(), Some("64m".to_owned())), ("huge".to_owned(), None)];
        assert_eq!(parsed.data, data);
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(parse("ro,rw").attributes.bits(), 0);
    }
}
