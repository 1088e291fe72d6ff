//! When a worker that died is followed by the next: at once, but with growing pauses for one that cannot live.

use std::time::{Duration, Instant};

/// The first pause; each doubles it.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// A worker that has lived so long was no failed start.
const HEALTHY: Duration = Duration::from_secs(10);

/// Counts the pauses between workers.
#[derive(Debug)]
pub(crate) struct Respawn {
    born: Instant,
    /// After the next early death; none is after the first.
    pause: Duration,
    due: Option<Instant>,
}

impl Respawn {
    /// A worker has just been started.
    pub(crate) fn new(now: Instant) -> Self {
        Self { born: now, pause: Duration::ZERO, due: None }
    }

    /// The worker died, or could not even be cloned.
    pub(crate) fn died(&mut self, now: Instant) {
        if now.duration_since(self.born) >= HEALTHY {
            self.pause = Duration::ZERO;
        }
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
    }

    /// The next worker was started.
    pub(crate) fn born(&mut self, now: Instant) {
        (self.born, self.due) = (now, None);
    }

    /// How long until the next is to be started; zero is now, `None` is never, since there is one.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_a_long_life_begins_anew() {
        let mut now = Instant::now();
        let mut respawn = Respawn::new(now);
        assert_eq!(respawn.remaining(now), None);
        let mut pause_after = |life: Duration| {
            now += life;
            respawn.died(now);
            let pause = respawn.remaining(now).unwrap();
            now += pause;
            assert_eq!(respawn.remaining(now), Some(Duration::ZERO));
            respawn.born(now);
            assert_eq!(respawn.remaining(now), None);
            pause.as_millis()
        };
        let quick: Vec<_> = (0..10).map(|_| pause_after(Duration::from_millis(1))).collect();
        assert_eq!(quick, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!([pause_after(HEALTHY), pause_after(Duration::ZERO)], [0, 100]);
    }
}
