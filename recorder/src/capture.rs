//! From the wire into the queue: subscriptions, and what the receive callback does.
//!
//! The callback stamps, finds the source of the key and pushes; everything slow happens elsewhere.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use sagwan_bridges::native;
use sagwan_schemas::{profile::Profile, stream::Class, time::Clock};
use zenoh::{
    Session, Wait,
    key_expr::{KeyExpr, OwnedKeyExpr},
    pubsub::Subscriber,
    qos::CongestionControl,
    sample::Sample,
};

use crate::{
    ledger::{Numbering, SourceId},
    queue::{CaptureQueue, Discovery, SampleHead},
};

/// Keys of one recording that get a channel of their own.
const KEYS_MAX: usize = 16_384;

/// What to capture.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Key expressions to record.
    pub include: Vec<OwnedKeyExpr>,
    /// Key expressions not to record, whatever `include` says.
    pub exclude: Vec<OwnedKeyExpr>,
}

impl Selection {
    /// The first of the key expressions to record that matches `key`, unless it is excluded. With overlapping key
    /// expressions a sample arrives once for each, and only its owner takes it.
    #[must_use]
    pub fn owner(&self, key: &KeyExpr<'_>) -> Option<usize> {
        let excluded = self.exclude.iter().any(|exclude| exclude.intersects(key));
        if excluded { None } else { self.include.iter().position(|include| include.intersects(key)) }
    }
}

/// Capturing could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// zenoh refused a subscription.
    #[error("cannot subscribe to {key}")]
    Subscribe {
        /// The key expression.
        key: OwnedKeyExpr,
        /// Why.
        #[source]
        source: zenoh::Error,
    },
}

/// Where the samples of a key go.
#[derive(Clone, Copy, Debug)]
enum Route {
    Record {
        source: SourceId,
        class: Class,
    },
    /// Excluded.
    Ignore,
}

/// What the receive callbacks share.
#[derive(Debug)]
pub(crate) struct Inlet {
    queue: Arc<CaptureQueue>,
    clock: Arc<dyn Clock>,
    selection: Selection,
    profile: Arc<Profile>,
    block_wait: Duration,
    routes: RwLock<Routes>,
}

#[derive(Debug, Default)]
struct Routes {
    by_key: HashMap<Box<str>, Route>,
    sources: u32,
    /// Where samples of further keys are counted as shed.
    overflow: Option<SourceId>,
}

impl Inlet {
    pub(crate) fn new(
        queue: Arc<CaptureQueue>,
        clock: Arc<dyn Clock>,
        selection: Selection,
        profile: Arc<Profile>,
    ) -> Self {
        let block_wait = profile.recording.block_wait.0;
        Self { queue, clock, selection, profile, block_wait, routes: RwLock::default() }
    }

    /// Takes a sample of subscription `subscription`.
    fn receive(&self, subscription: usize, sample: &Sample) {
        // A key that two subscriptions match arrives once for each.
        if self.selection.include.len() > 1 && self.owner(sample.key_expr()) != Some(subscription) {
            return;
        }
        self.take_in(sample, false);
    }

    /// Takes a value that was published earlier and came as the answer to a query.
    pub(crate) fn receive_history(&self, sample: &Sample) {
        self.take_in(sample, true);
    }

    /// Whether the samples of `key` are recorded.
    pub(crate) fn selects(&self, key: &KeyExpr<'_>) -> bool {
        self.owner(key).is_some() && !self.selection.exclude.iter().any(|exclude| exclude.intersects(key))
    }

    fn take_in(&self, sample: &Sample, history: bool) {
        let log_time = self.clock.wall();
        let received = native::classify(sample);
        if received.is_delete {
            return;
        }
        let route = self.routes.read().by_key.get(received.key).copied();
        let route = route.unwrap_or_else(|| self.discover(sample));
        let Route::Record { source, class } = route else { return };
        let head = SampleHead {
            source,
            numbering: received.native.map_or_else(
                || {
                    received.source.map(|source| Numbering {
                        sequence: source.sequence.into(),
                        instance: Some(instance_of(&source)),
                    })
                },
                |native| Some(Numbering { sequence: native.sequence, instance: native.instance }),
            ),
            capture_time: received.native.map(|native| native.capture_time),
            publish_time: received.publish_time(log_time),
            has_hlc: received.stamped.is_some(),
            history,
            log_time,
        };
        // A publisher that asked for `Block` rather waits than loses; the others must not be held up.
        let patience = match sample.congestion_control() {
            CongestionControl::Drop => Duration::ZERO,
            _ => self.block_wait,
        };
        let mut slices = received.payload.slices();
        match (slices.next(), slices.next()) {
            (None, _) => self.queue.push(head, class, &[], patience),
            (Some(only), None) => self.queue.push(head, class, &[only], patience),
            (Some(first), Some(second)) => {
                let pieces: Vec<&[u8]> = [first, second].into_iter().chain(slices).collect();
                self.queue.push(head, class, &pieces, patience)
            }
        };
    }

    /// The first subscription that matches a key.
    fn owner(&self, key: &KeyExpr<'_>) -> Option<usize> {
        self.selection.include.iter().position(|include| include.intersects(key))
    }

    fn discover(&self, sample: &Sample) -> Route {
        let key = sample.key_expr();
        let mut routes = self.routes.write();
        if let Some(route) = routes.by_key.get(key.as_str()) {
            return *route;
        }
        let stream = self.profile.stream_for_key(key.as_str());
        let excluded = self.selection.exclude.iter().any(|exclude| exclude.intersects(key))
            || stream.is_some_and(|stream| !stream.record);
        let class = stream.map_or_else(Class::default, |stream| stream.class);
        let announce = |routes: &mut Routes, key: &str| {
            let source = SourceId(routes.sources);
            routes.sources += 1;
            let encoding = sample.encoding().to_string();
            self.queue.discover(Discovery { source, key: key.to_owned(), encoding, class });
            source
        };
        if excluded {
            routes.by_key.insert(key.as_str().into(), Route::Ignore);
            return Route::Ignore;
        }
        if routes.by_key.len() >= KEYS_MAX {
            let source = match routes.overflow {
                Some(source) => source,
                None => {
                    tracing::error!(KEYS_MAX, "more keys than a recording holds; narrow --key or use --exclude");
                    let source = announce(&mut routes, "sagwan/overflow");
                    routes.overflow = Some(source);
                    source
                }
            };
            return Route::Record { source, class };
        }
        let route = Route::Record { source: announce(&mut routes, key.as_str()), class };
        routes.by_key.insert(key.as_str().into(), route);
        route
    }
}

/// zenoh tells publishers apart by session and entity, not by a start time.
fn instance_of(source: &native::Source) -> i64 {
    let mut hasher = DefaultHasher::new();
    source.id.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// The subscriptions of a recording; nothing arrives after it is dropped.
#[derive(Debug)]
pub(crate) struct Capture {
    subscribers: Vec<Subscriber<()>>,
}

impl Capture {
    pub(crate) fn begin(session: &Session, inlet: &Arc<Inlet>) -> Result<Self, CaptureError> {
        let subscribe = |(index, key): (usize, &OwnedKeyExpr)| {
            let inlet = Arc::clone(inlet);
            session
                .declare_subscriber(key)
                .callback(move |sample| inlet.receive(index, &sample))
                .wait()
                .map_err(|source| CaptureError::Subscribe { key: key.clone(), source })
        };
        let subscribers = inlet.selection.include.iter().enumerate().map(subscribe).collect::<Result<_, _>>()?;
        Ok(Self { subscribers })
    }

    /// Ends the subscriptions; what was received is in the queue.
    pub(crate) fn end(self) {
        for subscriber in self.subscribers {
            if let Err(error) = subscriber.undeclare().wait() {
                tracing::warn!(%error, "a subscription could not be ended");
            }
        }
    }
}
