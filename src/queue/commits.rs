//! Patches as commits and commits as patches.
//!
//! A commit of a patch has its author, date, subject and text; a patch of a commit that was made from a file and still
//! does what the file does is that file, to the byte. Must not write files.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::Coded as _;
use crate::git::{self, Author, Blob, Commit, Names, Oid, Worktree};
use crate::patch::date;
use crate::patch::{self, File, MemoryTree, Message, Options, Outcome, PatchFile, Tree};
use crate::queue::Error;
use crate::queue::applying;

/// The author of a patch that does not say who wrote it.
const UNKNOWN: (&str, &str) = ("unknown", "unknown@localhost");

/// A tree of git as patches see it.
pub struct GitTree<'w> {
    pub worktree: &'w Worktree,
    pub tree: Oid,
}

impl Tree for GitTree<'_> {
    fn read(&self, path: &str) -> io::Result<Option<File<'_>>> {
        let found = self.worktree.file(self.tree, path).map_err(io::Error::other)?;
        Ok(found.map(|(bytes, mode)| File { bytes: Cow::Owned(bytes), mode: canonical(mode) }))
    }

    fn is_folder(&self, path: &str) -> io::Result<bool> {
        self.worktree.is_folder(self.tree, path).map_err(io::Error::other)
    }
}

/// Old trees of git have modes such as 100664.
fn canonical(mode: u32) -> u32 {
    match mode >> 12 {
        0o12 => patch::SYMLINK,
        _ if mode & 0o100 != 0 => patch::EXECUTABLE,
        _ => patch::REGULAR,
    }
}

/// Opens the user's repository of a directory, in which names of files are bytes; `None` when there is none.
pub fn repository(dir: &Path) -> Result<Option<Worktree>, Error> {
    let names = Names {
        of: |path| PathBuf::from(OsString::from_vec(patch::bytes_of(path))),
        path: |name| patch::path_of(name).unwrap_or_else(|| String::from_utf8_lossy(name).into_owned()),
    };
    Ok(Worktree::open(dir)?.map(|worktree| worktree.with_names(names)))
}

/// Notes on a commit which patch it was made of, if the commit does not say it all.
pub fn note_patch(worktree: &Worktree, parent: Oid, made: Oid, bytes: &[u8], strip: usize) -> Result<(), Error> {
    let (before, commit) = (worktree.find(parent)?.tree, worktree.find(made)?);
    let composed = diff(worktree, before, commit.tree).map(|diff| patch::compose(&message_of(&commit), &diff));
    if strip == 1 && composed.is_ok_and(|composed| composed == bytes) {
        return Ok(());
    }
    let for_git = patch::to_level(&PatchFile::parse(bytes)?, strip, 1)?;
    Ok(worktree.put_note(&commit, &patch::mailbox::join_from(strip, [(bytes, for_git.as_slice())]))?)
}

/// Returns the patch that a commit was made of, with its `-pN`, as long as the commit is still what it makes.
pub fn noted_patch(worktree: &Worktree, parent: Oid, commit: &Commit) -> Option<(Vec<u8>, usize)> {
    let note = worktree.note(commit)?;
    let (bytes, strip) = patch::mailbox::read_with_levels(&note).ok()?.pop()?;
    let (bytes, strip) = (bytes.into_owned(), strip.unwrap_or(1));
    let message = PatchFile::parse(&bytes).ok()?.message();
    let says = message.subject.trim().is_empty() || text_of(&message, "") == commit.message;
    let gives = says && gives(worktree, worktree.find(parent).ok()?.tree, &bytes, strip, commit.tree).ok()?;
    gives.then_some((bytes, strip))
}

/// Makes the first commit: a source.
pub fn of_source(worktree: &Worktree, tree: &MemoryTree, name: &str) -> Result<Oid, Error> {
    let files = tree.iter().map(|(path, file)| (path, file.bytes.as_ref(), file.mode));
    let tree = worktree.tree_of(files)?;
    Ok(worktree.commit(tree, None, &format!("{name}: the source\n"), &unknown())?)
}

fn unknown() -> Author {
    Author { name: UNKNOWN.0.into(), mail: UNKNOWN.1.into(), seconds: 0, offset: 0 }
}

/// Makes a commit of a patch behind `parent`. `Err` in the inner result: it does not apply.
pub fn of_patch(
    worktree: &Worktree,
    parent: Oid,
    name: &str,
    bytes: &[u8],
    strip: usize,
) -> Result<Result<Oid, Outcome>, Error> {
    let parsed = PatchFile::parse(bytes)?;
    let tree = worktree.find(parent)?.tree;
    let (outcome, verdict) = applying::judged(&GitTree { worktree, tree }, &parsed, strip)?;
    if !outcome.accepted() || verdict == patch::Verdict::AlreadyApplied {
        return Ok(Err(outcome));
    }
    let tree = after(worktree, tree, &outcome)?;
    let message = parsed.message();
    Ok(Ok(worktree.commit(tree, Some(parent), &text_of(&message, name), &author_of(&message))?))
}

/// Returns the tree that an outcome leaves.
fn after(worktree: &Worktree, tree: Oid, outcome: &Outcome) -> Result<Oid, Error> {
    let blob = |file: &File<'static>| -> Blob { (file.bytes.to_vec(), file.mode) };
    let changes = outcome.changes.iter().map(|(path, file)| (path.clone(), file.as_ref().map(blob))).collect();
    Ok(worktree.changed_tree(tree, &changes)?)
}

/// Returns the message of the commit of a patch.
pub fn text_of(message: &Message, name: &str) -> String {
    let subject = if message.subject.trim().is_empty() { name } else { &message.subject };
    match message.body.trim_matches('\n') {
        "" => format!("{subject}\n"),
        body => format!("{subject}\n\n{body}\n"),
    }
}

/// Returns the author of the commit of a patch.
pub fn author_of(message: &Message) -> Author {
    let mut author = unknown();
    if let Some(written) = message.author.as_deref() {
        // git takes neither brackets nor line ends, and no empty name.
        let clean = |text: &str| text.replace(['<', '>', '\n', '\0'], "").trim().trim_matches('"').trim().to_string();
        let (name, mail) = match written.rsplit_once('<') {
            Some((name, mail)) => (clean(name), clean(mail)),
            None => (clean(written), String::new()),
        };
        author.name = if name.is_empty() { mail.clone() } else { name };
        // git takes no empty mail address either; it goes again in `message_of`.
        author.mail = if mail.is_empty() { UNKNOWN.1.to_string() } else { mail };
        if author.name.is_empty() {
            author = unknown();
        }
    }
    if let Some((seconds, offset)) = message.date.as_deref().and_then(date::read) {
        (author.seconds, author.offset) = (seconds, offset);
    }
    author
}

/// Returns what a commit says as a patch says it.
pub fn message_of(commit: &Commit) -> Message {
    let text = commit.message.trim_matches('\n');
    let (subject, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let by = &commit.author;
    let is_known = (by.name.as_str(), by.mail.as_str()) != UNKNOWN;
    Message {
        subject: subject.split_whitespace().collect::<Vec<_>>().join(" "),
        body: body.trim_matches('\n').to_string(),
        author: is_known.then(|| match by.mail.as_str() {
            mail if mail == UNKNOWN.1 => by.name.clone(),
            mail => format!("{} <{mail}>", by.name),
        }),
        date: (is_known || by.seconds != 0).then(|| date::write(by.seconds, by.offset)),
    }
}

/// A file of the queue, and the commit that was made from it.
pub struct Known<'k> {
    /// The bytes of the file.
    pub bytes: &'k [u8],
    pub commit: Commit,
}

/// What a commit becomes.
pub struct Written {
    /// Which of the known files it is, if it is one.
    pub known: Option<usize>,
    /// The bytes of the patch.
    pub bytes: Vec<u8>,
    pub subject: String,
    pub commit: Oid,
    /// The file's bytes are as they were.
    pub untouched: bool,
}

/// When a file of the queue stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// When it does what the commit does, at whatever lines.
    Fitting,
    /// Only when it fits at its lines; otherwise it is refreshed.
    Exact,
}

/// Turns a line of commits behind `base` into patches. A commit without changes makes none.
///
/// # Errors
/// [`Error::NotAPatch`] for a commit that cannot be one (it changes a binary file), and those of git.
pub fn to_patches(
    worktree: &Worktree,
    base: Oid,
    commits: &[Commit],
    known: &[Known<'_>],
    strip: usize,
    keep: Keep,
) -> Result<Vec<Written>, Error> {
    let mut taken = vec![false; known.len()];
    let mut written = Vec::with_capacity(commits.len());
    let mut before = worktree.find(base)?.tree;
    // The same commit first, so that a copy of a commit does not take its file away.
    let same: Vec<Option<usize>> = commits
        .iter()
        .map(|commit| {
            let found = (0..known.len()).find(|i| known[*i].commit.id == commit.id);
            if let Some(taken) = found.and_then(|i| taken.get_mut(i)) {
                *taken = true;
            }
            found
        })
        .collect();
    for (commit, same) in commits.iter().zip(same) {
        let parent = std::mem::replace(&mut before, commit.tree);
        let alike = |i: &usize| {
            let was = &known[*i].commit;
            !taken[*i] && was.message == commit.message && was.author == commit.author
        };
        let candidates: Vec<usize> = (0..known.len()).filter(alike).collect();
        let mut unchanged = same;
        for i in candidates.iter().copied() {
            if unchanged.is_none() && gives(worktree, parent, known[i].bytes, strip, commit.tree)? {
                unchanged = Some(i);
            }
        }
        let subject = message_of(commit).subject;
        if let Some(i) = unchanged {
            taken[i] = true;
            let bytes = match keep {
                Keep::Fitting => None,
                Keep::Exact => refreshed(worktree, parent, known[i].bytes, strip, commit.tree)?,
            };
            let untouched = bytes.is_none();
            let bytes = bytes.unwrap_or_else(|| known[i].bytes.to_vec());
            written.push(Written { known: Some(i), bytes, subject, commit: commit.id, untouched });
            continue;
        }
        if parent == commit.tree {
            continue;
        }
        let diff = diff(worktree, parent, commit.tree).map_err(|error| match &error {
            Error::Patch(cannot) => not_a_patch(worktree, commit, &cannot.to_string(), cannot.hint()),
            Error::Git(cannot @ git::Error::Submodule { .. }) => {
                not_a_patch(worktree, commit, &cannot.to_string(), cannot.hint())
            }
            _ => error,
        })?;
        let diff = patch::to_level(&PatchFile::parse(&diff)?, 1, strip)?;
        let old = candidates.first().copied();
        let bytes = match old.map(|i| PatchFile::parse(known[i].bytes)).transpose()? {
            Some(old) => patch::replace_diff(&old, &diff),
            None => patch::compose(&message_of(commit), &diff),
        };
        if let Some(i) = old {
            taken[i] = true;
        }
        if !gives(worktree, parent, &bytes, strip, commit.tree)? {
            let why = "written as a patch it does not give the same files";
            return Err(not_a_patch(worktree, commit, why, None));
        }
        written.push(Written { known: old, bytes, subject, commit: commit.id, untouched: false });
    }
    Ok(written)
}

fn not_a_patch(worktree: &Worktree, commit: &Commit, why: &str, hint: Option<String>) -> Error {
    let subject = commit.message.lines().next().unwrap_or_default().to_string();
    Error::NotAPatch { dir: worktree.dir().to_path_buf(), subject, why: why.to_string(), hint }
}

/// Says whether a patch turns one tree into another, without fuzz.
fn gives(worktree: &Worktree, from: Oid, bytes: &[u8], strip: usize, to: Oid) -> Result<bool, Error> {
    let Ok(parsed) = PatchFile::parse(bytes) else { return Ok(false) };
    let options = Options { strip, fuzz: 0, ..Options::default() };
    match patch::apply(&GitTree { worktree, tree: from }, &parsed, &options) {
        Ok(outcome) if outcome.accepted() => Ok(after(worktree, from, &outcome)? == to),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Returns a patch brought to the lines of a tree; `None` when it fits there as it is.
fn refreshed(worktree: &Worktree, from: Oid, bytes: &[u8], strip: usize, to: Oid) -> Result<Option<Vec<u8>>, Error> {
    let options = Options { strip, fuzz: 0, ..Options::default() };
    let new = patch::refresh(&GitTree { worktree, tree: from }, &PatchFile::parse(bytes)?, &options)?;
    match new {
        patch::Refreshed::Rewritten(new) if gives(worktree, from, &new, strip, to)? => Ok(Some(new)),
        _ => Ok(None),
    }
}

/// Returns the diff between two trees for `-p1`.
///
/// # Errors
/// [`patch::Error::CannotDiff`] for a binary file, and those of git.
pub fn diff(worktree: &Worktree, before: Oid, after: Oid) -> Result<Vec<u8>, Error> {
    let side = |tree: Oid, paths: &[String]| -> Result<MemoryTree, Error> {
        let mut side = MemoryTree::new();
        for path in paths {
            if let Some((bytes, mode)) = worktree.file(tree, path)? {
                side.insert(path.clone(), bytes, canonical(mode));
            }
        }
        Ok(side)
    };
    let paths = worktree.differing(Some(before), after)?;
    Ok(patch::diff_trees(&side(before, &paths)?, &side(after, &paths)?)?)
}

/// Makes the error of a patch that does not apply.
pub fn does_not_apply(attr: &str, patch: &str, outcome: &Outcome) -> Error {
    let why = match outcome.verdict() {
        patch::Verdict::AlreadyApplied => "the source has it already".to_string(),
        _ => applying::why(outcome),
    };
    Error::DoesNotApply { attr: attr.to_string(), patch: patch.to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authors_are_what_git_takes() {
        let of = |author: &str| {
            let message =
                Message { author: Some(author.into()), date: Some("2024-01-01".into()), ..Message::default() };
            let author = author_of(&message);
            (author.name, author.mail, author.seconds)
        };
        assert_eq!(of("Jörg <j@x>"), ("Jörg".into(), "j@x".into(), 1_704_067_200));
        assert_eq!(of("\"Doe, J\" <j@x>"), ("Doe, J".into(), "j@x".into(), 1_704_067_200));
        assert_eq!(of("<j@x>").0, "j@x");
        assert_eq!(of("Only Name"), ("Only Name".into(), "unknown@localhost".into(), 1_704_067_200));
        assert_eq!(of("<>").0, "unknown");
    }

    /// One change of a commit.
    #[derive(Debug, Clone)]
    enum Step {
        Line { file: u8, line: usize, text: String },
        Whole { file: u8, text: String },
        Remove { file: u8 },
        Executable { file: u8 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3u8, 0..30usize, "[a-z]{0,4}").prop_map(|(file, line, text)| Step::Line { file, line, text }),
            (0..4u8, "[ab\n]{0,8}").prop_map(|(file, text)| Step::Whole { file, text }),
            (0..4u8).prop_map(|file| Step::Remove { file }),
            (0..3u8).prop_map(|file| Step::Executable { file }),
        ]
    }

    fn take(step: &Step, tree: &mut MemoryTree) {
        let name = |file: &u8| format!("dir/f{file}.c");
        match step {
            Step::Line { file, line, text } => {
                let Some(old) = tree.get(&name(file)).cloned() else { return };
                let mut lines: Vec<&[u8]> = old.bytes.split_inclusive(|b| *b == b'\n').collect();
                let new = format!("{text}\n");
                let at = line % (lines.len() + 1);
                lines.insert(at, new.as_bytes());
                tree.insert(name(file), lines.concat(), old.mode);
            }
            Step::Whole { file, text } => drop(tree.insert(name(file), text.as_bytes(), patch::REGULAR)),
            Step::Remove { file } => drop(tree.remove(&name(file))),
            Step::Executable { file } => {
                if let Some(old) = tree.get(&name(file)).cloned() {
                    tree.insert(name(file), old.bytes.into_owned(), patch::EXECUTABLE);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Any line of commits becomes patches that make the same trees, and from these patches the same patches again;
        /// author, date and text come back.
        #[test]
        fn commits_to_patches_and_back(steps in prop::collection::vec((prop::collection::vec(step(), 1..4), "[a-z ]{1,12}", "[a-zA-Z:\n -]{0,30}"), 1..6)) {
            let dir = tempfile::tempdir().unwrap();
            let worktree = Worktree::create(dir.path()).unwrap();
            let mut tree = MemoryTree::new();
            for file in 0..3 {
                tree.insert(format!("dir/f{file}.c"), (0..30).map(|n| format!("line {n}\n")).collect::<String>(), patch::REGULAR);
            }
            let base = of_source(&worktree, &tree, "x").unwrap();
            let mut tip = base;
            for (i, (steps, subject, body)) in steps.iter().enumerate() {
                steps.iter().for_each(|s| take(s, &mut tree));
                let files = tree.iter().map(|(p, f)| (p, f.bytes.as_ref(), f.mode));
                let id = worktree.tree_of(files).unwrap();
                let by = Author { name: format!("A{i}"), mail: "a@b".into(), seconds: 1_700_000_000 + i as i64, offset: 60 };
                tip = worktree.commit(id, Some(tip), &format!("s {subject}\n\n{body}\n"), &by).unwrap();
            }
            let commits = worktree.line(base, tip).unwrap();
            let written = to_patches(&worktree, base, &commits, &[], 1, Keep::Fitting).unwrap();
            let again = to_patches(&worktree, base, &commits, &[], 1, Keep::Fitting).unwrap();
            prop_assert!(written.iter().zip(&again).all(|(a, b)| a.bytes == b.bytes), "the same bytes each time");
            // Back to commits.
            let mut at = base;
            let mut known = Vec::new();
            for w in &written {
                at = of_patch(&worktree, at, "name", &w.bytes, 1).unwrap().expect("it applies");
                let (new, old) = (worktree.find(at).unwrap(), worktree.find(w.commit).unwrap());
                prop_assert_eq!(new.tree, old.tree);
                prop_assert_eq!(&new.author, &old.author);
                known.push(Known { bytes: &w.bytes, commit: new });
            }
            prop_assert_eq!(worktree.find(at).unwrap().tree, worktree.find(tip).unwrap().tree);
            let commits = worktree.line(base, at).unwrap();
            let third = to_patches(&worktree, base, &commits, &known, 1, Keep::Exact).unwrap();
            prop_assert_eq!(third.len(), written.len());
            for (third, written) in third.iter().zip(&written) {
                prop_assert!(third.untouched && third.bytes == written.bytes);
            }
        }
    }
}
