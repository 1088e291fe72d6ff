//! Listing images: every image with its names, filtered as docker filters.

use std::collections::{HashMap, HashSet};

use corten_spec::{Digest, ImageId, Reference};
use corten_store::Image;
use jiff::{SignedDuration, Timestamp};

use crate::filter;
use crate::{Engine, Error};

/// An image as listings and inspect show it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub image: Image,
    /// When it was made, where its config says so.
    pub created: Option<Timestamp>,
    /// Sorted.
    pub tags: Vec<Reference>,
    /// `repository@digest` of its manifests; sorted.
    pub digests: Vec<Reference>,
}

/// Which images. The members hold what `--filter` was given; all of them must match, any text of one.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    pub dangling: Option<bool>,
    /// `key` or `key=value`; all of them.
    pub labels: Vec<String>,
    pub references: Vec<String>,
    pub before: Vec<String>,
    pub since: Vec<String>,
    /// A moment, or a length of time before now.
    pub until: Vec<String>,
    /// Also those without a name that others were made of.
    pub intermediate: bool,
}

impl Filters {
    /// Adds one `key=value`.
    pub fn add(&mut self, text: &str) -> Result<(), Error> {
        let (key, value) = filter::split(text)?;
        match key.as_str() {
            "dangling" => self.dangling = Some(filter::truth(&key, &value)?),
            "label" => self.labels.push(value),
            "reference" => self.references.push(value),
            "before" => self.before.push(value),
            "since" => self.since.push(value),
            "until" => self.until.push(value),
            other => return Err(Error::invalid(format!("invalid filter '{other}'"))),
        }
        Ok(())
    }
}

/// Lists images, the newest first. Takes no lock.
pub fn list(engine: &Engine, filters: &Filters) -> Result<Vec<Listed>, Error> {
    let mut all = everything(engine)?;
    if !filters.intermediate {
        let parents: HashSet<ImageId> = all.iter().filter_map(|listed| listed.image.parent.clone()).collect();
        all.retain(|listed| {
            !listed.tags.is_empty() || !listed.digests.is_empty() || !parents.contains(&listed.image.id)
        });
    }
    let moment = |name: &String| -> Result<Timestamp, Error> {
        let found = engine.store().resolve_image(name)?;
        Ok(created(&found).unwrap_or(Timestamp::UNIX_EPOCH))
    };
    let before = filters.before.iter().map(moment).collect::<Result<Vec<_>, _>>()?;
    let since = filters.since.iter().map(moment).collect::<Result<Vec<_>, _>>()?;
    let until = filters.until.iter().map(|text| parse_until(text)).collect::<Result<Vec<_>, _>>()?;
    all.retain(|listed| {
        let made = listed.created.unwrap_or(Timestamp::UNIX_EPOCH);
        before.iter().chain(&until).all(|limit| made < *limit)
            && since.iter().all(|limit| made > *limit)
            && filters.labels.iter().all(|label| filter::has_label(&listed.image.config.config.labels, label))
    });
    if let Some(dangling) = filters.dangling {
        all.retain(|listed| listed.tags.is_empty() == dangling);
    }
    if !filters.references.is_empty() {
        for listed in &mut all {
            let wanted = |reference: &Reference| filters.references.iter().any(|p| matches(p, reference));
            listed.tags.retain(wanted);
            listed.digests.retain(wanted);
        }
        all.retain(|listed| !listed.tags.is_empty() || !listed.digests.is_empty());
    }
    Ok(all)
}

/// One image with its names.
pub fn describe(engine: &Engine, image: Image) -> Result<Listed, Error> {
    let references = engine.store().references()?;
    let mut listed = Listed { created: created(&image), image, tags: Vec::new(), digests: Vec::new() };
    for tagged in references {
        if tagged.image == listed.image.id {
            listed.add(tagged.reference, tagged.manifest);
        }
    }
    listed.sort();
    Ok(listed)
}

impl Listed {
    fn add(&mut self, reference: Reference, manifest: Option<Digest>) {
        if reference.digest().is_some() {
            self.digests.push(reference);
            return;
        }
        self.digests.extend(manifest.map(|digest| reference.with_digest(digest)));
        self.tags.push(reference);
    }

    fn sort(&mut self) {
        self.tags.sort();
        self.digests.sort();
        self.digests.dedup();
    }
}

fn everything(engine: &Engine) -> Result<Vec<Listed>, Error> {
    let mut all: Vec<Listed> = Vec::new();
    let mut places = HashMap::<ImageId, usize>::new();
    for id in engine.store().image_ids()? {
        // One that was removed meanwhile is simply not listed.
        let Some(image) = engine.store().image(&id)? else { continue };
        places.insert(id, all.len());
        all.push(Listed { created: created(&image), image, tags: Vec::new(), digests: Vec::new() });
    }
    for tagged in engine.store().references()? {
        if let Some(listed) = places.get(&tagged.image).and_then(|place| all.get_mut(*place)) {
            listed.add(tagged.reference, tagged.manifest);
        }
    }
    all.iter_mut().for_each(Listed::sort);
    all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.image.id.cmp(&b.image.id)));
    Ok(all)
}

fn created(image: &Image) -> Option<Timestamp> {
    let moment: Timestamp = image.config.created.as_deref()?.parse().ok()?;
    // Go's zero time means none.
    (moment.as_second() > -62_135_596_800).then_some(moment)
}

/// docker's FamiliarMatch: a glob against the name with its tag, or against the name alone.
fn matches(pattern: &str, reference: &Reference) -> bool {
    glob(pattern, &reference.familiar()) || glob(pattern, &reference.familiar_name())
}

/// Go's path.Match: `*` and `?` stop at slashes; `[a-z]`, `[^a]`, `\` for the next character.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    let mut text_chars = text.chars();
    loop {
        let Some(c) = pattern_chars.next() else { return text_chars.as_str().is_empty() };
        match c {
            '*' => {
                let rest = pattern_chars.as_str();
                let text = text_chars.as_str();
                let reach = text.find('/').unwrap_or(text.len());
                return (0..=reach).filter(|at| text.is_char_boundary(*at)).any(|at| glob(rest, &text[at..]));
            }
            '?' => {
                if text_chars.next().is_none_or(|c| c == '/') {
                    return false;
                }
            }
            '[' => {
                let Some((set, rest)) = pattern_chars.as_str().split_once(']') else { return false };
                let Some(c) = text_chars.next().filter(|c| *c != '/') else { return false };
                let (negated, set) = set.strip_prefix('^').map_or((false, set), |set| (true, set));
                if in_set(set, c) == negated {
                    return false;
                }
                pattern_chars = rest.chars();
            }
            c => {
                let c = if c == '\\' { pattern_chars.next().unwrap_or(c) } else { c };
                if text_chars.next() != Some(c) {
                    return false;
                }
            }
        }
    }
}

fn in_set(set: &str, wanted: char) -> bool {
    let chars: Vec<char> = set.chars().collect();
    let mut at = 0;
    while let Some(&low) = chars.get(at) {
        let range = chars.get(at + 1) == Some(&'-') && at + 2 < chars.len();
        let high = if range { chars[at + 2] } else { low };
        if (low..=high).contains(&wanted) {
            return true;
        }
        at += if range { 3 } else { 1 };
    }
    false
}

/// `2026-01-02`, `2026-01-02T03:04:05Z`, seconds since 1970, or `24h` for that long ago.
fn parse_until(text: &str) -> Result<Timestamp, Error> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).map_err(|error| Error::invalid(error.to_string()));
    }
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    if let Ok(local) = text.parse::<jiff::civil::DateTime>()
        && let Ok(zoned) = local.to_zoned(jiff::tz::TimeZone::system())
    {
        return Ok(zoned.timestamp());
    }
    let nanos = super::changes::parse_duration(text)
        .map_err(|_| Error::invalid(format!("invalid value for \"until\" filter: \"{text}\"")))?;
    Ok(Timestamp::now() - SignedDuration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, reference: &str, expected: bool| {
            let parsed = Reference::parse(reference).unwrap();
            assert_eq!(matches(pattern, &parsed), expected, "{pattern} {reference}");
        };
        check("redis", "redis:7", true);
        check("redis:7", "redis:7", true);
        check("redis:8", "redis:7", false);
        check("red*", "redis", true);
        check("*", "user/app", false);
        check("*/*", "user/app", true);
        check("*:lat*", "redis", true);
        check("r?dis", "redis", true);
        check("[p-r]edis", "redis", true);
        check("[^p-r]edis", "redis", false);
        check("localhost:5000/*", "localhost:5000/a:1", true);
    }

    #[test]
    fn moments() {
        assert_eq!(parse_until("0").unwrap(), Timestamp::UNIX_EPOCH);
        assert_eq!(parse_until("1970-01-01T00:00:00Z").unwrap(), Timestamp::UNIX_EPOCH);
        assert!(parse_until("1h").unwrap() < Timestamp::now());
        assert!(parse_until("yesterday").is_err());
    }
}
