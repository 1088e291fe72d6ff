//! The files that corten generates for a container: hosts, hostname, resolv.conf, in its run directory.

use std::fmt::Write as _;
use std::path::Path;

use corten_runtime::plan::IdRange;
use corten_sys::{SysError, fs, label};
use rustix::fs::{Gid, Mode, Uid};

use crate::Error;
use crate::containers::record::ContainerRecord;
use crate::containers::spec::NetworkMode;

/// Their names, in the run directory and in /etc.
pub(crate) const NAMES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// The one whose name may be given away while the container runs.
pub(crate) const SPARE: &str = "hostname";

/// Writes the files, owned by the container's root.
pub(crate) fn write(run_dir: &Path, record: &ContainerRecord, ids: Option<IdRange>) -> Result<(), Error> {
    let resolv = fs::read_if_exists("/etc/resolv.conf")?.unwrap_or_default();
    let contents = [hosts(record)?.into_bytes(), format!("{}\n", record.hostname).into_bytes(), resolv];
    for (name, bytes) in NAMES.iter().zip(contents) {
        let path = run_dir.join(name);
        fs::remove_file(&path)?;
        let file = fs::create_new(&path)?;
        let on = |errno| SysError::at("write", &path, errno);
        rustix::io::write(&file, &bytes).map_err(on)?;
        rustix::fs::fchmod(&file, Mode::from_bits_truncate(0o644)).map_err(on)?;
        if let Some(ids) = ids {
            let (uid, gid) = (Uid::from_raw(ids.base), Gid::from_raw(ids.base));
            rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(on)?;
        }
        if !record.mount_label.is_empty() {
            label::set_on(&file, name, &record.mount_label)?;
        }
    }
    Ok(())
}

fn hosts(record: &ContainerRecord) -> Result<String, Error> {
    let mut text = match record.spec.network {
        NetworkMode::Host => {
            String::from_utf8_lossy(&fs::read_if_exists("/etc/hosts")?.unwrap_or_default()).into_owned()
        }
        NetworkMode::None => "127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\n\
             ff02::1\tip6-allnodes\n\
             ff02::2\tip6-allrouters\n"
            .to_owned(),
    };
    for entry in &record.spec.extra_hosts {
        if let Some((name, address)) = entry.split_once(['=', ':']) {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            // Writing to a String cannot fail.
            writeln!(text, "{address}\t{name}").unwrap_or_default();
        }
    }
    Ok(text)
}
