//! Making sure that what was published has arrived, before a session is closed.
//!
//! Closing a zenoh session cuts off what its link is just writing: the last messages of a fast publisher are lost, and
//! no later number reveals it. So receivers that want everything answer on `sagwan/v1/@flush/<zid>`. Links keep the
//! order of messages of one priority, and a receiver handles them one after the other: when the answer is there, so is
//! everything that was published before the question.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{RecvTimeoutError, bounded};
use zenoh::{
    Session, Wait,
    key_expr::KeyExpr,
    qos::{CongestionControl, Priority},
    query::{ConsolidationMode, QueryTarget, Queryable},
};

use super::NativeError;

const FLUSH: &str = "sagwan/v1/@flush";

/// What became of a [`flush`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// So many receivers have everything.
    Confirmed(usize),
    /// Nobody answers such questions: nothing is known.
    Unanswered,
    /// Somebody did not answer in time.
    TimedOut,
}

/// Answers [`flush`] for everything this session receives in callbacks; until dropped.
///
/// Declare it before the subscribers: then whoever knows a subscriber knows this too.
///
/// # Errors
/// [`NativeError::Declare`].
pub fn answer_flush(session: &Session) -> Result<Queryable<()>, NativeError> {
    let key = format!("{FLUSH}/{}", session.zid());
    let declared = KeyExpr::try_from(key.clone()).and_then(|reply_key| {
        let declared = session.declare_queryable(reply_key.clone()).callback(move |query| {
            if let Err(error) = query.reply(&reply_key, "").wait() {
                tracing::warn!(key = %reply_key, %error, "reply not sent");
            }
        });
        declared.wait()
    });
    declared.map_err(|source| NativeError::Declare { what: "flush queryable", key, source })
}

/// Waits until the receivers have everything that was published with `priority` before, at most `timeout`.
#[must_use]
pub fn flush(session: &Session, priority: Priority, timeout: Duration) -> Flushed {
    let confirmed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&confirmed);
    // Nothing is sent: the channel closes when zenoh drops the callback, after the last answer.
    let (alive, ended) = bounded::<()>(0);
    let asked = session
        .get(format!("{FLUSH}/*"))
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .congestion_control(CongestionControl::Block)
        .priority(priority)
        // Longer than what is waited here, so that the end of the query always means an answer.
        .timeout(timeout.saturating_mul(2))
        .callback(move |reply| {
            let _ = &alive;
            if reply.result().is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
        .wait();
    if let Err(error) = asked {
        tracing::warn!(%error, "cannot ask whether everything has arrived");
        return Flushed::Unanswered;
    }
    match (ended.recv_timeout(timeout), confirmed.load(Ordering::Relaxed)) {
        (Err(RecvTimeoutError::Timeout), _) => Flushed::TimedOut,
        (_, 0) => Flushed::Unanswered,
        (_, receivers) => Flushed::Confirmed(receivers),
    }
}
