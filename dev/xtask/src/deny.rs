//! `cargo xtask deny`: licences, bans and sources of the dependencies, as deny.toml has them.
//!
//! deny.toml is in cargo-deny's format, and cargo-deny reads it too where it is installed; this module
//! needs neither an install nor a network, so the three hard checks run everywhere.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result};
use crate::workspace::{self, Depth};

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        return Err(Failure::new(format!("deny takes no arguments, not {arg:?}")));
    }
    let root = workspace::root();
    let policy = Policy::parse(&workspace::read_text(&root.join("deny.toml"))?)?;
    let locked = parse_lock(&workspace::read_text(&root.join("Cargo.lock"))?);
    let mut violations: Vec<String> =
        locked.iter().filter_map(|package| policy.check_package(package)).collect();
    let metadata = workspace::metadata(&root, Depth::Resolved)?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        violations.extend(policy.check_license(name, package["license"].as_str()));
    }
    for violation in &violations {
        println!("deny: {violation}");
    }
    if violations.is_empty() {
        println!("deny: {} packages pass", locked.len());
        Ok(())
    } else {
        Err(Failure::new(format!("deny: {} of deny.toml's rules broken", violations.len())))
    }
}

/// One entry of Cargo.lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    /// `None` for a crate of the workspace.
    source: Option<String>,
}

fn parse_lock(lock: &str) -> Vec<Package> {
    lock.split("[[package]]")
        .skip(1)
        .map(|entry| {
            let value = |key: &str| {
                let line = entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
                Some(line.trim_matches('"').to_owned())
            };
            Package {
                name: value("name").unwrap_or_default(),
                version: value("version").unwrap_or_default(),
                source: value("source"),
            }
        })
        .collect()
}

/// A crate that must not be there, at all or below a version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ban {
    name: String,
    below: Option<Vec<u64>>,
    reason: String,
}

/// The part of deny.toml that is checked here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Policy {
    licenses: Vec<String>,
    bans: Vec<Ban>,
}

impl Policy {
    fn parse(text: &str) -> Result<Self> {
        let values = arrays(text);
        let of = |key: &str| values.get(key).ok_or_else(|| Failure::new(format!("deny.toml: no {key}")));
        let mut policy = Self { licenses: quoted(of("licenses.allow")?), bans: Vec::new() };
        for entry in of("bans.deny")?.split('{').skip(1) {
            let key = |name: &str| {
                let (_, rest) = entry.split_once(&format!("{name} = \""))?;
                rest.split('"').next().map(str::to_owned)
            };
            let name = key("name").ok_or_else(|| Failure::new("deny.toml: a ban without a name"))?;
            let below = match key("version") {
                None => None,
                Some(version) => Some(version.strip_prefix('<').map(numbers).ok_or_else(|| {
                    Failure::new(format!(
                        "deny.toml: ban of {name}: only versions like \"<1.2.3\" are understood"
                    ))
                })?),
            };
            policy.bans.push(Ban { name, below, reason: key("reason").unwrap_or_default() });
        }
        Ok(policy)
    }

    fn check_package(&self, package: &Package) -> Option<String> {
        let Package { name, version, source } = package;
        let is_index =
            |source: &String| source.starts_with("registry+") && source.ends_with("/crates.io-index");
        if let Some(source) = source.as_ref().filter(|source| !is_index(source)) {
            return Some(format!("{name} {version}: comes from {source}"));
        }
        let hit = self.bans.iter().find(|ban| {
            ban.name == *name && ban.below.as_ref().is_none_or(|below| numbers(version) < *below)
        })?;
        Some(format!("{name} {version}: banned: {}", hit.reason))
    }

    fn check_license(&self, name: &str, license: Option<&str>) -> Option<String> {
        let Some(license) = license else {
            return Some(format!("{name}: no licence in its manifest"));
        };
        let accepted = Expression { words: words(license), at: 0 }.accepted(&self.licenses);
        (accepted != Some(true)).then(|| format!("{name}: licence {license:?} is not allowed"))
    }
}

/// The arrays of a TOML file by `section.key`, each as the text between its brackets, comments dropped.
fn arrays(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut section = String::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some((key, mut body)) = open.take() {
            match line {
                "]" => {
                    found.insert(key, body);
                }
                _ => {
                    body.push_str(line);
                    open = Some((key, body));
                }
            }
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once(" = [") {
            let key = format!("{section}.{key}");
            match value.strip_suffix(']') {
                Some(body) => {
                    found.insert(key, body.to_owned());
                }
                None => open = Some((key, value.to_owned())),
            }
        }
    }
    found
}

fn quoted(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    release.split('.').map(|part| part.trim().parse().unwrap_or(0)).collect()
}

fn words(expression: &str) -> Vec<String> {
    // "MIT/Apache-2.0" is how manifests said OR before SPDX expressions.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// An SPDX expression being evaluated: OR of AND of licences and brackets.
struct Expression {
    words: Vec<String>,
    at: usize,
}

impl Expression {
    /// Whether the allowed licences satisfy it; `None` if it does not parse.
    fn accepted(mut self, allowed: &[String]) -> Option<bool> {
        let accepted = self.any(allowed)?;
        (self.at == self.words.len()).then_some(accepted)
    }

    fn any(&mut self, allowed: &[String]) -> Option<bool> {
        let mut accepted = self.all(allowed)?;
        while self.take("OR") {
            accepted |= self.all(allowed)?;
        }
        Some(accepted)
    }

    fn all(&mut self, allowed: &[String]) -> Option<bool> {
        let mut accepted = self.one(allowed)?;
        while self.take("AND") {
            accepted &= self.one(allowed)?;
        }
        Some(accepted)
    }

    fn one(&mut self, allowed: &[String]) -> Option<bool> {
        if self.take("(") {
            let accepted = self.any(allowed)?;
            return self.take(")").then_some(accepted);
        }
        let mut license = self.words.get(self.at)?.clone();
        self.at += 1;
        if self.take("WITH") {
            license = format!("{license} WITH {}", self.words.get(self.at)?);
            self.at += 1;
        }
        Some(allowed.contains(&license))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Ban, Package, Policy, parse_lock};

    const POLICY: &str = "[licenses]\n# which\nallow = [\n    \"MIT\", # yes\n    \"Apache-2.0\",\n    \"Apache-2.0 WITH LLVM-exception\",\n]\n\
                          [bans]\ndeny = [\n    { name = \"ring\", reason = \"one provider\" },\n\
                          \x20   { name = \"tar\", version = \"<0.4.46\", reason = \"desync\" },\n]\n";

    fn policy() -> Policy {
        Policy::parse(POLICY).unwrap()
    }

    #[test]
    fn the_policy_is_read() {
        let bans = vec![
            Ban { name: "ring".into(), below: None, reason: "one provider".into() },
            Ban { name: "tar".into(), below: Some(vec![0, 4, 46]), reason: "desync".into() },
        ];
        let licenses = vec!["MIT".into(), "Apache-2.0".into(), "Apache-2.0 WITH LLVM-exception".into()];
        assert_eq!(policy(), Policy { licenses, bans });
        assert_eq!(Policy::parse("[bans]\n").unwrap_err().to_string(), "deny.toml: no licenses.allow");
    }

    #[test]
    fn licences_are_evaluated() {
        let check = |license, allowed: bool| {
            assert_eq!(policy().check_license("x", license).is_none(), allowed, "{license:?}");
        };
        check(Some("MIT"), true);
        check(Some("MIT/Apache-2.0"), true);
        check(Some("GPL-3.0-only OR MIT"), true);
        check(Some("(MIT OR Apache-2.0) AND Apache-2.0"), true);
        check(Some("Apache-2.0 WITH LLVM-exception"), true);
        check(Some("MIT AND GPL-3.0-only"), false);
        check(Some("(MIT OR ISC) AND GPL-2.0"), false);
        check(Some("LGPL-2.1"), false);
        check(Some("(MIT"), false);
        check(Some(""), false);
        check(None, false);
    }

    #[test]
    fn bans_and_sources_are_checked() {
        let lock = "version = 4\n\n[[package]]\nname = \"tar\"\nversion = \"0.4.45\"\nsource = \"registry+https://x/crates.io-index\"\n\n\
                    [[package]]\nname = \"tar\"\nversion = \"0.4.46\"\nsource = \"registry+https://x/crates.io-index\"\n\n\
                    [[package]]\nname = \"ring\"\nversion = \"0.17.0\"\nsource = \"registry+https://x/crates.io-index\"\n\n\
                    [[package]]\nname = \"own\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"fork\"\nversion = \"0.1.0\"\nsource = \"git+https://x/fork\"\n";
        let found: Vec<String> =
            parse_lock(lock).iter().filter_map(|package: &Package| policy().check_package(package)).collect();
        assert_eq!(
            found,
            vec![
                "tar 0.4.45: banned: desync",
                "ring 0.17.0: banned: one provider",
                "fork 0.1.0: comes from git+https://x/fork",
            ]
        );
    }
}
