//! Paths in a tree as bytes: no encoding is assumed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Joins a directory, empty for the root, and a name.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The bytes of a name as a path.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Drops empty and `.` components, leading slashes, and what `..` takes back; `None` where `..` would leave.
pub(crate) fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// Splits a clean path into its directory, empty for the root, and its last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A path for a message: names can be megabytes.
pub(crate) fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(&path[..path.len().min(LONGEST)]).into_owned();
    if path.len() > LONGEST { format!("{text}…") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_paths() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(clean(path.as_bytes()), expected.map(|text| text.as_bytes().to_vec()), "{path}");
        };
        check("./a//b/", Some("a/b"));
        check("/etc/passwd", Some("etc/passwd"));
        check("a/../b", Some("b"));
        check("", Some(""));
        check("./", Some(""));
        check("a/..", Some(""));
        check("..", None);
        check("../a", None);
        check("a/../../b", None);
        check("/..", None);
    }

    #[test]
    fn splits_paths() {
        for (path, expected) in [("a", ("", "a")), ("a/b", ("a", "b")), ("a/b/c", ("a/b", "c"))] {
            assert_eq!(split(path.as_bytes()), (expected.0.as_bytes(), expected.1.as_bytes()));
        }
    }
}
