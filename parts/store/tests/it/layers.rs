//! Unpacking: what a tree looks like afterwards, and that its tar comes back to the byte.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::archive::{Head, Tar, gzip, head, noise, seal, zstd};
use crate::scene::{Scene, xattr};

/// Imports, and checks that the tar comes back.
fn unpack(tar: &[u8]) -> (Scene, std::path::PathBuf) {
    let scene = Scene::new();
    let id = scene.import(tar).unwrap();
    assert_eq!(scene.tars(&id), [tar.to_vec()], "the tar comes back");
    let tree = scene.store.layer_tree(&scene.image(&id).layers[0].diff_id);
    (scene, tree)
}

fn read(tree: &Path, name: &str) -> Vec<u8> {
    corten_sys::fs::read(tree.join(name)).unwrap()
}

fn stat(tree: &Path, name: &str) -> std::fs::Metadata {
    std::fs::symlink_metadata(tree.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn ordinary_entries() {
    let big = noise(700_001);
    let tar = Tar::new()
        .add(Head { mode: 0o700, mtime: 5, ..head("./", b'5') })
        .add(Head { mode: 0o2775, gid: 50, mtime: 7, ..head("./var/", b'5') })
        .with(Head { mode: 0o4755, uid: 12, gid: 34, ..head("./var/suid", b'0') }, b"x")
        .file("./big", &big)
        .file("./empty", b"")
        .symlink("./link", "/var/suid")
        .link("./hard", "./big")
        .link("./absolute", "/var/suid")
        .add(Head { device: (1, 3), mode: 0o666, ..head("./null", b'3') })
        .add(Head { device: (7, 0), mode: 0o660, gid: 6, ..head("./loop", b'4') })
        .add(Head { mode: 0o622, ..head("./fifo", b'6') })
        .file("implied/parent/file", b"y")
        .end();
    let (scene, tree) = unpack(&tar);
    assert_eq!((stat(&tree, ".").mode() & 0o7777, stat(&tree, ".").mtime()), (0o700, 5));
    let var = stat(&tree, "var");
    assert_eq!((var.mode() & 0o7777, var.gid(), var.mtime()), (0o2775, 50, 7));
    let suid = stat(&tree, "var/suid");
    assert_eq!((suid.mode() & 0o7777, suid.uid(), suid.gid(), suid.mtime()), (0o4755, 12, 34, 1_000_000_000));
    assert_eq!(read(&tree, "big"), big);
    assert_eq!((stat(&tree, "big").nlink(), stat(&tree, "big").ino()), (2, stat(&tree, "hard").ino()));
    assert_eq!(suid.ino(), stat(&tree, "absolute").ino());
    assert_eq!(corten_sys::fs::read_link(tree.join("link")).unwrap(), Path::new("/var/suid"));
    let null = stat(&tree, "null");
    assert!(null.file_type().is_char_device());
    assert_eq!((null.rdev(), null.mode() & 0o7777), (rustix::fs::makedev(1, 3), 0o666));
    assert!(stat(&tree, "loop").file_type().is_block_device());
    assert!(stat(&tree, "fifo").file_type().is_fifo());
    assert_eq!(stat(&tree, "implied").mode() & 0o7777, 0o755);
    let ids = scene.store.layers().unwrap();
    let layer = scene.store.layer(&ids[0]).unwrap().unwrap();
    assert_eq!(layer.tar_size, tar.len() as u64);
    let contents = layer.contents;
    assert_eq!((contents.highest_uid, contents.highest_gid, contents.size), (12, 50, 700_003));
    assert_eq!((contents.files, contents.directories, contents.hard_links, contents.devices), (4, 2, 2, 3));
}

#[test]
fn modes_and_owners_whatever_a_new_file_gets() {
    let modes = [0o644, 0o600, 0o666, 0o777, 0o444, 0o000, 0o4755, 0o2755, 0o1777, 0o7777];
    let owners = [(0, 0), (0, 50), (7, 0), (7, 7)];
    let cases: Vec<_> =
        modes.iter().flat_map(|mode| owners.iter().map(move |owner| (*mode, *owner))).collect();
    let name =
        |kind: &str, (mode, (uid, gid)): (u32, (u32, u32))| format!("group/{kind}-{mode:o}-{uid}-{gid}");
    // Files in it belong to its group first.
    let mut tar = Tar::new().add(Head { mode: 0o2775, gid: 50, ..head("group/", b'5') });
    for case in &cases {
        let (mode, (uid, gid)) = *case;
        tar = tar
            .with(Head { mode, uid, gid, ..head(name("file", *case), b'0') }, b"content")
            .add(Head { mode, uid, gid, ..head(name("empty", *case), b'0') })
            .add(Head { mode, uid, gid, ..head(name("directory", *case), b'5') });
    }
    let (_scene, tree) = unpack(&tar.end());
    for case in cases {
        for kind in ["file", "empty", "directory"] {
            let found = stat(&tree, &name(kind, case));
            assert_eq!((found.mode() & 0o7777, (found.uid(), found.gid())), case, "{}", name(kind, case));
        }
    }
}

#[test]
fn compressed_the_same() {
    let tar = Tar::new().file("a", &noise(300_000)).dir("b").end();
    let scene = Scene::new();
    let id = scene.import(&tar).unwrap();
    assert_eq!(scene.import(&gzip(&tar)).unwrap(), id);
    assert_eq!(scene.import(&zstd(&tar)).unwrap(), id);
    // Two members, as pigz and bgzip write.
    let halves = [gzip(&tar[..1000]), gzip(&tar[1000..])].concat();
    assert_eq!(scene.import(&halves).unwrap(), id);
    assert_eq!(scene.store.layers().unwrap().len(), 1);
}

#[test]
fn odd_ends_come_back() {
    let start = || Tar::new().file("a", b"x");
    for tar in [
        start().0,
        start().raw(&[0; 512]).0,
        start().raw(&[0; 20 * 512]).0,
        start().raw(&[0; 1024]).raw(b"garbage behind the end").0,
        Tar::new().end(),
    ] {
        unpack(&tar);
    }
}

#[test]
fn long_and_odd_names() {
    let long = "n".repeat(240);
    let deep = vec!["level"; 300].join("/");
    let name = b"not \xff utf-8 \xc3".to_vec();
    let gnu =
        |flag: u8, text: &str| Head { gnu: true, size: text.len() as u64 + 1, ..head("././@LongLink", flag) };
    let tar = Tar::new()
        .with(gnu(b'L', &long), format!("{long}\0").as_bytes())
        .file(&long[..100], b"gnu")
        .with(gnu(b'K', &long), format!("{long}\0").as_bytes())
        .symlink("gnu-link", "short")
        .pax(&[("path", format!("pax/{long}").as_bytes()), ("mtime", b"12.5")])
        .file("ignored", b"pax")
        .pax(&[("path", deep.as_bytes())])
        .file("ignored", b"deep")
        .file(&name, b"raw")
        .end();
    let (_scene, tree) = unpack(&tar);
    assert_eq!(read(&tree, &long), b"gnu");
    assert_eq!(corten_sys::fs::read_link(tree.join("gnu-link")).unwrap(), Path::new(&long));
    assert_eq!(read(&tree, &format!("pax/{long}")), b"pax");
    let pax = stat(&tree, &format!("pax/{long}"));
    assert_eq!((pax.mtime(), pax.mtime_nsec()), (12, 500_000_000));
    assert_eq!(read(&tree, &deep), b"deep");
    assert_eq!(corten_sys::fs::read(tree.join(std::ffi::OsStr::from_bytes(&name))).unwrap(), b"raw");
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long() {
    // 400 levels of 60 bytes: six times PATH_MAX.
    let deep = vec!["d".repeat(60); 400].join("/");
    let path = format!("{deep}/file");
    let tar = Tar::new().pax(&[("path", path.as_bytes())]).file("ignored", b"deep").end();
    let (scene, _tree) = unpack(&tar);
    let id = scene.store.image_ids().unwrap().remove(0);
    scene.store.remove_image(&id, || Ok(std::collections::HashSet::new())).unwrap();
    scene.store.empty_trash().unwrap();
    scene.assert_empty("a deep tree");
}

#[test]
fn numbers_beyond_octal() {
    let mut block = Head { size: 0, ..head("big-id", b'0') }.block();
    block[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0x98, 0x96, 0x80]);
    seal(&mut block);
    let tar = Tar::new()
        .raw(&block)
        .pax(&[("uid", b"70000"), ("size", b"3")])
        .file_with_size("pax", 0, b"abc")
        .end();
    let (scene, tree) = unpack(&tar);
    assert_eq!(stat(&tree, "big-id").uid(), 10_000_000);
    // The PAX size wins over the header's.
    assert_eq!((read(&tree, "pax"), stat(&tree, "pax").uid()), (b"abc".to_vec(), 70_000));
    assert_eq!(scene.store.images().unwrap()[0].image.highest_uid, 10_000_000);
}

#[test]
fn sparse_files() {
    // Old GNU: 3 bytes at 1,000,000 of 2,000,000.
    let mut old = Head { gnu: true, size: 3, ..head("old", b'S') }.block();
    old[386..398].copy_from_slice(b"00003641100\0");
    old[398..410].copy_from_slice(b"00000000003\0");
    old[483..495].copy_from_slice(b"00007502200\0");
    seal(&mut old);
    // PAX 1.0: the map before the data.
    let mut data = b"2\n0\n2\n1000\n1\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"abc");
    let one: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"one"),
        ("GNU.sparse.realsize", b"5000"),
    ];
    let zero_one: [(&str, &[u8]); 3] =
        [("GNU.sparse.map", b"4,2"), ("GNU.sparse.name", b"zero-one"), ("GNU.sparse.size", b"9")];
    let zero_zero: [(&str, &[u8]); 5] = [
        ("GNU.sparse.size", b"9"),
        ("GNU.sparse.offset", b"0"),
        ("GNU.sparse.numbytes", b"1"),
        ("GNU.sparse.offset", b"8"),
        ("GNU.sparse.numbytes", b"1"),
    ];
    let tar = Tar::new()
        .raw(&old)
        .raw(&{
            let mut block = [0; 512];
            block[..3].copy_from_slice(b"xyz");
            block
        })
        .pax(&one)
        .file("GNUSparseFile.0/one", &data)
        .pax(&zero_one)
        .file("ignored", b"pq")
        .pax(&zero_zero)
        .file("zero-zero", b"ab")
        .end();
    let (_scene, tree) = unpack(&tar);
    let old = read(&tree, "old");
    assert_eq!((old.len(), &old[1_000_000..1_000_003]), (2_000_000, &b"xyz"[..]));
    assert!(stat(&tree, "old").blocks() < 64, "{} blocks", stat(&tree, "old").blocks());
    let one = read(&tree, "one");
    assert_eq!((one.len(), &one[..2], one[1000]), (5000, &b"ab"[..], b'c'));
    assert_eq!(read(&tree, "zero-one"), b"\0\0\0\0pq\0\0\0");
    assert_eq!(read(&tree, "zero-zero"), b"a\0\0\0\0\0\0\0b");
}

#[test]
fn what_comes_later_wins_and_the_tar_still_comes_back() {
    let tar = Tar::new()
        .file("file", b"first")
        .link("other", "file")
        .file("file", b"second")
        .file("other", b"third")
        .dir("dir")
        .file("dir/a", b"a")
        .dir("dir/sub")
        .file("dir/sub/b", b"bb")
        .file("dir", b"a file now")
        .symlink("turn", "nowhere")
        .dir("turn")
        .file("turn/x", b"x")
        .dir("kept")
        .file("kept/y", b"y")
        .dir("kept")
        .file("empty", b"")
        .file("empty", b"full")
        .link("self", "empty")
        .link("self", "empty")
        .end();
    let (_scene, tree) = unpack(&tar);
    let check = |name: &str, expected: &[u8]| assert_eq!(read(&tree, name), expected, "{name}");
    check("file", b"second");
    check("other", b"third");
    check("dir", b"a file now");
    check("turn/x", b"x");
    check("kept/y", b"y");
    check("self", b"full");
}

#[test]
fn parents_may_be_links_inside_the_layer() {
    let tar = Tar::new()
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .symlink("up", "../../../../usr/lib")
        .file("lib/a", b"a")
        .file("abs/b", b"b")
        .file("up/new/c", b"c")
        .link("lib/d", "abs/a")
        // The link goes: the recipe must not depend on it.
        .dir("lib")
        .file("lib/e", b"e")
        .end();
    let (_scene, tree) = unpack(&tar);
    for (name, content) in
        [("usr/lib/a", "a"), ("usr/lib/b", "b"), ("usr/lib/new/c", "c"), ("usr/lib/d", "a")]
    {
        assert_eq!(read(&tree, name), content.as_bytes(), "{name}");
    }
    assert_eq!(read(&tree, "lib/e"), b"e");
}

#[test]
fn whiteouts() {
    let is_whiteout = |tree: &Path, name: &str| {
        let stat = stat(tree, name);
        stat.file_type().is_char_device() && stat.rdev() == 0
    };
    let tar = Tar::new()
        .file("a/.wh.gone", b"")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", b"content of no use")
        .file("opaque/new", b"n")
        .file(".wh.both-file", b"")
        .file("both-file", b"here")
        .file(".wh.both-dir", b"")
        .dir("both-dir")
        .dir("both-rev")
        .file(".wh.both-rev", b"")
        .file("both-rev-file", b"here")
        .file(".wh.both-rev-file", b"")
        .dir(".wh..wh.plnk")
        .file(".wh..wh.plnk/1.2", b"aufs")
        .end();
    let (_scene, tree) = unpack(&tar);
    assert!(is_whiteout(&tree, "a/gone"));
    for name in ["opaque", "both-dir", "both-rev"] {
        for attribute in ["trusted.overlay.opaque", "user.overlay.opaque"] {
            assert_eq!(xattr(&tree.join(name), attribute), Some(b"y".to_vec()), "{name} {attribute}");
        }
    }
    assert_eq!(xattr(&tree.join("a"), "user.overlay.opaque"), None);
    assert_eq!(read(&tree, "both-file"), b"here");
    assert_eq!(read(&tree, "both-rev-file"), b"here");
    assert_eq!(read(&tree, "opaque/new"), b"n");
    for name in [".wh..wh.plnk", "opaque/.wh..wh..opq", "a/.wh.gone", "plnk"] {
        assert!(!tree.join(name).exists(), "{name}");
    }
}

#[test]
fn attributes_by_the_allow_list() {
    let capability = [&[1, 0, 0, 2, 0, 4][..], &[0; 14]].concat();
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"a=b\nc"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.containers.override_stat", b"0:0:0777"),
            ("SCHILY.xattr.security.selinux", b"x"),
        ])
        .file("f", b"x")
        .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc"), ("SCHILY.xattr.user.d", b"1")])
        .dir("d")
        .end();
    let (_scene, tree) = unpack(&tar);
    let names = |name: &str| {
        let mut buffer = [0; 1024];
        let length = rustix::fs::llistxattr(tree.join(name), &mut buffer[..]).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(names("d"), "user.d\0");
    let mut found = names("f");
    // A host with SELinux labels everything itself.
    found = found.replace("security.selinux\0", "");
    assert!(found.len() == "security.capability\0user.note\0".len(), "{found:?}");
    assert_eq!(xattr(&tree.join("f"), "user.note"), Some(b"a=b\nc".to_vec()));
    assert_eq!(xattr(&tree.join("f"), "security.capability"), Some(capability));
}

impl Tar {
    /// A file whose header lies about its size.
    fn file_with_size(self, name: &str, size: u64, content: &[u8]) -> Self {
        let mut tar = self.add(Head { size, ..head(name, b'0') }).raw(content);
        tar.0.resize(tar.0.len().next_multiple_of(512), 0);
        tar
    }
}
