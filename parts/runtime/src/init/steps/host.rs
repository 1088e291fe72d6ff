//! The host name and the namespaced kernel parameters.

use std::fs::File;
use std::io::Write;

use corten_sys::{Dir, Errno, SysError};
use rustix::fs::OFlags;

use crate::plan::InitPlan;

/// Sets the UTS namespace's names.
pub(crate) fn name(plan: &InitPlan) -> Result<(), SysError> {
    if !plan.hostname.is_empty() {
        rustix::system::sethostname(plan.hostname.as_bytes())
            .map_err(|errno| SysError::new("sethostname", &plan.hostname, errno))?;
    }
    if !plan.domainname.is_empty() {
        rustix::system::setdomainname(plan.domainname.as_bytes())
            .map_err(|errno| SysError::new("setdomainname", &plan.domainname, errno))?;
    }
    Ok(())
}

/// Writes the parameters through the container's own procfs, checked to be one (CVE-2025-52881).
pub(crate) fn sysctls(plan: &InitPlan, rootfs: &Dir) -> Result<(), SysError> {
    for (key, value) in &plan.sysctl {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let fd = rootfs.open_at(&path, OFlags::WRONLY, 0).map_err(|error| named(key, error.errno()))?;
        let kind = rustix::fs::fstatfs(&fd).map_err(|errno| named(key, errno))?;
        if kind.f_type != rustix::fs::PROC_SUPER_MAGIC {
            return Err(named(key, Errno::NODEV));
        }
        File::from(fd)
            .write_all(value.as_bytes())
            .map_err(|error| SysError::io("write sysctl", format!("{key}={value}"), &error))?;
    }
    Ok(())
}

fn named(key: &str, errno: Errno) -> SysError {
    SysError::new("open sysctl", key, errno)
}
