//! How fast is the recorder? Side by side on loopback, in one run: a subscriber that only counts (the ceiling), a plain
//! callback → bounded channel → `mcap::Writer` (what others do), sagwan with its default durability, and the disk alone.
//!
//! `cargo run --release -p sagwan-tests --bin bench-recorder [-- --secs 5 --sizes 64,1024 --out DIR]`
//!
//! Each contestant and the publisher run in processes of their own. The publisher sends on four topics with congestion
//! control `Block`, numbers every sample, and says how many it sent; a contestant's rate counts from the
//! first arrival until everything is counted, written, or (sagwan) durable under its final name. Bytes are payload bytes.

use std::os::unix::fs::MetadataExt;
use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sagwan_bridges::{native, wire};
use sagwan_recorder::{
    capture::Selection,
    recorder::{Ended, Options, Recorder},
};
use sagwan_schemas::{
    profile::LoadedProfile,
    recording::storage::FileSystem,
    time::{Clock, SystemClock, Timestamp},
};
use zenoh::{Session, Wait, qos::CongestionControl};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TOPICS: usize = 4;
const KEY: &str = "bench/**";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("role") => role(&arguments[1..]),
        _ => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench-recorder: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe ends the printing, not the measuring.
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1)).map(String::as_str)
}

/// One measurement of one contestant.
#[derive(Debug, Default, Clone, Copy)]
struct Measured {
    received: u64,
    seconds: f64,
    cpu_seconds: f64,
    rss_bytes: u64,
    lost: u64,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.received as f64 / self.seconds.max(1e-9)
    }
}

fn bench(arguments: &[String]) -> Result<(), Failure> {
    let secs: f64 = option(arguments, "--secs").unwrap_or("5").parse()?;
    let sizes = option(arguments, "--sizes").unwrap_or("64,1024,65536,1048576,6291456");
    let out = PathBuf::from(option(arguments, "--out").unwrap_or("out/bench"));
    fs::create_dir_all(&out)?;
    say(&format!(
        "{:>9} {:>10} {:>12} {:>10} {:>9} {:>7} {:>7} {:>9} {:>9}",
        "payload", "who", "messages/s", "MB/s", "of ceil.", "of disk", "lost", "RSS MB", "CPU s/GB"
    ));
    for size in sizes.split(',') {
        let size: usize = size.trim().parse()?;
        let ceiling = contest("count", size, secs, &out)?;
        let baseline = contest("baseline", size, secs, &out)?;
        let sagwan = contest("sagwan", size, secs, &out)?;
        let disk = raw_write(&out, size, (sagwan.received * size as u64).clamp(1 << 28, 4 << 30))?;
        for (who, m) in [("ceiling", ceiling), ("baseline", baseline), ("sagwan", sagwan)] {
            let bytes = m.rate() * size as f64;
            say(&format!(
                "{:>9} {:>10} {:>12.0} {:>10.1} {:>9.2} {:>7.2} {:>7} {:>9.0} {:>9.2}",
                size,
                who,
                m.rate(),
                bytes / 1e6,
                m.rate() / ceiling.rate(),
                bytes / disk,
                m.lost,
                m.rss_bytes as f64 / 1e6,
                m.cpu_seconds / (m.received as f64 * size as f64 / 1e9),
            ));
        }
        let limit = ceiling.rate().min(disk / size as f64);
        say(&format!(
            "{:>9} {:>10} disk alone {:.1} MB/s; sagwan / min(ceiling, disk) = {:.2}; sagwan / baseline = {:.2}",
            size,
            "ratios",
            disk / 1e6,
            sagwan.rate() / limit,
            sagwan.rate() / baseline.rate(),
        ));
    }
    Ok(())
}

/// Bytes per second of plain sequential writes with an fdatasync every second, as the recorder does.
fn raw_write(out: &Path, size: usize, total: u64) -> Result<f64, Failure> {
    let path = out.join("raw.bin");
    let mut file = fs::File::create(&path)?;
    let block = vec![0x5a_u8; size.clamp(1 << 20, 8 << 20)];
    let begun = Instant::now();
    let mut synced = Instant::now();
    let mut written = 0;
    while written < total {
        file.write_all(&block)?;
        written += block.len() as u64;
        if synced.elapsed() > Duration::from_secs(1) {
            file.sync_data()?;
            synced = Instant::now();
        }
    }
    file.sync_data()?;
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

fn contest(who: &str, size: usize, secs: f64, out: &Path) -> Result<Measured, Failure> {
    let port = free_port()?;
    let endpoint = format!("tcp/127.0.0.1:{port}");
    let dir = out.join(who);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    let exe = std::env::current_exe()?;
    let spawn = |arguments: &[&str]| -> io::Result<Child> {
        Command::new(&exe).arg("role").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    };
    let dir_text = dir.display().to_string();
    let mut contestant = spawn(&[who, "--listen", &endpoint, "--out", &dir_text])?;
    let mut heard = BufReader::new(contestant.stdout.take().ok_or("no output")?).lines();
    let ready = heard.next().ok_or("the contestant said nothing")??;
    if ready != "ready" {
        return Err(format!("{who}: {ready}").into());
    }
    let mut publisher =
        spawn(&["publish", "--connect", &endpoint, "--size", &size.to_string(), "--secs", &secs.to_string()])?;
    let mut sent = String::new();
    BufReader::new(publisher.stdout.take().ok_or("no output")?).read_line(&mut sent)?;
    publisher.wait()?;
    let sent: u64 = sent.trim().parse().map_err(|_e| format!("publisher said {sent:?}"))?;
    writeln!(contestant.stdin.take().ok_or("no input")?, "{sent}")?;
    let line = heard.next().ok_or("the contestant said nothing")??;
    contestant.wait()?;
    let mut fields = line.split_whitespace().map(str::parse::<f64>);
    let mut next = || -> Result<f64, Failure> { Ok(fields.next().ok_or("a field is missing")??) };
    let measured = Measured {
        received: next()? as u64,
        seconds: next()?,
        cpu_seconds: next()?,
        rss_bytes: next()? as u64,
        lost: 0,
    };
    fs::remove_dir_all(&dir)?;
    Ok(Measured { lost: sent - measured.received.min(sent), ..measured })
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn role(arguments: &[String]) -> Result<(), Failure> {
    let who = arguments.first().ok_or("no role")?.as_str();
    if who == "publish" {
        return publish(arguments);
    }
    let session = wire::open(&wire::WireOptions {
        listen: vec![option(arguments, "--listen").ok_or("--listen")?.to_owned()],
        ..Default::default()
    })?;
    let out = PathBuf::from(option(arguments, "--out").ok_or("--out")?);
    let measured = match who {
        "count" => count(&session)?,
        "baseline" => baseline(&session, &out)?,
        "sagwan" => sagwan(&session, &out)?,
        other => return Err(format!("unknown role {other}").into()),
    };
    say(&format!("{} {} {} {}", measured.received, measured.seconds, measured.cpu_seconds, measured.rss_bytes));
    Ok(())
}

fn publish(arguments: &[String]) -> Result<(), Failure> {
    let size: usize = option(arguments, "--size").ok_or("--size")?.parse()?;
    let secs: f64 = option(arguments, "--secs").ok_or("--secs")?.parse()?;
    let session = wire::open(&wire::WireOptions {
        connect: vec![option(arguments, "--connect").ok_or("--connect")?.to_owned()],
        ..Default::default()
    })?;
    let publishers = (0..TOPICS)
        .map(|n| {
            session.declare_publisher(format!("bench/topic{n}")).congestion_control(CongestionControl::Block).wait()
        })
        .collect::<Result<Vec<_>, _>>()?;
    while !publishers.iter().all(|p| p.matching_status().wait().is_ok_and(|status| status.matching())) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let payload = zenoh::bytes::ZBytes::from(incompressible(size));
    let instance = 1;
    let begun = Instant::now();
    let mut sent: u64 = 0;
    'all: loop {
        // The clock is looked at now and then only.
        for _ in 0..(64 * 1024 / size).clamp(1, 64) {
            for publisher in &publishers {
                let attachment = native::Attachment {
                    sequence: sent / TOPICS as u64,
                    capture_time: Timestamp::from_nanos(sent.cast_signed()),
                    instance: Some(instance),
                };
                publisher.put(payload.clone()).attachment(attachment.encode()).wait()?;
                sent += 1;
            }
        }
        if begun.elapsed().as_secs_f64() >= secs {
            break 'all;
        }
    }
    // The last samples may still be on their way when a session closes; a counting subscriber cannot confirm them.
    std::thread::sleep(Duration::from_millis(500));
    say(&sent.to_string());
    session.close().wait()?;
    Ok(())
}

/// Bytes of a linear congruential generator: nobody's compression makes them smaller.
fn incompressible(size: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let next = || {
        // Constants of Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// Waits for the number of samples sent on standard input.
fn told_sent() -> Result<u64, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().parse()?)
}

/// First arrival, as nanoseconds since `origin`; 0 before.
#[derive(Debug)]
struct First {
    origin: Instant,
    nanos: AtomicU64,
}

impl First {
    fn new() -> Self {
        Self { origin: Instant::now(), nanos: AtomicU64::new(0) }
    }

    fn note(&self) {
        if self.nanos.load(Ordering::Relaxed) == 0 {
            self.nanos.store(self.origin.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    }

    fn seconds(&self) -> f64 {
        self.origin.elapsed().as_secs_f64() - self.nanos.load(Ordering::Relaxed) as f64 / 1e9
    }
}

fn count(session: &Session) -> Result<Measured, Failure> {
    let received = Arc::new(AtomicU64::new(0));
    let first = Arc::new(First::new());
    let _subscriber = session
        .declare_subscriber(KEY)
        .callback({
            let (received, first) = (Arc::clone(&received), Arc::clone(&first));
            move |sample| {
                first.note();
                std::hint::black_box(sample.payload().len());
                received.fetch_add(1, Ordering::Relaxed);
            }
        })
        .wait()?;
    say("ready");
    let sent = told_sent()?;
    wait_for(sent, || received.load(Ordering::Relaxed));
    Ok(measured(received.load(Ordering::Relaxed), first.seconds()))
}

fn wait_for(sent: u64, received: impl Fn() -> u64) {
    let mut before = received();
    let mut still = Instant::now();
    while before < sent && still.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(1));
        if received() != before {
            before = received();
            still = Instant::now();
        }
    }
}

fn baseline(session: &Session, out: &Path) -> Result<Measured, Failure> {
    let (tell, told) = std::sync::mpsc::sync_channel::<(usize, u32, u64, Vec<u8>)>(2048);
    let written = Arc::new(AtomicU64::new(0));
    let first = Arc::new(First::new());
    let path = out.join("baseline.mcap");
    let writing = std::thread::Builder::new().name("baseline".to_owned()).spawn({
        let written = Arc::clone(&written);
        move || -> Result<(), mcap::McapError> {
            let file = io::BufWriter::new(fs::File::create(path)?);
            let mut writer = mcap::WriteOptions::new().compression(None).create(file)?;
            let channels = (0..TOPICS)
                .map(|n| writer.add_channel(0, &format!("bench/topic{n}"), "raw", &Default::default()))
                .collect::<Result<Vec<_>, _>>()?;
            for (topic, sequence, log_time, payload) in told {
                let header = mcap::records::MessageHeader {
                    channel_id: channels[topic],
                    sequence,
                    log_time,
                    publish_time: log_time,
                };
                writer.write_to_known_channel(&header, &payload)?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            writer.finish()?;
            Ok(())
        }
    })?;
    let subscriber = session
        .declare_subscriber(KEY)
        .callback({
            let first = Arc::clone(&first);
            let clock = SystemClock::new();
            move |sample| {
                first.note();
                let topic = usize::from(sample.key_expr().as_bytes().last().map_or(0, |digit| digit - b'0'));
                let received = native::classify(&sample);
                let sequence = received.native.map_or(0, |native| native.sequence) as u32;
                let now = clock.wall().to_mcap();
                let message = (topic % TOPICS, sequence, now, sample.payload().to_bytes().into_owned());
                // A full channel blocks the link, which the publisher waits for: nothing is lost.
                tell.send(message).ok();
            }
        })
        .wait()?;
    say("ready");
    let sent = told_sent()?;
    wait_for(sent, || written.load(Ordering::Relaxed));
    subscriber.undeclare().wait()?;
    writing.join().map_err(|_panic| "the writer panicked")??;
    Ok(measured(written.load(Ordering::Relaxed), first.seconds()))
}

fn sagwan(session: &Session, out: &Path) -> Result<Measured, Failure> {
    let recorder = Recorder::start(
        session,
        &Options {
            root: out.to_owned(),
            profile: LoadedProfile::schemaless("bench"),
            selection: Selection { include: vec![KEY.to_owned().try_into()?], exclude: Vec::new() },
            operator: String::new(),
            site: String::new(),
            consent: String::new(),
            notes: String::new(),
            clock: Arc::new(SystemClock::new()),
            storage: Arc::new(FileSystem),
        },
    )?;
    say("ready");
    let sent = told_sent()?;
    wait_for(sent, || recorder.status().received);
    let ended = recorder.stop(None)?;
    let begun = ended.manifest.parts.first().and_then(|part| part.start.clone()).ok_or("nothing was recorded")?;
    let seconds = durable_at(&ended)?.nanos_since(begun.ns) as f64 / 1e9;
    let loss = &ended.manifest.loss;
    if loss.sent != loss.recorded + loss.lost.total() {
        return Err(format!("the ledger does not balance: {loss:?}").into());
    }
    Ok(measured(loss.recorded, seconds))
}

/// When the last part was durable: its inode changed last when it got its name, after the sync that followed its footer.
fn durable_at(ended: &Ended) -> Result<Timestamp, Failure> {
    let part = ended.manifest.parts.last().ok_or("no part")?;
    let metadata = fs::metadata(ended.path.join("parts").join(&part.file))?;
    Ok(Timestamp::from_nanos(metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec()))
}

fn measured(received: u64, seconds: f64) -> Measured {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields after the command's closing parenthesis; utime and stime are the 14th and 15th of the line (proc(5)).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0);
    Measured {
        received,
        seconds,
        cpu_seconds: (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64,
        rss_bytes: peak * 1024,
        lost: 0,
    }
}
