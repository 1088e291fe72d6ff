//! `--filter name=value`, as docker's commands take it.

use super::CliError;

/// Splits filters; the key in lower case, both sides without blanks around them. The key of `label!=x` is `label!`.
///
/// `flag`: how `command`'s help shows it.
pub(crate) fn split(
    command: &str,
    flag: &str,
    filters: &[String],
) -> Result<Vec<(String, String)>, CliError> {
    let one = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err(CliError::usage(format!(
            "invalid argument \"{text}\" for \"{flag}\" flag: bad format of filter (expected name=value)\n\n\
             Usage:  {command} [OPTIONS]\n\nRun '{command} --help' for more information"
        ))),
    };
    filters.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let split = |text: &str| split("corten ps", "-f, --filter", &[text.to_owned()]).ok();
        let pair = |key: &str, value: &str| Some(vec![(key.to_owned(), value.to_owned())]);
        assert_eq!(split("Name = x=y "), pair("name", "x=y"));
        assert_eq!(split("label!=a"), pair("label!", "a"));
        assert_eq!(split("x"), None);
    }
}
