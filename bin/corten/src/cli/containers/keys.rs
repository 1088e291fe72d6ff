//! `--detach-keys`: the sequence that leaves a container running.

use crate::cli::CliError;
use crate::settings::Settings;

/// A sequence of key codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q`: single characters or `ctrl-` and one of `a-z@[\]^_`. `None` is docker's default.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, CliError> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or("ctrl-p,ctrl-q");
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or_else(|| CliError::daemon(format!("Invalid escape keys ({text}) provided")))
    }

    /// The flag's, or those of docker's client configuration.
    pub(crate) fn chosen(flag: Option<&str>, settings: &Settings) -> Result<Self, CliError> {
        match flag {
            Some(flag) => Self::parse(Some(flag)),
            None => Self::parse(settings.client().text("detachKeys").as_deref()),
        }
    }

    pub(crate) fn matcher(&self) -> Matcher {
        Matcher { keys: self.0.clone(), matched: 0 }
    }
}

fn key(text: &str) -> Option<u8> {
    if let [byte] = text.as_bytes() {
        return Some(*byte);
    }
    match text.to_ascii_lowercase().strip_prefix("ctrl-")?.as_bytes() {
        [byte @ b'a'..=b'z'] => Some(byte - b'a' + 1),
        [b'@'] => Some(0),
        [byte @ b'['..=b'_'] => Some(byte - b'[' + 27),
        _ => None,
    }
}

/// Watches input for the sequence; keys that may begin it are held back until they do not.
#[derive(Debug)]
pub(crate) struct Matcher {
    keys: Vec<u8>,
    matched: usize,
}

impl Matcher {
    /// What to pass on, and whether the sequence is complete.
    pub(crate) fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut pass = Vec::with_capacity(input.len());
        for &byte in input {
            if self.keys.get(self.matched) != Some(&byte) {
                pass.extend_from_slice(self.keys.get(..self.matched).unwrap_or_default());
                self.matched = 0;
            }
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
            } else {
                pass.push(byte);
            }
            if self.matched == self.keys.len() {
                return (pass, true);
            }
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(DetachKeys::parse(None).unwrap(), DetachKeys(vec![16, 17]));
        assert_eq!(DetachKeys::parse(Some("ctrl-@,x,ctrl-]")).unwrap(), DetachKeys(vec![0, b'x', 29]));
        assert!(DetachKeys::parse(Some("ctrl-")).is_err() && DetachKeys::parse(Some("ab")).is_err());
    }

    #[test]
    fn the_sequence_is_held_back_across_reads_and_given_back_when_broken() {
        let mut matcher = DetachKeys::parse(None).unwrap().matcher();
        assert_eq!(matcher.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(matcher.filter(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(matcher.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(matcher.filter(b"\x11c"), (Vec::new(), true));
    }
}
