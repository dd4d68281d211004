//! Graphs of unpatched package sets, kept between runs: `impact` takes the other side from there instead of evaluating it.
//!
//! A kept graph has a key that names all that its evaluation depended on: the expressions and targets, Nix with its
//! settings, variables that nixpkgs looks at, and a fingerprint over every file of the package set (path, size, times and
//! inode, not content: reading all of nixpkgs takes longer than evaluating). It is used only where nothing else can have
//! played a part: a package set in a directory or a store path, and an evaluation that read no file outside of it. When in
//! doubt nothing is kept. Whatever is wrong with a file of the cache, it is evaluated again and the file replaced.

mod fingerprint;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use twox_hash::XxHash3_128;

use super::impact::plural;
use super::{Error, Outcome};
use crate::base::fs::{self, FsError};
use crate::graph::Graph;
use crate::nix::{Nix, NixpkgsRef, Recorded, Root, Side};
use crate::view::{Block, Document, Role, Table, Text};

/// The ending of the files.
const ENDING: &str = "graph";
/// The first line of every key; another number where keys get another meaning.
const FORMAT: &str = "overlayctl graph key 1";

/// Where kept graphs are.
#[derive(Debug, Clone)]
pub(super) struct GraphCache {
    dir: PathBuf,
}

/// What an evaluation depends on, but for the content of files.
#[derive(Debug)]
pub(super) struct Question {
    text: String,
    /// The directories of the package sets.
    roots: Vec<PathBuf>,
}

/// A question with the fingerprint of the files as they are.
#[derive(Debug)]
pub(super) struct Key {
    path: PathBuf,
    text: String,
    roots: Vec<PathBuf>,
}

impl GraphCache {
    /// Finds the directory: `overlayctl/graphs` in XDG_CACHE_HOME or `~/.cache`; `None` where there is neither.
    pub(super) fn find() -> Option<GraphCache> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(GraphCache { dir: cache.join("overlayctl/graphs") })
    }

    /// Completes a question with the files as they are now. To be done before the evaluation, so that what changes
    /// meanwhile makes the key too old rather than too new. `None` where the files cannot be looked at.
    pub(super) fn key(&self, question: &Question) -> Option<Key> {
        let mut text = question.text.clone();
        for root in &question.roots {
            let print = if root.starts_with("/nix/store") { 0 } else { fingerprint::of(root)? };
            let _ = writeln!(text, "files {print:032x} {}", root.display());
        }
        let name = format!("{:032x}.{ENDING}", XxHash3_128::oneshot(question.text.as_bytes()));
        Some(Key { path: self.dir.join(name), text, roots: question.roots.clone() })
    }

    /// Returns the kept graph that answers, when there is one that can be believed.
    pub(super) fn get(&self, key: &Key) -> Option<Graph> {
        Graph::open(&key.path).ok().filter(|graph| graph.key() == key.text)
    }

    /// Keeps a graph, unless the evaluation read files that the key does not cover. That it cannot be written is no
    /// failure of what it is for.
    pub(super) fn put(&self, key: &Key, recorded: &[Recorded], graph: &Graph) {
        let covered = |file: &PathBuf| {
            let file = file.canonicalize().unwrap_or_else(|_| file.clone());
            key.roots.iter().any(|root| file.starts_with(root))
        };
        if recorded.iter().flat_map(|side| &side.files).all(covered) {
            let _ = graph.write(&key.path, &key.text);
        }
    }

    /// Returns the files of the cache, sorted.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(FsError::Read { path: self.dir.clone(), source }.into()),
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == ENDING) && path.is_file())
            .collect();
        files.sort();
        Ok(files)
    }
}

impl Question {
    /// Returns what the evaluation of some sides depends on; `None` where that cannot be said: a package set that is not
    /// a directory, or overlays of the user's.
    pub(super) fn of(nix: &Nix, sides: &[Side], names: &[&str]) -> Option<Question> {
        let mut text = format!("{FORMAT}\nversion {}\n", env!("CARGO_PKG_VERSION"));
        let mut roots = Vec::new();
        let program = crate::base::process::find_program("nix").and_then(|path| path.canonicalize().ok())?;
        let _ = writeln!(text, "nix {} {:?}", program.display(), nix.settings());
        // Nix and nixpkgs look at variables of these names (NIX_PATH, NIX_CONFIG, NIXPKGS_ALLOW_UNFREE ...), and at the
        // user's home.
        let mut variables: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with("NIX") || name == "HOME" || name == "XDG_CONFIG_HOME")
            .collect();
        variables.sort();
        for (name, value) in variables {
            let _ = writeln!(text, "variable {name:?} {value:?}");
        }
        for file in ["/etc/nix/nix.conf"].map(Path::new) {
            let _ = writeln!(text, "settings {:?}", fs::read_text(file).unwrap_or_default());
        }
        for side in sides {
            let Root::Packages(set) = &side.root else { return None };
            let NixpkgsRef::Path(root) = &set.nixpkgs else { return None };
            if !set.overlays.is_empty() || !set.cross_overlays.is_empty() || !root.is_dir() {
                return None;
            }
            roots.push(root.clone());
            let _ = writeln!(text, "set {:?}", side.root.to_nix().ok()?);
            for target in &side.targets {
                let _ = writeln!(text, "target {target:?}");
            }
        }
        for name in names {
            let _ = writeln!(text, "name {name:?}");
        }
        roots.sort();
        roots.dedup();
        Some(Question { text, roots })
    }
}

/// What is kept.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The directory.
    pub dir: PathBuf,
    /// The graphs.
    pub graphs: Vec<Kept>,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A graph that is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Seconds since it was written.
    pub age: u64,
    /// The number of derivations; absent when the file is not to be believed.
    pub derivations: Option<usize>,
    /// What is wrong with the file.
    pub problem: Option<String>,
    /// The directories of the package sets.
    pub nixpkgs: Vec<String>,
    /// The targets.
    pub targets: Vec<String>,
}

/// Lists the graphs that are kept.
///
/// # Errors
/// [`Error::Usage`] where there is no place for a cache, [`Error::Fs`] when it cannot be read.
pub fn list() -> Result<Listed, Error> {
    let cache = GraphCache::find().ok_or_else(no_place)?;
    let mut graphs = Vec::new();
    for file in cache.files()? {
        let there = file.metadata().ok();
        let (mut nixpkgs, mut targets) = (Vec::new(), Vec::new());
        let (derivations, problem) = match Graph::open(&file) {
            Ok(graph) => {
                for line in graph.key().lines() {
                    if let Some(root) = line.strip_prefix("files ").and_then(|rest| rest.split_once(' ')) {
                        nixpkgs.push(root.1.to_owned());
                    }
                }
                targets.extend(graph.roots().filter_map(|root| root.attr.map(str::to_owned)));
                (Some(graph.len()), None)
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let age = there
            .as_ref()
            .and_then(|there| there.modified().ok())
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        graphs.push(Kept {
            bytes: there.map_or(0, |there| there.len()),
            age: age.unwrap_or_default().as_secs(),
            file,
            derivations,
            problem,
            nixpkgs,
            targets,
        });
    }
    Ok(Listed { dir: cache.dir, bytes: graphs.iter().map(|kept| kept.bytes).sum(), graphs })
}

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Cleared {
    /// The directory.
    pub dir: PathBuf,
    /// How many graphs were removed.
    pub removed: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Removes all graphs that are kept.
///
/// # Errors
/// As [`list`], and [`Error::Fs`] when one cannot be removed.
pub fn clear() -> Result<Cleared, Error> {
    let cache = GraphCache::find().ok_or_else(no_place)?;
    let files = cache.files()?;
    let mut bytes = 0;
    for file in &files {
        bytes += file.metadata().map_or(0, |there| there.len());
        fs::remove(file)?;
    }
    Ok(Cleared { dir: cache.dir, removed: files.len(), bytes })
}

fn no_place() -> Error {
    Error::Usage {
        message: "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is an absolute path".into(),
        hint: "set one of them".into(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn ago(seconds: u64) -> String {
    let duration = Duration::from_secs(seconds).as_secs();
    match duration {
        0..=119 => plural(duration as usize, "second"),
        120..=7199 => format!("{} minutes", duration / 60),
        7200..=172_799 => format!("{} hours", duration / 3600),
        _ => format!("{} days", duration / 86_400),
    }
}

impl Outcome for Listed {
    const SCHEMA: &'static str = "overlayctl.cache-list/1";

    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if self.graphs.is_empty() {
            document.line(format!("nothing is kept in {}", self.dir.display()));
            return document;
        }
        let mut table = Table {
            header: ["targets", "derivations", "size", "age", "package set"].map(String::from).to_vec(),
            rows: Vec::new(),
        };
        for kept in &self.graphs {
            let count = if verbose { usize::MAX } else { 3 };
            let mut targets = kept.targets.iter().take(count).cloned().collect::<Vec<_>>().join(" ");
            if kept.targets.len() > count {
                targets.push_str(&format!(" ... ({})", kept.targets.len()));
            }
            let first = match &kept.problem {
                Some(_) => Text::new().with(Role::Bad, "damaged: not used"),
                None => Text::new().with(Role::Name, targets),
            };
            table.rows.push(vec![
                first,
                kept.derivations.map_or_else(|| "-".to_owned(), |count| count.to_string()).into(),
                size(kept.bytes).into(),
                ago(kept.age).into(),
                Text::new().with(Role::Dim, kept.nixpkgs.join(" ")),
            ]);
        }
        document.push(Block::Table(table));
        document.line(Text::new().with(Role::Dim, format!("{} in {}", size(self.bytes), self.dir.display())));
        document
    }
}

impl Outcome for Cleared {
    const SCHEMA: &'static str = "overlayctl.cache-clear/1";

    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        document.line(format!(
            "removed {} ({}) from {}",
            plural(self.removed, "graph"),
            size(self.bytes),
            self.dir.display()
        ));
        document
    }
}
