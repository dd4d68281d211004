//! The journal of unfinished writes, against a file system. A first byte below 128: the rest is the file as anybody could have put it
//! there, and nothing at all may happen. Else it is one with the user's own mark, of steps as the bytes say, right and wrong ones: then
//! all of it happens or none, and never anything outside.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use overlayctl::base::diagnostic::Coded as _;
use overlayctl::base::{fs as ours, user};
use serde_json::{Value, json};

const NAME: &str = ".overlayctl-journal.json";
const PATHS: [&str; 12] = [
    "a", "b", "d/c", "new", "gone/x", "link", "out/victim", "../outside/victim", "d/../a", "/etc/hostname", "", "d",
];

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    // SAFETY: nothing else runs yet; the fuzzer calls the target from one thread.
    unsafe { std::env::set_var("XDG_STATE_HOME", dir.path().join("state")) };
    dir
});

fn scene() -> (PathBuf, PathBuf) {
    let (workspace, outside) = (DIR.path().join("workspace"), DIR.path().join("outside"));
    for dir in [&workspace, &outside] {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir(dir).unwrap();
    }
    fs::create_dir(workspace.join("d")).unwrap();
    for (path, text) in [("a", "a\n"), ("b", "b\n"), ("d/c", "c\n")] {
        fs::write(workspace.join(path), text).unwrap();
    }
    fs::write(outside.join("victim"), "do not touch\n").unwrap();
    std::os::unix::fs::symlink("../outside/victim", workspace.join("link")).unwrap();
    std::os::unix::fs::symlink("../outside", workspace.join("out")).unwrap();
    (workspace, outside)
}

/// Everything below a directory: links by where they lead.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let there = path.symlink_metadata().unwrap();
            if there.is_dir() {
                todo.push(path);
            } else if there.is_symlink() {
                found.insert(path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes());
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// As a batch writes it down: `file` and the sum of the bytes.
fn print(bytes: &[u8]) -> String {
    format!("file {}", user::digest(bytes))
}

/// Four bytes a step: the path; what stood there; what shall stand there; how far it is.
fn steps(workspace: &Path, data: &[u8]) -> Vec<Value> {
    let mut steps = Vec::new();
    let mut paths = Vec::new();
    for (index, step) in data.as_chunks::<4>().0.iter().take(6).enumerate() {
        let path = PATHS[usize::from(step[0]) % PATHS.len()];
        // A batch names a file once.
        if paths.contains(&path) {
            continue;
        }
        paths.push(path);
        let real = workspace.join(path);
        let there = real.symlink_metadata().ok().filter(|there| there.is_file()).and_then(|_| fs::read(&real).ok());
        let old = match step[1] % 4 {
            0 => Some(print(b"something else\n")),
            1 => None,
            _ => there.as_deref().map(print),
        };
        let bytes = format!("new {index}\n").into_bytes();
        let temporary = match step[2] % 8 {
            0 => None,
            1 => Some("a".to_string()),
            2 => Some("../outside/victim".to_string()),
            3 => Some(format!(".overlayctl-{index}/../a")),
            _ => Some(format!(".overlayctl-{index}.tmp")),
        };
        let waiting = real.parent().map(|dir| dir.join(format!(".overlayctl-{index}.tmp")));
        let inside = !path.starts_with('/') && !path.contains("..") && !path.starts_with("out/");
        if let Some(waiting) = waiting.filter(|path| inside && path.parent().is_some_and(Path::is_dir)) {
            match step[3] % 4 {
                0 => {}
                1 => fs::write(waiting, "other bytes\n").unwrap(),
                _ => fs::write(waiting, &bytes).unwrap(),
            }
        }
        let new = temporary.map(|temporary| json!({ "temporary": temporary, "is": print(&bytes) }));
        steps.push(json!({ "path": path, "old": old, "new": new }));
    }
    steps
}

/// The structure of the journal, in the order of its fields: the mark is on the steps as they are written.
fn own(workspace: &Path, steps: &[Value]) -> Vec<u8> {
    let step = |step: &Value| {
        let new = match &step["new"] {
            Value::Null => "null".to_string(),
            new => format!("{{\"temporary\":{},\"is\":{}}}", new["temporary"], new["is"]),
        };
        format!("{{\"path\":{},\"old\":{},\"new\":{new}}}", step["path"], step["old"])
    };
    let text = format!("[{}]", steps.iter().map(step).collect::<Vec<_>>().join(","));
    let mut message = format!("journal 2 {} ", user::place_of(workspace).unwrap()).into_bytes();
    message.extend(text.bytes());
    let mark = user::mark(&message).unwrap();
    format!("{{\"version\":2,\"steps\":{text},\"mark\":\"{mark}\"}}").into_bytes()
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let (workspace, outside) = scene();
    let journal = workspace.join(NAME);
    let untouched = tree(&outside);
    if *kind < 128 {
        fs::write(&journal, rest).unwrap();
        let before = tree(&workspace);
        let _ = ours::look(&workspace);
        let error = ours::recover(&workspace).expect_err("nobody else's journal is carried out");
        assert_eq!(error.code(), "OV0009");
        assert_eq!(tree(&workspace), before, "nothing happens");
    } else {
        let steps = steps(&workspace, rest);
        fs::write(&journal, own(&workspace, &steps)).unwrap();
        let before = tree(&workspace);
        let _ = (ours::look(&workspace), assert_eq!(tree(&workspace), before, "looking changes nothing"));
        match ours::recover(&workspace) {
            Ok(_) => {
                assert!(!journal.exists(), "what is done is done");
                for step in &steps {
                    let path = workspace.join(step["path"].as_str().unwrap());
                    let now = fs::read(&path).ok().map(|bytes| print(&bytes));
                    assert_eq!(now.as_deref(), step["new"]["is"].as_str(), "{step}");
                }
            }
            Err(error) => {
                assert!(["OV0008", "OV0009"].contains(&error.code()), "{error}");
                assert!(error.code() != "OV0009", "its mark is right: {error}");
                assert_eq!(tree(&workspace), before, "all or nothing: {error}");
            }
        }
    }
    assert_eq!(tree(&outside), untouched, "nothing outside is ever touched");
});
