//! Rules on single source files: header, length, module name, the unsafe fence.

use std::path::Path;

use super::Violation;

/// A file longer than this is split by noun.
const MAX_LINES: usize = 1000;

/// Files that may be longer, and why.
const LONG: &[(&str, &str)] = &[(
    "parts/runtime/src/seccomp/syscalls.rs",
    "a table with one line for each system call of each architecture",
)];

/// Names that say nothing about what is inside.
const BANNED_MODULES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "types"];

/// The only folder whose code may say `unsafe`.
const UNSAFE_FENCE: &str = "base/sys/";

/// Checks one file; `path` is relative to the checkout.
pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//! ")) {
        violations.push(format!("{path}: starts without a `//!` line that says what it is"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES && !LONG.iter().any(|(long, _)| *long == path) {
        violations.push(format!("{path}: {lines} lines, the limit is {MAX_LINES}; split it by noun"));
    }
    if let Some(name) = module_names(path).find(|name| BANNED_MODULES.contains(name)) {
        violations.push(format!("{path}: a module named `{name}`; name it after what it holds"));
    }
    let code = code_only(text);
    for (index, line) in code.lines().enumerate() {
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        if !path.starts_with(UNSAFE_FENCE) && words.clone().any(|word| word == "unsafe") {
            violations.push(format!("{path}:{}: `unsafe` outside {UNSAFE_FENCE}", index + 1));
        }
        if words.any(|word| word == "mod")
            && let Some(name) = inline_module(line).filter(|name| BANNED_MODULES.contains(name))
        {
            violations
                .push(format!("{path}:{}: a module named `{name}`; name it after what it holds", index + 1));
        }
    }
    violations
}

/// The names a path gives to modules: folders below `src` or `tests`, and the file itself.
fn module_names(path: &str) -> impl Iterator<Item = &str> {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    let folders =
        Path::new(path).parent().into_iter().flat_map(|dir| dir.iter()).filter_map(|name| name.to_str());
    folders.skip_while(|name| *name != "src" && *name != "tests").chain(stem)
}

/// `mod name {` with its body in the same file.
fn inline_module(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("mod ")?;
    let (name, _) = rest.split_once('{')?;
    Some(name.trim())
}

/// The text with comments, strings and character literals blanked out; lines keep their numbers.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_length(rest),
            '"' => string_length(rest),
            'r' if !after_word => raw_string_length(rest).unwrap_or(0),
            '\'' => char_length(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(first);
            after_word = first.is_alphanumeric() || first == '_';
            rest = &rest[first.len_utf8()..];
        } else {
            let (skipped, remainder) = rest.split_at(length);
            code.push(' ');
            code.extend(skipped.matches('\n').map(|_| '\n'));
            after_word = false;
            rest = remainder;
        }
    }
    code
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let body = 1 + hashes + 1;
    if text.as_bytes().get(body - 1) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[body..].find(&close).map_or(text.len(), |at| body + at + close.len()))
}

/// The length of a character literal, or 0 for a lifetime.
fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        // The character after the backslash may be the quote itself.
        Some((_, '\\')) => {
            chars.next();
            chars.find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        }
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINES, check, code_only};

    fn clean(path: &str, text: &str) {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
    }

    fn broken(path: &str, text: &str, expected: &str) {
        assert_eq!(check(path, text), vec![expected.to_owned()], "{text}");
    }

    #[test]
    fn a_file_says_what_it_is() {
        clean("parts/store/src/lock.rs", "//! Locks.\nfn a() {}\n");
        let expected = "a/src/b.rs: starts without a `//!` line that says what it is";
        broken("a/src/b.rs", "fn a() {}\n", expected);
        broken("a/src/b.rs", "// Locks.\nfn a() {}\n", expected);
        broken("a/src/b.rs", "//!\nfn a() {}\n", expected);
        broken("a/src/b.rs", "", expected);
    }

    #[test]
    fn long_files_are_split_unless_listed() {
        let long = format!("//! Long.\n{}", "fn a() {}\n".repeat(MAX_LINES));
        broken("a/src/b.rs", &long, "a/src/b.rs: 1001 lines, the limit is 1000; split it by noun");
        clean("parts/runtime/src/seccomp/syscalls.rs", &long);
    }

    #[test]
    fn module_names_say_something() {
        let expected =
            |path: &str, name: &str| format!("{path}: a module named `{name}`; name it after what it holds");
        for (path, name) in [
            ("a/src/utils.rs", "utils"),
            ("a/src/types/mod.rs", "types"),
            ("a/tests/it/common/mod.rs", "common"),
        ] {
            broken(path, "//! X.\n", &expected(path, name));
        }
        clean("common/a/src/b.rs", "//! X.\n");
        clean("a/src/media_types.rs", "//! X.\n");
        broken("a/src/b.rs", "//! X.\nmod helpers {\n}\n", &expected("a/src/b.rs:2", "helpers"));
        clean("a/src/b.rs", "//! X.\nmod tests {\n}\n");
    }

    #[test]
    fn unsafe_stays_behind_its_fence() {
        let text = "//! X.\nfn a() {\n    unsafe { b() }\n}\n";
        broken("parts/net/src/a.rs", text, "parts/net/src/a.rs:3: `unsafe` outside base/sys/");
        clean("base/sys/src/a.rs", text);
        clean("a/src/b.rs", "//! Never unsafe.\n// unsafe\n/* unsafe /* unsafe */ unsafe */\nfn a() {}\n");
        clean("a/src/b.rs", "//! X.\n#![deny(unsafe_code)]\nconst A: &str = \"unsafe \\\" unsafe\";\n");
        clean(
            "a/src/b.rs",
            "//! X.\nconst A: &str = r#\"\" unsafe\"#;\nconst B: char = '\"';\n// unsafe \"\n",
        );
    }

    #[test]
    fn blanking_keeps_code_lines_and_lifetimes() {
        let check = |text: &str, expected: &str| assert_eq!(code_only(text), expected);
        check("a(\"x\ny\") b", "a( \n) b");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check("('\\'', '\\u{1F}', 'é') c", "( ,  ,  ) c");
        check("for r\"x\" in bar\"y\"", "for   in bar ");
    }
}
