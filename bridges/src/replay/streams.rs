//! Which channel of which file becomes which stream. Pure.

use std::collections::{BTreeMap, HashMap};

use sagwan_schemas::channel::ChannelDescriptor;

use super::ReplayError;
use crate::native::{
    StreamDescriptor,
    key::{escape_numbered, escape_topic, stream_key},
};

/// Most streams of one replay.
const MAX_STREAMS: usize = 4096;

/// Channels of one file by their id.
pub(super) type Channels = BTreeMap<u16, ChannelDescriptor>;
/// The stream of each channel of one file that is sent.
pub(super) type Routes = BTreeMap<u16, usize>;

/// Topics to send; `*` in a pattern stands for any text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection<'a> {
    pub(super) include: &'a [String],
    pub(super) exclude: &'a [String],
}

impl Selection<'_> {
    fn takes(&self, topic: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|p| p == topic || matches(p, topic));
        let included = if self.include.is_empty() { !topic.starts_with("/sagwan/") } else { any(self.include) };
        included && !any(self.exclude)
    }
}

/// Whether `text` is `pattern` with every `*` replaced by something. Linear in the pattern's pieces.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    for piece in middle.split('*') {
        let Some((_, after)) = text.split_once(piece) else { return false };
        text = after;
    }
    text.ends_with(last)
}

/// Streams to declare and, file by file, which channel goes to which.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) streams: Vec<StreamDescriptor>,
    pub(super) routes: Vec<Routes>,
}

/// Equal channels of different files are one stream; several equal channels in one file stay apart, as do channels that
/// have only the topic in common.
pub(super) fn plan<'a>(
    files: impl Iterator<Item = &'a Channels>,
    selection: &Selection<'_>,
) -> Result<Plan, ReplayError> {
    let mut known: HashMap<(&ChannelDescriptor, usize), usize> = HashMap::new();
    let mut topics: HashMap<&str, usize> = HashMap::new();
    let mut streams: Vec<StreamDescriptor> = Vec::new();
    let mut routes = Vec::new();
    let mut available = 0;
    for channels in files {
        let mut twins: HashMap<&ChannelDescriptor, usize> = HashMap::new();
        let mut route = Routes::new();
        available += channels.len();
        for (id, channel) in channels.iter().filter(|(_, c)| selection.takes(&c.topic)) {
            let twin = twins.entry(channel).or_default();
            let index = *known.entry((channel, *twin)).or_insert_with(|| {
                let number = topics.entry(&channel.topic).or_default();
                streams.push(describe(channel, *number, streams.len()));
                *number += 1;
                streams.len() - 1
            });
            *twin += 1;
            route.insert(*id, index);
        }
        routes.push(route);
    }
    match streams.len() {
        0 => Err(ReplayError::NothingSelected { available }),
        count if count > MAX_STREAMS => Err(ReplayError::TooManyStreams { count, max: MAX_STREAMS }),
        _ => Ok(Plan { streams, routes }),
    }
}

fn describe(channel: &ChannelDescriptor, number: usize, index: usize) -> StreamDescriptor {
    let named = if number == 0 { escape_topic(&channel.topic) } else { escape_numbered(&channel.topic, number) };
    // A topic too long for a key; no topic escapes to this.
    let stream = if stream_key(&"p".repeat(256), &named).is_ok() { named } else { format!("%={index}") };
    StreamDescriptor { stream, channel: channel.clone(), latched: false }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ALL: Selection<'_> = Selection { include: &[], exclude: &[] };

    fn channel(topic: &str, message_encoding: &str) -> ChannelDescriptor {
        ChannelDescriptor {
            topic: topic.to_owned(),
            message_encoding: message_encoding.to_owned(),
            schema: None,
            metadata: BTreeMap::new(),
        }
    }

    fn file(channels: &[(u16, &str, &str)]) -> Channels {
        channels.iter().map(|(id, topic, encoding)| (*id, channel(topic, encoding))).collect()
    }

    #[test]
    fn parts_share_streams_whatever_their_channel_ids() {
        let files = [file(&[(1, "/a", "cdr"), (2, "/b", "cdr")]), file(&[(7, "/b", "cdr"), (9, "/c", "cdr")])];
        let plan = plan(files.iter(), &ALL).unwrap();
        let names: Vec<_> = plan.streams.iter().map(|s| s.stream.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(plan.routes, [Routes::from([(1, 0), (2, 1)]), Routes::from([(7, 1), (9, 2)])]);
    }

    #[test]
    fn channels_of_one_topic_stay_apart() {
        let files = [file(&[(1, "/a", "cdr"), (2, "/a", "cdr"), (3, "/a", "json")]), file(&[(5, "/a", "json")])];
        let plan = plan(files.iter(), &ALL).unwrap();
        let names: Vec<_> = plan.streams.iter().map(|s| s.stream.as_str()).collect();
        assert_eq!(names, ["a", "a/%=1", "a/%=2"]);
        assert!(plan.streams.iter().all(|s| s.channel.topic == "/a"));
        assert_eq!(plan.routes[1], Routes::from([(5, 2)]));
    }

    #[test]
    fn topics_of_any_length_get_a_key() {
        let long = format!("/{}", "x".repeat(5000));
        let files = [file(&[(1, &long, "a"), (2, &long, "b"), (3, "/ok", "a")])];
        let plan = plan(files.iter(), &ALL).unwrap();
        let names: HashSet<_> = plan.streams.iter().map(|s| s.stream.as_str()).collect();
        assert_eq!(names, HashSet::from(["%=0", "%=1", "ok"]));
    }

    #[test]
    fn the_recorders_own_topics_must_be_asked_for() {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        for (include, exclude, expected) in [
            (&[][..], &[][..], &["/a/x", "/a/y", "b"][..]),
            (&["/sagwan/*"], &[], &["/sagwan/loss"]),
            (&["*"], &[], &["/a/x", "/a/y", "/sagwan/loss", "b"]),
            (&["/a/*", "b"], &["*/y"], &["/a/x", "b"]),
            (&[], &["/a*"], &["b"]),
            (&["/*a*x"], &[], &["/a/x"]),
        ] {
            let files = [file(&[(1, "/a/x", ""), (2, "/a/y", ""), (3, "/sagwan/loss", ""), (4, "b", "")])];
            let (include, exclude) = (owned(include), owned(exclude));
            let plan = plan(files.iter(), &Selection { include: &include, exclude: &exclude }).unwrap();
            let mut topics: Vec<_> = plan.streams.iter().map(|s| s.channel.topic.as_str()).collect();
            topics.sort_unstable();
            assert_eq!(topics, expected, "{include:?} {exclude:?}");
        }
        let files = [file(&[(3, "/sagwan/loss", "")])];
        assert!(matches!(plan(files.iter(), &ALL), Err(ReplayError::NothingSelected { available: 1 })));
    }
}
