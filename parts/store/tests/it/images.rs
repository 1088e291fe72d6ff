//! Records and references: names, prefixes, tags, removal.

use std::collections::HashSet;

use corten_spec::{Digest, Reference};

use crate::archive::Tar;
use crate::scene::Scene;

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

#[test]
fn names_and_prefixes() {
    let scene = Scene::new();
    let store = &scene.store;
    let one = scene.import_as(&Tar::new().file("a", b"1").end(), Some("one:1")).unwrap();
    let two = scene.import_as(&Tar::new().file("a", b"2").end(), None).unwrap();
    let find =
        |name: &str| store.resolve_image(name).map(|image| image.id).map_err(|error| error.to_string());
    let hex = one.0.hex();
    assert_eq!(find("one:1"), Ok(one.clone()));
    assert_eq!(find("docker.io/library/one:1"), Ok(one.clone()));
    assert_eq!(find("one"), Err("No such image: one".into()));
    for name in [hex, &hex[..12], &format!("sha256:{hex}"), &format!("sha256:{}", &hex[..8])] {
        assert_eq!(find(name), Ok(one.clone()), "{name}");
    }
    assert_eq!(find(&format!("one@{one}")), Ok(one.clone()));
    assert_eq!(
        find("UPPER"),
        Err("invalid reference format: repository name (library/UPPER) must be lowercase".into())
    );
    assert_eq!(find(&"0".repeat(64)), Err(format!("No such image: {}", "0".repeat(64))));
    // A name wins over an ID: the other image is called like the start of the first one's ID.
    let nick = &hex[..6];
    assert_eq!(find(nick), Ok(one.clone()));
    store.tag_image(&reference(nick), &two, None).unwrap();
    assert_eq!(find(nick), Ok(two.clone()));
    // Sixteen more images: two of them share a first digit.
    for number in 0..16 {
        scene.import(&Tar::new().file("b", &[number]).end()).unwrap();
    }
    let ids = store.image_ids().unwrap();
    let shared =
        ids.iter().find(|id| ids.iter().filter(|other| other.0.hex()[..1] == id.0.hex()[..1]).count() > 1);
    let prefix = &shared.unwrap().0.hex()[..1];
    if store.reference(&reference(prefix)).unwrap().is_none() {
        assert_eq!(find(prefix), Err(format!("multiple IDs found with provided prefix: {prefix}")));
    }
}

#[test]
fn tags_move_and_go() {
    let scene = Scene::new();
    let store = &scene.store;
    let one = scene.import_as(&Tar::new().file("a", b"1").end(), Some("app")).unwrap();
    let two = scene.import_as(&Tar::new().file("a", b"2").end(), None).unwrap();
    // A repository below a tag's name, a port, a digest.
    let digest = Digest::of(b"manifest");
    for name in ["app/latest:x", "localhost:5000/app", "quay.io/a/b/c:1"] {
        store.tag_image(&reference(name), &one, None).unwrap();
    }
    store.tag_image(&reference(&format!("quay.io/a/b@{digest}")), &one, Some(&digest)).unwrap();
    assert_eq!(store.tag_image(&reference("app"), &two, None).unwrap(), Some(one.clone()));
    assert_eq!(store.tag_image(&reference("app"), &two, None).unwrap(), None);
    let mut names: Vec<String> =
        store.references().unwrap().iter().map(|tagged| tagged.reference.familiar()).collect();
    names.sort();
    let by_digest = format!("quay.io/a/b@{digest}");
    assert_eq!(
        names,
        ["app/latest:x", "app:latest", "localhost:5000/app:latest", "quay.io/a/b/c:1", &by_digest]
    );
    assert_eq!(store.resolve_image(&by_digest).unwrap().id, one);
    assert_eq!(store.untag_image(&reference("quay.io/a/b/c:1")).unwrap(), Some(one.clone()));
    assert_eq!(store.untag_image(&reference("quay.io/a/b/c:1")).unwrap(), None);
    assert_eq!(store.untag_image(&reference(&by_digest)).unwrap(), Some(one.clone()));
    assert!(!store.path("images/refs/quay.io").exists());
    let listed = store.images().unwrap();
    let of = |id| listed.iter().find(|summary| summary.image.id == id).unwrap().references.len();
    assert_eq!((of(one.clone()), of(two)), (2, 1));
    let missing = corten_spec::ImageId(Digest::of(b"no image"));
    let error = store.tag_image(&reference("x"), &missing, None).unwrap_err().to_string();
    assert_eq!(error, format!("No such image: {missing}"));
    let both = store.tag_image(&reference(&format!("x:1@{digest}")), &one, None).unwrap_err().to_string();
    assert_eq!(both, format!("refusing to create a tag with a digest reference: x:1@{digest}"));
}

#[test]
fn removal_spares_what_is_needed() {
    let scene = Scene::new();
    let store = &scene.store;
    let tar = Tar::new().file("a", b"1").end();
    let none = || Ok(HashSet::new());
    let one = scene.import_as(&tar, Some("one")).unwrap();
    let layer = scene.image(&one).layers[0].diff_id.clone();
    // The same layer in another image.
    let options = corten_store::ImportOptions {
        config: corten_spec::image_config::ContainerConfig { user: "x".into(), ..Default::default() },
        message: String::new(),
        platform: corten_spec::Platform::host(),
        created: "2026-01-02T03:04:05Z".into(),
        reference: None,
    };
    let two = store.import_image(&mut &tar[..], &options).unwrap();
    assert_ne!(one, two);
    let removed = store.remove_image(&one, none).unwrap();
    assert_eq!((removed.layers, removed.references), (vec![], vec![reference("one")]));
    assert!(store.layer(&layer).unwrap().is_some());
    assert!(store.remove_image(&one, none).unwrap_err().to_string().starts_with("No such image"));
    // A container stands on it.
    let removed = store.remove_image(&two, || Ok(HashSet::from([layer.clone()]))).unwrap();
    assert_eq!(removed.layers, vec![]);
    assert!(store.layer_tree(&layer).join("a").exists());
    assert_eq!(store.collect_unused(none).unwrap(), vec![layer]);
    store.empty_trash().unwrap();
    scene.assert_empty("removal");
}

#[test]
fn a_record_holds_what_run_needs() {
    let scene = Scene::new();
    let id = scene.import_as(&Tar::new().file("a", b"1234").end(), Some("one")).unwrap();
    let image = scene.image(&id);
    assert_eq!((image.size, image.layers.len(), image.config.history[0].comment.as_str()), (4, 1, "test"));
    assert_eq!(image.config.created.as_deref(), Some("2026-01-02T03:04:05Z"));
    let config = scene.store.read_blob(&id.0, 1 << 20).unwrap();
    assert_eq!(config, image.config.render());
}
