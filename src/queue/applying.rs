//! A queue applied to a source in memory, patch after patch, as the build does it.
//!
//! Must not touch the disk.

use crate::patch::{self, HunkState, MemoryTree, Options, Outcome, PatchFile, Skip, Tree, Verdict};
use crate::queue::Error;
use crate::queue::source::{Fetched, Source};

/// Applies a patch as the build would and says in one word how that goes.
///
/// A patch that can be taken out of the tree as a whole, at its lines or others but without fuzz, is in the tree already, even where
/// some of its hunks would fit once more.
pub fn judged<T: Tree>(tree: &T, parsed: &PatchFile<'_>, strip: usize) -> Result<(Outcome, Verdict), patch::Error> {
    let outcome = patch::apply(tree, parsed, &Options { strip, ..Options::default() })?;
    let mut verdict = outcome.verdict();
    if matches!(verdict, Verdict::PartlyApplied | Verdict::Conflict | Verdict::FileGone) {
        let back = Options { strip, fuzz: 0, reverse: true };
        if patch::apply(tree, parsed, &back).is_ok_and(|outcome| outcome.accepted()) {
            verdict = Verdict::AlreadyApplied;
        }
    }
    Ok((outcome, verdict))
}

/// Applies a patch to a tree as the build would, where it is accepted or partly so; the tree keeps what `patch` leaves.
pub fn step(tree: &mut MemoryTree, bytes: &[u8], strip: usize) -> Result<(Outcome, Verdict), patch::Error> {
    let parsed = PatchFile::parse(bytes)?;
    let (outcome, verdict) = judged(tree, &parsed, strip)?;
    // What is in already is not applied once more, even where `patch` would.
    if verdict != Verdict::AlreadyApplied {
        tree.update(outcome.changes.clone());
    }
    Ok((outcome, verdict))
}

/// A patch that stands before the queue.
pub struct Before<'a> {
    pub title: String,
    pub bytes: &'a [u8],
}

/// Returns nixpkgs' own patches, then those that the overlays fetch.
pub fn before(source: &Source) -> impl Iterator<Item = Before<'_>> {
    let own =
        source.own_patches.iter().map(|(name, bytes)| Before { title: format!("nixpkgs' own patch {name}"), bytes });
    own.chain(source.fetched.iter().map(fetched))
}

/// Returns a patch that the overlays fetch.
pub fn fetched(patch: &Fetched) -> Before<'_> {
    Before { title: format!("the overlay's patch {}", patch.name), bytes: &patch.bytes }
}

/// Applies nixpkgs' own patches to the source and returns the tree that the queue begins from, but for [`between`].
///
/// # Errors
/// [`Error::DoesNotApply`] for the first that does not.
pub fn base(attr: &str, source: &Source) -> Result<MemoryTree, Error> {
    let mut tree = source.tree.clone();
    for patch in before(source).take(source.own_patches.len()) {
        apply(attr, &mut tree, &patch, source.strip)?;
    }
    Ok(tree)
}

/// Applies those patches that the overlays fetch and that stand behind so many patches of the queue.
///
/// # Errors
/// [`Error::DoesNotApply`] for the first that does not.
pub fn between(attr: &str, tree: &mut MemoryTree, source: &Source, behind: usize) -> Result<(), Error> {
    for patch in source.fetched.iter().filter(|patch| patch.behind == behind) {
        apply(attr, tree, &fetched(patch), source.strip)?;
    }
    Ok(())
}

fn apply(attr: &str, tree: &mut MemoryTree, before: &Before<'_>, strip: usize) -> Result<(), Error> {
    let refuse = |why: String| Error::DoesNotApply { attr: attr.to_string(), patch: before.title.clone(), why };
    let (outcome, _) = step(tree, before.bytes, strip).map_err(|e| refuse(e.to_string()))?;
    if outcome.accepted() { Ok(()) } else { Err(refuse(why(&outcome))) }
}

/// Says in a few words where a patch does not apply.
pub fn why(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    for file in &outcome.files {
        match file.skipped {
            Some(Skip::Missing) => parts.push(format!("{} is not there", file.path)),
            Some(Skip::Exists) if !file.already_applied => parts.push(format!("{} is there already", file.path)),
            Some(Skip::NotRegular) => parts.push(format!("{} is no regular file", file.path)),
            Some(Skip::NotEmpty) => parts.push(format!("{} holds more than the patch removes", file.path)),
            _ => {}
        }
        for hunk in &file.hunks {
            if let (HunkState::Failed { line }, false) = (hunk.state, hunk.already_applied) {
                let line = hunk.conflict.as_ref().map_or(line, |c| c.line as i64);
                parts.push(format!("{}:{line}", file.path));
            }
        }
    }
    let more = parts.len().saturating_sub(3);
    parts.truncate(3);
    let text = parts.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
