//! Which finished recordings have to go so that new ones fit: a pure plan, and its execution on a directory.
//!
//! Knows what a manifest is, but no part, no queue and no clock.

use std::{collections::BTreeSet, time::Duration};

use sagwan_schemas::{recording::manifest::Manifest, time::Timestamp};

mod sweep;

pub use sweep::{Disk, RealDisk, RetentionError, Scan, delete, scan, sweep_trash};

/// A recording on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Identifier; the name of its directory.
    pub id: String,
    /// Bytes that it has on the disk.
    pub bytes: u64,
    /// When it ended; absent for one that never did, which is kept until recovery gives it an end.
    pub ended_at: Option<Timestamp>,
    /// Survives retention.
    pub preserved: bool,
    /// Being recorded now.
    pub active: bool,
}

/// Why a recording is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// All recordings together are larger than the quota.
    Quota,
    /// The disk has less free space than it must have.
    MinFree,
}

/// A recording to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Which.
    pub id: String,
    /// Its bytes.
    pub bytes: u64,
    /// Why; the quota where both rules want it.
    pub reason: Reason,
}

/// What to delete, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Oldest first.
    pub delete: Vec<Deletion>,
    /// Whether quota and free space hold once all of it is deleted. If not, only active and preserved recordings and the
    /// newest one are left: a person has to act.
    pub enough: bool,
}

/// Plans which recordings go, oldest end first, until all of them together have at most `quota` bytes (0: no quota) and
/// the disk, which has `free` bytes free now, has at least `min_free`.
///
/// Every recording counts against the quota. Never deleted are active and preserved ones, those without an end, and the
/// one that ended last, for it may be the one that somebody is about to look at.
#[must_use]
pub fn plan(recordings: &[Stored], quota: u64, min_free: u64, free: u64) -> Plan {
    let mut total: u64 = recordings.iter().fold(0, |sum, r| sum.saturating_add(r.bytes));
    let mut free = free;
    let over_quota = |total: u64| quota > 0 && total > quota;
    let mut delete = Vec::new();
    for stored in candidates(recordings) {
        let reason = match (over_quota(total), free < min_free) {
            (true, _) => Reason::Quota,
            (false, true) => Reason::MinFree,
            (false, false) => break,
        };
        total = total.saturating_sub(stored.bytes);
        free = free.saturating_add(stored.bytes);
        delete.push(Deletion { id: stored.id.clone(), bytes: stored.bytes, reason });
    }
    Plan { delete, enough: !over_quota(total) && free >= min_free }
}

/// The recordings that may go, in the order in which they do.
fn candidates(recordings: &[Stored]) -> Vec<&Stored> {
    let key = |r: &&Stored| (r.ended_at, r.id.clone());
    let mut finished: Vec<_> = recordings.iter().filter(|r| !r.active && r.ended_at.is_some()).collect();
    finished.sort_unstable_by_key(key);
    finished.pop();
    // An id that is there twice is one directory: deleting it twice would free nothing.
    let mut seen = BTreeSet::new();
    finished.retain(|r| !r.preserved && seen.insert(r.id.as_str()));
    finished
}

/// How long recording can go on at `bytes_per_second` until only `min_free` is left; absent when nothing is written.
#[must_use]
pub fn disk_time_left(free: u64, min_free: u64, bytes_per_second: f64) -> Option<Duration> {
    if !bytes_per_second.is_finite() || bytes_per_second <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let secs = free.saturating_sub(min_free) as f64 / bytes_per_second;
    Some(Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX))
}

/// Marks a recording so that it survives retention, with a remark that tells why; returns whether that is new.
pub fn preserve(manifest: &mut Manifest, reason: &str) -> bool {
    if std::mem::replace(&mut manifest.preserved, true) {
        return false;
    }
    manifest.remarks.push(if reason.is_empty() { "preserved".to_owned() } else { format!("preserved: {reason}") });
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(id: &str, bytes: u64, ended: i64) -> Stored {
        Stored {
            id: id.to_owned(),
            bytes,
            ended_at: Some(Timestamp::from_nanos(ended)),
            preserved: false,
            active: false,
        }
    }

    fn ids(plan: &Plan) -> Vec<&str> {
        plan.delete.iter().map(|d| d.id.as_str()).collect()
    }

    #[test]
    fn the_oldest_go_first_until_quota_and_free_space_hold() {
        let list = [stored("c", 10, 3), stored("a", 10, 1), stored("b", 10, 2), stored("d", 10, 4)];
        for (quota, min_free, free, expected, enough) in [
            (0, 0, 0, &[][..], true),
            (40, 5, 5, &[], true),
            (39, 0, 0, &["a"], true),
            (20, 0, 0, &["a", "b"], true),
            (0, 15, 0, &["a", "b"], true),
            (0, 31, 0, &["a", "b", "c"], false),
            (5, 0, 0, &["a", "b", "c"], false),
        ] {
            let plan = plan(&list, quota, min_free, free);
            assert_eq!((ids(&plan).as_slice(), plan.enough), (expected, enough), "{quota} {min_free} {free}");
        }
        assert_eq!(
            plan(&list, 39, 15, 0).delete.iter().map(|d| d.reason).collect::<Vec<_>>(),
            [Reason::Quota, Reason::MinFree]
        );
    }

    #[test]
    fn preserved_active_endless_and_newest_recordings_survive() {
        let list = [
            Stored { preserved: true, ..stored("preserved", 10, 1) },
            Stored { active: true, ..stored("active", 10, 2) },
            Stored { ended_at: None, ..stored("endless", 10, 0) },
            stored("old", 10, 3),
            stored("newest", 10, 9),
        ];
        let plan = plan(&list, 1, 1, 0);
        assert_eq!((ids(&plan), plan.enough), (vec!["old"], false));
    }

    #[test]
    fn the_time_left_is_an_estimate_that_never_panics() {
        assert_eq!(disk_time_left(110, 10, 50.0), Some(Duration::from_secs(2)));
        assert_eq!(disk_time_left(10, 20, 50.0), Some(Duration::ZERO));
        assert_eq!(disk_time_left(u64::MAX, 0, f64::MIN_POSITIVE), Some(Duration::MAX));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(disk_time_left(10, 0, rate), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Only what may go goes, oldest first, nothing more than needed, and `enough` tells the truth.
        #[test]
        fn plans_delete_no_more_than_needed_and_nothing_that_is_kept(
            list in prop::collection::vec((0_u64..50, prop::option::weighted(0.8, 0_i64..20), any::<bool>(), any::<bool>()), 0..12),
            quota in 0_u64..200, min_free in 0_u64..200, free in 0_u64..200,
        ) {
            let list: Vec<_> = list.into_iter().enumerate().map(|(i, (bytes, ended, preserved, active))| Stored {
                id: format!("r{i}"), bytes, ended_at: ended.map(Timestamp::from_nanos), preserved, active,
            }).collect();
            let plan = plan(&list, quota, min_free, free);
            let get = |id: &str| list.iter().find(|r| r.id == id);
            let freed: u64 = plan.delete.iter().map(|d| d.bytes).sum();
            let total: u64 = list.iter().map(|r| r.bytes).sum();
            let holds = |freed: u64| (quota == 0 || total - freed <= quota) && free + freed >= min_free;
            prop_assert_eq!(plan.enough, holds(freed));
            for (i, deletion) in plan.delete.iter().enumerate() {
                let before: u64 = plan.delete[..i].iter().map(|d| d.bytes).sum();
                prop_assert!(!holds(before));
                let recording = get(&deletion.id);
                prop_assert!(recording.is_some_and(|r| !r.active && !r.preserved && r.ended_at.is_some()));
            }
            prop_assert!(plan.delete.windows(2).all(|w| get(&w[0].id).map(|r| r.ended_at) <= get(&w[1].id).map(|r| r.ended_at)));
            if !plan.enough {
                let left = list.iter().filter(|r| !r.active && !r.preserved && r.ended_at.is_some()).count() - plan.delete.len();
                prop_assert!(left <= 1);
            }
        }
    }
}
