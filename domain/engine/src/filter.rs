//! `--filter key=value` as docker reads it, for what images and volumes have in common.

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
