//! Rules of coordinate frames: they form trees, and their rotations are rotations.

use std::collections::BTreeMap;

use super::Names;
use crate::profile::{
    FrameSpec, Profile,
    problem::{Problems, shortened},
    read::Document,
    suggest,
};

/// How far the length of a quaternion may be from 1: six digits written by hand are well inside.
const UNIT_TOLERANCE: f64 = 1e-3;

pub(super) fn check(profile: &Profile, document: &Document<'_>, problems: &mut Problems<'_>) {
    let mut names = Names::new("frame");
    for (index, frame) in profile.frames.iter().enumerate() {
        let place = document.item("frame", index, "name");
        if is_frame_name(&frame.name) {
            names.unique(&frame.name, place, problems);
        } else {
            let message = format!("{:?} is not a frame name", shortened(&frame.name));
            problems.error(&place, message, "use 1 to 64 letters, digits, `_`, `-`, `.` and `/`");
        }
        numbers(index, frame, document, problems);
    }
    parents(&profile.frames, document, problems);
}

/// Wider than the names of streams: these names are those of the robot's description.
fn is_frame_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
}

fn numbers(index: usize, frame: &FrameSpec, document: &Document<'_>, problems: &mut Problems<'_>) {
    for (key, expected) in [("translation", 3), ("rotation", 4)] {
        if let Some(found) = document.array_len("frame", index, key).filter(|found| *found != expected) {
            let message = format!("{key} has {found} numbers, not {expected}");
            problems.error(&document.item("frame", index, key), message, "");
        }
    }
    if !frame.translation.iter().all(|metres| metres.is_finite()) {
        let place = document.item("frame", index, "translation");
        problems.error(&place, "the translation is not finite", "write x, y, z in metres");
    }
    let length = frame.rotation.iter().map(|c| c * c).sum::<f64>().sqrt();
    // Written so that a length that is not a number is an error too.
    if (length - 1.0).abs().partial_cmp(&UNIT_TOLERANCE) != Some(std::cmp::Ordering::Less) {
        let message = format!("the rotation has length {length:.4}, not 1");
        let help = "write a unit quaternion x, y, z, w; no rotation is [0.0, 0.0, 0.0, 1.0]";
        problems.error(&document.item("frame", index, "rotation"), message, help);
    }
}

fn parents(frames: &[FrameSpec], document: &Document<'_>, problems: &mut Problems<'_>) {
    // Of frames with the same name, which is an error already, the first counts.
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, frame) in frames.iter().enumerate() {
        by_name.entry(&frame.name).or_insert(index);
    }
    let mut parent_of: Vec<Option<usize>> = Vec::with_capacity(frames.len());
    for (index, frame) in frames.iter().enumerate() {
        let parent = by_name.get(frame.parent.as_str()).copied();
        if parent.is_none() && !frame.parent.is_empty() {
            let message = format!("frame {:?} does not exist", shortened(&frame.parent));
            let help = suggest::nearest(&frame.parent, by_name.keys().copied())
                .map_or_else(|| "declare it in a `[[frame]]`".to_owned(), |name| format!("did you mean {name:?}?"));
            problems.error(&document.item("frame", index, "parent"), message, help);
        }
        parent_of.push(parent);
    }
    for index in cycles(&parent_of) {
        let name = frames.get(index).map(|frame| shortened(&frame.name)).unwrap_or_default();
        let message = format!("frame {name:?} is its own ancestor");
        problems.error(&document.item("frame", index, "parent"), message, "leave `parent` out in the root of the tree");
    }
}

/// One member of each cycle: the one that comes first in the file.
fn cycles(parent_of: &[Option<usize>]) -> Vec<usize> {
    // In which walk a frame was visited; every frame is visited once.
    let mut walk_of: Vec<Option<usize>> = vec![None; parent_of.len()];
    let mut found = Vec::new();
    for start in 0..parent_of.len() {
        let mut next = Some(start);
        while let Some(index) = next {
            match walk_of.get(index).copied().flatten() {
                Some(walk) if walk == start => {
                    found.push(first_member(parent_of, index));
                    break;
                }
                Some(_) => break,
                None => {}
            }
            if let Some(walk) = walk_of.get_mut(index) {
                *walk = Some(start);
            }
            next = parent_of.get(index).copied().flatten();
        }
    }
    found
}

/// The smallest index on the cycle that `member` is on.
fn first_member(parent_of: &[Option<usize>], member: usize) -> usize {
    let mut first = member;
    let mut next = parent_of.get(member).copied().flatten();
    while let Some(index) = next.filter(|index| *index != member) {
        first = first.min(index);
        next = parent_of.get(index).copied().flatten();
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cycle_is_found_once_and_trees_have_none() {
        for (parents, expected) in [
            (vec![], vec![]),
            (vec![None, Some(0), Some(1), Some(0)], vec![]),
            (vec![Some(0)], vec![0]),
            (vec![Some(1), Some(2), Some(1), Some(0)], vec![1]),
            (vec![Some(1), Some(0), Some(3), Some(2)], vec![0, 2]),
        ] {
            assert_eq!(cycles(&parents), expected, "{parents:?}");
        }
    }
}
