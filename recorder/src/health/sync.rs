//! Sync groups: whether streams that belong together are captured together.
//!
//! Pairs capture times live: every capture time of the slowest member with the nearest one of each other member. Pure
//! and bounded; samples without capture time do not take part.

use std::collections::VecDeque;

use sagwan_schemas::{profile::LocalText, time::Timestamp};
use serde::Serialize;

use crate::stamp::SEC;

/// Capture times kept per member.
const MAX_TIMES: usize = 1024;
/// Capture times of the slowest member that wait for the others.
const MAX_WAITING: usize = 64;
/// Pairings kept for the report.
const MAX_SKEWS: usize = 512;
/// The report looks back this far, nanoseconds of log time.
const WINDOW: i64 = 5 * SEC;

/// Capture times of one group.
#[derive(Debug)]
pub struct SyncMonitor {
    name: String,
    tolerance: i64,
    /// The slowest member.
    reference: usize,
    members: Vec<VecDeque<i64>>,
    waiting: VecDeque<i64>,
    /// (log time, skew) of the last pairings.
    skews: VecDeque<(i64, i64)>,
    /// Log times of the last samples of the slowest member that found no partners.
    unpaired: VecDeque<i64>,
    pairs: u64,
    violations: u64,
}

/// How well a group is synchronised, over the last five seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyncReport {
    /// Name of the group.
    pub name: String,
    /// Largest allowed skew, nanoseconds.
    pub tolerance_nanos: i64,
    /// Skew of a pairing: latest minus earliest capture time in it, nanoseconds. Median of the window
    pub skew_p50_nanos: Option<i64>,
    /// and greatest.
    pub skew_max_nanos: Option<i64>,
    /// Pairings in the window.
    pub pairs: u64,
    /// Of them, beyond the tolerance.
    pub exceeded: u64,
    /// Samples of the slowest member that found no partners in the window.
    pub unpaired: u64,
    /// Whether every member has sent capture times; a member that did not is no question of synchronisation.
    pub complete: bool,
    /// Pairings since the start.
    pub total_pairs: u64,
    /// Of them, beyond the tolerance.
    pub total_exceeded: u64,
}

impl SyncReport {
    /// Whether the group is out of tolerance: more than one pairing in ten beyond it, or no partners found.
    #[must_use]
    pub const fn violated(&self) -> bool {
        self.exceeded.saturating_mul(10) > self.pairs || (self.complete && self.pairs == 0 && self.unpaired > 0)
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn describe(&self) -> LocalText {
        let ms = |nanos: i64| nanos as f64 * 1e-6;
        let tolerance = ms(self.tolerance_nanos);
        let (Some(p50), Some(max)) = (self.skew_p50_nanos, self.skew_max_nanos) else {
            return LocalText {
                ko: "묶을 수 있는 촬영 시각이 없습니다".to_owned(),
                en: "no capture times that belong together".to_owned(),
            };
        };
        let (p50, max) = (ms(p50), ms(max));
        LocalText {
            ko: format!("촬영 시각 차이 중앙값 {p50:.1} ms, 최대 {max:.1} ms (허용 {tolerance:.1} ms)"),
            en: format!("capture times differ by {p50:.1} ms (median), {max:.1} ms at most; {tolerance:.1} ms allowed"),
        }
    }
}

impl SyncMonitor {
    /// A group whose members have these contracted rates, Hz; the slowest is the one the others are paired with.
    #[must_use]
    pub fn new(name: impl Into<String>, tolerance_nanos: i64, rates: &[Option<f64>]) -> Self {
        let slowest = rates
            .iter()
            .enumerate()
            .filter_map(|(i, rate)| rate.map(|rate| (i, rate)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0, |(i, _)| i);
        Self {
            name: name.into(),
            tolerance: tolerance_nanos,
            reference: slowest,
            members: rates.iter().map(|_| VecDeque::new()).collect(),
            waiting: VecDeque::new(),
            skews: VecDeque::new(),
            unpaired: VecDeque::new(),
            pairs: 0,
            violations: 0,
        }
    }

    /// Takes the times of a sample of a member, by its place in the list of rates; others are ignored.
    pub fn observe(&mut self, member: usize, log_time: Timestamp, capture_time: Timestamp) {
        let capture = capture_time.as_nanos();
        let Some(times) = self.members.get_mut(member) else { return };
        if times.back().is_some_and(|last| capture < *last) {
            // A capture clock that ran back: what came before cannot be compared.
            times.clear();
            if member == self.reference {
                self.waiting.clear();
            }
        }
        if times.len() >= MAX_TIMES {
            times.pop_front();
        }
        times.push_back(capture);
        let log = log_time.as_nanos();
        if member == self.reference {
            self.waiting.push_back(capture);
            if self.waiting.len() > MAX_WAITING {
                self.waiting.pop_front();
                push_bounded(&mut self.unpaired, log);
            }
        }
        while self.waiting.front().is_some_and(|first| self.all_reached(*first)) {
            if let Some(first) = self.waiting.pop_front() {
                self.pair(first, log);
            }
        }
    }

    /// The state at `now`.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> SyncReport {
        let recent = |log: i64| now.as_nanos().saturating_sub(log).unsigned_abs() <= WINDOW.unsigned_abs();
        let mut skews: Vec<i64> = self.skews.iter().filter(|(log, _)| recent(*log)).map(|(_, skew)| *skew).collect();
        skews.sort_unstable();
        SyncReport {
            name: self.name.clone(),
            tolerance_nanos: self.tolerance,
            skew_p50_nanos: skews.get(skews.len() / 2).copied(),
            skew_max_nanos: skews.last().copied(),
            pairs: skews.len() as u64,
            exceeded: skews.iter().filter(|skew| **skew > self.tolerance).count() as u64,
            unpaired: self.unpaired.iter().filter(|log| recent(**log)).count() as u64,
            complete: self.members.iter().all(|times| !times.is_empty()),
            total_pairs: self.pairs,
            total_exceeded: self.violations,
        }
    }

    /// Whether every member has a capture time at or after `capture`: nothing nearer will come.
    fn all_reached(&self, capture: i64) -> bool {
        self.members.iter().all(|times| times.back().is_some_and(|last| *last >= capture))
    }

    fn pair(&mut self, capture: i64, log: i64) {
        let (mut earliest, mut latest) = (capture, capture);
        for times in &self.members {
            let Some(nearest) = nearest(times, capture) else { return };
            earliest = earliest.min(nearest);
            latest = latest.max(nearest);
        }
        let skew = latest.saturating_sub(earliest);
        self.pairs += 1;
        self.violations += u64::from(skew > self.tolerance);
        push_bounded(&mut self.skews, (log, skew));
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() >= MAX_SKEWS {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// The value nearest to `wanted` in an ascending queue.
fn nearest(times: &VecDeque<i64>, wanted: i64) -> Option<i64> {
    let at = times.partition_point(|time| *time < wanted);
    let before = at.checked_sub(1).and_then(|i| times.get(i)).copied();
    let behind = times.get(at).copied();
    before.into_iter().chain(behind).min_by_key(|time| time.abs_diff(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanos(ms * MS)
    }

    /// A 10 Hz camera and a 100 Hz state whose clock is `shift` ahead, for three seconds.
    fn run(shift: i64, tolerance: i64) -> SyncReport {
        let mut group = SyncMonitor::new("head", tolerance * MS, &[Some(100.0), Some(10.0)]);
        for ms in (0..3000).step_by(10) {
            group.observe(0, at(ms), at(ms + shift));
            if ms % 100 == 0 {
                group.observe(1, at(ms), at(ms));
            }
        }
        group.report(at(3000))
    }

    #[test]
    fn the_slowest_member_is_paired_with_the_nearest_of_the_others() {
        // (shift of the state's clock, tolerance) → (median skew, violated)
        for (shift, tolerance, skew, violated) in
            [(0, 5, 0, false), (3, 5, 3, false), (5, 4, 5, true), (-4, 3, 4, true)]
        {
            let report = run(shift, tolerance);
            assert_eq!(report.skew_p50_nanos, Some(skew * MS), "{shift}");
            assert_eq!((report.violated(), report.unpaired), (violated, 0), "{shift}: {report:?}");
            assert!(report.pairs >= 29);
        }
    }

    #[test]
    fn a_member_whose_clock_is_far_behind_is_unsynchronised_and_an_absent_one_is_not() {
        for (present, violated) in [(true, true), (false, false)] {
            let mut group = SyncMonitor::new("head", MS, &[Some(30.0), Some(30.0)]);
            for i in 0..200 {
                group.observe(0, at(i * 33), at(i * 33));
                if present {
                    group.observe(1, at(i * 33), at(i * 33 - 3_600_000));
                }
            }
            let report = group.report(at(200 * 33));
            assert_eq!((report.violated(), report.pairs), (violated, 0), "{report:?}");
            assert!(report.unpaired > 0 && !report.describe().ko.is_empty());
        }
    }

    #[test]
    fn wild_times_neither_panic_nor_pile_up() {
        let mut group = SyncMonitor::new("g", 0, &[None, None]);
        for i in 0..100_000_i64 {
            let wild = Timestamp::from_nanos(i.wrapping_mul(0x5851_f42d_4c95_7f2d));
            group.observe((i % 3) as usize, wild, if i % 5 == 0 { wild } else { at(i) });
        }
        assert!(group.skews.len() <= MAX_SKEWS && group.members.iter().all(|m| m.len() <= MAX_TIMES));
        assert!(SyncMonitor::new("empty", 0, &[]).members.is_empty());
    }
}
