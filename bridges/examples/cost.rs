//! Prints how much of one core each stream of a simulated platform costs to make (Linux).
//!
//! `cargo run -p sagwan-bridges --example cost -- humanoid vehicle`

use std::{env, error::Error, fs, hint::black_box};

use sagwan_bridges::simulate::{Kind, Platform, platform::Moment};
use sagwan_schemas::time::Timestamp;

/// So many seconds of each stream are made.
const SECONDS: f64 = 4.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut total = 0.0;
    for name in env::args().skip(1) {
        let kind: Kind = name.parse()?;
        let platform = Platform::new(kind, 1)?;
        let mut sum = 0.0;
        for (index, stream) in platform.streams().iter().enumerate() {
            let Some(rate) = stream.rate_hz else { continue };
            let mut source = platform.source(index)?;
            let mut make = |index: u64| {
                let moment = Moment { index, seconds: index as f64 / rate, capture_time: Timestamp::EPOCH };
                source.sample(&moment).map(|payload| black_box(payload).len())
            };
            // What is painted once does not count.
            make(0)?;
            let (before, count) = (cpu_seconds()?, (SECONDS * rate) as u64);
            let mut bytes = 0;
            for index in 1..=count {
                bytes += make(index)?;
            }
            let spent = cpu_seconds()? - before;
            sum += spent / SECONDS;
            let (each, size) = (1e3 * spent / count as f64, bytes / count as usize);
            report(&format!(
                "{name:9} {:20} {rate:6} Hz {size:8} B {each:7.3} ms {:5.1} %",
                stream.name,
                100.0 * spent / SECONDS
            ));
        }
        report(&format!("{name:9} {:63.1} %", 100.0 * sum));
        total += sum;
    }
    report(&format!("all       {:63.1} %", 100.0 * total));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its purpose")]
fn report(line: &str) {
    println!("{line}");
}

/// Time this thread has spent on a core.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: f64 = text.split_whitespace().next().ok_or("no time in schedstat")?.parse()?;
    Ok(nanos * 1e-9)
}
