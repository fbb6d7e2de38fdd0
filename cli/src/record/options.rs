//! What the command line and the profile together say about a recording.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use sagwan_bridges::native::key::ALL_STREAMS;
use sagwan_recorder::{capture::Selection, recorder::Options};
use sagwan_schemas::{
    profile::{LoadedProfile, Profile, RecordingMode, example, examples},
    recording::storage::FileSystem,
    time::SystemClock,
};
use zenoh::key_expr::OwnedKeyExpr;

use crate::{
    args::{PolicyArgs, RecordArgs},
    output,
};

/// Platform of a recording without a profile.
const NO_PROFILE: &str = "recording";

/// The options of a recording.
pub(super) fn build(args: &RecordArgs) -> anyhow::Result<Options> {
    let mut profile = match &args.profile {
        Some(name) => load_profile(name)?,
        None => LoadedProfile::schemaless(NO_PROFILE),
    };
    for warning in &profile.warnings {
        output::note(warning.to_string());
    }
    apply(&args.policy, &mut profile.profile);
    let include = if args.keys.is_empty() {
        default_keys(args.profile.is_some().then_some(&profile.profile))?
    } else {
        args.keys.clone()
    };
    if include.is_empty() {
        bail!("nothing to record: the profile has no stream to record and no --key is given");
    }
    Ok(Options {
        root: args.out.clone().unwrap_or_else(|| PathBuf::from(".")),
        profile,
        selection: Selection { include, exclude: args.excludes.clone() },
        operator: args.operator.clone(),
        site: args.site.clone(),
        consent: args.consent.clone(),
        notes: args.notes.clone(),
        clock: Arc::new(SystemClock::new()),
        storage: Arc::new(FileSystem),
    })
}

/// A profile by its file name, or `example:NAME`.
pub(crate) fn load_profile(name: &str) -> anyhow::Result<LoadedProfile> {
    if let Some(example_name) = name.strip_prefix("example:") {
        let known = examples::ALL.map(|(known, _)| format!("example:{known}")).join(", ");
        let text = example(example_name).with_context(|| format!("there is no {name}; there are {known}"))?;
        return Ok(LoadedProfile::parse(text, name)?);
    }
    Ok(LoadedProfile::load(Path::new(name))?)
}

fn apply(args: &PolicyArgs, profile: &mut Profile) {
    let policy = &mut profile.recording;
    for (field, given) in [
        (&mut policy.queue, args.queue),
        (&mut policy.part_size, args.part_size),
        (&mut policy.min_free, args.min_free),
        (&mut policy.quota, args.quota),
        (&mut policy.ring_size, args.ring_size),
    ] {
        *field = given.unwrap_or(*field);
    }
    for (field, given) in [
        (&mut policy.part_duration, args.part_duration),
        (&mut policy.sync_interval, args.sync_interval),
        (&mut policy.ring_duration, args.ring_duration),
    ] {
        *field = given.unwrap_or(*field);
    }
    if args.ring {
        policy.mode = RecordingMode::Ring;
    }
}

/// The profile's streams and whatever else its platform publishes; without a profile every native stream. A key that
/// another one covers is left out: each subscription costs.
fn default_keys(profile: Option<&Profile>) -> anyhow::Result<Vec<OwnedKeyExpr>> {
    let Some(profile) = profile else {
        return Ok(vec![OwnedKeyExpr::new(ALL_STREAMS).map_err(anyhow::Error::from_boxed)?]);
    };
    let platform = &profile.platform;
    let mut keys: Vec<OwnedKeyExpr> = Vec::new();
    let streams = profile.streams.iter().filter(|stream| stream.record).map(|stream| stream.key(platform));
    for key in std::iter::once(format!("sagwan/v1/{platform}/**")).chain(streams) {
        let shown = key.clone();
        let key = OwnedKeyExpr::autocanonize(key)
            .map_err(anyhow::Error::from_boxed)
            .with_context(|| format!("{shown:?} is not a key expression"))?;
        if !keys.iter().any(|known| known.includes(&key)) {
            keys.retain(|known| !key.includes(known));
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The host's name.
pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { std::env::var("HOSTNAME").unwrap_or_else(|_| "host".to_owned()) } else { name.to_owned() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn keys_that_another_covers_are_not_subscribed_twice() {
        let profile = load_profile("example:humanoid").unwrap();
        let keys = default_keys(Some(&profile.profile)).unwrap();
        assert_eq!(keys.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["sagwan/v1/humanoid-sim/**"]);
        let mut profile = profile.profile;
        if let Some(stream) = profile.streams.first_mut() {
            stream.key = Some("lab/{platform}/{stream}".to_owned());
        }
        let keys = default_keys(Some(&profile)).unwrap();
        assert_eq!(
            keys.iter().map(|key| key.as_str()).collect::<Vec<_>>(),
            ["sagwan/v1/humanoid-sim/**", "lab/humanoid-sim/joint_states"]
        );
        assert_eq!(default_keys(None).unwrap().len(), 1);
    }

    #[test]
    fn the_command_line_wins_over_the_profile() {
        let mut profile = Profile::schemaless("x");
        let policy = PolicyArgs { queue: "1 MiB".parse().ok(), ring: true, ..PolicyArgs::default() };
        apply(&policy, &mut profile);
        assert_eq!(profile.recording.queue.0, 1 << 20);
        assert_eq!(profile.recording.mode, RecordingMode::Ring);
        assert_eq!(profile.recording.part_size, Profile::schemaless("x").recording.part_size);
    }

    #[test]
    fn an_example_that_does_not_exist_is_told_which_do() {
        let error = load_profile("example:submarine").unwrap_err().to_string();
        assert!(error.contains("example:humanoid, example:vehicle, example:vessel"), "{error}");
    }
}
