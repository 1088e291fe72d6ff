//! What the ends of paths mean to `cp`, by docker's rules: pure text, bytes of any encoding.

/// Go's filepath.Clean of an absolute path.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    [b"/".as_slice(), &parts.join(&b'/')].concat()
}

/// The path from `directory` on, clean, but for a last slash or dot: they say what is meant.
pub(super) fn absolute(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let joined = if path.starts_with(b"/") { path.to_vec() } else { [directory, b"/", path].concat() };
    let mut cleaned = clean(&joined);
    if base(path) == b"." && base(&cleaned) != b"." {
        if !cleaned.ends_with(b"/") {
            cleaned.push(b'/');
        }
        cleaned.push(b'.');
    }
    if path.ends_with(b"/") && !cleaned.ends_with(b"/") {
        cleaned.push(b'/');
    }
    cleaned
}

/// Go's filepath.Base: the last name, `/` for the root.
pub(super) fn base(path: &[u8]) -> &[u8] {
    let Some(end) = path.iter().rposition(|byte| *byte != b'/') else {
        return if path.is_empty() { b"." } else { b"/" };
    };
    let path = &path[..=end];
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Says whether a path can only be that of a directory.
pub(super) fn asserts_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || matches!(base(path), b"." | b"..")
}

/// The directory of an absolute path, and the name in it; a last dot is a name.
pub(super) fn split(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut cleaned = clean(path);
    if base(path) == b"." {
        cleaned.extend_from_slice(b"/.");
    }
    let slash = cleaned.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    (cleaned[..=slash].to_vec(), cleaned[slash + 1..].to_vec())
}

/// Where a symlink at `path` leads. Not cleaned: what `..` means there is the kernel's to say.
pub(super) fn follow(path: &[u8], target: &[u8]) -> Vec<u8> {
    if target.starts_with(b"/") {
        return target.to_vec();
    }
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    [&path[..end], b"/", target].concat()
}

/// What the destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    Directory,
    /// A file, or anything else.
    File,
}

/// Why nothing is copied, in docker's words.
pub(super) const CANNOT_COPY_DIRECTORY: &str = "cannot copy directory";
pub(super) const NO_SUCH_DIRECTORY: &str = "no such directory";

/// Decides into which directory, and under which name, a copy goes. `name` is that of the source, which is a directory
/// or is not; `.` and `/` stand for what is in one.
pub(super) fn place(
    name: &[u8],
    is_directory: bool,
    destination: &[u8],
    there: There,
) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let name = if name == b"/" { b"." } else { name };
    let (directory, base) = split(destination);
    match there {
        There::Directory => Ok((destination.to_vec(), name.to_vec())),
        There::File if is_directory => Err(CANNOT_COPY_DIRECTORY),
        There::Nothing if !is_directory && asserts_directory(destination) => Err(NO_SUCH_DIRECTORY),
        There::File | There::Nothing => Ok((directory, base)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn ends_are_kept() {
        let cases = [
            ("a", "/w/a"),
            ("a/", "/w/a/"),
            ("a/.", "/w/a/."),
            ("a/./", "/w/a/./"),
            (".", "/w/."),
            ("..", "/"),
            ("/", "/"),
            ("/.", "/."),
            ("/a/../b//c", "/b/c"),
            ("../../..", "/"),
        ];
        for (path, expected) in cases {
            assert_eq!(text(&absolute(b"/w", path.as_bytes())), expected, "{path}");
        }
    }

    #[test]
    fn names() {
        for (path, expected) in
            [("/a/b", "b"), ("/a/b/", "b"), ("/a/.", "."), ("/", "/"), ("", "."), ("/a/./", ".")]
        {
            assert_eq!(text(base(path.as_bytes())), expected, "{path}");
        }
        for (path, directory, name) in
            [("/a/b", "/a/", "b"), ("/a", "/", "a"), ("/a/b/", "/a/", "b"), ("/a/.", "/a/", ".")]
        {
            let found = split(path.as_bytes());
            assert_eq!((text(&found.0).as_str(), text(&found.1).as_str()), (directory, name), "{path}");
        }
    }

    #[test]
    fn links() {
        let cases = [
            ("/a/l", "b", "/a/b"),
            ("/a/l", "/b", "/b"),
            ("/l", "../x", "/../x"),
            ("/a/b/l", "../c", "/a/b/../c"),
        ];
        for (path, target, expected) in cases {
            assert_eq!(text(&follow(path.as_bytes(), target.as_bytes())), expected);
        }
    }

    /// docker's table: SRC is a file or a directory, DEST is not there, a file, a directory.
    #[test]
    fn where_it_goes() {
        use There::{Directory, File, Nothing};
        let (file, directory) = (false, true);
        let check = |name: &str,
                     kind: bool,
                     destination: &str,
                     there: There,
                     expected: Result<(&str, &str), &str>| {
            let found = place(name.as_bytes(), kind, destination.as_bytes(), there);
            let found = found.map(|(directory, name)| (text(&directory), text(&name)));
            let expected = expected.map(|(directory, name)| (directory.to_owned(), name.to_owned()));
            assert_eq!(found, expected, "{name} {destination} {there:?}");
        };
        check("f", file, "/d/x", Nothing, Ok(("/d/", "x")));
        check("f", file, "/d/x/", Nothing, Err(NO_SUCH_DIRECTORY));
        check("f", file, "/d/x/.", Nothing, Err(NO_SUCH_DIRECTORY));
        check("f", file, "/d/x", File, Ok(("/d/", "x")));
        check("f", file, "/d", Directory, Ok(("/d", "f")));
        check("s", directory, "/d/x", Nothing, Ok(("/d/", "x")));
        check("s", directory, "/d/x/", Nothing, Ok(("/d/", "x")));
        check("s", directory, "/d/x", File, Err(CANNOT_COPY_DIRECTORY));
        check("s", directory, "/d/", Directory, Ok(("/d/", "s")));
        check(".", directory, "/d", Directory, Ok(("/d", ".")));
        check(".", directory, "/d/x", Nothing, Ok(("/d/", "x")));
        check(".", directory, "/d/x", File, Err(CANNOT_COPY_DIRECTORY));
        check("/", directory, "/d", Directory, Ok(("/d", ".")));
    }
}
