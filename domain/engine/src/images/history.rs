//! How an image was made: its config's steps, with what each added and which images of here ended with it.

use corten_spec::{ImageId, Platform, Reference};
use corten_store::Image;
use jiff::Timestamp;

use super::find;
use crate::error::ErrorKind;
use crate::{Engine, Error};

/// One step, and what is known of it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryStep {
    /// The image that ends with it: the one asked for, and those it was made of here.
    pub image: Option<ImageId>,
    /// Names of that image.
    pub tags: Vec<Reference>,
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub comment: String,
    /// Bytes of the regular files in its layer.
    pub size: u64,
}

/// The steps of an image, the last first.
pub fn history(engine: &Engine, name: &str, platform: Option<&str>) -> Result<Vec<HistoryStep>, Error> {
    let wanted =
        platform.map(Platform::parse).transpose().map_err(|error| Error::invalid(error.to_string()))?;
    let image = find(engine, name)?;
    let has = image.config.platform();
    if let Some(wanted) = wanted.filter(|wanted| !wanted.runs(&has)) {
        return Err(Error::not_found(format!(
            "image with reference {name} was found but its platform ({has}) does not match the specified platform \
             ({wanted})"
        )));
    }
    let mut steps = steps(&image)?;
    let references = engine.store().references()?;
    let mut next = Some(image);
    for step in &mut steps {
        let Some(image) = next else { break };
        let of_image = references.iter().filter(|tagged| tagged.image == image.id);
        step.tags =
            of_image.map(|tagged| tagged.reference.clone()).filter(|name| name.tag().is_some()).collect();
        step.tags.sort();
        next = match &image.parent {
            Some(parent) => engine.store().image(parent)?,
            None => None,
        };
        step.image = Some(image.id);
    }
    Ok(steps)
}

fn steps(image: &Image) -> Result<Vec<HistoryStep>, Error> {
    let mut layers = image.layers.iter();
    let mut steps = Vec::new();
    for step in &image.config.history {
        let size = if step.empty_layer {
            0
        } else {
            let layer = layers.next().ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "too many non-empty layers in History section")
            })?;
            layer.size
        };
        steps.push(HistoryStep {
            image: None,
            tags: Vec::new(),
            created: step.created.as_deref().and_then(|moment| moment.parse().ok()),
            created_by: step.created_by.clone(),
            comment: step.comment.clone(),
            size,
        });
    }
    steps.reverse();
    Ok(steps)
}
