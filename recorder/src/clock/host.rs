//! What the host says of its time synchronisation.
//!
//! Thin I/O, run off the data path: asks `chronyc` where there is one, else looks for the mark that systemd-timesyncd
//! leaves. A PTP clock is found through chrony's reference; `ptp4l` alone is not asked (its `pmc` needs rights and
//! seconds), nor is the kernel's `adjtimex` (no safe crate that is light). Finding nothing is normal.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sagwan_schemas::proto::HostClock;

/// Exists while systemd-timesyncd holds the clock synchronised.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";
/// How often a running `chronyc` is looked at.
const POLL: Duration = Duration::from_millis(5);
/// More than `chronyc tracking` ever says.
const MAX_ANSWER: u64 = 4096;

/// Asks the host; takes at most about `patience`. [`None`] where nothing was found.
///
/// `error_bound_nanos` is 0 where the source does not tell it.
#[must_use]
pub fn probe(patience: Duration) -> Option<HostClock> {
    chrony(patience).or_else(|| {
        Path::new(TIMESYNC_MARK).exists().then(|| HostClock {
            source: "ntp".to_owned(),
            synchronized: true,
            ..HostClock::default()
        })
    })
}

fn chrony(patience: Duration) -> Option<HostClock> {
    let child = Command::new("chronyc")
        .args(["-c", "tracking"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    parse_tracking(&answer(child, patience)?)
}

/// What a child printed, if it ended well in time; it has ended in any case.
fn answer(mut child: Child, patience: Duration) -> Option<String> {
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if begun.elapsed() < patience => thread::sleep(POLL),
            Ok(None) | Err(_) => {
                // Already gone, or nothing to be done about it.
                _ = child.kill();
                _ = child.wait();
                break false;
            }
        }
    };
    let mut text = String::new();
    child.stdout.take().filter(|_| ended)?.take(MAX_ANSWER).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Reads the answer of `chronyc -c tracking`: 14 comma-separated fields, among them 1 reference name, 4 the correction
/// still to be made (seconds, positive when the host is behind), 10 root delay, 11 root dispersion (seconds), 13 leap
/// status.
fn parse_tracking(text: &str) -> Option<HostClock> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    let seconds = |i: usize| fields.get(i)?.parse::<f64>().ok().filter(|s| s.is_finite());
    let (reference, leap) = (fields.get(1)?, fields.get(13)?);
    let (behind, delay, dispersion) = (seconds(4)?, seconds(10)?, seconds(11)?);
    let ptp = reference.starts_with("PHC") || reference.starts_with("PTP");
    // Float to integer casts saturate.
    Some(HostClock {
        source: if ptp { "ptp" } else { "chrony" }.to_owned(),
        synchronized: *leap != "Not synchronised",
        offset_nanos: (-behind * 1e9).round() as i64,
        error_bound_nanos: ((behind.abs() + dispersion + delay / 2.0) * 1e9).round() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_chronyc_is_read() {
        let text = "A29FC87B,192.0.2.1,4,1700000000.1,-0.000012,0.00001,0.00002,-7.1,0.0,0.1,0.004,0.001,64.2,Normal\n";
        let expected = HostClock {
            source: "chrony".to_owned(),
            synchronized: true,
            offset_nanos: 12_000,
            error_bound_nanos: 3_012_000,
        };
        assert_eq!(parse_tracking(text), Some(expected));
        let unsynchronised = parse_tracking("00000000,,0,0.0,0,0,0,0,0,0,1,1,0,Not synchronised");
        assert!(unsynchronised.is_some_and(|host| !host.synchronized));
        assert!(
            parse_tracking("50484330,PHC0,1,0.0,0,0,0,0,0,0,0,0,1,Normal").is_some_and(|host| host.source == "ptp")
        );
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for text in ["", "506 Cannot talk to daemon", ",,,,,,,,,,,,,", "a,b,c,d,nan,f,g,h,i,j,inf,1,m,Normal"] {
            assert_eq!(parse_tracking(text), None, "{text}");
        }
    }
}
