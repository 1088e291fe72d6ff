//! SELinux contexts of a container: what its process and its files are labelled with, by docker's rules.
//!
//! corten loads no policy: it labels where SELinux is active and the policy knows the types of containers. Putting the
//! pieces together is pure; asking the kernel and choosing at random are apart.

use std::path::Path;

use corten_sys::{Errno, SysError, fs};

/// Where SELinux is asked; absent where it is not active.
const FILE_SYSTEM: &str = "/sys/fs/selinux";

/// Where distributions say how containers are labelled, before the policy's own `contexts/lxc_contexts`.
const SHARED_CONTEXTS: &str = "/usr/share/containers/selinux/contexts";

/// How many categories a policy has, and the two highest of them, which no container gets at random.
const CATEGORIES: u32 = 1024;
const PRIVILEGED_LEVEL: &str = "s0:c1022,c1023";

/// What files are labelled with that several containers share.
pub const SHARED_LEVEL: &str = "s0";

/// A context in its four parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub user: String,
    pub role: String,
    pub kind: String,
    /// With its categories; empty where the policy has no levels.
    pub level: String,
}

impl Context {
    /// Reads `user:role:type[:level]`, whose level has colons itself.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':').map(str::to_owned);
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (user, role, kind) = (next()?, next()?, next()?);
        Some(Self { user, role, kind, level: next().unwrap_or_default() })
    }

    /// As the kernel takes it.
    pub fn render(&self) -> String {
        let Self { user, role, kind, level } = self;
        if level.is_empty() {
            format!("{user}:{role}:{kind}")
        } else {
            format!("{user}:{role}:{kind}:{level}")
        }
    }

    /// The same with another level.
    pub fn at_level(&self, level: &str) -> Self {
        Self { level: level.to_owned(), ..self.clone() }
    }
}

/// What a container without a flag is labelled with, but for its categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    pub process: Context,
    pub file: Context,
    /// Of the layers of images: a mapping of an overlay's file is checked against the layer's own (before Linux 6.13).
    pub layer: Context,
}

impl Default for Defaults {
    fn default() -> Self {
        let context = |role: &str, kind: &str| Context {
            user: "system_u".to_owned(),
            role: role.to_owned(),
            kind: kind.to_owned(),
            level: SHARED_LEVEL.to_owned(),
        };
        Self {
            process: context("system_r", "container_t"),
            file: context("object_r", "container_file_t"),
            layer: context("object_r", "container_ro_file_t"),
        }
    }
}

impl Defaults {
    /// Those of this machine: what its policy's package says, or else what all of them say.
    pub fn of_host() -> Result<Self, SysError> {
        let config = fs::read_if_exists("/etc/selinux/config")?.unwrap_or_default();
        let config = String::from_utf8_lossy(&config).into_owned();
        let own =
            value(&config, "SELINUXTYPE").map(|kind| format!("/etc/selinux/{kind}/contexts/lxc_contexts"));
        for path in [Some(SHARED_CONTEXTS.to_owned()), own].into_iter().flatten() {
            if let Some(text) = fs::read_if_exists(path)? {
                return Ok(Self::parse(&String::from_utf8_lossy(&text)));
            }
        }
        Ok(Self::default())
    }

    /// Reads `process = "…"`, `file = "…"` and `ro_file = "…"`.
    fn parse(text: &str) -> Self {
        let context = |key| value(text, key).and_then(|text| Context::parse(&text));
        let default = Self::default();
        let file = context("file");
        Self {
            process: context("process").unwrap_or(default.process),
            layer: context("ro_file").or_else(|| file.clone()).unwrap_or(default.layer),
            file: file.unwrap_or(default.file),
        }
    }
}

/// The value of a `key = value` line, without its quotes.
fn value(text: &str, key: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// What a container is labelled with; both empty where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Empty leaves the process as it is.
    pub process: String,
    pub mount: String,
}

/// Puts together what the options (`disable`, `user:…`, `role:…`, `type:…`, `level:…`, `filetype:…`) make of the
/// defaults, with the categories chosen for this container.
pub fn labels(defaults: &Defaults, level: &str, options: &[String]) -> Result<Labels, String> {
    let (mut process, mut file) = (defaults.process.at_level(level), defaults.file.at_level(level));
    for option in options {
        if option == "disable" {
            let mount = defaults.file.at_level(PRIVILEGED_LEVEL).render();
            return Ok(Labels { process: String::new(), mount });
        }
        let Some((key, value)) = option.split_once(':') else {
            return Err(format!(
                "Bad label option \"{option}\", valid options 'disable' or 'user, role, level, type, filetype' \
                 followed by ':' and a value"
            ));
        };
        let value = value.to_owned();
        match key {
            "user" => (process.user, file.user) = (value.clone(), value),
            "level" => (process.level, file.level) = (value.clone(), value),
            "role" => process.role = value,
            "type" => process.kind = value,
            "filetype" => file.kind = value,
            _ => {
                return Err(format!(
                    "Bad label option \"{key}\", valid options 'disable, user, role, level, type, filetype'"
                ));
            }
        }
    }
    Ok(Labels { process: process.render(), mount: file.render() })
}

/// Says whether the options leave a container the categories that are chosen for it.
pub fn wants_categories(options: &[String]) -> bool {
    !options.iter().any(|option| option == "disable" || option.starts_with("level:"))
}

/// The options that label a container as the one with this process label is: docker's rule for sharing.
pub fn options_of(process: &str) -> Vec<String> {
    let Some(context) = Context::parse(process) else { return Vec::new() };
    let mut options = vec![
        format!("user:{}", context.user),
        format!("role:{}", context.role),
        format!("type:{}", context.kind),
    ];
    if !context.level.is_empty() {
        options.push(format!("level:{}", context.level));
    }
    options
}

/// The level with two different categories out of four random bytes; `None` for a pair that cannot be.
pub fn level_of(random: [u8; 4]) -> Option<String> {
    let [a, b, c, d] = random.map(u32::from);
    let (one, other) = ((a << 8 | b) % CATEGORIES, (c << 8 | d) % CATEGORIES);
    let level = format!("s0:c{},c{}", one.min(other), one.max(other));
    (one != other && level != PRIVILEGED_LEVEL).then_some(level)
}

/// Says whether SELinux is active: only then its file system can be mounted.
pub fn is_active() -> bool {
    fs::exists("/sys/fs/selinux/enforce")
}

/// Says whether a policy is loaded.
pub fn has_policy() -> bool {
    fs::list(format!("{FILE_SYSTEM}/class")).is_ok_and(|classes| !classes.is_empty())
}

/// Says whether the policy knows a context.
pub fn knows(context: &str) -> Result<bool, SysError> {
    match fs::write_kernel_file(Path::new(FILE_SYSTEM).join("context"), context.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Errno::INVAL => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts() {
        let check = |text: &str, parts: Option<[&str; 4]>| {
            let expected = parts.map(|[user, role, kind, level]| Context {
                user: user.to_owned(),
                role: role.to_owned(),
                kind: kind.to_owned(),
                level: level.to_owned(),
            });
            assert_eq!(Context::parse(text), expected, "{text}");
            if let Some(context) = expected {
                assert_eq!(context.render(), text);
            }
        };
        check("a:b:c:s0:c1,c2", Some(["a", "b", "c", "s0:c1,c2"]));
        check("a:b:c", Some(["a", "b", "c", ""]));
        check("kernel", None);
        check("", None);
    }

    #[test]
    fn options_make_labels() {
        let level = "s0:c1,c2";
        let check = |options: &[&str], process: &str, mount: &str| {
            let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
            let made = labels(&Defaults::default(), level, &options).unwrap();
            assert_eq!((made.process.as_str(), made.mount.as_str()), (process, mount), "{options:?}");
        };
        let file = "system_u:object_r:container_file_t:s0:c1,c2";
        check(&[], "system_u:system_r:container_t:s0:c1,c2", file);
        check(&["disable"], "", "system_u:object_r:container_file_t:s0:c1022,c1023");
        check(&["type:my_t"], "system_u:system_r:my_t:s0:c1,c2", file);
        check(&["role:my_r"], "system_u:my_r:container_t:s0:c1,c2", file);
        check(
            &["user:my_u"],
            "my_u:system_r:container_t:s0:c1,c2",
            "my_u:object_r:container_file_t:s0:c1,c2",
        );
        check(
            &["level:s0:c7,c9", "filetype:my_file_t"],
            "system_u:system_r:container_t:s0:c7,c9",
            "system_u:object_r:my_file_t:s0:c7,c9",
        );
    }

    #[test]
    fn bad_options_are_named() {
        let check = |option: &str, message: &str| {
            let error = labels(&Defaults::default(), "s0", &[option.to_owned()]).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        };
        check("enable", "Bad label option \"enable\", valid options 'disable' or");
        check("color:red", "Bad label option \"color\", valid options 'disable, user,");
    }

    #[test]
    fn sharing_takes_the_label_over() {
        let label = "system_u:system_r:container_t:s0:c1,c2";
        let made = labels(&Defaults::default(), "s0:c8,c9", &options_of(label)).unwrap();
        assert_eq!(made.process, label);
        assert_eq!(made.mount, "system_u:object_r:container_file_t:s0:c1,c2");
        assert!(!wants_categories(&options_of(label)));
        assert_eq!(options_of(""), Vec::<String>::new());
    }

    #[test]
    fn levels_have_two_categories_in_order() {
        let check = |random, expected: Option<&str>| assert_eq!(level_of(random).as_deref(), expected);
        check([0, 9, 0, 3], Some("s0:c3,c9"));
        check([4, 1, 0, 1], None);
        check([3, 254, 3, 255], None);
        check([255, 255, 0, 0], Some("s0:c0,c1023"));
    }

    #[test]
    fn the_words_of_a_policy() {
        let text =
            "process = \"system_u:system_r:svirt_lxc_net_t:s0\"\ncontent = \"x\"\nfile = \"a:b:c:s0\"\n";
        let read = Defaults::parse(text);
        let kinds = [&read.process, &read.file, &read.layer].map(|context| context.kind.as_str());
        assert_eq!(kinds, ["svirt_lxc_net_t", "c", "c"]);
        assert_eq!(Defaults::parse("nonsense"), Defaults::default());
    }
}
