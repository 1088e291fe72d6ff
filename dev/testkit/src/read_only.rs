//! Whether a path is on a mount that cannot be written, where everything else can: root asks.

use std::path::Path;

/// Follows links, those of /proc too.
pub fn is_read_only(path: impl AsRef<Path>) -> bool {
    let stat = rustix::fs::statvfs(path.as_ref()).expect("statvfs");
    stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)
}
