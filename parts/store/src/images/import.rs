//! `import`: a root file system as a tar becomes an image of one layer.

use std::io::{BufRead, Read};

use corten_spec::digest::Algorithm;
use corten_spec::image_config::{ContainerConfig, History};
use corten_spec::{ImageConfig, ImageId, Platform, Reference};

use super::ImageError;
use crate::compression::Compression;
use crate::ingest::Lease;
use crate::layers::chunks::CHUNK;
use crate::layers::ingest::LayerIngest;
use crate::{Store, StoreError};

/// What an imported image says of itself.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// What `--change` made.
    pub config: ContainerConfig,
    pub message: String,
    pub platform: Platform,
    /// RFC 3339; the caller reads the clock.
    pub created: String,
    pub reference: Option<Reference>,
}

impl Store {
    /// Makes an image of a tar, plain or compressed with gzip or zstd. Blocking; leaves nothing on an error.
    pub fn import_image(
        &self,
        input: &mut (dyn Read + Send),
        options: &ImportOptions,
    ) -> Result<ImageId, StoreError> {
        let failed = |source| StoreError::Input { what: "archive".to_owned(), source };
        let lease = Lease::new(self)?;
        let mut input = std::io::BufReader::with_capacity(CHUNK, input);
        let head = input.fill_buf().map_err(failed)?;
        if head.is_empty() {
            return Err(ImageError::EmptyArchive.into());
        }
        let compression = Compression::sniff(head);
        let mut layer = LayerIngest::start(&lease, "layer", "archive", compression, Algorithm::Sha256)?;
        while !layer.has_failed() {
            let bytes = match input.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    layer.abort();
                    return Err(failed(error));
                }
            };
            layer.write(bytes);
            let count = bytes.len();
            input.consume(count);
        }
        let layer = layer.finish()?;
        let mut config = ImageConfig {
            created: Some(options.created.clone()),
            config: options.config.clone(),
            history: vec![History {
                created: Some(options.created.clone()),
                comment: options.message.clone(),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        config.set_platform(&options.platform);
        config.rootfs.diff_ids.push(layer.layer.diff_id.clone());
        self.commit_own_image(&lease, &[layer], config, None, options.reference.as_ref())
    }
}
