//! The targets of one side of a comparison, by what they are attributes of. Must not evaluate anything.

use std::path::Path;

use super::Error;
use super::baseline::Baseline;
use super::sites::{self, Site};
use crate::base::fs;
use crate::config::Workspace;
use crate::git::{self, Since};
use crate::nix::{self, Root, Side};
use crate::queue::copy::Copy;
use crate::targets::own::{self, Place};
use crate::targets::{self, Selection, Target};

/// What makes a target the same one on both sides: its board, and its path below its set or as it is typed.
pub(super) type Key = (Option<String>, String);

/// Targets that are attributes of one thing, on one side.
pub(super) struct Part {
    pub root: Root,
    pub targets: Vec<(Key, Target)>,
}

/// Returns the targets of a state of the workspace, with its overlays or without; `root_of` says where what is the workspace's own is
/// evaluated.
pub(super) fn parts(
    of: &Workspace,
    overlays_of: &Workspace,
    selection: &Selection,
    is_patched: bool,
    root_of: &dyn Fn(&Place) -> Result<Root, targets::Error>,
) -> Result<Vec<Part>, Error> {
    let part = |site: Site| {
        let is_own = site.set.is_none();
        let key = |target: &Target| if is_own { target.name.clone() } else { target.attr.to_string() };
        let keyed = |target: Target| ((target.board.clone(), key(&target)), target);
        // Of the workspace's own code there is this state alone.
        let root = site.plain.filter(|_| !is_patched).unwrap_or(site.patched);
        Part { root, targets: site.targets.into_iter().map(keyed).collect() }
    };
    Ok(sites::in_state(of, overlays_of, selection, root_of)?.into_iter().map(part).collect())
}

/// As [`parts`], of a whole state of the workspace: boards that it does not have have no targets in it.
fn parts_of_state(
    of: &Workspace,
    selection: &Selection,
    root_of: &dyn Fn(&Place) -> Result<Root, targets::Error>,
) -> Result<Vec<Part>, Error> {
    let boards = &of.settings().boards;
    let mut selection = selection.clone();
    let has_boards = !selection.boards.is_empty();
    selection.boards.retain(|name| boards.contains_key(name) || (name == "all" && !boards.is_empty()));
    let has_targets = !selection.targets.is_empty() || !of.settings().targets.is_empty();
    match has_boards {
        true if selection.boards.is_empty() => Ok(Vec::new()),
        false if !has_targets => Ok(Vec::new()),
        _ => parts(of, of, &selection, true, root_of),
    }
}

/// As [`parts_of_state`], of a copy of the workspace. What the copy says is beside the workspace is where it is.
pub(super) fn parts_of_copy(
    workspace: &Workspace,
    copy: &Workspace,
    selection: &Selection,
    at: Option<&Since>,
) -> Result<Vec<Part>, Error> {
    let mut selection = selection.clone();
    if let (None, Some(value)) = (&selection.nixpkgs, &copy.settings().nixpkgs)
        && !copy.path(value).exists()
        && workspace.path(value).exists()
    {
        let is_known = match git::working_tree(workspace.root())? {
            Some(tree) => {
                let path = fs::collapsed(&tree.root.join(&tree.below).join(value));
                tree.known.iter().any(|file| tree.root.join(file).starts_with(&path))
            }
            None => false,
        };
        // No revision holds it: it is what it is on both sides.
        if !is_known {
            selection.nixpkgs = Some(targets::absolute(&workspace.path(value))?.display().to_string());
        }
    }
    parts_of_state(copy, &selection, &|place| match (place, at) {
        (Place::Flake(dir), Some(Since { root, below, commit: Some(commit), is_shallow, .. })) => {
            let mut reference = format!("git+file://{}?rev={commit}", root.display());
            let here = targets::absolute(&copy.path(dir))?;
            let dir = fs::collapsed(&below.join(dir));
            if !dir.as_os_str().is_empty() && dir != Path::new(".") {
                reference.push_str(&format!("&dir={}", dir.display()));
            }
            if *is_shallow {
                reference.push_str("&shallow=1");
            }
            Ok(nix::flake(&reference, &reference, &here)?)
        }
        _ => place.root(copy),
    })
}

/// The targets of one side: what they are attributes of, and all of them in one row.
pub(super) struct OneSide {
    pub sides: Vec<Side>,
    pub targets: Vec<(Key, Target)>,
}

impl OneSide {
    pub(super) fn of(name: &str, parts: Vec<Part>) -> OneSide {
        let mut all = OneSide { sides: Vec::new(), targets: Vec::new() };
        for part in parts {
            let targets = part.targets.iter().map(|(_, target)| target.attr.names().to_vec()).collect();
            all.sides.push(Side { name: name.to_owned(), root: part.root, targets });
            all.targets.extend(part.targets);
        }
        all
    }

    /// Returns the targets that are attributes of the same thing as one.
    pub(super) fn beside(&self, key: &Key) -> &[(Key, Target)] {
        let mut rest = self.targets.as_slice();
        for side in &self.sides {
            let (own, others) = rest.split_at_checked(side.targets.len()).unwrap_or((rest, &[]));
            if own.iter().any(|(other, _)| other == key) {
                return own;
            }
            rest = others;
        }
        &[]
    }
}

/// The targets of both sides, and the copy of the workspace that is the other side, which has to be there until both are evaluated.
pub(super) struct Sides {
    pub before: OneSide,
    pub after: OneSide,
    pub copy: Option<Copy>,
}

impl Sides {
    /// Finds them. With `since` all is as it was on the other side, else only the overlays are.
    pub(super) fn of(
        workspace: &Workspace,
        selection: &Selection,
        baseline: &Baseline,
        since: Option<&Since>,
    ) -> Result<Sides, Error> {
        let here: &dyn Fn(&Place) -> Result<Root, targets::Error> = &|place| place.root(workspace);
        let whole = || parts(workspace, workspace, selection, true, here);
        let is_own_code = !own::split(workspace, selection).map_or(true, |(own, _)| own.is_empty());
        let copy = || baseline.copy(workspace, is_own_code, selection.nixpkgs.as_deref());
        let (copy, before, after) = if since.is_some() {
            let copy = copy().map_err(|error| baseline.failed(None, error))?;
            let before = match &copy {
                Some(copy) => parts_of_copy(workspace, &copy.workspace, selection, since)
                    .map_err(|error| baseline.failed(None, error))?,
                None => Vec::new(),
            };
            let after = match parts_of_state(workspace, selection, here)? {
                // Neither has any: what is wrong with that is said as ever.
                after if after.is_empty() && before.is_empty() => whole()?,
                after => after,
            };
            (copy, before, after)
        } else {
            let after = whole()?;
            let copy = copy()?;
            let files = copy.as_ref().map_or(workspace, |copy| &copy.workspace);
            let is_patched = *baseline != Baseline::Unpatched;
            let before = parts(workspace, files, selection, is_patched, &|place| place.root(files))?;
            (copy, before, after)
        };
        let before = OneSide::of(&baseline.to_string(), before);
        Ok(Sides { before, after: OneSide::of("the workspace as it is", after), copy })
    }
}
