//! The options of the local driver: `type`, `device` and `o`, as docker's reads them. Pure.

use std::collections::BTreeMap;

use corten_sys::mount::MountFlags;

/// What is mounted on a volume's directory while a container uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountOptions {
    pub(crate) kind: String,
    pub(crate) device: String,
    pub(crate) flags: MountFlags,
    /// For the file system itself.
    pub(crate) data: String,
}

/// Refuses options that the driver does not have or that lack another one.
pub(crate) fn check(options: &BTreeMap<String, String>) -> Result<(), String> {
    if let Some(option) = options.keys().find(|key| !["type", "device", "o", "size"].contains(&key.as_str()))
    {
        return Err(format!("invalid option: \"{option}\""));
    }
    if options.contains_key("size") {
        return Err("quota size requested but no quota support".to_owned());
    }
    if options.is_empty() {
        return Ok(());
    }
    if let Some(missing) = ["device", "type"].iter().find(|&&key| !options.contains_key(key)) {
        return Err(format!("missing required option: \"{missing}\""));
    }
    let words = options.get("o").map(String::as_str).unwrap_or_default();
    match words.split(',').find(|word| PROPAGATIONS.contains(word)) {
        Some(word) => {
            Err(format!("option o={word} is not supported: set the propagation where the volume is mounted"))
        }
        None => Ok(()),
    }
}

/// Reads checked options; `None` for a volume that is just its directory.
pub(crate) fn read(options: &BTreeMap<String, String>) -> Option<MountOptions> {
    let text = |key: &str| options.get(key).cloned().unwrap_or_default();
    let mut read = MountOptions {
        kind: options.get("type")?.clone(),
        device: text("device"),
        flags: MountFlags::empty(),
        data: String::new(),
    };
    let mut data = Vec::new();
    for word in text("o").split(',').filter(|word| !word.is_empty()) {
        match FLAGS.iter().find(|(name, ..)| *name == word) {
            Some((_, flag, true)) => read.flags |= *flag,
            Some((_, flag, false)) => read.flags &= !*flag,
            None => data.push(word.to_owned()),
        }
    }
    read.data = data.join(",");
    Some(read)
}

const PROPAGATIONS: [&str; 8] =
    ["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"];

/// `MS_BIND` and `MS_REC` of mount(2).
pub(crate) const BIND: MountFlags = MountFlags::from_bits_retain(4096);
pub(crate) const RECURSIVE_BIND: MountFlags = MountFlags::from_bits_retain(4096 | 16384);

/// The words of mount(8) that are flags, and whether they set or clear it.
const FLAGS: [(&str, MountFlags, bool); 26] = [
    ("defaults", MountFlags::empty(), true),
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
    ("nomand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("norelatime", MountFlags::RELATIME, false),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("nostrictatime", MountFlags::STRICTATIME, false),
    ("silent", MountFlags::SILENT, true),
    ("loud", MountFlags::SILENT, false),
    ("bind", BIND, true),
    ("rbind", RECURSIVE_BIND, true),
];

impl MountOptions {
    /// The host whose address the kernel has to be told, for the file systems of the network.
    pub(crate) fn host(&self) -> Option<&str> {
        let address = self.data.split(',').find_map(|word| word.strip_prefix("addr="));
        match self.kind.as_str() {
            "nfs" | "nfs4" => address,
            "cifs" | "smb3" => {
                let of_device = || self.device.trim_start_matches('/').split(['/', '\\']).next();
                address.or_else(of_device).filter(|host| !host.is_empty())
            }
            _ => None,
        }
    }

    /// The same with the host's address in place of its name.
    pub(crate) fn with_address(&self, address: &str) -> Self {
        let others = self.data.split(',').filter(|word| !word.is_empty() && !word.starts_with("addr="));
        let own = format!("addr={address}");
        Self { data: others.chain([own.as_str()]).collect::<Vec<_>>().join(","), ..self.clone() }
    }

    /// As docker tells of a mount: what was to be mounted where, and how.
    pub(crate) fn describe(&self, target: &str) -> String {
        let mut text = format!("mount {}:{target}", self.device);
        if !self.flags.is_empty() {
            text.push_str(&format!(", flags: {:#x}", self.flags.bits()));
        }
        if !self.data.is_empty() {
            text.push_str(&format!(", data: {}", self.data));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn what_is_refused() {
        let check = |pairs: &[(&str, &str)], expected: &str| {
            assert_eq!(check(&map(pairs)).err().unwrap_or_default(), expected, "{pairs:?}");
        };
        check(&[], "");
        check(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,uid=1000")], "");
        check(&[("foo", "bar")], "invalid option: \"foo\"");
        check(&[("type", "tmpfs")], "missing required option: \"device\"");
        check(&[("device", "/x")], "missing required option: \"type\"");
        check(&[("o", "bind")], "missing required option: \"device\"");
        check(&[("size", "10m")], "quota size requested but no quota support");
        check(
            &[("type", "none"), ("device", "/x"), ("o", "bind,rshared")],
            "option o=rshared is not supported: set the propagation where the volume is mounted",
        );
    }

    #[test]
    fn words_are_flags_or_data() {
        let check = |o: &str, flags: MountFlags, data: &str| {
            let read = read(&map(&[("type", "t"), ("device", "d"), ("o", o)])).unwrap();
            assert_eq!((read.flags, read.data.as_str()), (flags, data), "{o}");
        };
        check("", MountFlags::empty(), "");
        check("ro,nosuid,size=1m,uid=7", MountFlags::RDONLY | MountFlags::NOSUID, "size=1m,uid=7");
        check("ro,rw,bind", BIND, "");
        assert_eq!(read(&map(&[])), None);
    }

    #[test]
    fn hosts_and_their_addresses() {
        let check = |kind: &str, device: &str, o: &str, host: Option<&str>, data: &str| {
            let read = read(&map(&[("type", kind), ("device", device), ("o", o)])).unwrap();
            assert_eq!(read.host(), host);
            if host.is_some() {
                assert_eq!(read.with_address("10.0.0.9").data, data);
            }
        };
        check("nfs", ":/srv", "addr=files.lan,vers=4", Some("files.lan"), "vers=4,addr=10.0.0.9");
        check("nfs", ":/srv", "vers=4", None, "");
        check("cifs", "//files.lan/share", "username=u", Some("files.lan"), "username=u,addr=10.0.0.9");
        check("tmpfs", "tmpfs", "addr=x", None, "");
    }

    #[test]
    fn as_docker_tells_of_it() {
        let read = |o| read(&map(&[("type", "none"), ("device", "/d"), ("o", o)])).unwrap().describe("/t");
        assert_eq!(read("bind"), "mount /d:/t, flags: 0x1000");
        assert_eq!(read("a=b,c"), "mount /d:/t, data: a=b,c");
    }
}
