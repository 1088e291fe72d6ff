//! How many packages Cargo.lock may have. Raised by a decision, never by accident.

use super::Violation;

const MAX_ENTRIES: usize = 200;

pub(super) fn check(lock: &str) -> Option<Violation> {
    let entries = lock.lines().filter(|line| *line == "[[package]]").count();
    (entries > MAX_ENTRIES).then(|| {
        format!("Cargo.lock: {entries} packages, the limit is {MAX_ENTRIES} (dev/xtask/src/tidy/lock.rs)")
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENTRIES, check};

    #[test]
    fn the_limit_itself_passes_and_one_more_does_not() {
        let lock = |count| "[[package]]\nname = \"a\"\n\n".repeat(count);
        assert_eq!(check(&lock(MAX_ENTRIES)), None);
        let expected = "Cargo.lock: 201 packages, the limit is 200 (dev/xtask/src/tidy/lock.rs)";
        assert_eq!(check(&lock(MAX_ENTRIES + 1)).as_deref(), Some(expected));
    }
}
