//! Records: small versioned JSON files, written whole.

use std::path::Path;

use corten_sys::fs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// Renders a record, one line, ending in a newline so that `cat` is pleasant.
pub fn render(record: &impl Serialize) -> Vec<u8> {
    // Our records are structs and string-keyed maps: serde_json has nothing to refuse.
    let mut bytes = serde_json::to_vec(record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a record, or `None` where there is none.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = fs::read_record(path)? else { return Ok(None) };
    let record = serde_json::from_slice(&bytes);
    record.map(Some).map_err(|source| StoreError::Record { path: path.to_owned(), source })
}
