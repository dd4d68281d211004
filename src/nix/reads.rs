//! What an evaluation looked at outside of itself, and whether that is still as it was: the key of an answer that is kept.
//!
//! It is taken from Nix. `reads.nix` is a scope in which each builtin that reads a file, a directory or a variable says so before it
//! does what it always does, and in which imported files are evaluated too; at `-vv` Nix names every file that it evaluates and every
//! path that it copies to the store. A file that Nix evaluated and the scope did not hear of, and whatever the scope does not know (the
//! clock, a download without a hash, a builtin of a later Nix), make an answer that is not kept.
//! Must not know what was asked.

mod seen;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::expression::Root;
use super::failure::EvalFailure;
use super::program::Nix;
use crate::base::store_path::STORE_DIR;
use seen::{changed_since, see};

/// What the scope of a watched evaluation is called, in a directory of the evaluator's own.
pub(super) const SCOPE_FILE: &str = "overlayctl-reads.nix";

/// What stands for the place of a copy.
pub const COPY: &str = "@overlayctl-copy@";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    /// Its content; of a directory that of its `default.nix`.
    Content,
    /// The names in a directory.
    Names,
    /// Whether it is there, and what the answer was.
    Presence(bool),
    Kind,
    /// All of it, as it is copied to the store.
    Tree,
    Variable,
}

const LETTERS: [(char, Look); 7] = [
    ('r', Look::Content),
    ('d', Look::Names),
    ('e', Look::Presence(true)),
    ('n', Look::Presence(false)),
    ('y', Look::Kind),
    ('t', Look::Tree),
    ('v', Look::Variable),
];

/// What an evaluation looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// By path or name, as it was named.
    looked: BTreeSet<(String, Look)>,
    flakes: BTreeSet<PathBuf>,
    evaluated: BTreeSet<PathBuf>,
    /// Why there could be another answer the next time, whatever is unchanged.
    doubt: Option<String>,
}

impl Reads {
    /// Takes what the scope says: a letter, a blank, a path or name.
    pub(super) fn hear(&mut self, said: &str) {
        let said = unescape(said.trim_end_matches('\n'));
        let mut letters = said.chars();
        let letter = letters.next().unwrap_or('!');
        let what = letters.as_str().trim_start_matches(' ').to_string();
        let look = LETTERS.iter().find(|(other, _)| *other == letter).map(|(_, look)| *look);
        match look {
            _ if what.contains(char::REPLACEMENT_CHARACTER) => self.doubt("a name that is not UTF-8"),
            // The evaluator has other ones than this process.
            Some(Look::Variable) if ["TERM", "XDG_DATA_HOME", "NIX_DATA_HOME"].contains(&what.as_str()) => {
                self.doubt(&what);
            }
            Some(look) => drop(self.looked.insert((what, look))),
            None if letter == 'k' => drop(self.flakes.insert(PathBuf::from(what))),
            None => self.doubt(&what),
        }
    }

    /// Takes a file that Nix says it evaluated, or something that it copied to the store.
    pub(super) fn notice(&mut self, path: PathBuf, is_copied: bool) {
        match path.to_str() {
            _ if !is_copied => drop(self.evaluated.insert(path)),
            Some(name) if !name.contains(char::REPLACEMENT_CHARACTER) => {
                self.looked.insert((name.to_string(), Look::Tree));
            }
            _ => self.doubt("a name that is not UTF-8"),
        }
    }

    /// Says that the answer is not to be kept, and why.
    fn doubt(&mut self, why: &str) {
        self.doubt.get_or_insert_with(|| why.to_string());
    }

    /// Adds what another evaluation looked at.
    fn merge(&mut self, other: Reads) {
        self.looked.extend(other.looked);
        self.flakes.extend(other.flakes);
        self.evaluated.extend(other.evaluated);
        self.doubt = self.doubt.take().or(other.doubt);
    }

    /// Leaves out what lies below a directory of the evaluator's own.
    fn leave_out(&mut self, own: &Path) {
        self.looked.retain(|(name, _)| !Path::new(name).starts_with(own));
        self.evaluated.retain(|file| !file.starts_with(own));
    }

    /// Returns the lines that say how all of this is now. `None` where they could not stand for what the evaluation saw: there is a
    /// doubt, a flake that is not among the `locked` ones, code that was not watched, or something changed after `since`.
    pub fn key(&self, since: SystemTime, locked: &[PathBuf]) -> Option<String> {
        self.key_in(since, locked, None)
    }

    /// As [`Reads::key`]; what lies in a copy that was made for this question counts by its content, wherever the copy is.
    pub fn key_in(&self, since: SystemTime, locked: &[PathBuf], copy: Option<&Path>) -> Option<String> {
        if self.doubt.is_some() || !self.flakes.iter().all(|flake| locked.contains(flake)) {
            return None;
        }
        let content = || self.looked.iter().filter(|(_, look)| *look == Look::Content).map(|(name, _)| Path::new(name));
        let heard: BTreeSet<PathBuf> = content().filter_map(evaluated_at).collect();
        // The outputs of a locked flake are evaluated unwatched, and say nothing of where its inputs are.
        let is_heard = |file: &PathBuf| {
            (!self.flakes.is_empty() && file.starts_with(STORE_DIR))
                || evaluated_at(file).is_some_and(|file| heard.contains(&file))
        };
        if !self.evaluated.iter().all(is_heard) {
            return None;
        }
        let mut text = String::new();
        let mut origin: Option<&Path> = None;
        // In their order a directory comes before what is below it.
        let dirs = heard.iter().filter(|file| file.ends_with("default.nix")).filter_map(|file| file.parent());
        for dir in dirs.collect::<BTreeSet<_>>() {
            if origin.is_none_or(|origin| !dir.starts_with(origin)) {
                origin = Some(dir);
                let _ = writeln!(text, "from {}", escape(&dir.to_string_lossy()));
            }
        }
        let looked: Vec<(&str, Look)> = self.looked.iter().map(|(name, look)| (name.as_str(), *look)).collect();
        for ((name, look), seen) in looked.iter().zip(see(&looked, copy)) {
            // What is in the store never changes, though it comes and goes.
            if Path::new(name).starts_with(STORE_DIR) && !matches!(look, Look::Presence(_)) && seen.is_stored {
                continue;
            }
            let is_other = matches!(look, Look::Presence(answer) if u128::from(*answer) != seen.print);
            if is_other || changed_since(seen.changed, since) {
                return None;
            }
            let letter = LETTERS.iter().find(|(_, other)| other == look).map_or('!', |(letter, _)| *letter);
            let below = copy.and_then(|copy| Path::new(name).strip_prefix(copy).ok()?.to_str());
            let name = below.map_or_else(|| escape(name), |below| format!("{COPY}/{}", escape(below)));
            let _ = writeln!(text, "{letter} {:032x} {name}", seen.print);
        }
        Some(text)
    }

    /// Says whether all is still as the lines of a key say.
    pub fn still(key: &str) -> bool {
        Reads::still_in(key, None)
    }

    /// As [`Reads::still`], with another copy in the place of the one that the key was made in.
    pub fn still_in(key: &str, copy: Option<&Path>) -> bool {
        let lines = key.lines().filter(|line| !line.starts_with("from "));
        let parsed = lines.map(|line| {
            let (letter, rest) = line.split_once(' ')?;
            let (print, name) = rest.split_once(' ')?;
            let look = LETTERS.iter().find(|(other, _)| letter.chars().eq([*other]))?.1;
            let name = match (name.strip_prefix(COPY), copy) {
                (Some(below), Some(copy)) => format!("{}{}", copy.display(), unescape(below)),
                _ => unescape(name),
            };
            Some((u128::from_str_radix(print, 16).ok()?, name, look))
        });
        let Some(parsed): Option<Vec<_>> = parsed.collect() else { return false };
        let looked: Vec<(&str, Look)> = parsed.iter().map(|(_, name, look)| (name.as_str(), *look)).collect();
        parsed.iter().zip(see(&looked, copy)).all(|((print, ..), seen)| *print == seen.print)
    }

    /// Returns the directories that the lines of a key name as those where files were imported from.
    pub fn origins(key: &str) -> impl Iterator<Item = String> {
        key.lines().filter_map(|line| line.strip_prefix("from ")).map(unescape)
    }
}

/// What some evaluators look at, while they do.
#[derive(Debug, Default)]
pub struct Watch {
    /// Directories, as Nix is told of them, below which many files are imported.
    pub(super) roots: Vec<String>,
    reads: Mutex<Reads>,
    /// Whether something failed that may not fail the next time.
    failed: AtomicBool,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was looked at, but for what is in a directory of the evaluator's own.
    pub(super) fn add(&self, mut reads: Reads, own: &Path) {
        if reads != Reads::default() {
            reads.leave_out(own);
            self.lock().merge(reads);
        }
    }

    /// Says that the answer is not to be kept, and why.
    pub(super) fn doubt(&self, why: &str) {
        self.lock().doubt(why);
    }

    /// Takes a failure: what memory, time or the network are to blame for may be another time.
    pub(super) fn failed(&self, failure: &EvalFailure) {
        self.failed.fetch_or(!failure.is_lasting(), Ordering::Relaxed);
    }

    /// Says whether something failed that may not fail the next time.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns what was looked at so far.
    pub fn reads(&self) -> Reads {
        self.lock().clone()
    }
}

impl Nix {
    /// Returns the same Nix with its evaluators watched. What `roots` import is evaluated once a file, as it is unwatched.
    pub fn watched<'r>(&self, roots: impl IntoIterator<Item = &'r Root>) -> (Nix, Arc<Watch>) {
        let roots: BTreeSet<String> = roots.into_iter().flat_map(Root::nixpkgs).collect();
        let watch = Arc::new(Watch { roots: roots.into_iter().collect(), ..Watch::default() });
        let mut nix = self.clone();
        nix.watch = Some(Arc::clone(&watch));
        (nix, watch)
    }

    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }
}

/// Returns the file that is evaluated at a path; the path where there is none, which Nix names too before it fails.
fn evaluated_at(path: &Path) -> Option<PathBuf> {
    let Ok(real) = path.canonicalize() else { return Some(path.to_path_buf()) };
    if real.is_dir() { real.join("default.nix").canonicalize().ok() } else { Some(real) }
}

/// Writes a name in one line, as `reads.nix` does.
fn escape(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => out.extend(letters.next().map(|next| if next == 'n' { '\n' } else { next })),
            (letter, false) => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::fs;

    fn heard(root: &Path, said: &str) -> Reads {
        let mut reads = Reads::default();
        for line in said.lines() {
            reads.hear(&line.replace("HERE", &root.display().to_string()));
        }
        reads
    }

    #[test]
    fn whatever_changes_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let all = "r HERE/a/b.nix\nr HERE/l/b.nix\nr HERE/a\nd HERE/d\ne HERE/e\nn HERE/n\ny HERE/y\nt HERE/t\nv OVERLAYCTL_NONE";
        for file in ["a/b.nix", "a/default.nix", "o/b.nix", "d/one", "e", "y", "t/x/y"] {
            fs::write(&root.join(file), b"1").unwrap();
        }
        fs::link(Path::new("a"), &root.join("l")).unwrap();
        let wait = || std::thread::sleep(Duration::from_millis(30));
        wait();
        let since = SystemTime::now();
        let mut key = heard(root, all).key(since, &[]).unwrap();
        assert_eq!(key.lines().filter(|line| !line.starts_with("from ")).count(), 9);
        assert_eq!(
            Reads::origins(&key).collect::<Vec<_>>(),
            [root.canonicalize().unwrap().join("a").display().to_string()]
        );
        let changes: [(&str, &dyn Fn()); 9] = [
            ("another content of the same size", &|| drop(fs::write(&root.join("a/b.nix"), b"2"))),
            ("a link that leads elsewhere", &|| {
                fs::remove(&root.join("l")).unwrap();
                fs::link(Path::new("o"), &root.join("l")).unwrap();
            }),
            ("what a directory evaluates to", &|| drop(fs::write(&root.join("a/default.nix"), b"2"))),
            ("a name", &|| drop(fs::write(&root.join("d/two"), b"1"))),
            ("a kind", &|| {
                fs::remove(&root.join("d/two")).unwrap();
                std::fs::create_dir(root.join("d/two")).unwrap();
            }),
            ("something below a tree", &|| drop(fs::write(&root.join("t/x/y"), b"2"))),
            ("a file that is gone", &|| drop(fs::remove(&root.join("e")))),
            ("a file that came", &|| drop(fs::write(&root.join("n"), b"1"))),
            ("another kind of file", &|| {
                fs::remove(&root.join("y")).unwrap();
                std::fs::create_dir(root.join("y")).unwrap();
            }),
        ];
        for (what, change) in changes {
            assert!(Reads::still(&key), "before: {what}");
            wait();
            let since = SystemTime::now();
            change();
            assert!(!Reads::still(&key), "{what}");
            // What the evaluation said of a file is no longer so, or it may have seen what was there before.
            assert_eq!(heard(root, all).key(since, &[]), None, "{what}");
            wait();
            let all = all.replace("e HERE/e\n", "").replace("n HERE/n\n", "");
            let rest = if root.join("n").exists() { "" } else { "\nn HERE/n" };
            let more = if root.join("e").exists() { "\ne HERE/e" } else { "" };
            key = heard(root, &format!("{all}{rest}{more}")).key(SystemTime::now(), &[]).unwrap();
        }
    }

    #[test]
    fn a_doubt_is_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(&root.join("a.nix"), b"1").unwrap();
        let key = |said: &str, evaluated: &str, locked: &[PathBuf]| {
            let mut reads = heard(root, said);
            reads.notice(PathBuf::from(evaluated.replace("HERE", &root.display().to_string())), false);
            reads.key(SystemTime::now() + Duration::from_secs(1), locked)
        };
        assert!(key("r HERE/a.nix", "HERE/a.nix", &[]).is_some());
        let gone = key("r HERE/gone.nix", "HERE/gone.nix", &[]).expect("the evaluation failed where nothing is");
        fs::write(&root.join("gone.nix"), b"1").unwrap();
        assert!(!Reads::still(&gone));
        assert_eq!(key("", "HERE/other.nix", &[]), None, "nor of one that is not there");
        assert_eq!(key("! builtins.currentTime", "HERE/a.nix", &[]), None);
        assert_eq!(key("q what is that", "HERE/a.nix", &[]), None);
        assert_eq!(key("", "HERE/a.nix", &[]), None, "a file that the scope did not hear of");
        assert_eq!(key("r HERE/a.nix\nk /f", "HERE/a.nix", &[]), None);
        assert!(key("r HERE/a.nix\nk /f", "HERE/a.nix", &[PathBuf::from("/f")]).is_some());
        assert!(!Reads::still("r 0 /a\nnonsense"));
    }

    proptest::proptest! {
        #[test]
        fn names_survive_a_line(name in "[a\\\\n\n é]{0,12}") {
            let line = escape(&name);
            proptest::prop_assert!(!line.contains('\n'));
            proptest::prop_assert_eq!(unescape(&line), name);
        }
    }
}
