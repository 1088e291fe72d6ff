//! `load` and `save`: every digest comes back, in any order of members, from docker's archives and layouts.

use corten_spec::{Digest, ImageId};
use corten_store::LoadOptions;

use crate::archive::{Tar, gzip, noise, zstd};
use crate::scene::Scene;

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

type Pack = fn(&[u8]) -> Vec<u8>;

struct Fixture {
    layers: Vec<Vec<u8>>,
    config: Vec<u8>,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let layers = vec![
            Tar::new().dir("etc").file("etc/a", text.as_bytes()).file("big", &noise(300_000)).end(),
            Tar::new().file("etc/.wh.a", b"").file("etc/b", b"b").end(),
        ];
        let ids: Vec<String> = layers.iter().map(|tar| format!("\"{}\"", Digest::of(tar))).collect();
        let config = format!(
            r#"{{ "architecture":"amd64","os":"linux","config":{{"Cmd":["sh"],"Labels":null}},"unknown":[1],
               "rootfs":{{"type":"layers","diff_ids":[{}]}} }}"#,
            ids.join(",")
        );
        Self { layers, config: config.into_bytes() }
    }

    fn id(&self) -> ImageId {
        ImageId(Digest::of(&self.config))
    }

    fn hex(&self) -> String {
        Digest::of(&self.config).hex().to_owned()
    }

    /// As docker wrote before version 25, members in any order.
    fn docker(&self, tags: &str, pack: impl Fn(&[u8]) -> Vec<u8>, backwards: bool) -> Vec<u8> {
        let mut members = vec![(format!("{}.json", self.hex()), self.config.clone())];
        let mut names = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            members.push((format!("{number}/layer.tar"), pack(layer)));
            members.push((format!("{number}/VERSION"), b"1.0".to_vec()));
            names.push(format!("\"{number}/layer.tar\""));
        }
        let manifest = format!(
            r#"[{{"Config":"{}.json","RepoTags":{tags},"Layers":[{}]}}]"#,
            self.hex(),
            names.join(",")
        );
        members.push(("manifest.json".into(), manifest.into_bytes()));
        members.push(("repositories".into(), b"{}".to_vec()));
        if backwards {
            members.reverse();
        }
        members.into_iter().fold(Tar::new(), |tar, (name, bytes)| tar.file(name, &bytes)).end()
    }

    /// The manifest, and the blobs of a layout without its index.
    fn layout(&self, pack: impl Fn(&[u8]) -> Vec<u8>, kind: &str) -> (Vec<u8>, Tar) {
        let mut tar = Tar::new().dir("blobs/").dir("blobs/sha256/");
        let mut layers = Vec::new();
        for layer in &self.layers {
            let blob = pack(layer);
            layers.push(descriptor(kind, &blob, ""));
            tar = tar.file(blob_name(&blob), &blob);
        }
        let manifest = format!(
            r#"{{"schemaVersion":2, "mediaType":"{OCI_MANIFEST}","config":{},"layers":[{}]}}"#,
            descriptor(OCI_CONFIG, &self.config, ""),
            layers.join(",")
        )
        .into_bytes();
        let tar = tar.file(blob_name(&self.config), &self.config).file(blob_name(&manifest), &manifest);
        (manifest, tar)
    }
}

fn blob_name(blob: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(blob).hex())
}

fn descriptor(kind: &str, blob: &[u8], more: &str) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}{more}}}"#, Digest::of(blob), blob.len())
}

fn index(entries: &[String]) -> Vec<u8> {
    format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#, entries.join(","))
        .into_bytes()
}

fn load(scene: &Scene, archive: &[u8]) -> Result<Vec<String>, String> {
    let loaded = scene.store.load_images(&mut &*archive, &LoadOptions::default());
    let names = |loaded: Vec<corten_store::images::LoadedImage>| {
        let text = |image: corten_store::images::LoadedImage| {
            let names: Vec<String> = image.references.iter().map(corten_spec::Reference::familiar).collect();
            format!("{} {}", image.id.short(), names.join(" "))
        };
        loaded.into_iter().map(text).collect()
    };
    loaded.map(names).map_err(|error| error.to_string())
}

fn save(scene: &Scene, names: &[&str]) -> Vec<u8> {
    let items: Vec<_> = names.iter().flat_map(|name| scene.store.save_item(name).unwrap()).collect();
    let mut bytes = Vec::new();
    scene.store.save_images(&items, &mut bytes).unwrap();
    bytes
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

#[test]
fn docker_archives() {
    let fixture = Fixture::new("one");
    let pack: [Pack; 3] = [plain, gzip, zstd];
    for pack in pack {
        for backwards in [false, true] {
            let scene = Scene::new();
            let archive = fixture.docker(r#"["app:1","quay.io/x/app:2"]"#, pack, backwards);
            let expected = format!("{} app:1 quay.io/x/app:2", fixture.id().short());
            assert_eq!(load(&scene, &archive), Ok(vec![expected]));
            assert_eq!(scene.tars(&fixture.id()), fixture.layers);
            // Docker's archives need no compressed blobs.
            assert_eq!(corten_sys::fs::list(scene.store.path("blobs/sha256")).unwrap().len(), 1);
            let saved = save(&scene, &["app:1", "quay.io/x/app"]);
            let other = Scene::new();
            load(&other, &saved).unwrap();
            assert_eq!(other.tars(&fixture.id()), fixture.layers);
            assert_eq!(save(&other, &["app:1", "quay.io/x/app"]), saved);
            assert_eq!(other.store.read_blob(&fixture.id().0, 1 << 20).unwrap(), fixture.config);
        }
    }
}

#[test]
fn layouts_keep_their_manifests() {
    let fixture = Fixture::new("two");
    let name = r#","annotations":{"io.containerd.image.name":"docker.io/library/app:3"}"#;
    let pack: [(Pack, &str); 3] = [
        (plain, "application/vnd.oci.image.layer.v1.tar"),
        (gzip, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
    ];
    for (pack, kind) in pack {
        let (manifest, tar) = fixture.layout(pack, kind);
        let index = index(&[descriptor(OCI_MANIFEST, &manifest, name)]);
        let archive = tar.file("oci-layout", b"{}").file("index.json", &index).end();
        for archive in [archive.clone(), gzip(&archive)] {
            let scene = Scene::new();
            assert_eq!(load(&scene, &archive), Ok(vec![format!("{} app:3", fixture.id().short())]));
            assert_eq!(scene.image(&fixture.id()).manifests, [Digest::of(&manifest)]);
            let by_digest = format!("app@{}", Digest::of(&manifest));
            assert_eq!(scene.store.resolve_image(&by_digest).unwrap().id, fixture.id());
            let saved = save(&scene, &["app"]);
            let other = Scene::new();
            load(&other, &saved).unwrap();
            // The manifest, and with it every compressed layer, survived.
            assert_eq!(other.image(&fixture.id()).manifests, [Digest::of(&manifest)]);
            assert_eq!(other.tars(&fixture.id()), fixture.layers);
            assert_eq!(save(&other, &["app"]), saved);
            // Loading again changes nothing.
            let before = other.objects();
            load(&other, &saved).unwrap();
            assert_eq!(other.objects(), before);
        }
    }
}

#[test]
fn several_images_and_platforms() {
    let (one, two) = (Fixture::new("one"), Fixture::new("other"));
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let ((first, tar), (second, more)) = (one.layout(plain, kind), two.layout(plain, kind));
    let platform =
        |architecture: &str| format!(r#","platform":{{"os":"linux","architecture":"{architecture}"}}"#);
    let absent = descriptor(OCI_MANIFEST, b"not in the archive", &platform("s390x"));
    let nested = index(&[
        absent,
        descriptor(OCI_MANIFEST, &first, &platform("riscv64")),
        descriptor(OCI_MANIFEST, &second, &platform(&corten_spec::Platform::host().architecture)),
        descriptor(OCI_MANIFEST, b"attestation", r#","platform":{"os":"unknown","architecture":"unknown"}"#),
    ]);
    let top = index(&[
        descriptor(OCI_INDEX, &nested, r#","annotations":{"org.opencontainers.image.ref.name":"app:multi"}"#),
        descriptor(OCI_MANIFEST, &first, r#","annotations":{"org.opencontainers.image.ref.name":"latest"}"#),
    ]);
    let archive = tar.raw(&more.0).file(blob_name(&nested), &nested).file("index.json", &top).end();
    let scene = Scene::new();
    let expected = vec![format!("{} app:multi", two.id().short()), format!("{} ", one.id().short())];
    assert_eq!(load(&scene, &archive), Ok(expected));
    // Saved together, deterministic, shared layers once.
    let saved = save(&scene, &["app:multi", one.id().0.hex()]);
    assert_eq!(save(&scene, &["app:multi", one.id().0.hex()]), saved);
    let other = Scene::new();
    assert_eq!(load(&other, &saved).unwrap().len(), 2);
    assert_eq!(other.store.layers().unwrap().len(), 3);
}

#[test]
fn a_tag_that_moves_is_told() {
    let scene = Scene::new();
    let (one, two) = (Fixture::new("one"), Fixture::new("two"));
    load(&scene, &one.docker(r#"["app"]"#, plain, false)).unwrap();
    let archive = two.docker(r#"["app"]"#, plain, false);
    let loaded = scene.store.load_images(&mut &archive[..], &LoadOptions::default()).unwrap();
    assert_eq!(loaded[0].replaced, [(corten_spec::Reference::parse("app").unwrap(), one.id())]);
}

#[test]
fn links_between_members() {
    let fixture = Fixture::new("linked");
    let hex = fixture.hex();
    let archive = Tar::new()
        .file("store/first", &fixture.layers[0])
        .symlink("one/layer.tar", "../store/first")
        .file("second.tar", &fixture.layers[1])
        .link("two.tar", "second.tar")
        .file("c.json", &fixture.config)
        .file(
            "manifest.json",
            br#"[{"Config":"c.json","RepoTags":null,"Layers":["one/layer.tar","two.tar"]}]"#,
        )
        .end();
    let scene = Scene::new();
    assert_eq!(load(&scene, &archive), Ok(vec![format!("{} ", &hex[..12])]));
}

#[test]
fn refuses_and_leaves_nothing() {
    let fixture = Fixture::new("bad");
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let good = fixture.docker(r#"["app"]"#, plain, false);
    let (manifest, tar) = fixture.layout(plain, kind);
    let with_index = |entry: String| Tar(tar.0.clone()).file("index.json", &index(&[entry])).end();
    let text = String::from_utf8(manifest.clone()).unwrap();
    let tampered = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1).into_bytes();
        assert_ne!(changed, manifest);
        Tar(tar.0.clone())
            .file(blob_name(&changed), &changed)
            .file("index.json", &index(&[descriptor(OCI_MANIFEST, &changed, "")]))
            .end()
    };
    let first = Digest::of(&fixture.layers[0]).to_string();
    let second = Digest::of(&fixture.layers[1]).to_string();
    let wrong_size = format!("\"size\":{}", fixture.layers[0].len());
    let docker = |manifest: &str| {
        Tar::new()
            .file("c.json", &fixture.config)
            .file("l", &fixture.layers[0])
            .file("manifest.json", manifest.as_bytes())
            .end()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", b"".to_vec(), "archive is empty"),
        ("truncated", good[..good.len() / 2].to_vec(), "ends in the middle"),
        ("no documents", Tar::new().file("x", b"y").end(), "neither index.json nor manifest.json"),
        ("rootfs", fixture.layers[0].clone(), "neither index.json nor manifest.json"),
        ("escape", Tar::new().file("../x", b"y").end(), "leaves it"),
        ("bad digest", Tar::new().file("blobs/sha256/abc", b"y").end(), "invalid checksum digest length"),
        ("wrong digest", Tar::new().file(blob_name(b"x"), b"y").end(), "has content with the digest"),
        (
            "wrong layer",
            Tar::new().file(blob_name(b"x"), &fixture.layers[0]).end(),
            "has content with the digest",
        ),
        ("absent manifest", with_index(descriptor(OCI_MANIFEST, b"absent", "")), "is not in it"),
        (
            "bad name",
            with_index(descriptor(
                OCI_MANIFEST,
                &manifest,
                r#","annotations":{"io.containerd.image.name":"up/ER:1"}"#,
            )),
            "must be lowercase",
        ),
        ("swapped layers", tampered(&first, &second), "instead of"),
        ("wrong size", tampered(&wrong_size, "\"size\":7"), "instead of 7"),
        ("foreign layer type", tampered(kind, "application/vnd.erofs"), "unsupported type"),
        ("ambiguous", tampered("\"layers\"", "\"manifests\":[],\"layers\""), "at once"),
        ("artifact", tampered(OCI_CONFIG, "application/vnd.x"), "has no image"),
        ("too few layers", docker(r#"[{"Config":"c.json","Layers":["l"]}]"#), "2 diff ids and 1 layers"),
        (
            "twice the same",
            docker(r#"[{"Config":"c.json","Layers":["l","l"]}]"#),
            "has content with the diff id",
        ),
        ("missing layer", docker(r#"[{"Config":"c.json","Layers":["l","m"]}]"#), "member 'm' is missing"),
        (
            "escaping layer",
            docker(r#"[{"Config":"c.json","Layers":["l","../../etc/passwd"]}]"#),
            "is missing",
        ),
        ("config as layer", docker(r#"[{"Config":"c.json","Layers":["l","c.json"]}]"#), "is no layer"),
        ("layer as config", docker(r#"[{"Config":"l","Layers":[]}]"#), "is no config"),
        ("junk manifest", docker("{"), "manifest.json"),
        ("no images", docker("[]"), "has no image"),
    ];
    for (what, archive, expected) in cases {
        let scene = Scene::new();
        let error = load(&scene, &archive).expect_err(what);
        assert!(error.contains(expected), "{what}: {error}");
        scene.assert_empty(what);
    }
}

#[test]
fn a_changed_layer_is_not_saved() {
    let fixture = Fixture::new("kept");
    let scene = Scene::new();
    load(&scene, &fixture.docker(r#"["app"]"#, plain, false)).unwrap();
    let layer = scene.image(&fixture.id()).layers[0].diff_id.clone();
    corten_sys::fs::write_kernel_file(scene.store.layer_tree(&layer).join("etc/a"), b"evil").unwrap();
    let items = scene.store.save_item("app").unwrap();
    let error = scene.store.save_images(&items, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("was changed on disk"), "{error}");
}

#[test]
fn loads_and_removals_at_once() {
    let fixture = Fixture::new("raced");
    let scene = Scene::new();
    // A layout names its layers, so that a loader skips those that are there: and must keep them there.
    let (manifest, tar) = fixture.layout(plain, "application/vnd.oci.image.layer.v1.tar");
    let archive = tar.file("index.json", &index(&[descriptor(OCI_MANIFEST, &manifest, "")])).end();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..8 {
                    load(&scene, &archive).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..12 {
                // Not there at the moment is fine; half there is not.
                match scene.store.remove_image(&fixture.id(), || Ok(std::collections::HashSet::new())) {
                    Ok(_) => {}
                    Err(error) => assert!(error.to_string().starts_with("No such image"), "{error}"),
                }
            }
        });
    });
    load(&scene, &archive).unwrap();
    assert_eq!(scene.tars(&fixture.id()), fixture.layers);
    assert_eq!(corten_sys::fs::list(scene.store.path("ingest")).unwrap(), Vec::<String>::new());
}
