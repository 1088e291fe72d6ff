//! docker's `--user` and `--group-add`, looked up in the container's own passwd and group files.
//!
//! The files are the image's, hence hostile: read inside the root, bounded, and only split at colons.
//! A string of digits is always an id, never a name (CVE-2016-3697).

use corten_sys::{Dir, Errno, SysError};

use crate::launch::StartFailure;

/// Larger passwd and group files are refused.
const LIMIT: u64 = 16 << 20;

/// Ids start at 0; the last two are "no id" for the kernel.
const LARGEST_ID: u32 = u32::MAX - 2;

/// Who the payload runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, the primary one included.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Resolves `user` (`""`, `NAME|UID`, each with `:GROUP|GID`) and the groups to add.
pub(crate) fn resolve(root: &Dir, user: &str, add: &[String]) -> Result<Identity, StartFailure> {
    let passwd = read(root, "/etc/passwd")?;
    let group = read(root, "/etc/group")?;
    identify(user, add, &passwd, &group).map_err(StartFailure::platform)
}

fn read(root: &Dir, path: &str) -> Result<String, SysError> {
    match root.read(path, LIMIT) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn identify(user: &str, add: &[String], passwd: &str, group: &str) -> Result<Identity, String> {
    let (name, wanted_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let mut identity = Identity { home: "/".to_owned(), ..Identity::default() };
    let number = number(name, "user")?;
    let entry = passwd.lines().filter_map(PasswdEntry::parse).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None if name.is_empty() => entry.uid == 0,
        None => entry.name == name,
    });
    let mut login = "";
    match (&entry, number) {
        (Some(entry), _) => {
            (identity.uid, identity.gid) = (entry.uid, entry.gid);
            login = entry.name;
            if !entry.home.is_empty() {
                identity.home = entry.home.to_owned();
            }
        }
        (None, Some(uid)) => identity.uid = uid,
        (None, None) if name.is_empty() => {}
        (None, None) => {
            return Err(format!("unable to find user {name}: no matching entries in passwd file"));
        }
    }
    match wanted_group {
        Some(wanted) => identity.gid = group_id(wanted, group)?,
        None => {
            for line in group.lines().filter_map(GroupEntry::parse) {
                if !login.is_empty() && line.members.split(',').any(|member| member == login) {
                    identity.groups.push(line.gid);
                }
            }
        }
    }
    for wanted in add {
        identity.groups.push(group_id(wanted, group)?);
    }
    // Without the primary group among them a group-deny mode could be stepped around (CVE-2022-36109).
    identity.groups.push(identity.gid);
    identity.groups.sort_unstable();
    identity.groups.dedup();
    Ok(identity)
}

fn group_id(wanted: &str, group: &str) -> Result<u32, String> {
    if let Some(gid) = number(wanted, "group")? {
        return Ok(gid);
    }
    let entry = group.lines().filter_map(GroupEntry::parse).find(|entry| entry.name == wanted);
    let missing = || format!("unable to find group {wanted}: no matching entries in group file");
    entry.map(|entry| entry.gid).ok_or_else(missing)
}

/// Reads an id: all digits or it is a name. One beyond the kernel's range is an error.
fn number(text: &str, what: &str) -> Result<Option<u32>, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= LARGEST_ID && unsigned.len() == text.len() => Ok(Some(id)),
        _ => Err(format!("{what} {text}: ids must be in the range 0-{LARGEST_ID}")),
    }
}

/// An id of the image's files; the kernel's "no id" would leave the process what it is, root.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id <= LARGEST_ID)
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> PasswdEntry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
        let (_comment, home) = (fields.next(), fields.next().unwrap_or_default());
        Some(Self { name, uid, gid, home })
    }
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = id(fields.next()?)?;
        Some(Self { name, gid, members: fields.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:Bob:/home/bob:/bin/sh\n1234:x:0:0::/:\nbad\n";
    const GROUP: &str = "root:x:0:\nbob:x:1001:\nvideo:x:44:bob,alice\nwheel:x:10:root\n";

    fn check(user: &str, add: &[&str], expected: (u32, u32, &[u32], &str)) {
        let add: Vec<_> = add.iter().map(|&group| group.to_owned()).collect();
        let identity = identify(user, &add, PASSWD, GROUP).unwrap();
        let got = (identity.uid, identity.gid, identity.groups.as_slice(), identity.home.as_str());
        assert_eq!(got, expected, "{user}");
    }

    fn check_err(user: &str, text: &str) {
        let error = identify(user, &[], PASSWD, GROUP).unwrap_err();
        assert!(error.contains(text), "{user}: {error}");
    }

    #[test]
    fn users_by_name_and_number() {
        check("", &[], (0, 0, &[0, 10], "/root"));
        check("root", &[], (0, 0, &[0, 10], "/root"));
        check("bob", &[], (1000, 1001, &[44, 1001], "/home/bob"));
        check("1000", &[], (1000, 1001, &[44, 1001], "/home/bob"));
        check("1000:0", &[], (1000, 0, &[0], "/home/bob"));
        check("bob:video", &["7"], (1000, 44, &[7, 44], "/home/bob"));
        check("4242", &["wheel"], (4242, 0, &[0, 10], "/"));
        check("bob:", &[], (1000, 1001, &[44, 1001], "/home/bob"));
        check(":44", &[], (0, 44, &[44], "/root"));
    }

    #[test]
    fn a_number_is_never_a_name() {
        check("1234", &[], (1234, 0, &[0], "/"));
    }

    #[test]
    fn a_passwd_entry_without_a_usable_id_is_none() {
        let error = identify("evil", &[], "evil:x:4294967295:0::/:\n", "").unwrap_err();
        assert!(error.contains("unable to find user evil"), "{error}");
    }

    #[test]
    fn refused_users() {
        check_err("nosuch", "unable to find user nosuch: no matching entries in passwd file");
        check_err("bob:nosuch", "unable to find group nosuch");
        for text in ["-1", "4294967295", "4294967296", "+0", "99999999999"] {
            check_err(text, "ids must be in the range");
        }
        for text in ["0x0", " 0", "٠"] {
            check_err(text, "unable to find user");
        }
    }
}
