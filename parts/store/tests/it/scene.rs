//! A store in a directory of its own, and what to ask of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use corten_spec::image_config::ContainerConfig;
use corten_spec::{ImageId, Platform, Reference};
use corten_store::{Image, ImportOptions, Store, StoreError};

pub(crate) struct Scene {
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
}

impl Scene {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corten-store-{}-{serial}", std::process::id()));
        corten_sys::fs::remove_dir_all(&path).unwrap();
        corten_sys::fs::create_dir_all(&path, 0o700).unwrap();
        let store = Store::open(&path.join("store")).unwrap();
        Self { path, store }
    }

    pub(crate) fn import(&self, tar: &[u8]) -> Result<ImageId, StoreError> {
        self.import_as(tar, None)
    }

    pub(crate) fn import_as(&self, tar: &[u8], name: Option<&str>) -> Result<ImageId, StoreError> {
        let options = ImportOptions {
            config: ContainerConfig::default(),
            message: "test".to_owned(),
            platform: Platform::host(),
            created: "2026-01-02T03:04:05Z".to_owned(),
            reference: name.map(|name| Reference::parse(name).unwrap()),
        };
        self.store.import_image(&mut &*tar, &options)
    }

    /// Imports and returns the only layer's tree.
    pub(crate) fn tree(&self, tar: &[u8]) -> PathBuf {
        let image = self.image(&self.import(tar).unwrap());
        self.store.layer_tree(&image.layers[0].diff_id)
    }

    pub(crate) fn image(&self, id: &ImageId) -> Image {
        self.store.image(id).unwrap().unwrap()
    }

    /// Every layer's tar, lowest first.
    pub(crate) fn tars(&self, id: &ImageId) -> Vec<Vec<u8>> {
        let tar = |layer: &corten_store::images::ImageLayer| {
            let mut bytes = Vec::new();
            self.store.write_layer_tar(&layer.diff_id, &mut bytes).unwrap();
            bytes
        };
        self.image(id).layers.iter().map(tar).collect()
    }

    /// Everything below the store that an image or a part of one could be.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut found = Vec::new();
        for directory in ["layers", "blobs/sha256", "ingest", "images", "images/refs", "trash"] {
            for name in corten_sys::fs::list(self.store.path(directory)).unwrap() {
                if !(directory == "images" && matches!(name.as_str(), "refs" | "lock")) {
                    found.push(format!("{directory}/{name}"));
                }
            }
        }
        found.sort();
        found
    }

    pub(crate) fn assert_empty(&self, what: &str) {
        assert_eq!(self.objects(), Vec::<String>::new(), "left by {what}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The store's own removal copes with trees that std's cannot remove.
        drop(self.store.discard(&self.store.path("layers")));
        drop(self.store.empty_trash());
        drop(corten_sys::fs::remove_dir_all(&self.path));
    }
}

pub(crate) fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = [0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut buffer[..]).ok()?;
    Some(buffer[..length].to_vec())
}
