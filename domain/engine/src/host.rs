//! What a plan needs to know of the machine, read once.

use corten_runtime::cgroups::Layout;
use corten_runtime::selinux;

use crate::Error;

/// Facts about the host.
#[derive(Debug, Clone)]
pub struct HostFacts {
    pub cgroups: Layout,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
    /// SELinux is active.
    pub selinux: bool,
}

impl HostFacts {
    /// Reads them: a few small looks.
    pub fn read() -> Result<Self, Error> {
        let cgroups = Layout::detect().map_err(|error| Error::from_cause(&error))?;
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let kernel = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Ok(Self { cgroups, kernel, selinux: selinux::is_active() })
    }
}
