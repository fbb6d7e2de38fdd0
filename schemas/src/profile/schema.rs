//! Names of the schemas that come with sagwan, to tell a typing error from a schema of somebody else.

use super::suggest;
use crate::message::bundled;

/// Whether a schema of this name comes with sagwan.
pub(super) fn is_known(name: &str) -> bool {
    bundled::names().any(|known| known == name)
}

/// Whether a name claims to be one of those, so that an unknown one must be an error.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("sagwan.") || name.starts_with("foxglove.")
}

/// The known name that was probably meant; a name without a package is looked for in each.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let short = |full: &'static str| full.split_once('.').map_or(full, |(_, short)| short);
    bundled::names().find(|full| short(full) == name).or_else(|| suggest::nearest(name, bundled::names()))
}
