//! What a stream is for in a dataset, as written in a profile's `role`.

/// The forms a role may have, for messages to people.
pub(super) const FORMS: &str = "observation.state[.x], observation.images.<camera>, observation.<x>, action[.x], \
                                task, context[.x], or nothing; names are small letters, digits and `_`";

/// A role, parsed. The names are what follows the form's own words, e.g. `left_hand` of `action.left_hand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role<'a> {
    /// Recorded, not exported.
    None,
    /// `observation.state[.x]`: what the platform measures of itself.
    State(Option<&'a str>),
    /// `observation.images.<camera>`.
    Image(&'a str),
    /// `observation.<x>`: any other observation.
    Observation(&'a str),
    /// `action[.x]`: what the platform is told.
    Action(Option<&'a str>),
    /// `task`: the instruction.
    Task,
    /// `context[.x]`: kept for people and analysis, not for training.
    Context(Option<&'a str>),
}

impl<'a> Role<'a> {
    /// Reads a role; `None` if the text has none of the forms.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        if text == "task" {
            return Some(Self::Task);
        }
        if !text.split('.').all(is_name) {
            return None;
        }
        let (word, rest) = split(text);
        match (word, rest) {
            ("action", name) => Some(Self::Action(name)),
            ("context", name) => Some(Self::Context(name)),
            ("observation", Some(observed)) => match split(observed) {
                ("state", name) => Some(Self::State(name)),
                ("images", camera) => camera.filter(|camera| !camera.contains('.')).map(Self::Image),
                _ => Some(Self::Observation(observed)),
            },
            _ => None,
        }
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('.').map_or((text, None), |(word, rest)| (word, Some(rest)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_by_their_grammar() {
        for (text, expected) in [
            ("", Some(Role::None)),
            ("task", Some(Role::Task)),
            ("action", Some(Role::Action(None))),
            ("action.left_hand", Some(Role::Action(Some("left_hand")))),
            ("observation.state", Some(Role::State(None))),
            ("observation.state.a.b", Some(Role::State(Some("a.b")))),
            ("observation.images.head", Some(Role::Image("head"))),
            ("observation.imu", Some(Role::Observation("imu"))),
            ("context", Some(Role::Context(None))),
            ("observation", None),
            ("observation.images", None),
            ("observation.images.a.b", None),
            ("observation.", None),
            ("task.x", None),
            ("action.Left", None),
            ("label", None),
        ] {
            assert_eq!(Role::parse(text), expected, "{text:?}");
        }
    }
}
