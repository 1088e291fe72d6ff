//! `--filter key=value` as docker reads it, for what containers, images, volumes and events have in common.

use std::collections::BTreeMap;

use crate::Error;

/// Splits a filter; the key in lower case, both sides without blanks around them.
pub(crate) fn split(text: &str) -> Result<(String, String), Error> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Error::invalid(format!("bad format of filter \"{text}\" (expected name=value)")));
    };
    Ok((key.trim().to_lowercase(), value.trim().to_owned()))
}

/// Reads the value of a filter that is true or false.
pub(crate) fn truth(key: &str, value: &str) -> Result<bool, Error> {
    match value.to_lowercase().as_str() {
        "1" | "true" | "t" => Ok(true),
        "0" | "false" | "f" => Ok(false),
        _ => Err(Error::invalid(format!("invalid filter '{key}=[{value}]'"))),
    }
}

/// A label that a filter asks for: of that value, where one is given.
pub(crate) type WantedLabel = (String, Option<String>);

/// Says whether an object has all the labels of the one list and none of the other's.
pub(crate) fn labels_match(
    labels: &BTreeMap<String, String>,
    wanted: &[WantedLabel],
    unwanted: &[WantedLabel],
) -> bool {
    let has = |(name, value): &WantedLabel| is_labelled(labels, name, value.as_deref());
    wanted.iter().all(has) && !unwanted.iter().any(has)
}

/// Says whether an object has the label `name`, or `name=value`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => is_labelled(labels, name, Some(value)),
        None => is_labelled(labels, wanted, None),
    }
}

fn is_labelled(labels: &BTreeMap<String, String>, name: &str, value: Option<&str>) -> bool {
    labels.get(name).is_some_and(|own| value.is_none_or(|value| value == own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
        for (wanted, expected) in
            [("tier", true), ("tier=front", true), ("tier=back", false), ("other", false)]
        {
            assert_eq!(has_label(&labels, wanted), expected, "{wanted}");
        }
        let tier = |value: &str| [("tier".to_owned(), Some(value.to_owned()))];
        assert!(labels_match(&labels, &tier("front"), &tier("back")));
        assert!(!labels_match(&labels, &tier("front"), &tier("front")));
    }
}
