//! The arrows between the rooms: reads the imports of every file under `src/` and fails on one that is not drawn.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// For each room the rooms that it may import; `base` is open to all.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["ops", "report", "config", "view"]),
    (
        "ops",
        &[
            "deploy",
            "verify",
            "comparison",
            "queue",
            "targets",
            "overlay",
            "patch",
            "graph",
            "nix",
            "cross",
            "git",
            "config",
            "syntax",
            "pin",
        ],
    ),
    ("deploy", &["verify", "nix", "cross", "config"]),
    ("pin", &["config", "nix"]),
    (
        "verify",
        &["comparison", "queue", "targets", "overlay", "patch", "graph", "drv", "nix", "cross", "config", "syntax"],
    ),
    ("comparison", &["queue", "targets", "overlay", "graph", "drv", "nix", "git", "config"]),
    ("queue", &["targets", "overlay", "patch", "nix", "git", "config", "drv"]),
    ("targets", &["config", "nix", "git", "syntax", "overlay"]),
    (
        "report",
        &[
            "view",
            "ops",
            "deploy",
            "verify",
            "comparison",
            "targets",
            "queue",
            "overlay",
            "patch",
            "graph",
            "nix",
            "cross",
            "config",
        ],
    ),
    ("overlay", &["syntax"]),
    ("graph", &["drv"]),
    ("nix", &["drv", "syntax"]),
    ("config", &["cross"]),
    ("base", &[]),
    ("cross", &[]),
    ("drv", &[]),
    ("git", &[]),
    ("patch", &[]),
    ("syntax", &[]),
    ("view", &[]),
];

fn source_files() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut todo = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path.strip_prefix(&src).unwrap().to_path_buf(), text));
        }
    }
    assert!(files.len() > 20, "the sources are not where they should be");
    files
}

fn room(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_string()
}

/// Returns the rooms named by `crate::X` or `crate::{X, Y::...}` outside comments and tests.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => drop(found.insert(name(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut at_name = true;
                for (i, c) in list.char_indices() {
                    if at_name && depth == 0 && c.is_alphabetic() {
                        found.insert(name(&list[i..]));
                        at_name = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_name = true,
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn only_drawn_arrows() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in source_files() {
        let from = room(&file);
        if from == "lib" {
            continue;
        }
        let allowed = arrows.get(from.as_str()).unwrap_or_else(|| panic!("the room `{from}` is not in the plan"));
        for to in imports(&text) {
            let drawn = to == from || to == "base" || allowed.contains(&to.as_str());
            if !drawn {
                wrong.push(format!("{}: {from} -> {to}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_import_reader_sees_both_forms() {
    let text =
        "use crate::base::fs;\nuse crate::{config, git::{self, Error}};\n// crate::no\n#[cfg(test)] use crate::nix;";
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), ["base", "config", "git"]);
}

/// One place finds overlays, and one rewrites the lists of a queue: everything else asks the model.
#[test]
fn overlays_are_found_and_edited_in_one_place() {
    let bans: &[(&str, &[&str])] = &[
        ("overlay_candidates(", &["config/mod.rs", "queue/discover.rs"]),
        ("overlay_files_of(", &["config/mod.rs", "queue/discover.rs"]),
        (".cross_overlays()", &["queue/discover.rs", "targets/mod.rs"]),
        (".overlays()", &["queue/discover.rs", "targets/mod.rs", "queue/create.rs", "queue/facts.rs"]),
        (".add_patches(", &["queue/rewrite.rs", "queue/follow.rs", "ops/patch.rs", "ops/scope.rs"]),
        (".remove_patches(", &["queue/copy.rs", "queue/follow.rs", "ops/unpatch.rs"]),
    ];
    let mut wrong = Vec::new();
    for (file, text) in source_files() {
        let name = file.to_str().unwrap();
        if name.starts_with("overlay/") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (ban, except) in bans {
            if code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(ban))
                && !except.contains(&name)
            {
                wrong.push(format!("{name}: {ban}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One place for each effect: processes, file writes, printing.
#[test]
fn effects_have_one_place() {
    let mut wrong = Vec::new();
    for (file, text) in source_files() {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let name = file.to_str().unwrap();
        let bans: &[(&str, &[&str])] = &[
            ("Command::new", &["base/process.rs"]),
            ("File::create", &[]),
            ("process::exit", &[]),
            ("::stdout()", &["cli/context.rs", "cli/progress.rs"]),
            ("::stderr()", &["cli/context.rs", "cli/progress.rs"]),
        ];
        for (ban, except) in bans {
            let found = code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(ban));
            if found && !except.contains(&name) {
                wrong.push(format!("{name}: {ban}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The calls of `std::fs` that change something.
const WRITES: [&str; 8] =
    ["write(", "remove_", "rename(", "create_dir", "set_permissions(", "copy(", "hard_link(", "OpenOptions"];

#[test]
fn only_base_fs_changes_files() {
    let mut wrong = Vec::new();
    for (file, text) in source_files() {
        let name = file.to_str().unwrap();
        if name == "base/fs.rs" || name.starts_with("base/fs/") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        let imported = code.lines().any(|line| line.trim() == "use std::fs;");
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let calls = |prefix: &str| WRITES.iter().any(|call| line.contains(&format!("{prefix}{call}")));
            if calls("std::fs::") || imported && calls(" fs::") || imported && calls("(fs::") {
                wrong.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
