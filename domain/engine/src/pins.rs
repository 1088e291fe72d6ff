//! Pins: an object that is pinned is removed by no command, forced or not, until it is let go.
//!
//! A pin is an empty file, `pins/<kind>.<id>`.

use std::path::PathBuf;

use corten_spec::ImageId;
use corten_sys::fs;

use crate::error::{Error, ErrorKind};
use crate::{Engine, containers, images, volumes};

/// Something that can be pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pinnable {
    /// By its whole id.
    Container(String),
    Image(ImageId),
    Volume(String),
}

impl Pinnable {
    /// The kind of object, as a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Container(_) => "container",
            Self::Image(_) => "image",
            Self::Volume(_) => "volume",
        }
    }

    fn path(&self, engine: &Engine) -> PathBuf {
        let key = match self {
            Self::Container(id) => id.clone(),
            Self::Image(id) => id.0.file_name(),
            Self::Volume(name) => name.clone(),
        };
        directory(engine).join(format!("{}.{key}", self.kind()))
    }

    fn parse(file: &str) -> Option<Self> {
        let (kind, key) = file.split_once('.')?;
        match kind {
            "container" => Some(Self::Container(key.to_owned())),
            "image" => {
                corten_spec::Digest::from_file_name(key).ok().map(|digest| Self::Image(ImageId(digest)))
            }
            "volume" => Some(Self::Volume(key.to_owned())),
            _ => None,
        }
    }
}

/// Finds what a user means: a container, an image or a volume, in this order, or one of a kind only.
pub fn find(engine: &Engine, name: &str, kind: Option<&str>) -> Result<Pinnable, Error> {
    let wanted = |other: &str| kind.is_none_or(|kind| kind == other);
    let absent = |error: &Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidArgument);
    if wanted("container") {
        match containers::find(engine, name) {
            Err(error) if absent(&error) && kind.is_none() => {}
            found => return Ok(Pinnable::Container(found?.id)),
        }
    }
    if wanted("image") {
        match images::find(engine, name) {
            Err(error) if absent(&error) && kind.is_none() => {}
            found => return Ok(Pinnable::Image(found?.id)),
        }
    }
    match volumes::find(engine, name) {
        Err(error) if absent(&error) && kind.is_none() => {
            Err(Error::not_found(format!("No such object: {name}")))
        }
        found => Ok(Pinnable::Volume(found?.name)),
    }
}

/// Protects an object from removal. Durable; again is no failure.
pub fn pin(engine: &Engine, object: &Pinnable) -> Result<(), Error> {
    if let Pinnable::Container(id) = object {
        let record = containers::load(engine, id)?;
        if record.spec.auto_remove {
            let text = format!("cannot pin container {}: with --rm it goes with its end", record.name);
            return Err(Error::conflict(text));
        }
    }
    fs::create_dir_all(directory(engine), 0o700)?;
    Ok(fs::write_durable(object.path(engine), b"")?)
}

/// Takes a pin away; false where there was none.
pub fn unpin(engine: &Engine, object: &Pinnable) -> Result<bool, Error> {
    let path = object.path(engine);
    let was_pinned = fs::exists(&path);
    fs::remove_file(&path)?;
    if was_pinned {
        fs::sync_parent(&path)?;
    }
    Ok(was_pinned)
}

/// Says whether an object is pinned.
pub fn is_pinned(engine: &Engine, object: &Pinnable) -> bool {
    fs::exists(object.path(engine))
}

/// Refuses what a pin forbids. `name`: as the user calls it.
pub(crate) fn check(engine: &Engine, object: &Pinnable, name: &str) -> Result<(), Error> {
    if !is_pinned(engine, object) {
        return Ok(());
    }
    let kind = object.kind();
    Err(Error::conflict(format!("cannot remove {kind} {name}: it is pinned"))
        .hint(format!("corten unpin {name} lets it go")))
}

/// Lists what is pinned, by kind.
pub fn list(engine: &Engine) -> Result<Vec<Pinnable>, Error> {
    let names = fs::list(directory(engine))?;
    let mut pinned: Vec<Pinnable> = names.iter().filter_map(|name| Pinnable::parse(name)).collect();
    pinned.sort();
    Ok(pinned)
}

fn directory(engine: &Engine) -> PathBuf {
    engine.store().path("pins")
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_spec::Digest;

    #[test]
    fn names_of_pins() {
        let digest = Digest::of(b"x");
        let cases = [
            ("container.abc".to_owned(), Some(Pinnable::Container("abc".to_owned()))),
            (format!("image.{}", digest.file_name()), Some(Pinnable::Image(ImageId(digest)))),
            ("volume.a.b".to_owned(), Some(Pinnable::Volume("a.b".to_owned()))),
            ("image.x".to_owned(), None),
            ("other.x".to_owned(), None),
            ("x".to_owned(), None),
        ];
        for (file, expected) in cases {
            assert_eq!(Pinnable::parse(&file), expected, "{file}");
        }
    }
}
