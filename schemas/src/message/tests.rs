//! What the views hold of what was sent, and what they refuse.

mod filled;
mod protobuf;
mod recordings;
mod value;

use super::bundled;

/// Names of the bundled schemas that have a view.
fn viewed() -> impl Iterator<Item = &'static str> {
    bundled::names().filter(|name| super::protobuf::has_view(name))
}
