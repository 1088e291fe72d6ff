//! The names of system calls, read from the tables that the policy is compiled with: for people, and for classing
//! differences; what is compared are the numbers.

use std::collections::HashMap;
use std::path::Path;

use super::observations::Call;
use crate::failure::{Failure, Result};
use crate::workspace;

const TABLES: [(&str, &str); 3] = [
    ("x86_64", "parts/runtime/src/seccomp/tables_x86_64.rs"),
    ("i386", "parts/runtime/src/seccomp/tables_i386.rs"),
    ("x32", "parts/runtime/src/seccomp/tables_x32.rs"),
];

/// The first number that x32 has for itself.
const X32_OWN: u32 = 512;

/// Names by interface and number.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(&'static str, u32), String>);

impl Names {
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut names = Self::default();
        for (interface, path) in TABLES {
            let before = names.0.len();
            names.add(interface, &workspace::read_text(&root.join(path))?);
            if names.0.len() == before {
                return Err(Failure::new(format!("{path}: no table of system calls")));
            }
        }
        Ok(names)
    }

    #[cfg(test)]
    pub(super) fn of_table(interface: &'static str, source: &str) -> Self {
        let mut names = Self::default();
        names.add(interface, source);
        names
    }

    /// Takes the lines `(number, "name"),` of a table; of two names the first.
    fn add(&mut self, interface: &'static str, source: &str) {
        for line in source.lines() {
            let entry = line.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix("\"),"));
            if let Some((number, name)) = entry.and_then(|entry| entry.split_once(", \""))
                && let Ok(number) = number.parse()
            {
                self.0.entry((interface, number)).or_insert_with(|| name.to_owned());
            }
        }
    }

    /// The name, if the number has one; below 512 x32 means what x86_64 means.
    pub(super) fn of(&self, call: &Call) -> Option<&str> {
        let interface = match call.interface.as_str() {
            "x32" if call.number < X32_OWN => "x86_64",
            "x32" => "x32",
            "i386" => "i386",
            _ => "x86_64",
        };
        self.0.get(&(interface, call.number)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Names};

    #[test]
    fn names_come_from_the_lines_of_a_table() {
        let mut names = Names::default();
        names.add("x86_64", "//! T.\n    (0, \"read\"),\n    (0, \"alias\"),\n];\n");
        names.add("x32", "    (512, \"rt_sigaction\"),\n");
        let check = |interface: &str, number, expected| {
            let call = Call { interface: interface.to_owned(), number, variant: "-".to_owned() };
            assert_eq!(names.of(&call), expected);
        };
        check("x86_64", 0, Some("read"));
        check("x32", 0, Some("read"));
        check("x32", 512, Some("rt_sigaction"));
        check("x86_64", 512, None);
        check("i386", 0, None);
    }
}
