//! Whether a container is started again after its end, and when.

use std::path::Path;
use std::time::Duration;

use corten_sys::fs;

use crate::exits::ExitRecord;
use crate::order::{Order, RestartPolicy};
use crate::state;

pub(crate) fn is_stopping(run_dir: &Path) -> bool {
    fs::exists(run_dir.join(state::STOPPING))
}

/// The restart policy as it is now: it can be changed while the container runs.
pub(crate) fn policy_now(order: &Order) -> RestartPolicy {
    let changed = fs::read_if_exists(order.run_dir.join(state::POLICY)).ok().flatten();
    changed.and_then(|text| RestartPolicy::parse(&String::from_utf8_lossy(&text))).unwrap_or(order.restart)
}

/// How long to wait before the next start, or `None` to leave the container ended.
///
/// 100 ms, doubling up to a minute; a run of more than ten seconds begins anew (docker's numbers).
pub(crate) fn restart_pause(order: &Order, record: &ExitRecord, stopping: bool) -> Option<Duration> {
    let wanted = match order.restart {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure(limit) => record.code != Some(0) && (limit == 0 || order.restarts < limit),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    };
    (wanted && !stopping).then(|| Duration::from_millis(next_backoff_ms(record)))
}

/// Says whether the policy wants another start after the run that `record` tells of, unless a stop was asked for.
pub fn wants_restart(order: &Order, record: &ExitRecord) -> bool {
    restart_pause(order, record, is_stopping(&order.run_dir)).is_some()
}

/// The pause before the start that follows `record`, in milliseconds.
pub fn next_backoff_ms(record: &ExitRecord) -> u64 {
    const HEALTHY: i64 = 10_000_000_000;
    if record.backoff_ms == 0 || record.finished - record.started > HEALTHY {
        return 100;
    }
    (record.backoff_ms * 2).min(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(policy: RestartPolicy, code: i32, restarts: u64, backoff_ms: u64) -> Option<u128> {
        let order = Order { restart: policy, restarts, ..Order::default() };
        let record = ExitRecord { code: Some(code), backoff_ms, ..ExitRecord::default() };
        restart_pause(&order, &record, false).map(|pause| pause.as_millis())
    }

    #[test]
    fn policies() {
        assert_eq!(pause(RestartPolicy::No, 1, 0, 0), None);
        assert_eq!(pause(RestartPolicy::Always, 0, 0, 0), Some(100));
        assert_eq!(pause(RestartPolicy::Always, 0, 9, 400), Some(800));
        assert_eq!(pause(RestartPolicy::Always, 0, 9, 40_000), Some(60_000));
        assert_eq!(pause(RestartPolicy::OnFailure(3), 0, 0, 0), None);
        assert_eq!(pause(RestartPolicy::OnFailure(3), 1, 2, 200), Some(400));
        assert_eq!(pause(RestartPolicy::OnFailure(3), 1, 3, 200), None);
        assert_eq!(pause(RestartPolicy::OnFailure(0), 1, 99, 200), Some(400));
    }

    #[test]
    fn policies_survive_their_text() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        for policy in [No, Always, UnlessStopped, OnFailure(0), OnFailure(7)] {
            assert_eq!(RestartPolicy::parse(&policy.render()), Some(policy));
        }
        assert_eq!(RestartPolicy::parse("nope"), None);
    }

    #[test]
    fn a_stop_wins_and_a_long_run_starts_anew() {
        let order = Order { restart: RestartPolicy::Always, ..Order::default() };
        assert_eq!(restart_pause(&order, &ExitRecord::default(), true), None);
        let record = ExitRecord { backoff_ms: 6400, finished: 11_000_000_000, ..ExitRecord::default() };
        assert_eq!(next_backoff_ms(&record), 100);
    }
}
