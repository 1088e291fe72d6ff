//! `--change`: Dockerfile instructions that set an image's config.

use corten_spec::image_config::{ContainerConfig, Empty, Healthcheck};
use corten_sys::signal;

use crate::Error;

/// The shell of commands that are no JSON list.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// Go's durations as Docker takes them here: none may be shorter.
const SHORTEST: i64 = 1_000_000;

/// Applies instructions in order; each text may hold several lines.
pub fn apply(config: &mut ContainerConfig, changes: &[String]) -> Result<(), Error> {
    for line in logical_lines(changes) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        instruction(config, word, rest.trim()).map_err(Error::invalid)?;
    }
    Ok(())
}

/// Lines without comments, joined where one ends in a backslash.
fn logical_lines(changes: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        let mut line = String::new();
        for part in change.lines().map(str::trim).filter(|part| !part.starts_with('#')) {
            match part.strip_suffix('\\') {
                Some(begun) => {
                    line.push_str(begun);
                    continue;
                }
                None => line.push_str(part),
            }
            lines.push(std::mem::take(&mut line));
        }
        lines.push(line);
    }
    lines.retain(|line| !line.trim().is_empty());
    lines
}

fn instruction(config: &mut ContainerConfig, word: &str, rest: &str) -> Result<(), String> {
    let name = word.to_ascii_uppercase();
    let known = [
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "ONBUILD",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    if !known.contains(&name.as_str()) {
        return Err(format!("{} is not a valid change command", word.to_ascii_lowercase()));
    }
    if rest.is_empty() && !matches!(name.as_str(), "CMD" | "ENTRYPOINT") {
        return Err(format!("{name} requires at least one argument"));
    }
    let one = |text: &str, config: &ContainerConfig| match words(text, &config.env)?.as_slice() {
        [word] => Ok(word.clone()),
        _ => Err(format!("{name} requires exactly one argument")),
    };
    match name.as_str() {
        "CMD" => config.cmd = command(rest),
        "ENTRYPOINT" => config.entrypoint = command(rest),
        "ENV" => {
            for (key, value) in pairs(&name, rest, &config.env)? {
                set_env(&mut config.env, &key, &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(&name, rest, &config.env)?),
        "EXPOSE" => {
            for word in words(rest, &config.env)? {
                config.exposed_ports.extend(ports(&word)?.into_iter().map(|port| (port, Empty {})));
            }
        }
        "VOLUME" => {
            let paths = match json_list(rest) {
                Some(paths) => paths,
                None => words(rest, &config.env)?,
            };
            if paths.iter().any(|path| path.trim().is_empty()) {
                return Err("VOLUME specified can not be an empty string".to_owned());
            }
            config.volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
        }
        "USER" => config.user = one(rest, config)?,
        "WORKDIR" => config.working_dir = join_path(&config.working_dir, &expand_line(rest, &config.env)?),
        "STOPSIGNAL" => {
            let text = one(rest, config)?;
            signal::parse(&text).ok_or_else(|| format!("invalid signal: {text}"))?;
            config.stop_signal = text;
        }
        "ONBUILD" => {
            let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            match trigger.as_str() {
                "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
                "MAINTAINER" | "FROM" => {
                    return Err(format!("{trigger} isn't allowed as an ONBUILD trigger"));
                }
                _ => config.on_build.push(rest.to_owned()),
            }
        }
        _ => config.healthcheck = Some(healthcheck(rest)?),
    }
    Ok(())
}

/// The exec form, or a line for the shell; nothing at all resets.
fn command(text: &str) -> Option<Vec<String>> {
    if let Some(list) = json_list(text) {
        return Some(list);
    }
    (!text.is_empty()).then(|| SHELL.iter().copied().chain([text]).map(str::to_owned).collect())
}

fn json_list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    match env.iter_mut().find(|other| other.split('=').next() == Some(key)) {
        Some(slot) => *slot = entry,
        None => env.push(entry),
    }
}

/// `a=1 b="2 3"`, or the old form `a 1 and the rest`.
fn pairs(name: &str, text: &str, env: &[String]) -> Result<Vec<(String, String)>, String> {
    let raw = split(text);
    let first = raw.first().map(String::as_str).unwrap_or_default();
    if !first.contains('=') {
        let (key, value) =
            text.split_once(char::is_whitespace).ok_or_else(|| format!("{name} must have two arguments"))?;
        return Ok(vec![(key.to_owned(), expand_line(value.trim(), env)?)]);
    }
    raw.iter()
        .map(|word| {
            let (key, value) = word.split_once('=').ok_or_else(|| {
                format!("Syntax error - can't find = in \"{word}\". Must be of the form: name=value")
            })?;
            let key = expand_line(key, env)?;
            if key.is_empty() {
                return Err(format!("{name} names can not be blank"));
            }
            Ok((key, expand_line(value, env)?))
        })
        .collect()
}

fn words(text: &str, env: &[String]) -> Result<Vec<String>, String> {
    split(text).iter().map(|word| expand_line(word, env)).collect()
}

/// Splits at white space outside of quotes; quotes and backslashes stay.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut inside) = (String::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                if std::mem::take(&mut inside) {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        inside = true;
        word.push(c);
        if c == '\\' && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if inside {
        words.push(word);
    }
    words
}

/// Takes quotes and backslashes away and puts variables in: `$A`, `${A}`, `${A:-else}`, `${A:+then}`.
fn expand_line(text: &str, env: &[String]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars();
    let mut double = false;
    while let Some(c) = rest.next() {
        match c {
            '"' => double = !double,
            '\'' if !double => {
                let Some((quoted, after)) = rest.as_str().split_once('\'') else {
                    return Err(
                        "unexpected end of statement while looking for matching single-quote".to_owned()
                    );
                };
                out.push_str(quoted);
                rest = after.chars();
            }
            '\\' => match rest.next() {
                Some(c) if double && !matches!(c, '"' | '$' | '\\') => out.extend(['\\', c]),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            '$' => {
                let (value, after) = variable(rest.as_str(), env)?;
                out.push_str(&value);
                rest = after.chars();
            }
            c => out.push(c),
        }
    }
    if double {
        return Err("unexpected end of statement while looking for matching double-quote".to_owned());
    }
    Ok(out)
}

/// The value of the variable that `rest`, which followed a `$`, begins with, and what is left of it.
fn variable<'a>(rest: &'a str, env: &[String]) -> Result<(String, &'a str), String> {
    let name = |text: &'a str| {
        text.split_at(text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len()))
    };
    let lookup = |name: &str| {
        let entry = env.iter().find_map(|entry| entry.split_once('=').filter(|(key, _)| *key == name));
        entry.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let Some(inner) = rest.strip_prefix('{') else {
        return Ok(match name(rest) {
            ("", rest) => ("$".to_owned(), rest),
            (name, rest) => (lookup(name), rest),
        });
    };
    let (inside, after) = inner.split_once('}').ok_or("syntax error: missing '}'")?;
    let (name, operator) = name(inside);
    let value = lookup(name);
    let value = match (operator.get(..2), operator.get(2..)) {
        _ if operator.is_empty() => value,
        (Some(":-"), Some(word)) if value.is_empty() => expand_line(word, env)?,
        (Some(":-"), _) => value,
        (Some(":+"), Some(word)) if !value.is_empty() => expand_line(word, env)?,
        (Some(":+"), _) => String::new(),
        _ => return Err(format!("unsupported modifier in substitution: ${{{inside}}}")),
    };
    Ok((value, after))
}

/// `80`, `80/udp`, `1000-1002/tcp`.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let port = |part: &str| part.parse::<u16>().map_err(|_| format!("invalid containerPort: {range}"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("invalid containerPort: {range}"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn join_path(base: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `NONE`, or `[--interval=… --timeout=… …] CMD …`.
fn healthcheck(text: &str) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while rest.starts_with("--") {
        let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let (name, value) =
            flag[2..].split_once('=').ok_or_else(|| format!("Missing a value on flag: {flag}"))?;
        let duration = || match parse_duration(value) {
            Ok(0) => Ok(0),
            Ok(nanos) if nanos >= SHORTEST => Ok(nanos),
            Ok(_) => Err(format!("Interval \"{name}\" cannot be less than 1ms")),
            Err(reason) => Err(reason),
        };
        match name {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                let retries = value.parse::<i64>().ok().filter(|retries| *retries >= 0);
                check.retries = retries.ok_or_else(|| format!("--retries cannot be negative ({value})"))?;
            }
            _ => return Err(format!("Unknown flag: {name}")),
        }
        rest = after.trim_start();
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "CMD" if rest.is_empty() => return Err("Missing command after HEALTHCHECK CMD".to_owned()),
        "CMD" => match json_list(rest) {
            Some(list) => [vec!["CMD".to_owned()], list].concat(),
            None => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        },
        "" => return Err("HEALTHCHECK requires at least one argument".to_owned()),
        other => return Err(format!("Unknown type \"{other}\" in HEALTHCHECK (try CMD)")),
    };
    Ok(check)
}

/// Go's durations in nanoseconds: `1h30m`, `1.5s`, `250ms`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    let mut rest = text;
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let units = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..units] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("time: missing unit in duration \"{text}\"")),
            other => return Err(format!("time: unknown unit \"{other}\" in duration \"{text}\"")),
        };
        rest = &rest[units..];
        total += number * unit;
    }
    if text.is_empty() || total >= 9.2e18 {
        return Err(invalid());
    }
    #[allow(clippy::cast_possible_truncation, reason = "checked to be in range just above")]
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &[&str]) -> Result<ContainerConfig, String> {
        let mut config = ContainerConfig::default();
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        apply(&mut config, &changes).map(|()| config).map_err(|error| error.to_string())
    }

    fn list(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn commands() {
        let cases = [
            (r#"CMD ["sh", "-c", "a b"]"#, list(&["sh", "-c", "a b"])),
            ("CMD echo $HOME 'x y'", list(&["/bin/sh", "-c", "echo $HOME 'x y'"])),
            ("cmd [not json", list(&["/bin/sh", "-c", "[not json"])),
            ("CMD []", list(&[])),
            ("CMD", None),
        ];
        for (change, expected) in cases {
            assert_eq!(config(&[change]).unwrap().cmd, expected, "{change}");
        }
        assert_eq!(config(&["ENTRYPOINT [\"/a\"]", "CMD b"]).unwrap().entrypoint, list(&["/a"]));
    }

    #[test]
    fn environment_and_labels() {
        let cases = [
            (vec!["ENV A=1 B=\"two words\" C='$A'"], vec!["A=1", "B=two words", "C=$A"]),
            (vec!["ENV A 1 and more"], vec!["A=1 and more"]),
            (
                vec!["ENV A=1", "ENV B=${A}2 C=$A$A D=${X:-d} E=${A:+e}"],
                vec!["A=1", "B=12", "C=11", "D=d", "E=e"],
            ),
            (vec!["ENV A=1", "ENV A=2"], vec!["A=2"]),
            (vec!["ENV A=a\\ b"], vec!["A=a b"]),
            (vec!["ENV A=x \\\n  B=y"], vec!["A=x", "B=y"]),
            (vec!["# comment\nENV A="], vec!["A="]),
            (vec!["ENV A=\"a\\\"b\" B=$"], vec!["A=a\"b", "B=$"]),
        ];
        for (changes, expected) in cases {
            assert_eq!(config(&changes).unwrap().env, expected, "{changes:?}");
        }
        let labels = config(&[r#"LABEL "com.x"="y z" k=v"#]).unwrap().labels;
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("com.x".into(), "y z".into()), ("k".into(), "v".into())]
        );
    }

    #[test]
    fn the_rest() {
        let config = config(&[
            "EXPOSE 80 53/udp 1000-1001",
            "VOLUME [\"/a\", \"/b c\"]",
            "VOLUME /d /e",
            "USER 1000:1000",
            "WORKDIR /srv",
            "WORKDIR x/../y",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f localhost",
        ])
        .unwrap();
        let keys: Vec<_> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(keys, ["1000/tcp", "1001/tcp", "53/udp", "80/tcp"]);
        assert_eq!(config.volumes.keys().map(String::as_str).collect::<Vec<_>>(), ["/a", "/b c", "/d", "/e"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1000:1000", "/srv/y"));
        assert_eq!((config.stop_signal.as_str(), config.on_build), ("SIGQUIT", vec!["RUN x".to_owned()]));
        let expected = Healthcheck {
            test: vec!["CMD-SHELL".into(), "curl -f localhost".into()],
            interval: 90_000_000_000,
            retries: 2,
            ..Healthcheck::default()
        };
        assert_eq!(config.healthcheck, Some(expected));
    }

    #[test]
    fn refuses() {
        let cases = [
            ("FROM x", "from is not a valid change command"),
            ("NOPE x", "nope is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV A=1 B", "Syntax error - can't find = in \"B\". Must be of the form: name=value"),
            ("ENV A='x", "unexpected end of statement while looking for matching single-quote"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 80/icmp", "invalid proto: icmp"),
            ("USER a b", "USER requires exactly one argument"),
            ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
            ("ONBUILD ONBUILD x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
            ("HEALTHCHECK --x=1 CMD a", "Unknown flag: x"),
            ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
            ("HEALTHCHECK --interval=5 CMD a", "time: missing unit in duration \"5\""),
        ];
        for (change, expected) in cases {
            assert_eq!(config(&[change]).unwrap_err(), expected, "{change}");
        }
    }
}
