//! The ledger against tables of cases and against a model of a publisher's life.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sagwan_schemas::proto;

use super::*;

const MS: i64 = 1_000_000;
const START: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn at(ms: i64) -> Timestamp {
    START.offset(ms * MS)
}

fn bare(sequence: u64) -> Option<Numbering> {
    Some(Numbering { sequence, instance: None })
}

fn of(sequence: u64, instance: i64) -> Option<Numbering> {
    Some(Numbering { sequence, instance: Some(instance) })
}

fn ledger() -> (Ledger, SourceId) {
    let mut ledger = Ledger::new(START);
    let source = ledger.add_source("/imu", "publisher");
    (ledger, source)
}

/// First and last number, count.
type Told = (Option<u64>, Option<u64>, u64);

/// Observes bare numbers, one a millisecond, and finishes.
fn fed(numbers: &[u64]) -> (Totals, u64, Vec<Told>) {
    let (mut ledger, source) = ledger();
    for (i, number) in (1..).zip(numbers) {
        ledger.observe(source, bare(*number), at(i), None);
    }
    ledger.finish(at(100_000));
    let gaps = ledger.drain_final(at(100_000)).map(|g| (g.first_sequence, g.last_sequence, g.count)).collect();
    let summary = ledger.source(source).unwrap();
    (summary.totals, summary.instances, gaps)
}

#[test]
fn numbers_without_instances_are_read_as_documented() {
    type Gaps = &'static [(u64, u64)];
    let max = u64::MAX;
    let far = (1 << 32) + 1000;
    let cases: [(&str, &[u64], u64, u64, Gaps); 9] = [
        ("joined in mid-stream", &[7, 8, 9], 1, 0, &[]),
        ("a gap", &[0, 1, 5], 1, 0, &[(2, 4)]),
        ("a gap filled late", &[0, 3, 1, 2, 4], 1, 0, &[]),
        ("a gap filled in part", &[0, 5, 3, 6], 1, 0, &[(1, 2), (4, 4)]),
        ("the last one twice", &[0, 1, 1, 2], 1, 1, &[]),
        ("a restart", &[5, 6, 7, 0, 1], 2, 0, &[]),
        ("a restart beside a gap", &[5, 9, 0, 1], 2, 0, &[(6, 8)]),
        ("wrap-around", &[max - 1, max, 0, 2], 1, 0, &[(1, 1)]),
        ("a step nobody believes", &[5, far, far + 1, 1 << 63, 3], 4, 0, &[]),
    ];
    for (name, numbers, instances, duplicates, gaps) in cases {
        let (totals, met, found) = fed(numbers);
        let gaps: Vec<_> = gaps.iter().map(|(a, b)| (Some(*a), Some(*b), b - a + 1)).collect();
        assert_eq!((met, totals.duplicates, found), (instances, duplicates, gaps), "{name}");
        assert!(totals.balances(), "{name}: {totals:?}");
    }
}

#[test]
fn an_instance_that_started_within_the_recording_owes_everything_from_zero() {
    let hour = 3_600_000 * MS;
    // (instance start by its own clock, capture time by its own clock, log time) → transport losses before number 3
    let cases = [
        ("started before us", at(-50), Some(at(10)), at(10), 0),
        ("started after us", at(5), Some(at(10)), at(10), 3),
        ("started after us, its clock an hour behind", at(5).offset(-hour), Some(at(10).offset(-hour)), at(10), 3),
        ("started before us, its clock an hour ahead", at(-50).offset(hour), Some(at(10).offset(hour)), at(10), 0),
        ("no capture time", at(5), None, at(10), 0),
        ("captured before it started", at(20), Some(at(10)), at(10), 0),
        ("hostile", Timestamp::from_nanos(i64::MIN), Some(Timestamp::from_nanos(i64::MAX)), at(10), 0),
    ];
    for (name, instance, capture, log, lost) in cases {
        let (mut ledger, source) = ledger();
        assert_eq!(ledger.observe(source, of(3, instance.as_nanos()), log, capture), Observed::Joined);
        ledger.finish(at(20));
        let summary = ledger.source(source).unwrap();
        assert_eq!(summary.totals.lost.transport, lost, "{name}");
        assert_eq!(summary.joined_at, Some(if lost > 0 { 0 } else { 3 }), "{name}");
        assert!(summary.totals.balances(), "{name}");
    }
}

#[test]
fn a_gap_is_told_after_64_samples_or_one_second_and_not_before() {
    let (mut by_count, source) = ledger();
    by_count.observe(source, bare(0), at(0), None);
    for number in 2..66 {
        by_count.observe(source, bare(number), at(1), None);
        assert_eq!(by_count.drain_final(at(1)).count(), 0);
    }
    assert_eq!(by_count.totals().unsettled, 1);
    by_count.observe(source, bare(66), at(1), None);
    assert_eq!(by_count.drain_final(at(1)).count(), 1);

    let (mut by_time, source) = ledger();
    by_time.observe(source, bare(0), at(0), None);
    by_time.observe(source, bare(2), at(1), None);
    assert_eq!(by_time.drain_final(at(1000)).count(), 0);
    let gap = by_time.drain_final(at(1001)).next().unwrap();
    assert_eq!((gap.cause, gap.count, gap.log_time), (Cause::Transport, 1, at(1)));
}

#[test]
fn shed_numbers_are_no_transport_gap_in_whatever_order_they_are_told() {
    let run = |first, last| {
        let mut run = Run::one(of(first, 7), 10, at(1));
        (first + 1..=last).for_each(|n| assert!(run.extend(of(n, 7), 10, at(2))));
        run
    };
    // Shed before, in between, or after the samples around them; 6 never arrived.
    for when in 0..=8 {
        let (mut ledger, source) = ledger();
        for (i, number) in [1, 2, 5, 7, 10, 11, 12].into_iter().enumerate() {
            if i == when {
                ledger.shed(source, run(8, 9));
                ledger.shed(source, run(3, 4));
            }
            ledger.observe(source, of(number, 7), at(3), None);
        }
        if when > 6 {
            ledger.shed(source, run(3, 4));
            ledger.shed(source, run(8, 9));
        }
        ledger.finish(at(4));
        let totals = ledger.totals();
        assert_eq!(totals.lost, Lost { transport: 1, queue: 4, ..Lost::default() }, "{when}");
        assert_eq!((totals.recorded, totals.sent, totals.received), (7, 12, 11), "{when}");
        assert!(totals.balances());
    }
}

#[test]
fn what_the_disk_did_not_take_moves_from_recorded_to_lost() {
    let (mut ledger, source) = ledger();
    for number in 0..10 {
        ledger.observe(source, bare(number), at(1), None);
    }
    for number in [4, 5, 6] {
        ledger.disk_lost(source, Run::one(bare(number), 100, at(2)));
    }
    assert_eq!(ledger.recorded(source), 7);
    let gaps: Vec<_> = ledger.drain_final(at(2)).collect();
    assert_eq!(gaps.len(), 1, "contiguous gaps of one cause are one: {gaps:?}");
    let loss = proto::Loss::from(gaps[0].clone());
    assert_eq!((loss.count, loss.first_sequence, loss.last_sequence, loss.bytes), (3, Some(4), Some(6), 300));
    assert_eq!((loss.cause(), loss.topic.as_str()), (proto::LossCause::Disk, "/imu"));
    assert!(ledger.totals().balances());
}

#[test]
fn sources_without_numbers_are_counted() {
    let (mut ledger, source) = ledger();
    for ms in 0..5 {
        ledger.observe(source, None, at(ms), None);
    }
    let mut run = Run::one(None, 5, at(6));
    assert!(run.extend(None, 5, at(7)) && !run.extend(bare(1), 5, at(7)));
    ledger.shed(source, run);
    ledger.disk_lost(source, Run::one(None, 5, at(2)));
    let totals = ledger.totals();
    assert_eq!((totals.sent, totals.received, totals.recorded), (7, 7, 4));
    assert_eq!((totals.lost.queue, totals.lost.disk), (2, 1));
    assert!(totals.balances());
}

#[test]
fn the_summary_survives_json() {
    let (mut ledger, source) = ledger();
    ledger.observe(source, of(u64::MAX, 1), at(1), None);
    ledger.source_missing(source, 3, at(2));
    let summary = ledger.summary();
    assert_eq!(summary.totals.lost.source, 3);
    assert!(summary.totals.balances(), "what was never sent is not part of the identity");
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<LossSummary>(&text).unwrap(), summary, "{text}");
}

#[test]
fn what_waits_to_be_drained_is_bounded() {
    let (mut ledger, source) = ledger();
    for number in 0..50_000 {
        ledger.observe(source, bare(number * 2), at(1), None);
    }
    ledger.finish(at(2));
    let gaps: Vec<_> = ledger.drain_final(at(2)).collect();
    assert!(gaps.len() <= 4096);
    assert_eq!(gaps.iter().map(|g| g.count).sum::<u64>(), 49_999);
    assert!(ledger.totals().balances());
}

/// What happens to one sent sample.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Arrives,
    ArrivesTwice,
    DropsOnTheWay,
    Shed,
    NotWritten,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    fate: Fate,
    /// How many places later it arrives.
    delay: usize,
}

fn sent() -> impl Strategy<Value = Sent> {
    let fate = prop_oneof![
        12 => Just(Fate::Arrives),
        1 => Just(Fate::ArrivesTwice),
        2 => Just(Fate::DropsOnTheWay),
        2 => Just(Fate::Shed),
        1 => Just(Fate::NotWritten),
    ];
    let delay = prop_oneof![6 => Just(0_usize), 1 => 1..20_usize];
    (fate, delay).prop_map(|(fate, delay)| Sent { fate, delay })
}

/// Instances of one publisher: how many numbers of each the recorder could not have seen, and what it then sent.
fn life(instances: usize) -> impl Strategy<Value = Vec<(u64, Vec<Sent>)>> {
    prop::collection::vec((0..50_u64, prop::collection::vec(sent(), 2..150)), 1..=instances)
}

/// The first instance was there before the recording; the others start within it.
fn instance_start(k: usize) -> i64 {
    at(if k == 0 { -1_000_000 } else { i64::try_from(k).unwrap() }).as_nanos()
}

struct Truth {
    totals: Totals,
    transport: BTreeSet<(usize, u64)>,
}

fn truth(life: &[(u64, Vec<Sent>)], numbered_instances: bool) -> Truth {
    let mut totals = Totals::default();
    let mut transport = BTreeSet::new();
    for (k, (joined, samples)) in life.iter().enumerate() {
        let base = if k == 0 { *joined } else { 0 };
        let arrived: Vec<u64> =
            (base..).zip(samples).filter(|(_, s)| s.fate != Fate::DropsOnTheWay).map(|(n, _)| n).collect();
        let (Some(min), Some(last)) = (arrived.first().copied(), arrived.last().copied()) else { continue };
        let observed = samples.iter().any(|s| !matches!(s.fate, Fate::DropsOnTheWay | Fate::Shed));
        let first = if numbered_instances && k > 0 && observed { 0 } else { min };
        let count = |fate| samples.iter().filter(|s| s.fate == fate).count() as u64;
        totals.sent += last - first + 1;
        totals.received += arrived.len() as u64 + count(Fate::ArrivesTwice);
        totals.recorded += count(Fate::Arrives) + count(Fate::ArrivesTwice);
        totals.duplicates += count(Fate::ArrivesTwice);
        totals.lost.queue += count(Fate::Shed);
        totals.lost.disk += count(Fate::NotWritten);
        totals.lost.transport += last - first + 1 - arrived.len() as u64;
        transport.extend((first..=last).filter(|n| !arrived.contains(n)).map(|n| (k, n)));
    }
    Truth { totals, transport }
}

/// Sends a life through a ledger. `early` is how many places before its turn a shed sample is told.
fn run_life(life: &[(u64, Vec<Sent>)], instances: bool, reorder: bool, early: usize) -> (Totals, Vec<Gap>) {
    let mut arrivals = Vec::new();
    let mut place = early;
    for (k, (joined, samples)) in life.iter().enumerate() {
        let base = if k == 0 { *joined } else { 0 };
        for (number, sample) in (base..).zip(samples) {
            place += 1;
            if sample.fate != Fate::DropsOnTheWay {
                let at = match sample.fate {
                    Fate::Shed => place - early,
                    _ if reorder => place + sample.delay,
                    _ => place,
                };
                arrivals.push((at, k, number, sample.fate));
            }
        }
    }
    arrivals.sort_by_key(|(at, ..)| *at);

    let (mut ledger, source) = ledger();
    let mut gaps = Vec::new();
    let mut unwritten = BTreeMap::<usize, Vec<Run>>::new();
    for (i, (_, k, sequence, fate)) in arrivals.into_iter().enumerate() {
        let now = at(10 + i64::try_from(i).unwrap());
        let number = Some(Numbering { sequence, instance: instances.then(|| instance_start(k)) });
        if fate == Fate::Shed {
            ledger.shed(source, Run::one(number, 1, now));
        } else {
            let observed = ledger.observe(source, number, now, Some(now));
            assert_ne!(observed, Observed::Duplicate, "{k} {sequence}");
        }
        if fate == Fate::ArrivesTwice {
            assert_eq!(ledger.observe(source, number, now, Some(now)), Observed::Duplicate);
        }
        if fate == Fate::NotWritten {
            let runs = unwritten.entry(k).or_default();
            if !runs.last_mut().is_some_and(|run| run.extend(number, 1, now)) {
                runs.push(Run::one(number, 1, now));
            }
        }
        if i % 7 == 0 {
            gaps.extend(ledger.drain_final(now));
        }
        if i % 31 == 0 {
            std::mem::take(&mut unwritten).into_values().flatten().for_each(|run| ledger.disk_lost(source, run));
        }
    }
    unwritten.into_values().flatten().for_each(|run| ledger.disk_lost(source, run));
    ledger.finish(at(20_000));
    gaps.extend(ledger.drain_final(at(20_000)));
    (ledger.totals(), gaps)
}

fn check(life: &[(u64, Vec<Sent>)], instances: bool, reorder: bool, early: usize) {
    let truth = truth(life, instances);
    let (totals, gaps) = run_life(life, instances, reorder, early);
    assert_eq!(totals, truth.totals);
    assert!(totals.balances());
    for (cause, sum) in [
        (Cause::Transport, truth.totals.lost.transport),
        (Cause::Queue, truth.totals.lost.queue),
        (Cause::Disk, truth.totals.lost.disk),
    ] {
        assert_eq!(gaps.iter().filter(|g| g.cause == cause).map(|g| g.count).sum::<u64>(), sum, "{cause}");
    }
    let numbers = |gap: &Gap| gap.first_sequence.unwrap()..=gap.last_sequence.unwrap();
    let mut told: Vec<u64> = gaps.iter().filter(|g| g.cause == Cause::Transport).flat_map(numbers).collect();
    told.sort_unstable();
    let mut missing: Vec<u64> = truth.transport.iter().map(|(_, n)| *n).collect();
    missing.sort_unstable();
    assert_eq!(told, missing, "the numbers told are those that were lost");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn with_instances_the_account_equals_the_truth(life in life(6), early in 0..300_usize) {
        check(&life, true, true, early);
    }

    #[test]
    fn without_instances_the_account_equals_the_truth(mut life in life(6)) {
        // A bare number tells a restart only if the old numbers have passed the new ones: the first two get through.
        for (_, samples) in &mut life {
            for sample in samples.iter_mut().take(2).filter(|s| matches!(s.fate, Fate::DropsOnTheWay | Fate::Shed)) {
                sample.fate = Fate::Arrives;
            }
            // Late samples come within their instance, and not before its first one.
            let count = samples.len();
            for (i, sample) in samples.iter_mut().enumerate() {
                sample.delay = if i == 0 || sample.fate == Fate::ArrivesTwice { 0 } else { sample.delay.min((count - 1 - i) / 2) };
            }
        }
        let reorder = life.len() == 1 && life[0].1.iter().all(|s| s.fate != Fate::ArrivesTwice);
        check(&life, false, reorder, 0);
    }

    #[test]
    fn hostile_numbers_neither_panic_nor_pile_up(
        numbers in prop::collection::vec((any::<u64>(), prop::option::of(any::<i64>()), any::<i64>(), 0..4_u8), 0..400),
    ) {
        let (mut ledger, source) = ledger();
        for (sequence, instance, time, what) in numbers {
            let number = Some(Numbering { sequence, instance: instance.map(|i| i % 3) });
            let time = Timestamp::from_nanos(time);
            let wild = Run {
                numbers: Some(RunNumbers { first: sequence, last: sequence ^ time.as_nanos().cast_unsigned(), instance }),
                count: sequence.rotate_left(13),
                ..Run::one(number, u64::MAX, time)
            };
            match what {
                0 => ledger.shed(source, wild),
                1 => ledger.disk_lost(source, wild),
                _ => _ = ledger.observe(source, number, time, Some(time)),
            }
        }
        ledger.finish(at(0));
        prop_assert!(ledger.drain_final(at(0)).count() <= 4096);
        prop_assert_eq!(ledger.totals().unsettled, 0);
    }
}
