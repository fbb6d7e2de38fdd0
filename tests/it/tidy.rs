//! House rules that no compiler checks: what every file of the repository must and must not have.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Longest file of ours, lines.
const LINES_MAX: usize = 900;
/// Directories that are not ours or not kept.
const SKIPPED_DIRS: [&str; 6] = ["target", "out", "sagwan-demo", "__pycache__", "node_modules", ".git"];
/// Texts of others, kept as they are.
const FOREIGN: [&str; 2] = ["LICENSE", "Cargo.lock"];
/// Endings of files that are text.
const TEXT: [&str; 11] = ["rs", "md", "toml", "proto", "py", "sh", "txt", "ini", "yml", "json", "snap"];
/// Readmes, whose first commands must be there.
const READMES: [&str; 2] = ["README.md", "README.ko.md"];
/// Pages whose paths must exist.
const PAGES: [&str; 4] = ["README.md", "README.ko.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// Path below the root with `/`, and content.
struct File {
    path: String,
    text: String,
}

/// Every text file of ours.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::from(ROOT)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if !SKIPPED_DIRS.contains(&name.as_str()) && !name.starts_with(".venv") {
                    open.push(path);
                }
                continue;
            }
            let is_text = path.extension().is_some_and(|ending| TEXT.iter().any(|text| ending == *text));
            if (is_text || path.parent().is_some_and(|dir| dir.file_name().is_some_and(|name| name == ".ci")))
                && !FOREIGN.contains(&&*name)
            {
                let path_below = path.strip_prefix(ROOT).unwrap().to_string_lossy().replace('\\', "/");
                files.push(File { path: path_below, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(files.len() > 100, "the repository's files were not found under {ROOT}");
    files
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Asserts that nothing was found; says all that was.
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn every_rust_file_says_at_its_top_what_it_owns() {
    let files = files();
    let silent = files.iter().filter(|file| file.path.ends_with(".rs") && !file.text.starts_with("//! "));
    let found: Vec<String> = silent.map(|file| file.path.clone()).collect();
    assert_none(&found, "these files do not begin with `//! `");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long = files().into_iter().map(|file| (file.path, file.text.lines().count()));
    let found: Vec<String> =
        long.filter(|(_, lines)| *lines > LINES_MAX).map(|(path, lines)| format!("{path}: {lines} lines")).collect();
    assert_none(&found, "these files have more than 900 lines; split them by what they own");
}

#[test]
fn modules_lie_beside_their_folder() {
    let files = files();
    let found: Vec<String> =
        files.iter().filter(|file| file.path.ends_with("/mod.rs")).map(|file| file.path.clone()).collect();
    assert_none(&found, "use `foo.rs` beside `foo/`");
}

#[test]
fn nothing_is_left_for_later_and_nothing_names_a_machine() {
    // Put together here, so that this file does not contain them.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let roots = ["home", "work", "root", "Users"].map(|dir| format!("/{dir}/"));
    let mut found = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate() {
            let left = words.iter().any(|word| line.contains(word));
            let machine = roots.iter().any(|root| begins_a_path(line, root));
            if left || machine {
                found.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "open an issue instead of a note, and write paths relative to the repository");
}

/// Whether `root` stands in `line` where a path begins, and not inside a longer one such as a topic or an address.
fn begins_a_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '}' | ')' | '>' | '*')))
    })
}

#[test]
fn every_crate_inherits_the_lints_and_the_package_fields_of_the_workspace() {
    let mut found = Vec::new();
    let root = page("Cargo.toml");
    let members = root.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    for member in members.split('"').skip(1).step_by(2) {
        let manifest = page(&format!("{member}/Cargo.toml"));
        let wanted = ["edition", "rust-version", "license"].map(|field| format!("{field}.workspace = true"));
        let missing = wanted.iter().map(String::as_str).chain(["[lints]\nworkspace = true"]);
        found.extend(
            missing.filter(|text| !manifest.contains(text)).map(|text| format!("{member}/Cargo.toml: {text:?}")),
        );
    }
    assert_none(&found, "these lines are missing");
}

#[test]
fn both_readmes_have_the_two_commands_and_name_each_other() {
    for (readme, other) in [(READMES[0], READMES[1]), (READMES[1], READMES[0])] {
        let text = page(readme);
        // What is seen without scrolling.
        let first_screen: String = text.lines().take(40).collect::<Vec<_>>().join("\n");
        for wanted in ["cargo run --release -- demo", "cargo test --workspace", other] {
            assert!(first_screen.contains(wanted), "the first 40 lines of {readme} do not have {wanted:?}");
        }
    }
}

#[test]
fn every_path_that_a_page_names_exists() {
    let mut found = Vec::new();
    for name in PAGES {
        for path in paths(&page(name)) {
            if !Path::new(ROOT).join(&path).exists() {
                found.push(format!("{name}: {path}"));
            }
        }
    }
    assert_none(&found, "these paths do not exist");
}

/// The paths a page names: link targets, and code in backticks that begins with a directory of ours or ends like a
/// source file.
fn paths(page: &str) -> Vec<String> {
    const OURS: [&str; 8] = ["schemas/", "bridges/", "recorder/", "datasets/", "viewer/", "cli/", "tests/", ".ci/"];
    const SOURCES: [&str; 2] = [".rs", ".proto"];
    let mut found = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            continue;
        }
        for code in line.split('`').skip(1).step_by(2) {
            let is_ours = OURS.iter().any(|dir| code.starts_with(dir)) || SOURCES.iter().any(|end| code.ends_with(end));
            let is_pattern = code.contains(['*', '<', ' ', '…']) || SOURCES.contains(&code);
            if is_ours && !is_pattern {
                found.push(code.to_owned());
            }
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                found.push(target.to_owned());
            }
        }
    }
    found
}

#[test]
fn paths_are_found_in_links_and_code_but_not_in_examples() {
    let page = "See `cli/src/main.rs`, [this](LICENSE#top), [that](https://example.org/a.rs) and `schemas/`.\n\
        Not `application/json`, `sagwan/v1/<platform>`, `cli/src/*.rs`, `.proto`.\n```sh\nls `tests/none.rs`\n```\n`a.proto`";
    assert_eq!(paths(page), ["cli/src/main.rs", "schemas/", "LICENSE", "a.proto"]);
}

#[test]
fn a_path_begins_where_no_longer_one_goes_on() {
    let root = format!("/{}/", "home");
    assert!(begins_a_path(&format!("open {root}me/x"), &root));
    assert!(begins_a_path(&format!("\"{root}me\""), &root));
    assert!(!begins_a_path(&format!("https://example.org{root}x"), &root));
    assert!(!begins_a_path(&format!("robot{root}x"), &root));
}
