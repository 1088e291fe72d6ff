//! The guest's kernel: Debian's package, unpacked, and which of its modules need which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::prerequisites::Installer;
use crate::shell::Cmd;
use crate::workspace;

/// What the guest needs beyond what is built in; built-in ones are skipped.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "overlay",
    "veth",
    "bridge",
    "br_netfilter",
    "dummy",
    "tun",
    "nf_tables",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_fib_inet",
    "nft_reject_inet",
    "nf_conntrack_netlink",
];

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    modules: PathBuf,
}

/// A module to load: its file, after everything it needs.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Kernel {
    /// The kernel below `dir`, downloaded and unpacked if it is not there yet.
    pub(super) fn fetched(dir: &Path, installer: &Installer) -> Result<Self> {
        let tree = dir.join("kernel");
        if !tree.exists() {
            installer.update()?;
            fetch(dir, &tree)?;
        }
        let release = only_entry(&tree.join("lib/modules"))?;
        let name = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { image: tree.join("boot").join(format!("vmlinuz-{name}")), modules: release })
    }

    /// The modules the guest loads, in an order in which each finds what it needs.
    pub(super) fn modules(&self) -> Result<Vec<Module>> {
        let mut files = BTreeMap::new();
        for path in workspace::source_files(&self.modules.join("kernel"), "ko")? {
            let name = module_name(&path.file_stem().unwrap_or_default().to_string_lossy());
            files.insert(name, path);
        }
        let built_in = workspace::read_text(&self.modules.join("modules.builtin"))?;
        let is_built_in = |name: &str| {
            built_in.lines().any(|line| {
                line.rsplit('/')
                    .next()
                    .and_then(|file| file.strip_suffix(".ko"))
                    .is_some_and(|stem| module_name(stem) == name)
            })
        };
        let mut order = Vec::new();
        for name in MODULES {
            visit(name, &files, &is_built_in, &mut order)?;
        }
        Ok(order)
    }
}

fn visit(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    is_built_in: &dyn Fn(&str) -> bool,
    order: &mut Vec<Module>,
) -> Result<()> {
    if order.iter().any(|module| module.name == name) || is_built_in(name) {
        return Ok(());
    }
    let path =
        files.get(name).ok_or_else(|| Failure::new(format!("the guest's kernel has no module {name}")))?;
    let content = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    for needed in needs(&content) {
        visit(&needed, files, is_built_in, order)?;
    }
    order.push(Module { name: name.to_owned(), path: path.clone() });
    Ok(())
}

/// What a module says it needs: `depends=a,b` and `softdep=pre: c` in its .modinfo section.
fn needs(module: &[u8]) -> Vec<String> {
    let hard = field(module, b"\0depends=").unwrap_or_default();
    let soft = field(module, b"\0softdep=pre: ").unwrap_or_default();
    let names = hard.split(',').chain(soft.split(' ').take_while(|name| !name.ends_with(':')));
    // ext4 names the checksum by its crypto alias; the others of that kind are built in.
    names
        .filter(|name| !name.is_empty())
        .map(|name| if name == "crc32c" { "crc32c_generic".into() } else { module_name(name) })
        .collect()
}

fn field(module: &[u8], key: &[u8]) -> Option<String> {
    let at = module.windows(key.len()).position(|window| window == key)? + key.len();
    let end = module[at..].iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&module[at..at + end]).into_owned())
}

/// Files say `br-netfilter` where modules say `br_netfilter`.
fn module_name(stem: &str) -> String {
    stem.replace('-', "_")
}

fn fetch(dir: &Path, tree: &Path) -> Result<()> {
    let names = Cmd::new("apt-cache")
        .args(["search", "--names-only", r"^linux-image-6\.1\.[-0-9.]+-cloud-amd64$"])
        .read()?;
    let package = newest(&names).ok_or_else(|| {
        Failure::new("no linux-image-6.1*-cloud-amd64 among the packages: the guest needs Debian 12's")
    })?;
    println!("   fetching {package} for the guest");
    let download = dir.join("download");
    fs::create_dir_all(&download).map_err(|error| Failure::io("create directory", &download, &error))?;
    Cmd::new("apt-get").args(["download", "-qq", &package]).dir(&download).read()?;
    // Unpacked beside its place, so that a tree that is there is a whole one.
    let unpacked = dir.join("unpacking");
    Cmd::new("dpkg-deb").arg("-x").arg(only_entry(&download)?).arg(&unpacked).read()?;
    fs::rename(&unpacked, tree).map_err(|error| Failure::io("rename", &unpacked, &error))?;
    fs::remove_dir_all(&download).map_err(|error| Failure::io("remove", &download, &error))
}

/// The package with the highest version among the lines of `apt-cache search`.
fn newest(search: &str) -> Option<String> {
    let version = |name: &str| -> Vec<u32> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
    };
    let names = search.lines().filter_map(|line| line.split_whitespace().next());
    names.max_by_key(|name| version(name)).map(str::to_owned)
}

fn only_entry(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).map_err(|error| Failure::io("read directory", dir, &error))?;
    let paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    match paths.as_slice() {
        [path] => Ok(path.clone()),
        _ => Err(Failure::new(format!(
            "{}: {} entries where one was expected; remove it and run again",
            dir.display(),
            paths.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{needs, newest};

    #[test]
    fn the_newest_package_wins_by_number_not_by_letter() {
        let search = "linux-image-6.1.0-9-cloud-amd64 - Linux\nlinux-image-6.1.0-41-cloud-amd64 - Linux\n\
                      linux-image-6.1.0-10-cloud-amd64 - Linux\n";
        assert_eq!(newest(search).as_deref(), Some("linux-image-6.1.0-41-cloud-amd64"));
        assert_eq!(newest(""), None);
    }

    #[test]
    fn what_a_module_needs_is_read_from_its_modinfo() {
        let check = |content: &[u8], expected: &[&str]| assert_eq!(needs(content), expected);
        check(b"\x7fELF\0license=GPL\0depends=jbd2,nf-tables\0name=x\0", &["jbd2", "nf_tables"]);
        check(b"\x7fELF\0depends=\0softdep=pre: crc32c\0", &["crc32c_generic"]);
        check(b"\x7fELF\0name=x\0", &[]);
    }
}
