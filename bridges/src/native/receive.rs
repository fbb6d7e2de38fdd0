//! The receiving side: what a sample says about itself, and the values that were published before one came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use crossbeam_channel::unbounded;
use sagwan_schemas::time::Timestamp;
use zenoh::{
    Session, Wait,
    bytes::{Encoding, ZBytes},
    query::{ConsolidationMode, QueryTarget, ReplyKeyExpr},
    sample::{Sample, SampleKind},
    session::EntityGlobalId,
    shm::ShmBuf,
};

use super::Attachment;

/// Most values and bytes that one [`fetch_latched`] keeps.
const MAX_LATCHED_SAMPLES: usize = 4096;
const MAX_LATCHED_BYTES: usize = 256 * 1024 * 1024;

/// What a sample of any dialect says about itself; nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Key it was published on.
    pub key: &'a str,
    /// The message. Small ones share a 64 KiB receive buffer with others that stays alive as long as any of them:
    /// [`copy_payload`] what is kept for long.
    pub payload: &'a ZBytes,
    /// What the message is.
    pub encoding: &'a Encoding,
    /// Present if the attachment has the size of a native one; other attachments are not looked at.
    pub native: Option<Attachment>,
    /// The hybrid logical clock's stamp, from the publisher or the first router that stamps.
    pub stamped: Option<Timestamp>,
    /// zenoh's own numbering, from publishers that use it.
    pub source: Option<Source>,
    /// A deletion instead of a value; its payload is empty.
    pub is_delete: bool,
}

/// zenoh's own numbering of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Which publisher of which session.
    pub id: EntityGlobalId,
    /// Number of the message; wraps.
    pub sequence: u32,
}

impl Received<'_> {
    /// The contract's publish time: the stamp if there is one, else the capture time, else `log_time`.
    #[must_use]
    pub fn publish_time(&self, log_time: Timestamp) -> Timestamp {
        self.stamped.or(self.native.map(|n| n.capture_time)).unwrap_or(log_time)
    }
}

/// Reads what surrounds the payload; cheap enough for the receive callback.
#[must_use]
pub fn classify(sample: &Sample) -> Received<'_> {
    Received {
        key: sample.key_expr().as_str(),
        payload: sample.payload(),
        encoding: sample.encoding(),
        native: sample.attachment().and_then(|bytes| Attachment::from_zbytes(bytes).ok()),
        stamped: sample.timestamp().map(|t| Timestamp::from_ntp64(t.get_time().as_u64())),
        source: sample.source_info().map(|s| Source { id: *s.source_id(), sequence: s.source_sn() }),
        is_delete: sample.kind() == SampleKind::Delete,
    }
}

/// Why a payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Its shared memory was taken back by the publisher before it was copied: the bytes are not trustworthy.
    #[error("shared memory of {length} bytes was reclaimed by its publisher before it was read")]
    Reclaimed {
        /// Bytes the payload had.
        length: usize,
    },
}

/// The payload in memory of its own: neither a shared-memory segment nor a receive buffer stays in use.
///
/// # Errors
/// [`PayloadError::Reclaimed`] for shared memory that is not valid any more when the copy is complete.
pub fn copy_payload(payload: &ZBytes) -> Result<Bytes, PayloadError> {
    let mut copy = Vec::with_capacity(payload.len());
    for slice in payload.slices() {
        copy.extend_from_slice(slice);
    }
    // After the copy: a segment that is valid now was valid all the time.
    match payload.as_shm().map(|shm| ShmBuf::is_valid(&shm)) {
        Some(false) => Err(PayloadError::Reclaimed { length: payload.len() }),
        _ => Ok(Bytes::from(copy)),
    }
}

/// Values published before now, of native latched streams and of zenoh-ext's `AdvancedPublisher` caches.
///
/// `key_expr` may have wildcards. Blocks until everybody answered, at most `timeout`. The order is that of arrival, and
/// a value may also come by subscription: tell them apart by [`Attachment`] or stamp. At most 4096 values and 256 MiB
/// are kept.
///
/// # Errors
/// zenoh's, if `key_expr` is none or the session is closed.
pub fn fetch_latched(session: &Session, key_expr: &str, timeout: Duration) -> zenoh::Result<Vec<Sample>> {
    let deadline = Instant::now() + timeout;
    // Bounded by the budget and not by the channel: zenoh may call back inside `get` itself.
    let (sender, receiver) = unbounded();
    let budget = Arc::new(Budget::default());
    // zenoh-ext: the cache of a publisher on <key> answers on <key>/@adv/pub/<zid>/<eid or uhlc>/<meta or _>, with
    // samples whose key is <key>.
    for selector in [key_expr.to_owned(), format!("{key_expr}/@adv/pub/**")] {
        let (sender, budget) = (sender.clone(), Arc::clone(&budget));
        session
            .get(selector)
            .target(QueryTarget::All)
            .consolidation(ConsolidationMode::None)
            .accept_replies(ReplyKeyExpr::Any)
            .timeout(timeout)
            .callback(move |reply| {
                if let Ok(sample) = reply.into_result()
                    && budget.admits(&sample)
                {
                    // The receiver is gone when the time is up.
                    sender.send(sample).ok();
                }
            })
            .wait()?;
    }
    drop(sender);
    let samples = std::iter::from_fn(|| receiver.recv_deadline(deadline).ok()).collect();
    let refused = budget.refused.load(Ordering::Relaxed);
    if refused > 0 {
        tracing::warn!(key_expr, refused, "more latched values than are kept");
    }
    Ok(samples)
}

/// What one [`fetch_latched`] may still keep.
#[derive(Debug, Default)]
struct Budget {
    samples: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicUsize,
}

impl Budget {
    fn admits(&self, sample: &Sample) -> bool {
        let length = sample.payload().len();
        let admitted = self.samples.fetch_add(1, Ordering::Relaxed) < MAX_LATCHED_SAMPLES
            && self.bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length) <= MAX_LATCHED_BYTES;
        if !admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}
