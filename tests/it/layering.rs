//! Which crate may know which: the arrows of ARCHITECTURE.md, read from `cargo metadata` and `Cargo.lock`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Each of our crates, and which of ours it may use in its program. Whoever adds a crate says here what it may know.
const ARROWS: [(&str, &[&str]); 6] = [
    ("sagwan-schemas", &[]),
    ("sagwan-bridges", &["sagwan-schemas"]),
    ("sagwan-recorder", &["sagwan-bridges", "sagwan-schemas"]),
    ("sagwan-datasets", &["sagwan-schemas"]),
    ("sagwan", &["sagwan-bridges", "sagwan-datasets", "sagwan-recorder", "sagwan-schemas"]),
    ("sagwan-tests", &["sagwan-bridges", "sagwan-datasets", "sagwan-recorder", "sagwan-schemas"]),
];

/// Crates whose whole tree must be free of others, told by the beginnings of their names.
const FREE_OF: [(&str, &[&str]); 5] = [
    ("sagwan-schemas", &["zenoh", "tokio", "egui", "eframe", "wgpu", "winit", "ratatui", "clap"]),
    ("sagwan-datasets", &["zenoh", "tokio", "egui", "eframe", "wgpu", "winit", "ratatui", "clap"]),
    ("sagwan-bridges", &["egui", "eframe", "wgpu", "winit", "ratatui", "clap"]),
    ("sagwan-recorder", &["egui", "eframe", "wgpu", "winit", "ratatui", "clap"]),
    ("sagwan", &["openssl-sys", "native-tls", "protobuf-src"]),
];

/// What only the program itself may use directly: terminals, arguments, errors without a type.
const ONLY_FOR_THE_PROGRAM: [&str; 6] = ["anyhow", "clap", "clap_complete", "indicatif", "ratatui", "signal-hook"];

/// Our crates with their dependencies as `(name, kind)`; kind is `normal`, `build` or `dev`.
fn direct_dependencies() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Without dependencies nothing is resolved, so neither a network nor other platforms' crates are needed.
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path"])
        .arg(Path::new(ROOT).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let dependency = |one: &Value| (text(one, "name"), one["kind"].as_str().unwrap_or("normal").to_owned());
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (text(package, "name"), dependencies.iter().map(dependency).collect())
        })
        .collect()
}

/// Every package of `Cargo.lock` with the names of what it may pull in: on every platform, with every feature.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let lock = fs::read_to_string(Path::new(ROOT).join("Cargo.lock")).unwrap();
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');
        let listed = package.split_once("dependencies = [").map_or("", |(_, list)| list);
        let names = listed.split('"').skip(1).step_by(2).filter_map(|entry| entry.split(' ').next());
        // Versions of one crate are taken together: what one of them needs counts for all.
        packages.entry(name.to_owned()).or_default().extend(names.map(str::to_owned));
    }
    packages
}

/// A way from `from` to a package whose name begins with `to`, if there is one.
fn way(
    packages: &BTreeMap<String, BTreeSet<String>>,
    first: &BTreeSet<String>,
    from: &str,
    to: &str,
) -> Option<Vec<String>> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<Vec<&str>> = first.iter().map(|name| vec![from, name.as_str()]).collect();
    while let Some(path) = open.pop() {
        let last = *path.last()?;
        if last.starts_with(to) {
            return Some(path.into_iter().map(str::to_owned).collect());
        }
        if seen.insert(last) {
            let next = packages.get(last).into_iter().flatten();
            open.extend(next.map(|name| [path.as_slice(), &[name.as_str()]].concat()));
        }
    }
    None
}

#[test]
fn every_crate_uses_only_those_of_ours_that_it_may_know() {
    let crates = direct_dependencies();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    assert_eq!(found, known, "ARROWS must name every crate of the workspace");
    for (name, allowed) in ARROWS {
        for (dependency, kind) in &crates[name] {
            // The tests' support may be used by tests of any crate above the libraries.
            let is_test = kind == "dev" && dependency == "sagwan-tests" && name == "sagwan";
            let is_ours = known.contains(dependency.as_str());
            assert!(
                !is_ours || is_test || allowed.contains(&dependency.as_str()),
                "{name} must not know {dependency} ({kind} dependency); see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn recorder_and_datasets_share_nothing_but_what_is_on_disk() {
    let crates = direct_dependencies();
    for (one, other) in [("sagwan-recorder", "sagwan-datasets"), ("sagwan-datasets", "sagwan-recorder")] {
        assert!(crates[one].iter().all(|(name, _)| name != other), "{one} must not know {other}");
    }
    assert!(crates["sagwan-datasets"].iter().all(|(name, _)| name != "sagwan-bridges"));
}

#[test]
fn libraries_know_no_terminal_and_give_errors_a_type() {
    for (name, dependencies) in direct_dependencies() {
        let found: Vec<_> =
            dependencies.iter().filter(|(other, _)| ONLY_FOR_THE_PROGRAM.contains(&other.as_str())).collect();
        assert!(name == "sagwan" || found.is_empty(), "{name} must not use {found:?}; only cli does");
    }
}

#[test]
fn the_trees_of_libraries_are_free_of_what_they_must_not_know() {
    let (crates, packages) = (direct_dependencies(), locked());
    for (name, forbidden) in FREE_OF {
        let first: BTreeSet<String> =
            crates[name].iter().filter(|(_, kind)| kind != "dev").map(|(dependency, _)| dependency.clone()).collect();
        assert!(first.iter().all(|dependency| packages.contains_key(dependency)), "Cargo.lock is not up to date");
        for prefix in forbidden {
            let way = way(&packages, &first, name, prefix);
            assert!(way.is_none(), "{name} must not pull in {prefix}: {}", way.unwrap_or_default().join(" → "));
        }
    }
}

#[test]
fn a_way_is_found_through_several_crates_and_around_circles() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let packages = BTreeMap::from([
        ("a".to_owned(), set(&["b"])),
        ("b".to_owned(), set(&["a", "zenoh-core"])),
        ("c".to_owned(), set(&["c"])),
    ]);
    assert_eq!(way(&packages, &set(&["a"]), "x", "zenoh").unwrap(), ["x", "a", "b", "zenoh-core"]);
    assert_eq!(way(&packages, &set(&["c"]), "x", "zenoh"), None);
}
