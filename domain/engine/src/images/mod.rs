//! Images: importing, loading, saving, naming, listing, removing.

pub mod builtin;
pub mod changes;
mod history;
mod list;
mod prune;
mod remove;

use std::io::{Read, Write};

use corten_spec::image_config::ContainerConfig;
use corten_spec::{ImageId, Platform, Reference};
use corten_store::images::LoadedImage;
use corten_store::{Image, ImageError, LoadOptions, SaveItem, StoreError};
use jiff::Timestamp;

pub use history::{HistoryStep, history};
pub use list::{Filters, Listed, describe, list};
pub use prune::{PruneFilters, Pruned, prune};
pub use remove::{Removal, RemoveOptions, collect, remove};

use crate::error::ErrorKind;
use crate::{Engine, Error, events};

/// What an import may say of the image.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    pub message: String,
    pub platform: Option<String>,
    /// `REPOSITORY[:TAG]`.
    pub reference: Option<String>,
}

/// Makes an image of a root file system's tar, plain or compressed. Blocking; leaves nothing on an error.
pub fn import(
    engine: &Engine,
    input: &mut (dyn Read + Send),
    options: &ImportOptions,
) -> Result<ImageId, Error> {
    let mut config = ContainerConfig::default();
    changes::apply(&mut config, &options.changes)?;
    let reference = options.reference.as_deref().map(parse_tag).transpose()?;
    let platform = match &options.platform {
        Some(text) => Platform::parse(text).map_err(|error| Error::invalid(error.to_string()))?,
        None => Platform::host(),
    };
    engine.store().collect_stale_ingests()?;
    let options = corten_store::ImportOptions {
        config,
        message: options.message.clone(),
        platform,
        created: Timestamp::now().to_string(),
        reference,
    };
    let id = engine.store().import_image(input, &options)?;
    events::images(engine, [&id], "import");
    Ok(id)
}

/// Loads every image of an archive, or none. Blocking.
pub fn load(
    engine: &Engine,
    input: &mut (dyn Read + Send),
    platform: Option<&str>,
) -> Result<Vec<LoadedImage>, Error> {
    let platform =
        platform.map(Platform::parse).transpose().map_err(|error| Error::invalid(error.to_string()))?;
    engine.store().collect_stale_ingests()?;
    let loaded = engine.store().load_images(input, &LoadOptions { platform })?;
    events::images(engine, loaded.iter().map(|loaded| &loaded.id), "load");
    Ok(loaded)
}

/// Finds what `save` was asked for, before anything is written.
pub fn to_save(engine: &Engine, names: &[String], platform: Option<&str>) -> Result<Vec<SaveItem>, Error> {
    let wanted =
        platform.map(Platform::parse).transpose().map_err(|error| Error::invalid(error.to_string()))?;
    let mut items = Vec::new();
    for name in names {
        let found = match engine.store().save_item(name) {
            Err(error) if is_not_found(&error) && builtin::provide(engine, name)? => {
                engine.store().save_item(name)
            }
            found => found,
        };
        let found = found.map_err(|error| not_found(error, name))?;
        for item in &found {
            if let (Some(wanted), Some(image)) = (&wanted, engine.store().image(&item.image)?)
                && !wanted.runs(&image.config.platform())
            {
                return Err(Error::not_found(format!(
                    "image with reference {name} was found but its platform ({}) does not match the specified \
                     platform ({wanted})",
                    image.config.platform()
                )));
            }
        }
        items.extend(found);
    }
    Ok(items)
}

/// Writes images as one archive. Blocking.
pub fn save(engine: &Engine, items: &[SaveItem], output: &mut dyn Write) -> Result<(), Error> {
    engine.store().save_images(items, output)?;
    events::images(engine, items.iter().map(|item| &item.image), "save");
    Ok(())
}

/// Gives an image another name.
pub fn tag(engine: &Engine, source: &str, target: &str) -> Result<(), Error> {
    let target = Reference::parse(target).map_err(|error| {
        Error::invalid(format!(
            "Error parsing reference: \"{target}\" is not a valid repository/tag: {error}"
        ))
    })?;
    if target.digest().is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    let image = find(engine, source)?;
    // The manifest by which it came goes with the content, not with the name.
    let named =
        Reference::parse(source).ok().map(|source| engine.store().reference(&source)).transpose()?.flatten();
    let manifest = named.filter(|named| named.image == image.id).and_then(|named| named.manifest);
    engine.store().tag_image(&target, &image.id, manifest.as_ref())?;
    events::image(engine, &image, "tag", &target.familiar());
    Ok(())
}

/// Finds an image by reference, ID or the start of an ID; a built-in one comes into the store by this.
pub fn find(engine: &Engine, name: &str) -> Result<Image, Error> {
    match engine.store().resolve_image(name) {
        Err(error) if is_not_found(&error) && builtin::provide(engine, name)? => {
            engine.store().resolve_image(name).map_err(Error::from)
        }
        found => found.map_err(|error| not_found(error, name)),
    }
}

/// Unlinks what removals left in the trash. Blocking; safe beside other commands.
pub fn empty_trash(engine: &Engine) -> Result<(), Error> {
    Ok(engine.store().empty_trash()?)
}

/// How a container to be made misses its image.
pub(crate) fn missing(name: &str) -> Error {
    let shown = match Reference::parse(name) {
        Ok(reference) => reference.familiar(),
        Err(error) => return Error::invalid(error.to_string()),
    };
    Error::new(ErrorKind::ImageMissing, format!("Unable to find image '{shown}' locally"))
        .hint("pulling from a registry is not there yet: `corten load` or `corten import` brings an image in")
}

pub(crate) fn is_not_found(error: &StoreError) -> bool {
    matches!(error, StoreError::Image(ImageError::NotFound(_)))
}

/// docker names a missing image in full: `No such image: redis:latest`.
fn not_found(error: StoreError, name: &str) -> Error {
    match (is_not_found(&error), Reference::parse(name)) {
        (true, Ok(reference)) => Error::not_found(format!("No such image: {}", reference.familiar())),
        _ => error.into(),
    }
}

fn parse_tag(text: &str) -> Result<Reference, Error> {
    let reference = Reference::parse(text).map_err(|error| Error::invalid(error.to_string()))?;
    if reference.digest().is_some() {
        return Err(Error::invalid("cannot import digest reference"));
    }
    Ok(reference)
}
