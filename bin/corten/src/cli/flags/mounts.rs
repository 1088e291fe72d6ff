//! `-v`, `--mount` and `--tmpfs` as docker reads them.

use std::collections::BTreeMap;
use std::path::Path;

use corten_engine::containers::spec::{MountKind, MountSpec, Relabel};

use super::values;

/// Reads `[SOURCE:]TARGET[:OPTIONS]`. A source that is no path is a volume's name.
pub(super) fn volume(text: &str, directory: &Path) -> Result<MountSpec, String> {
    let invalid = || format!("invalid volume specification: '{text}'");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(invalid()),
    };
    if target.is_empty() || source == Some("") {
        return Err(invalid());
    }
    if !target.starts_with('/') {
        return Err(format!("{}: invalid mount path: '{target}' mount path must be absolute", invalid()));
    }
    let mut read_only = false;
    let mut no_copy = false;
    let mut propagation = None;
    let mut relabel = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "consistent" | "cached" | "delegated" => {}
            "nocopy" => no_copy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                propagation = Some(option.to_owned());
            }
            "z" => relabel = Some(Relabel::Shared),
            "Z" => relabel = Some(Relabel::Private),
            _ => return Err(format!("{}: invalid mode: {options}", invalid())),
        }
    }
    let source = match source {
        Some(path) if path.starts_with(['/', '.', '~']) => {
            MountKind::Bind { path: absolute(path, directory), create: true, recursive: true, propagation }
        }
        name => MountKind::Volume {
            name: name.map(str::to_owned),
            no_copy,
            subpath: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        },
    };
    Ok(MountSpec { target: target.to_owned(), read_only, relabel, source })
}

fn absolute(path: &str, directory: &Path) -> String {
    directory.join(path).to_string_lossy().into_owned()
}

/// Reads `TARGET[:OPTIONS]`.
pub(super) fn tmpfs(text: &str) -> MountSpec {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let options: Vec<String> =
        options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let read_only = options.iter().any(|option| option == "ro");
    MountSpec { target: target.to_owned(), read_only, relabel: None, source: MountKind::Tmpfs { options } }
}

/// Reads the `key=value` list of `--mount`, which is one CSV record.
pub(super) fn mount(text: &str, directory: &Path) -> Result<MountSpec, String> {
    let wrong = |reason: String| format!("invalid argument \"{text}\" for \"--mount\" flag: {reason}");
    let mut fields = Fields { kind: "volume".to_owned(), ..Fields::default() };
    for field in csv(text) {
        fields.take(&field, directory).map_err(wrong)?;
    }
    fields.finish().map_err(wrong)
}

/// Splits a CSV record; a quoted field may hold commas.
fn csv(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().into_iter().for_each(|field| field.push(c)),
        }
    }
    fields
}

#[derive(Default)]
struct Fields {
    kind: String,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<String>,
    non_recursive: bool,
    create_source: bool,
    no_copy: bool,
    subpath: Option<String>,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
    tmpfs: Vec<String>,
    seen: Vec<String>,
}

impl Fields {
    fn take(&mut self, field: &str, directory: &Path) -> Result<(), String> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value)),
            None => (field.trim().to_ascii_lowercase(), None),
        };
        let flag = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("invalid value for {key}: {other}")),
        };
        let text = || value.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"));
        match key.as_str() {
            "type" => self.kind = text()?.to_ascii_lowercase(),
            "source" | "src" => {
                let source = text()?;
                let is_path = source.starts_with('.');
                self.source = Some(if is_path { absolute(source, directory) } else { source.to_owned() });
            }
            "target" | "dst" | "destination" => self.target = Some(text()?.to_owned()),
            "readonly" | "ro" => self.read_only = flag()?,
            "consistency" => {}
            "bind-propagation" => self.propagation = Some(text()?.to_owned()),
            "bind-nonrecursive" => self.non_recursive = flag()?,
            "bind-create-src" => self.create_source = flag()?,
            "bind-recursive" => match text()? {
                "enabled" | "writable" => {}
                "disabled" => self.non_recursive = true,
                other => return Err(format!("bind-recursive={other} is not supported: enabled or disabled")),
            },
            "volume-nocopy" => self.no_copy = flag()?,
            "volume-subpath" | "image-subpath" => self.subpath = Some(text()?.to_owned()),
            "volume-label" => drop(pair_into(&mut self.labels, text()?)),
            "volume-opt" => drop(pair_into(&mut self.options, text()?)),
            "volume-driver" if text()? == "local" => {}
            "volume-driver" => return Err(format!("volume driver {} is not there: only local is", text()?)),
            "tmpfs-size" => self.tmpfs.push(format!("size={}", values::parse_size(text()?)?)),
            "tmpfs-mode" => self.tmpfs.push(format!("mode={}", text()?)),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        self.seen.push(key);
        Ok(())
    }

    fn finish(self) -> Result<MountSpec, String> {
        let target = self.target.clone().ok_or("target is required")?;
        for (prefix, kind) in
            [("bind-", "bind"), ("volume-", "volume"), ("tmpfs-", "tmpfs"), ("image-", "image")]
        {
            if self.kind != kind && self.seen.iter().any(|key| key.starts_with(prefix)) {
                return Err(format!("cannot mix '{prefix}*' options with mount type '{}'", self.kind));
            }
        }
        let source = match self.kind.as_str() {
            "bind" => MountKind::Bind {
                path: self.source.ok_or("source is required for bind mounts")?,
                create: self.create_source,
                recursive: !self.non_recursive,
                propagation: self.propagation,
            },
            "volume" => MountKind::Volume {
                name: self.source,
                no_copy: self.no_copy,
                subpath: self.subpath,
                labels: self.labels,
                options: self.options,
            },
            "tmpfs" if self.source.is_some() => return Err("tmpfs mounts take no source".to_owned()),
            "tmpfs" => MountKind::Tmpfs { options: self.tmpfs },
            "image" => MountKind::Image {
                reference: self.source.ok_or("source is required for image mounts")?,
                subpath: self.subpath,
            },
            other => {
                return Err(format!("mount type {other} is not supported: bind, volume, tmpfs or image"));
            }
        };
        Ok(MountSpec { target, read_only: self.read_only, relabel: None, source })
    }
}

fn pair_into(map: &mut BTreeMap<String, String>, text: &str) -> Option<String> {
    let (key, value) = values::pair(text);
    map.insert(key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> MountSpec {
        volume(text, Path::new("/work")).unwrap()
    }

    #[test]
    fn volumes_and_binds() {
        assert!(matches!(of("/data").source, MountKind::Volume { name: None, .. }));
        assert!(
            matches!(of("cache:/data:ro,nocopy").source, MountKind::Volume { name: Some(name), no_copy: true, .. } if name == "cache")
        );
        let bind = of("./x:/data:ro,rslave");
        assert!(bind.read_only);
        assert!(
            matches!(bind.source, MountKind::Bind { path, create: true, propagation: Some(mode), .. } if path == "/work/./x" && mode == "rslave")
        );
        assert_eq!(
            ["/x:/data:z", "/x:/data:ro,Z", "/x:/data"].map(|text| of(text).relabel),
            [Some(Relabel::Shared), Some(Relabel::Private), None]
        );
        for text in ["", "a:", ":/x", "a:b", "a:/b:c:d", "/a:/b:nope"] {
            assert!(volume(text, Path::new("/")).is_err(), "{text}");
        }
    }

    #[test]
    fn mount_flags() {
        let read = |text: &str| mount(text, Path::new("/work"));
        assert!(matches!(
            read("type=bind,src=/a,dst=/b,readonly").unwrap(),
            MountSpec { read_only: true, source: MountKind::Bind { create: false, .. }, .. }
        ));
        assert!(
            matches!(read("type=tmpfs,dst=/t,tmpfs-size=1m").unwrap().source, MountKind::Tmpfs { options } if options == ["size=1048576"])
        );
        for (text, reason) in [
            ("type=bind,dst=/b", "source is required"),
            ("src=a", "target is required"),
            ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix"),
            ("type=npipe,dst=/b", "not supported"),
            ("dst=/b,nope=1", "unexpected key 'nope'"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
