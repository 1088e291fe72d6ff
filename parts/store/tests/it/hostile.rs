//! Archives that mean harm or are broken: one error, nothing left, nothing outside touched.

use std::os::unix::fs::MetadataExt;

use crate::archive::{Head, Tar, gzip, head, noise, seal, zstd};
use crate::scene::Scene;

/// Imports and expects the error, and an empty store.
fn refuse(what: &str, tar: &[u8], expected: &str) {
    let scene = Scene::new();
    let error = scene.import(tar).expect_err(what).to_string();
    assert!(error.contains(expected), "{what}: {error}");
    assert!(!error.contains('\n'), "{what}: {error}");
    scene.assert_empty(what);
}

#[test]
fn escapes() {
    refuse("dot dot", &Tar::new().file("../x", b"").end(), "entry '../x' leaves the layer");
    refuse("dot dot inside", &Tar::new().file("a/../../x", b"").end(), "leaves the layer");
    refuse("absolute dot dot", &Tar::new().file("/../x", b"").end(), "leaves the layer");
    refuse("link target", &Tar::new().link("x", "../../etc/passwd").end(), "not in the layer");
    refuse(
        "absolute link target",
        &Tar::new().link("x", "/etc/passwd").end(),
        "'/etc/passwd', which is not in",
    );
    let through = Tar::new().symlink("a", "/etc").link("x", "a/passwd").end();
    refuse("link through symlink", &through, "not in the layer");
    refuse("link to directory", &Tar::new().dir("d").link("x", "d").end(), "link");
    refuse("forward link", &Tar::new().link("x", "y").file("y", b"").end(), "not in the layer");
    refuse("no name", &Tar::new().file("", b"").end(), "no name");
    refuse("file as root", &Tar::new().file("./", b"x").end(), "no name");
    refuse("parent is a file", &Tar::new().file("a", b"").file("a/b", b"").end(), "not a directory");
    refuse("dangling parent", &Tar::new().symlink("a", "/nowhere/b").file("a/b", b"").end(), "entry 'a/b'");
    refuse("loop", &Tar::new().symlink("a", "a").file("a/b", b"").end(), "entry 'a/b'");
    refuse("proc", &Tar::new().symlink("a", "/proc/self/cwd").file("a/b", b"").end(), "entry 'a/b'");
}

#[test]
fn nothing_outside_is_touched() {
    let scene = Scene::new();
    let canary = scene.path.join("canary");
    corten_sys::fs::create_dir(&canary, 0o700).unwrap();
    corten_sys::fs::write_atomic(canary.join("file"), b"safe").unwrap();
    let before = std::fs::metadata(&canary).unwrap();
    let path = canary.to_str().unwrap();
    let relative = format!("../../../../{}", path.trim_start_matches('/'));
    for target in [path, &relative, &format!("../../../../..{path}")] {
        for tar in [
            Tar::new().symlink("a", target).file("a/x", b"bad").end(),
            Tar::new().symlink("a", target).add(Head { mode: 0o777, ..head("a/", b'5') }).end(),
            Tar::new().symlink("a", target).file("a", b"bad").end(),
            Tar::new().symlink("a", format!("{target}/file")).file("a", b"bad").end(),
            Tar::new().symlink("a", target).file("a/.wh.file", b"").end(),
            Tar::new().symlink("a", target).file("a/.wh..wh..opq", b"").end(),
            Tar::new().symlink("a", target).link("b", "a/file").end(),
            Tar::new().symlink("a", format!("{target}/file")).link("b", "a").file("b", b"bad").end(),
            Tar::new().link("b", format!("{path}/file")).end(),
            Tar::new().symlink("a", "b").symlink("b", target).file("a/file", b"bad").end(),
        ] {
            // Inside the layer, or refused: either is well.
            drop(scene.import(&tar));
        }
    }
    let after = std::fs::metadata(&canary).unwrap();
    assert_eq!((after.mode(), after.mtime(), after.nlink()), (before.mode(), before.mtime(), before.nlink()));
    assert_eq!(corten_sys::fs::list(&canary).unwrap(), ["file"]);
    assert_eq!(corten_sys::fs::read(canary.join("file")).unwrap(), b"safe");
    assert_eq!(std::fs::metadata(canary.join("file")).unwrap().nlink(), 1);
    assert_eq!(corten_sys::fs::list(scene.store.path("ingest")).unwrap(), Vec::<String>::new());
}

#[test]
fn whiteouts_of_nothing() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh.", ".wh./x", "a/.wh.b/c"] {
        refuse(name, &Tar::new().file(name, b"").end(), "is a whiteout of nothing");
    }
}

#[test]
fn broken_streams() {
    let good = Tar::new().file("a", &noise(200_000)).file("b", b"y").end();
    refuse("empty", b"", "archive is empty");
    refuse("truncated content", &good[..5000], "archive ends in the middle of a file");
    refuse("truncated header", &good[..201_000], "archive ends in the middle of");
    refuse("no tar", b"hello world, this is no tar", "ends in the middle of a header");
    refuse("no tar, long", &noise(4096), "no valid header at offset 0");
    let mut wrong = good.clone();
    wrong[10] = b'z';
    refuse("check sum", &wrong, "no valid header at offset 0");
    refuse("lone zero block", &Tar::new().raw(&[0; 512]).file("a", b"").end(), "no valid header");
    let packed = gzip(&good);
    refuse("truncated gzip", &packed[..packed.len() / 2], "archive");
    let mut damaged = packed.clone();
    let at = packed.len() - 6;
    damaged[at] ^= 0xff;
    refuse("gzip check sum", &damaged, "read archive: ");
    let packed = zstd(&good);
    refuse("truncated zstd", &packed[..packed.len() / 2], "archive");
    refuse("bzip2", b"BZh91AY&SY", "bzip2 compression is not supported");
    refuse("xz", b"\xfd7zXZ\0\0\0", "xz compression is not supported");
}

#[test]
fn malformed_headers() {
    refuse("unknown type", &Tar::new().add(head("a", b'Z')).end(), "unknown type 'Z'");
    refuse("pax junk", &Tar::new().with(head("p", b'x'), b"12 path\n").file("a", b"").end(), "malformed PAX");
    refuse("pax nul", &Tar::new().pax(&[("path", b"a\0b")]).file("a", b"").end(), "malformed PAX");
    let global = Tar::new().with(head("g", b'g'), b"9 size=4\n").file("a", b"").end();
    refuse("global size", &global, "malformed PAX");
    let huge = Head { size: 1 << 30, ..head("p", b'x') };
    refuse("huge pax", &Tar::new().add(huge).end(), "more than 1 MiB");
    let huge = Head { size: 4 << 30, ..head("l", b'L') };
    refuse("huge name", &Tar::new().add(huge).end(), "more than 1 MiB");
    refuse(
        "long component",
        &Tar::new().pax(&[("path", &[b'a'; 256])]).file("a", b"").end(),
        "name too long",
    );
    refuse("owner", &Tar::new().pax(&[("uid", b"4294967295")]).file("a", b"").end(), "owner");
    let mut block = head("a", b'0').block();
    block[124..136].copy_from_slice(&[0xff; 12]);
    seal(&mut block);
    refuse("negative size", &Tar::new().raw(&block).end(), "invalid size");
    block[124..136].copy_from_slice(b"0000000000x\0");
    seal(&mut block);
    refuse("size of letters", &Tar::new().raw(&block).end(), "invalid size");
    let capability = Tar::new().pax(&[("SCHILY.xattr.security.capability", b"junk")]).file("a", b"").end();
    refuse("capability", &capability, "security.capability");
    let sparse = |map: &[u8]| {
        Tar::new().pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", b"9")]).file("a", b"pq").end()
    };
    for map in [&b"4,1"[..], b"8,2", b"4,1,4,1", b"4", b"4,x"] {
        refuse("sparse map", &sparse(map), "malformed");
    }
    let many: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    refuse(
        "sparse count",
        &Tar::new().pax(&many).file("a", &[b"10000000\n", &[b'0'; 512][..]].concat()).end(),
        "sparse",
    );
}

#[test]
fn sizes_of_links_are_no_content() {
    // As Go and GNU tar: what follows a symlink is the next header, whatever its size field says.
    let scene = Scene::new();
    let tree = scene.tree(
        &Tar::new().add(Head { size: 512, link: b"t".to_vec(), ..head("s", b'2') }).file("inner", b"x").end(),
    );
    assert!(tree.join("inner").exists());
}

#[test]
fn a_dead_owners_lease_is_collected_and_a_live_one_is_not() {
    let scene = Scene::new();
    let live = corten_store::Lease::new(&scene.store).unwrap();
    let dead = scene.store.path("ingest/0123456789abcdef");
    corten_sys::fs::create_dir_all(dead.join("layer/fs/a/b"), 0o700).unwrap();
    corten_sys::fs::write_atomic(dead.join("layer/fs/a/b/c"), b"x").unwrap();
    assert_eq!(scene.store.collect_stale_ingests().unwrap(), 1);
    assert!(!dead.exists() && live.path().exists());
    drop(live);
    assert_eq!(scene.store.collect_stale_ingests().unwrap(), 0);
    scene.assert_empty("leases");
}
