//! Finds out what the keys are, off the data path: descriptors, latched values, announcements.
//!
//! One thread asks the wire; the writer thread holds the first samples of a new source until the answer is there, at
//! most [`PATIENCE`] long.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use sagwan_bridges::native::{self, Fetched};
use sagwan_schemas::{channel::ChannelDescriptor, message::bundled};
use zenoh::{Session, Wait, key_expr::KeyExpr, pubsub::Subscriber, sample::SampleKind};

use crate::{capture::Inlet, ledger::SourceId};

/// How long a publisher may take to describe itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Questions that may wait; a further one is answered from the encoding alone.
const QUESTIONS_MAX: usize = 4_096;
/// Key expression under which native streams announce themselves.
const ANNOUNCEMENTS: &str = "sagwan/v1/**/@live/*";

/// A question to the resolver.
#[derive(Debug)]
pub(crate) enum Question {
    /// What is this source?
    Describe {
        /// The source.
        source: SourceId,
        /// Its key.
        key: String,
        /// The encoding of its first sample.
        encoding: String,
        /// Ask the wire again, although it was described before: the publisher restarted.
        again: bool,
    },
    /// A native stream announced itself.
    Announced {
        /// Its key.
        key: String,
    },
    /// No more questions.
    Stop,
}

/// What a source is.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) source: SourceId,
    pub(crate) channel: ChannelDescriptor,
    pub(crate) latched: bool,
}

/// The resolver's thread and its doors.
#[derive(Debug)]
pub(crate) struct Resolver {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    announcements: Option<Subscriber<()>>,
}

/// What a key is by its first sample's encoding alone.
pub(crate) fn describe_by_encoding(key: &str, encoding: &str) -> ChannelDescriptor {
    native::descriptor_from_encoding(key, &encoding.into(), &bundled::schema)
}

impl Resolver {
    /// Starts asking; announced streams that `inlet` selects are asked for their latched values at once.
    pub(crate) fn start(session: &Session, inlet: Arc<Inlet>) -> std::io::Result<Self> {
        let (questions, asked) = bounded(QUESTIONS_MAX);
        let (answered, answers) = bounded(QUESTIONS_MAX);
        let thread = thread::Builder::new().name("sagwan-resolve".to_owned()).spawn({
            let session = session.clone();
            move || run(&session, &inlet, &asked, &answered)
        })?;
        let announcements = session
            .liveliness()
            .declare_subscriber(ANNOUNCEMENTS)
            .history(true)
            .callback({
                let questions = questions.clone();
                move |token| {
                    if token.kind() == SampleKind::Put
                        && let Some((key, _)) = token.key_expr().as_str().split_once("/@live/")
                        && questions.try_send(Question::Announced { key: key.to_owned() }).is_err()
                    {
                        tracing::warn!(key, "too many announcements at once; its latched value may be missed");
                    }
                }
            })
            .wait();
        if let Err(error) = &announcements {
            tracing::warn!(%error, "cannot watch announcements; latched values of silent streams may be missed");
        }
        Ok(Self { questions, answers, thread: Some(thread), announcements: announcements.ok() })
    }

    /// Asks; the answer comes by [`Self::answers`]. `false` when too much is asked already.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// Answers that have arrived.
    pub(crate) fn answers(&self) -> impl Iterator<Item = Answer> + '_ {
        self.answers.try_iter()
    }

    /// No more announcements; answers still come.
    pub(crate) fn stop(&mut self) {
        self.announcements = None;
        // A full queue means that the thread is at work; it ends when the channel closes.
        self.questions.try_send(Question::Stop).ok();
    }

    /// Waits for one answer.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Answer> {
        self.answers.recv_timeout(patience).ok()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop();
        drop(std::mem::replace(&mut self.questions, bounded(0).0));
        drop(std::mem::replace(&mut self.answers, bounded(0).1));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the resolver panicked");
        }
    }
}

fn run(session: &Session, inlet: &Inlet, asked: &Receiver<Question>, answered: &Sender<Answer>) {
    let mut known: HashMap<String, Fetched> = HashMap::new();
    let mut latched_asked: HashSet<String> = HashSet::new();
    for question in asked {
        match question {
            Question::Stop => return,
            Question::Announced { key } => {
                if !KeyExpr::try_from(key.as_str()).is_ok_and(|key| inlet.selects(&key)) {
                    continue;
                }
                // Always anew: a token that appears is another instance, which may describe itself otherwise.
                if let Some(fetched) = native::fetch_descriptor(session, &key, PATIENCE) {
                    if fetched.latched {
                        latched_asked.insert(key.clone());
                        fetch_latched(session, inlet, &key);
                    }
                    known.insert(key, fetched);
                }
            }
            Question::Describe { source, key, encoding, again } => {
                if again {
                    known.remove(&key);
                }
                let fetched = match known.get(&key) {
                    Some(fetched) => Some(fetched.clone()),
                    None => native::fetch_descriptor(session, &key, PATIENCE),
                };
                let answer = match &fetched {
                    Some(fetched) => Answer { source, channel: fetched.channel.clone(), latched: fetched.latched },
                    None => Answer { source, channel: describe_by_encoding(&key, &encoding), latched: false },
                };
                if answered.send(answer).is_err() {
                    return;
                }
                if let Some(fetched) = fetched {
                    if fetched.latched && latched_asked.insert(key.clone()) {
                        fetch_latched(session, inlet, &key);
                    }
                    known.insert(key, fetched);
                }
            }
        }
    }
}

fn fetch_latched(session: &Session, inlet: &Inlet, key: &str) {
    match native::fetch_latched(session, key, PATIENCE) {
        Ok(samples) => samples.iter().for_each(|sample| inlet.receive_history(sample)),
        Err(error) => tracing::warn!(key, %error, "cannot ask for the latched value"),
    }
}
