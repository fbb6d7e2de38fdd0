//! The sending side of the native dialect: numbers its messages, announces itself, answers for its schema.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use sagwan_schemas::time::{Clock, SystemClock, Timestamp};
use zenoh::{
    Session, Wait,
    bytes::{Encoding, ZBytes},
    key_expr::KeyExpr,
    liveliness::LivelinessToken,
    qos::{CongestionControl, Priority},
    query::{Query, Queryable},
};

use super::{
    Attachment, KeyError, StreamDescriptor,
    descriptor::schema_reply,
    encoding,
    key::{check, live_key, schema_key, stream_key},
};

/// What to do when the network takes messages slower than they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// `put` waits; zenoh closes the link after `transport/link/tx/queue/congestion_control/block/wait_before_close`
    /// (5 s) without progress.
    #[default]
    Block,
    /// The message is dropped; receivers see a gap in the sequence.
    Drop,
}

impl From<Congestion> for CongestionControl {
    fn from(congestion: Congestion) -> Self {
        match congestion {
            Congestion::Block => Self::Block,
            Congestion::Drop => Self::Drop,
        }
    }
}

/// How a stream is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherOptions {
    /// What to do when the network is slower; default [`Congestion::Block`].
    pub congestion: Congestion,
    /// zenoh priority; default `Data`.
    pub priority: Priority,
    /// Send each message at once instead of batching; default off.
    pub express: bool,
    /// Key to use instead of `sagwan/v1/<platform>/<stream>`; a plain key is legal.
    pub key: Option<String>,
    /// Whether to declare the liveliness token; default on.
    pub announce: bool,
    /// When this instance started; default now. Given, the attachment bytes are the same in every run.
    pub instance: Option<Timestamp>,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            congestion: Congestion::Block,
            priority: Priority::Data,
            express: false,
            key: None,
            announce: true,
            instance: None,
        }
    }
}

/// Why a stream could not be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// Platform, stream or key cannot be a key.
    #[error("stream `{stream}` has no legal key")]
    Key {
        /// The stream.
        stream: String,
        /// Which rule is broken.
        source: KeyError,
    },
    /// zenoh refused a declaration.
    #[error("cannot declare the {what} of {key}")]
    Declare {
        /// Publisher, token or queryable.
        what: &'static str,
        /// Its key.
        key: String,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
    /// zenoh refused a message; its sequence number is used up, so receivers count it as lost.
    #[error("cannot publish message {sequence} on {key}")]
    Put {
        /// Key of the stream.
        key: String,
        /// Number of the message.
        sequence: u64,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
    /// zenoh could not say or tell whether somebody subscribes.
    #[error("cannot watch for subscribers of {key}")]
    Matching {
        /// Key of the stream.
        key: String,
        /// What zenoh says about it.
        source: zenoh::Error,
    },
}

/// A published stream. Token and queryables live until it is dropped.
///
/// Calls of `put` from several threads are numbered in the order in which they reach the wire.
#[derive(Debug)]
pub struct Publisher {
    key: String,
    session: Session,
    publisher: zenoh::pubsub::Publisher<'static>,
    numbering: Mutex<Numbering>,
    last: Option<LastValue>,
    schema_requests: Arc<AtomicU64>,
    _queryables: Vec<Queryable<()>>,
}

/// Last message of a latched stream. Its lock is never held while the network is waited for.
type LastValue = Arc<Mutex<Option<(ZBytes, Attachment)>>>;

#[derive(Debug)]
struct Numbering {
    next: u64,
    instance: i64,
    token: Option<LivelinessToken>,
}

impl Numbering {
    fn take(&mut self) -> u64 {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        sequence
    }
}

impl Publisher {
    /// Declares the stream. Schema and latched queryable come first and the announcement last, so that whoever sees the
    /// announcement gets an answer.
    ///
    /// # Errors
    /// [`NativeError::Key`] and [`NativeError::Declare`]; nothing stays declared.
    pub fn declare(
        session: &Session,
        platform: &str,
        descriptor: StreamDescriptor,
        options: PublisherOptions,
    ) -> Result<Self, NativeError> {
        let key = options.key.map_or_else(|| stream_key(platform, &descriptor.stream), |key| check(&key).map(|()| key));
        let key = key.map_err(|source| NativeError::Key { stream: descriptor.stream.clone(), source })?;
        let encoding = encoding::of_channel(&descriptor.channel);
        let last: Option<LastValue> = descriptor.latched.then(LastValue::default);
        let schema_requests = Arc::new(AtomicU64::new(0));
        let mut queryables = vec![answer_schema(session, &key, descriptor, &schema_requests)?];
        if let Some(last) = &last {
            queryables.push(answer_last(session, &key, last, &encoding)?);
        }
        let publisher = session
            .declare_publisher(key.clone())
            .encoding(encoding)
            .congestion_control(options.congestion.into())
            .priority(options.priority)
            .express(options.express)
            .wait()
            .map_err(|source| NativeError::Declare { what: "publisher", key: key.clone(), source })?;
        let instance = options.instance.unwrap_or_else(|| SystemClock::new().wall()).as_nanos();
        let token = if options.announce { Some(announce(session, &key, instance)?) } else { None };
        let numbering = Mutex::new(Numbering { next: 0, instance, token });
        Ok(Self { key, session: session.clone(), publisher, numbering, last, schema_requests, _queryables: queryables })
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When this instance started, ns UTC.
    #[must_use]
    pub fn instance(&self) -> i64 {
        self.numbering.lock().instance
    }

    /// Sends one message and returns its number.
    ///
    /// # Errors
    /// [`NativeError::Put`]; the number is used up.
    pub fn put(&self, payload: impl Into<ZBytes>, capture_time: Timestamp) -> Result<u64, NativeError> {
        let payload = payload.into();
        let mut numbering = self.numbering.lock();
        let sequence = numbering.take();
        let attachment = Attachment { sequence, capture_time, instance: Some(numbering.instance) };
        if let Some(last) = &self.last {
            *last.lock() = Some((payload.clone(), attachment));
        }
        // The lock is held until zenoh has taken the message: numbers reach the wire in order.
        let sent = self.publisher.put(payload).attachment(attachment.encode()).wait();
        sent.map_err(|source| NativeError::Put { key: self.key.clone(), sequence, source })?;
        Ok(sequence)
    }

    /// Uses up a number without sending: to every receiver a lost message. Returns the number.
    pub fn skip(&self) -> u64 {
        self.numbering.lock().take()
    }

    /// Begins anew as a restarted process would: another instance, numbers from 0.
    ///
    /// # Errors
    /// [`NativeError::Declare`] if the new announcement fails; the numbering is the new one all the same.
    pub fn restart(&self) -> Result<(), NativeError> {
        let mut numbering = self.numbering.lock();
        // Later than the last one even if the clock was set back.
        let instance = SystemClock::new().wall().as_nanos().max(numbering.instance.saturating_add(1));
        let announced = numbering.token.take().is_some();
        *numbering = Numbering { next: 0, instance, token: None };
        if announced {
            numbering.token = Some(announce(&self.session, &self.key, instance)?);
        }
        Ok(())
    }

    /// How often its schema was asked for. Recorders do it once, some time after the announcement.
    #[must_use]
    pub fn schema_requests(&self) -> u64 {
        self.schema_requests.load(Ordering::Relaxed)
    }

    /// Whether somebody subscribes to it now.
    ///
    /// # Errors
    /// [`NativeError::Matching`] if the session is closed.
    pub fn has_subscriber(&self) -> Result<bool, NativeError> {
        let status = self.publisher.matching_status().wait();
        status.map(|s| s.matching()).map_err(|source| NativeError::Matching { key: self.key.clone(), source })
    }

    /// Calls `changed` with true when the first subscriber comes and with false when the last has gone, until the
    /// publisher is dropped. What is true already is not reported: see [`Publisher::has_subscriber`].
    ///
    /// # Errors
    /// [`NativeError::Matching`] if the session is closed.
    pub fn on_subscribers(&self, changed: impl Fn(bool) + Send + Sync + 'static) -> Result<(), NativeError> {
        let declared = self.publisher.matching_listener().callback(move |s| changed(s.matching())).background().wait();
        declared.map_err(|source| NativeError::Matching { key: self.key.clone(), source })
    }
}

fn announce(session: &Session, key: &str, instance: i64) -> Result<LivelinessToken, NativeError> {
    let declared = session.liveliness().declare_token(live_key(key, instance)).wait();
    declared.map_err(|source| NativeError::Declare { what: "liveliness token", key: key.to_owned(), source })
}

fn answer_schema(
    session: &Session,
    key: &str,
    descriptor: StreamDescriptor,
    requests: &Arc<AtomicU64>,
) -> Result<Queryable<()>, NativeError> {
    let reply = schema_reply(descriptor);
    let requests = Arc::clone(requests);
    let payload = ZBytes::from(reply.payload);
    let attachment = ZBytes::from(reply.attachment);
    let answer = move |reply_key: &KeyExpr<'static>, query: &Query| {
        let answer = query.reply(reply_key, payload.clone()).encoding(reply.encoding.clone());
        answer.attachment(attachment.clone()).wait()?;
        // After the answer: who sees the count may drop the publisher.
        requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    queryable(session, schema_key(key), "schema queryable", answer)
}

fn answer_last(
    session: &Session,
    key: &str,
    last: &LastValue,
    encoding: &Encoding,
) -> Result<Queryable<()>, NativeError> {
    let (last, encoding) = (Arc::clone(last), encoding.clone());
    let answer = move |reply_key: &KeyExpr<'static>, query: &Query| {
        let value = last.lock().clone();
        let Some((payload, attachment)) = value else { return Ok(()) };
        query.reply(reply_key, payload).encoding(encoding.clone()).attachment(attachment.encode()).wait()
    };
    queryable(session, key.to_owned(), "latched queryable", answer)
}

fn queryable(
    session: &Session,
    key: String,
    what: &'static str,
    answer: impl Fn(&KeyExpr<'static>, &Query) -> zenoh::Result<()> + Send + Sync + 'static,
) -> Result<Queryable<()>, NativeError> {
    let declared = KeyExpr::try_from(key.clone()).and_then(|reply_key| {
        let declared = session.declare_queryable(reply_key.clone()).callback(move |query| {
            if let Err(error) = answer(&reply_key, &query) {
                tracing::warn!(key = %reply_key, %error, "reply not sent");
            }
        });
        declared.wait()
    });
    declared.map_err(|source| NativeError::Declare { what, key, source })
}
