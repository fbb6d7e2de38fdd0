//! What a recording tells of its own health: rates, clocks, alarms, and triggers over what it sees.

use std::sync::Arc;

use sagwan_schemas::{
    channel::ChannelDescriptor,
    encoding::Decoder,
    profile::{LocalText, Profile},
    proto,
    recording::layout::topic,
    stream::Class,
};

use crate::{
    clock::{ClockMonitor, Reading, host},
    health::{
        Contract, Health, StreamId,
        alarm::{Alarm, AlarmChange, AlarmId, Alarms},
    },
    ledger::{Gap, Ledger, SourceId},
    output::{Disk, Output, Slot},
    queue::{QueueCounts, SampleHead},
    retention::disk_time_left,
    stamp::{SEC, proto_time},
    status::{AlarmStatus, ClockState, DiskStatus, QueueStatus, StreamStatus},
    trigger::{Fired, Now, TriggerError, TriggerSet},
};

/// Largest payload that is decoded to see whether it can be, bytes.
const PROBE_MAX: usize = 4 << 20;
/// Time between two such trials of one stream, and between two health messages.
const SECOND: i64 = SEC;
/// Minutes of recording below which the disk is called low.
const DISK_LOW_SECS: f64 = 600.0;
/// A sync that takes this long is called slow, seconds.
const SYNC_SLOW_SECS: f64 = 5.0;

/// A source as its health sees it.
#[derive(Debug)]
struct Watched {
    stream: StreamId,
    key: String,
    class: Class,
    required: bool,
    /// Name by which triggers know it; absent when none reads it.
    trigger_name: Option<String>,
    decoder: Option<Decoder>,
    next_probe_nanos: i64,
    undecodable: Option<String>,
    has_schema: bool,
}

/// The state of the watch.
#[derive(Debug)]
pub(crate) struct Watch {
    profile: Arc<Profile>,
    health: Health,
    alarms: Alarms,
    clock: ClockMonitor,
    triggers: TriggerSet,
    fired: Vec<Fired>,
    sources: Vec<Watched>,
    /// The stream of each profile entry.
    streams: Vec<StreamId>,
    health_channel: Slot,
    clock_channel: Slot,
    event_channel: Slot,
    host: Option<proto::HostClock>,
    now: Reading,
    next_second_nanos: i64,
    jumps: u32,
    shed_before: u64,
    disk_free: u64,
    queue: QueueCounts,
    bytes: Rate,
    /// Bytes of the parts before the open one.
    pub(super) bytes_closed: u64,
}

/// Bytes per second, smoothed over a few seconds.
#[derive(Debug, Default)]
struct Rate {
    total: u64,
    per_second: f64,
}

impl Rate {
    fn note(&mut self, total: u64) {
        let now = total.saturating_sub(self.total) as f64;
        self.total = total;
        self.per_second = if self.per_second == 0.0 { now } else { self.per_second * 0.7 + now * 0.3 };
    }
}

impl Watch {
    pub(crate) fn new(output: &mut Output, profile: Arc<Profile>, now: Reading) -> Result<Self, TriggerError> {
        let mut health = Health::new(now);
        let streams: Vec<_> = profile
            .streams
            .iter()
            .map(|stream| health.add_stream(Contract::of(stream, format!("/{}", stream.name))))
            .collect();
        for group in &profile.sync_groups {
            let members: Vec<_> = profile
                .streams
                .iter()
                .zip(&streams)
                .filter(|(stream, _)| stream.sync_group.as_ref() == Some(&group.name))
                .map(|(_, id)| *id)
                .collect();
            health.add_group(group.name.clone(), group.tolerance.nanos(), &members);
        }
        let names: Vec<_> = profile.streams.iter().map(|stream| stream.name.as_str()).collect();
        let triggers = TriggerSet::compile(&profile.triggers, &names)?;
        Ok(Self {
            health,
            alarms: Alarms::new(now),
            clock: ClockMonitor::new(),
            triggers,
            fired: Vec::new(),
            sources: Vec::new(),
            streams,
            health_channel: output.add_own_channel::<proto::Health>(topic::HEALTH),
            clock_channel: output.add_own_channel::<proto::Clock>(topic::CLOCK),
            event_channel: output.add_own_channel::<proto::Event>(topic::EVENT),
            host: None,
            now,
            next_second_nanos: now.monotonic + SECOND,
            jumps: 0,
            shed_before: 0,
            disk_free: u64::MAX,
            queue: QueueCounts::default(),
            bytes: Rate::default(),
            bytes_closed: 0,
            profile,
        })
    }

    /// The channel of marks and triggers.
    pub(crate) fn event_channel(&self) -> Slot {
        self.event_channel
    }

    /// A source was met.
    pub(crate) fn add_source(&mut self, id: SourceId, key: &str, class: Class, topic: String) {
        debug_assert_eq!(id.index(), self.sources.len(), "sources come in the order of their numbers");
        let place = self
            .profile
            .stream_for_key(key)
            .and_then(|stream| self.profile.streams.iter().position(|other| other.name == stream.name));
        let entry = place.and_then(|place| self.profile.streams.get(place));
        let stream = match place.and_then(|place| self.streams.get(place)) {
            Some(stream) => *stream,
            None => self.health.add_stream(Contract::none(topic.clone())),
        };
        let trigger_name = entry.map(|entry| entry.name.clone()).filter(|name| self.triggers.reads(name));
        self.clock.add_source(topic, "");
        self.sources.push(Watched {
            stream,
            key: key.to_owned(),
            class,
            required: entry.is_some_and(|entry| entry.required),
            trigger_name,
            decoder: None,
            next_probe_nanos: i64::MIN,
            undecodable: None,
            has_schema: false,
        });
    }

    /// It became known what a source is.
    pub(crate) fn describe(&mut self, id: SourceId, channel: &ChannelDescriptor) {
        let Some(source) = self.sources.get_mut(id.index()) else { return };
        self.clock.set_topic(id, &channel.topic);
        let contract = match self.profile.stream_for_key(&source.key) {
            Some(stream) => Contract::of(stream, channel.topic.clone()),
            None => Contract::none(channel.topic.clone()),
        };
        self.health.set_contract(source.stream, contract);
        source.has_schema = channel.schema.is_some() || channel.message_encoding == "json";
        match Decoder::new(channel) {
            Ok(decoder) => {
                source.decoder = decoder.opaque_reason().is_none().then_some(decoder);
                source.undecodable = None;
            }
            Err(error) => source.undecodable = Some(super::error_chain(&error)),
        }
    }

    /// A sample came at `now_nanos`.
    pub(crate) fn observe(&mut self, head: &SampleHead, payload: &[u8], contiguous: bool, now_nanos: i64) -> u64 {
        let Some(source) = self.sources.get_mut(head.source.index()) else { return 0 };
        let holes = self.health.observe(source.stream, head.log_time, head.capture_time, contiguous);
        if let Some(capture) = head.capture_time {
            self.clock.observe(head.source, head.log_time, capture);
        }
        let is_probe = self.now.monotonic >= source.next_probe_nanos && payload.len() <= PROBE_MAX;
        if (is_probe || source.trigger_name.is_some())
            && let Some(decoder) = &source.decoder
        {
            source.next_probe_nanos = self.now.monotonic + SECOND;
            match decoder.decode(payload) {
                Ok(value) => {
                    source.undecodable = None;
                    if let Some(name) = &source.trigger_name {
                        // Its own time, not the last tick's: the event's window is measured from here.
                        let now = Now { wall: head.log_time, monotonic: now_nanos };
                        self.fired.extend(self.triggers.update(name, &value, now));
                    }
                }
                Err(error) => source.undecodable = Some(super::error_chain(&error)),
            }
        }
        holes
    }

    /// Triggers that fired since the last call.
    pub(crate) fn take_fired(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.fired)
    }

    /// The clocks, read about ten times a second; a batch is watched with the last reading.
    pub(crate) fn read_clock(&mut self, now: Reading) {
        self.now = now;
        if let Some(jump) = self.clock.read(now) {
            self.jumps += 1;
            let secs = jump.nanos as f64 / 1e9;
            tracing::warn!("the wall clock was stepped by {secs:+.3} s");
            let detail = LocalText {
                ko: format!("시스템 시계가 {secs:+.3}초 이동했습니다"),
                en: format!("the wall clock was stepped by {secs:+.3} s"),
            };
            self.alarms.judge(AlarmId::ClockJump, "", true, now, || detail);
        } else {
            self.alarms.judge(AlarmId::ClockJump, "", false, now, LocalText::default);
        }
    }

    /// Judges everything; once a second tells it in the part.
    pub(crate) fn tick(&mut self, output: &mut Output, ledger: &Ledger, queue: QueueCounts) {
        let now = self.now;
        self.queue = queue;
        let late = self.triggers.tick(Now { wall: now.wall, monotonic: now.monotonic });
        self.fired.extend(late);
        for problem in self.triggers.take_problems() {
            tracing::warn!("trigger {}: {}", problem.trigger, problem.reason);
        }
        self.health.evaluate(now, &mut self.alarms);
        self.judge_recorder(output);
        for change in self.alarms.take_changes() {
            report(&change);
        }
        if now.monotonic < self.next_second_nanos {
            return;
        }
        self.next_second_nanos = now.monotonic + SECOND;
        let (written, _, _) = output.parts().progress();
        self.bytes.note(self.bytes_closed + written);
        let message = self.health_message(ledger, queue);
        output.write_own(self.health_channel, &message, now.wall, now.monotonic);
        let clock = self.clock.message(now, self.host.clone());
        output.write_own(self.clock_channel, &clock, now.wall, now.monotonic);
    }

    fn judge_recorder(&mut self, output: &Output) {
        let now = self.now;
        let queue = self.queue;
        let budget = self.profile.recording.queue.0 as f64;
        let share = queue.bytes as f64 / budget.max(1.0);
        self.alarms.judge(AlarmId::QueueHigh, "", share > 0.5, now, || LocalText {
            ko: format!("기록 대기열이 {:.0}% 찼습니다", share * 100.0),
            en: format!("the queue is {:.0} % full", share * 100.0),
        });
        let shed: u64 = queue.shed.iter().sum();
        let more = shed - self.shed_before;
        self.shed_before = shed;
        self.alarms.judge(AlarmId::QueueShed, "", more > 0, now, || LocalText {
            ko: format!("디스크가 따라오지 못해 표본 {shed}개를 버렸습니다"),
            en: format!("{shed} samples shed: the disk does not keep up"),
        });
        let failing = output.disk() != Disk::Good;
        let reason = output.errors().last().cloned().unwrap_or_default();
        self.alarms.judge(AlarmId::DiskFailed, "", failing, now, || LocalText {
            ko: format!("디스크 쓰기 실패: {reason}"),
            en: format!("the disk refuses to write: {reason}"),
        });
        let (_, _, exposure) = output.parts().progress();
        let exposure = exposure.as_secs_f64();
        self.alarms.judge(AlarmId::DiskSlow, "", exposure > SYNC_SLOW_SECS, now, || LocalText {
            ko: format!("디스크 동기화에 {exposure:.1}초가 걸렸습니다"),
            en: format!("a sync to the disk took {exposure:.1} s"),
        });
        let left = self.disk_seconds_left();
        let low = left.is_some_and(|left| left < DISK_LOW_SECS);
        self.alarms.judge(AlarmId::DiskLow, "", low, now, || {
            let minutes = left.unwrap_or(0.0) / 60.0;
            LocalText {
                ko: format!("디스크 여유가 약 {minutes:.0}분 남았습니다"),
                en: format!("the disk is full in about {minutes:.0} min"),
            }
        });
        for source in &self.sources {
            let topic = source.key.as_str();
            let reason = source.undecodable.as_deref();
            self.alarms.judge(AlarmId::DecodeFailed, topic, reason.is_some(), now, || LocalText {
                ko: format!("해독할 수 없습니다: {}", reason.unwrap_or_default()),
                en: format!("cannot be decoded: {}", reason.unwrap_or_default()),
            });
        }
    }

    fn health_message(&self, ledger: &Ledger, queue: QueueCounts) -> proto::Health {
        let reports = self.health.reports(self.now.wall);
        let mut missing = vec![0; reports.len()];
        for (index, source) in self.sources.iter().enumerate() {
            if let Some(sum) = missing.get_mut(source.stream.index()) {
                *sum += ledger.received_and_missing(SourceId(index as u32)).1;
            }
        }
        proto::Health {
            timestamp: Some(proto_time(self.now.wall)),
            streams: reports.iter().zip(missing).map(|(report, missing)| report.to_proto(missing)).collect(),
            alarms: self.alarms.active().map(proto::Alarm::from).collect(),
            queue_bytes: queue.bytes as u64,
            queue_budget_bytes: self.profile.recording.queue.0,
            disk_free_bytes: self.disk_free,
            write_bytes_per_second: self.bytes.per_second,
        }
    }

    /// A gap became final.
    pub(crate) fn note_gap(&mut self, gap: &Gap) {
        tracing::warn!("{}: {}", gap.topic, gap.detail);
    }

    /// Free bytes on the disk, looked up now and then.
    pub(crate) fn set_disk_free(&mut self, free: u64) {
        self.disk_free = free;
    }

    /// What the host says of its clock, looked up now and then.
    pub(crate) fn set_host_clock(&mut self, host: Option<proto::HostClock>) {
        self.host = host;
    }

    /// The last word before the last part closes.
    pub(crate) fn finish(&mut self, output: &mut Output, ledger: &Ledger) {
        self.alarms.stop();
        let message = self.health_message(ledger, self.queue);
        output.write_own(self.health_channel, &message, self.now.wall, self.now.monotonic);
        let clock = self.clock.message(self.now, self.host.clone());
        output.write_own(self.clock_channel, &clock, self.now.wall, self.now.monotonic);
    }

    pub(crate) fn clock_jumps(&self) -> u32 {
        self.jumps
    }

    fn disk_seconds_left(&self) -> Option<f64> {
        disk_time_left(self.disk_free, self.profile.recording.min_free.0, self.bytes.per_second)
            .map(|left| left.as_secs_f64())
    }

    // What the status tells.

    pub(crate) fn streams(&self, ledger: &Ledger) -> Vec<StreamStatus> {
        let reports = self.health.reports(self.now.wall);
        let mut statuses: Vec<_> = reports
            .iter()
            .map(|report| StreamStatus {
                topic: report.topic.clone(),
                key: String::new(),
                class: Class::default(),
                required: false,
                state: String::new(),
                rate_hz: report.rate_hz,
                contract_hz: report.contract_hz,
                jitter_seconds: report.jitter_seconds,
                latency_seconds: report.latency_seconds,
                received: report.received,
                missing: 0,
            })
            .collect();
        for (entry, id) in self.profile.streams.iter().zip(&self.streams) {
            if let Some(status) = statuses.get_mut(id.index()) {
                (status.class, status.required) = (entry.class, entry.required);
            }
        }
        for (index, source) in self.sources.iter().enumerate() {
            if let Some(status) = statuses.get_mut(source.stream.index()) {
                status.key.clone_from(&source.key);
                (status.class, status.required) = (source.class, source.required);
                status.missing += ledger.received_and_missing(SourceId(index as u32)).1;
            }
        }
        for (status, report) in statuses.iter_mut().zip(&reports) {
            let alarm = self.alarms.active().find(|alarm| alarm.subject == report.topic);
            status.state = match alarm.map(|alarm| alarm.id) {
                Some(AlarmId::StreamMissing) => "missing",
                Some(AlarmId::StreamStalled) => "stalled",
                Some(AlarmId::StreamSlow) => "slow",
                Some(AlarmId::StreamFast) => "fast",
                Some(AlarmId::StreamLatency) => "late",
                _ if report.received == 0 => "waiting",
                _ if report.stalled => "stalled",
                _ => "ok",
            }
            .to_owned();
        }
        statuses
    }

    pub(crate) fn alarms(&self) -> Vec<AlarmStatus> {
        let age = |alarm: &Alarm| self.now.wall.nanos_since(alarm.since) as f64 / 1e9;
        self.alarms
            .active()
            .map(|alarm| AlarmStatus {
                id: alarm.id.as_str().to_owned(),
                subject: alarm.subject.clone(),
                detail_ko: alarm.detail.ko.clone(),
                detail_en: alarm.detail.en.clone(),
                age_seconds: age(alarm),
            })
            .collect()
    }

    pub(crate) fn queue_status(&self) -> QueueStatus {
        QueueStatus {
            bytes: self.queue.bytes as u64,
            bytes_max: self.queue.bytes_max as u64,
            budget: self.profile.recording.queue.0,
            shed: self.queue.shed,
            waits: self.queue.waits,
        }
    }

    pub(crate) fn disk_status(&self, output: &Output) -> DiskStatus {
        let (_, _, exposure) = output.parts().progress();
        DiskStatus {
            free: self.disk_free,
            seconds_left: self.disk_seconds_left(),
            state: match output.disk() {
                Disk::Good => "good",
                Disk::Failing => "failing",
                Disk::Full => "full",
            }
            .to_owned(),
            exposure_seconds_max: exposure.as_secs_f64(),
        }
    }

    pub(crate) fn clock_state(&self) -> ClockState {
        ClockState {
            source: self.host.as_ref().map(|host| host.source.clone()).unwrap_or_default(),
            synchronized: self.host.as_ref().is_some_and(|host| host.synchronized),
            jumps: self.jumps,
        }
    }

    /// Bytes in all parts, and per second.
    pub(crate) fn bytes(&self, output: &Output) -> (u64, f64) {
        (self.bytes_closed + output.parts().progress().0, self.bytes.per_second)
    }
}

fn report(change: &AlarmChange) {
    match change {
        AlarmChange::Raised(alarm) => {
            tracing::warn!(alarm = alarm.id.as_str(), subject = alarm.subject, "{}", alarm.detail.en);
        }
        AlarmChange::Cleared(alarm) => {
            tracing::info!(alarm = alarm.id.as_str(), subject = alarm.subject, "over: {}", alarm.detail.en);
        }
    }
}

/// Asks the host for its clock's state; takes up to a second, for another thread.
pub(crate) fn probe_host_clock() -> Option<proto::HostClock> {
    host::probe(std::time::Duration::from_secs(1))
}
