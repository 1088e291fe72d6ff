//! The limits of a container's cgroup.

use corten_runtime::cgroups::Resources;

use super::devices;
use crate::Error;
use crate::containers::record::ContainerRecord;

/// The user's limits with the device rules added.
pub(crate) fn of(record: &ContainerRecord) -> Result<Resources, Error> {
    Ok(Resources { devices: devices::rules(record)?, ..record.spec.resources.clone() })
}
