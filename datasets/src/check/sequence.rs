//! `sent = recorded + ledger`: the manifest's account must add up, and every jump in a publisher's numbers must be in
//! the ledger.

use std::{collections::BTreeMap, path::Path};

use prost::Message as _;
use sagwan_schemas::{
    proto,
    recording::{
        layout::topic,
        manifest::{Manifest, SourceLoss, State},
        verify::Visited,
    },
    time::Timestamp,
};

use crate::{
    check::{Report, is_own},
    finding::{Place, Severity},
};

/// Jumps and ledger entries kept per topic; beyond them nothing can be proved.
const KEPT: usize = 100_000;

/// A jump in the numbers of a topic: these are missing.
#[derive(Clone, Copy, Debug)]
struct Jump {
    first: u32,
    last: u32,
    time: Timestamp,
}

#[derive(Debug, Default)]
struct Track {
    last: Option<u32>,
    jumps: Vec<Jump>,
    /// Numbers that the ledger has as missing.
    told: Vec<(u64, u64)>,
    overflow: bool,
}

/// The numbers of all topics of a recording.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    tracks: BTreeMap<String, Track>,
}

impl Sequences {
    pub(super) fn take(&mut self, message: &Visited<'_>) {
        let topic = &message.channel.descriptor.topic;
        if topic == topic::LOSS {
            if let Ok(loss) = proto::Loss::decode(message.data)
                && let (Some(first), Some(last)) = (loss.first_sequence, loss.last_sequence)
            {
                let track = self.tracks.entry(loss.topic).or_default();
                track.overflow |= track.told.len() >= KEPT;
                if !track.overflow {
                    track.told.push((first, last));
                }
            }
        } else if !is_own(topic) {
            match self.tracks.get_mut(topic) {
                Some(track) => track.take(message.sequence, message.log_time),
                None => self.tracks.entry(topic.clone()).or_default().take(message.sequence, message.log_time),
            }
        }
    }

    /// Tells jumps that the ledger does not explain. Proves something only where one publisher sent a topic and numbered
    /// its samples; ring recordings leave samples out on purpose.
    pub(super) fn check(&self, path: &Path, manifest: &Manifest, report: &mut Report) {
        for (topic, track) in &self.tracks {
            let mut sources = manifest.loss.sources.iter().filter(|source| source.topic == *topic);
            let (Some(source), None) = (sources.next(), sources.next()) else { continue };
            if !source.numbered || source.outside > 0 {
                continue;
            }
            if track.overflow {
                let message = format!("more than {KEPT} gaps: not each is compared with the ledger");
                report.rule("recording.sequence", Severity::Info, Place::of(path).topic(topic), message, "");
                continue;
            }
            for jump in track.unexplained() {
                let place = Place { time: Some(jump.time), ..Place::of(path).topic(topic) };
                let message =
                    format!("samples {}..={} are missing and the ledger does not say why", jump.first, jump.last);
                // Several instances of a publisher may send in turns; their numbers jump without loss.
                let severity = match source.instances > 1 {
                    true => Severity::Warning,
                    false if died_before_telling(manifest, jump.time) => Severity::Info,
                    false => Severity::Error,
                };
                report.rule("recording.sequence", severity, place, message, "tell the makers: no loss may be silent");
            }
        }
    }
}

/// Gaps of the last moments before a recorder died were counted at recovery; their messages were never written.
fn died_before_telling(manifest: &Manifest, jump: Timestamp) -> bool {
    const UNTOLD_NANOS: i64 = 5_000_000_000;
    manifest.state == State::Recovered
        && manifest.ended.as_ref().is_some_and(|end| end.ns.nanos_since(jump) <= UNTOLD_NANOS)
}

impl Track {
    fn take(&mut self, sequence: u32, time: Timestamp) {
        let Some(last) = self.last else {
            self.last = Some(sequence);
            return;
        };
        let step = sequence.wrapping_sub(last);
        if step == 0 {
            return;
        }
        if step > u32::MAX / 2 {
            // Late or repeated (then it fills a jump), or the publisher began again.
            if !self.fill(sequence) && sequence < last / 2 {
                self.last = Some(sequence);
            }
            return;
        }
        if step > 1 {
            self.overflow |= self.jumps.len() >= KEPT;
            if !self.overflow {
                self.jumps.push(Jump { first: last.wrapping_add(1), last: sequence.wrapping_sub(1), time });
            }
        }
        self.last = Some(sequence);
    }

    /// Takes a late number out of the jump it belongs to.
    fn fill(&mut self, sequence: u32) -> bool {
        let within = |jump: &Jump| sequence.wrapping_sub(jump.first) <= jump.last.wrapping_sub(jump.first);
        let Some(at) = self.jumps.iter().rposition(within) else { return false };
        let jump = self.jumps.remove(at);
        if jump.first != sequence {
            self.jumps.push(Jump { last: sequence.wrapping_sub(1), ..jump });
        }
        if jump.last != sequence {
            self.jumps.push(Jump { first: sequence.wrapping_add(1), ..jump });
        }
        true
    }

    /// Jumps of which at least one number is not in the ledger.
    fn unexplained(&self) -> Vec<Jump> {
        let mut told: Vec<(u64, u64)> = self
            .told
            .iter()
            .map(|(a, b)| (u64::from(*a as u32), u64::from(*a as u32) + b.saturating_sub(*a)))
            .collect();
        told.sort_unstable();
        // Ranges that touch become one, so that each jump needs to lie in one of them.
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (first, last) in told {
            match merged.last_mut() {
                Some(range) if first <= range.1.saturating_add(1) => range.1 = range.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        let explained = |jump: &&Jump| {
            let (first, len) = (u64::from(jump.first), u64::from(jump.last.wrapping_sub(jump.first)));
            let at = merged.partition_point(|range| range.0 <= first);
            at.checked_sub(1).and_then(|at| merged.get(at)).is_some_and(|range| first + len <= range.1)
        };
        self.jumps.iter().filter(|jump| !explained(jump)).copied().collect()
    }
}

/// The manifest's account must add up.
pub(super) fn check_ledger(path: &Path, manifest: &Manifest, report: &mut Report) {
    let remedy = "tell the makers: the recorder's account is wrong";
    let loss = &manifest.loss;
    let sum = |recorded: u64, outside: u64, lost: [u64; 3]| {
        lost.iter().fold(recorded.saturating_add(outside), |sum, lost| sum.saturating_add(*lost))
    };
    let causes = |lost: &sagwan_schemas::recording::manifest::LossCounts| [lost.transport, lost.queue, lost.disk];
    let accounted = sum(loss.recorded, loss.outside, causes(&loss.lost));
    if loss.sent != accounted {
        let message = format!("{} samples were sent, {accounted} are accounted for", loss.sent);
        report.rule("recording.ledger", Severity::Error, Place::of(path), message, remedy);
    }
    for source in &loss.sources {
        let SourceLoss { topic, sent, recorded, outside, lost, .. } = source;
        let accounted = sum(*recorded, *outside, causes(lost));
        if *sent != accounted {
            let message = format!("{sent} samples were sent, {accounted} are accounted for");
            report.rule("recording.ledger", Severity::Error, Place::of(path).topic(topic), message, remedy);
        }
    }
    let lost = causes(&loss.lost).iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
    if lost > 0 {
        let message = format!("{lost} samples are known to be missing (transport, queue or disk)");
        let remedy = "sagwan info tells which; the data in the parts are right";
        report.rule("recording.loss", Severity::Warning, Place::of(path), message, remedy);
    }
}
