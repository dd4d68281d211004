//! A queue replaced by another: the patch files and the overlay's list in one batch, so that all is new or all is old.
//!
//! The overlay is changed by the overlay room's own edits, one after the other on the text in memory; what comes out is
//! checked to name exactly the wanted patches in their order. Must not write: the batch is handed back.

use std::path::{Path, PathBuf};

use super::Error;
use crate::base::diagnostic::Warning;
use crate::base::fs::{self, Batch};
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{AttrPath, Facts, FileChange, PatchElement, PatchRequest, Planned, Scope};
use crate::patch::queue::QueueName;
use crate::queue::choose::{self, Spot};
use crate::queue::discover::{self, Choice, Disk, Overlays};
use crate::queue::facts;
use crate::queue::follow::{Crossing, crossing, follow};
use crate::queue::model::Asking;
use crate::queue::series::Series;
use crate::queue::trial::{self, Trial};

/// One patch of the new queue.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The file that it is now, if it is one.
    pub from: Option<PathBuf>,
    pub bytes: Vec<u8>,
    /// What its name is made from when it needs a new one.
    pub subject: String,
    /// Whether it gets a new name, as its subject is another one.
    pub rename: bool,
}

/// A planned change of a queue.
#[derive(Debug)]
pub struct Rewrite {
    pub batch: Batch,
    /// The patches of the new queue, in order.
    pub paths: Vec<PathBuf>,
    pub diff: String,
    pub warnings: Vec<Warning>,
    pub removed: Vec<PathBuf>,
    /// The overlays' new texts.
    changes: Vec<FileChange>,
    /// What becomes of the files of each package.
    moves: Vec<Moves>,
    /// The patches as they are in the end: file and bytes.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The folders of queues that end up empty.
    emptied: Vec<PathBuf>,
    /// Patches that change places from one overlay to another.
    crossing: Option<(AttrPath, Crossing)>,
}

/// What becomes of the patch files of a package.
#[derive(Debug)]
struct Moves {
    attr: AttrPath,
    /// Other packages that name a file of the queue.
    beside: Vec<AttrPath>,
    /// The file of each patch that stays, before and after.
    follows: Vec<(PathBuf, PathBuf)>,
    new: Vec<PathBuf>,
    /// Whether those that stay stand in another order.
    reorders: bool,
    /// Whether the new ones stand behind all that stay.
    appends: bool,
    place: Place,
}

impl Moves {
    fn of(series: &Series, wanted: &[Wanted], paths: &[PathBuf]) -> Moves {
        let (mut follows, mut new) = (Vec::new(), Vec::new());
        for (wanted, path) in wanted.iter().zip(paths) {
            match &wanted.from {
                Some(from) => follows.push((from.clone(), path.clone())),
                None => new.push(path.clone()),
            }
        }
        let place = series.bound.first().map_or_else(|| Place::file(&series.dir), |bound| bound.function.clone());
        let stay =
            series.patches.iter().map(|entry| &entry.path).filter(|path| follows.iter().any(|(from, _)| from == *path));
        let reorders = !stay.eq(follows.iter().map(|(from, _)| from));
        let beside = series.bound.iter().map(|bound| bound.attr.clone()).collect();
        let appends = paths.ends_with(&new);
        Moves { attr: series.attr.clone(), beside, follows, new, reorders, appends, place }
    }
}

impl Rewrite {
    fn new(workspace: &Workspace) -> Rewrite {
        Rewrite {
            batch: Batch::new(workspace.root()),
            paths: Vec::new(),
            diff: String::new(),
            warnings: Vec::new(),
            removed: Vec::new(),
            changes: Vec::new(),
            moves: Vec::new(),
            files: Vec::new(),
            emptied: Vec::new(),
            crossing: None,
        }
    }

    /// Evaluates the workspace as it would be: each patch that stays is in effect where it was, and nothing stops evaluating.
    fn tried(mut self, workspace: &Workspace, how: Asking<'_>) -> Result<Rewrite, Error> {
        if self.changes.is_empty() {
            return Ok(self);
        }
        if how.offline {
            self.by_text()?;
            return Ok(self);
        }
        let mut attrs: Vec<AttrPath> = self.moves.iter().map(|moves| moves.attr.clone()).collect();
        for attr in self.moves.iter().flat_map(|moves| &moves.beside) {
            if !attrs.contains(attr) {
                attrs.push(attr.clone());
            }
        }
        let trial = match Trial::begin(workspace, how.nixpkgs, &attrs)? {
            Ok(trial) => trial,
            Err(why) => {
                self.warnings.extend(attrs.first().map(|attr| choose::not_tried(attr, &why)));
                self.by_text()?;
                return Ok(self);
            }
        };
        let mut warnings = Vec::new();
        for moves in &self.moves {
            let written = self.written();
            let change = trial::Change {
                attrs: std::slice::from_ref(&moves.attr),
                written: &written,
                removed: &self.removed,
                wanted: &moves.new,
                unwanted: &[],
                follows: &moves.follows,
                reorders: moves.reorders,
                appends: moves.appends,
            };
            match trial.of(&change, &mut warnings)? {
                trial::Outcome::Damage(why) => {
                    return Err(Error::Damage { attr: moves.attr.clone(), why, place: moves.place.clone() });
                }
                trial::Outcome::NoEffect(why) => warnings.push(choose::no_effect(&why, &moves.place.path)),
                trial::Outcome::Unknown(why) => warnings.push(choose::not_tried(&moves.attr, &why)),
                trial::Outcome::InEffect(_) | trial::Outcome::Exported(_) => {}
            }
        }
        // Choosing the place may have said the same.
        warnings.retain(|warning| !self.warnings.contains(warning));
        self.warnings.extend(warnings);
        Ok(self)
    }

    /// Says what the text shows of the order in which the patches would be applied, where that is not evaluated.
    ///
    /// # Errors
    /// [`Error::OverlayOrder`] where it would not be the wanted one.
    fn by_text(&mut self) -> Result<(), Error> {
        match self.crossing.take() {
            Some((attr, Crossing { why, place, certain: true })) => Err(Error::OverlayOrder { attr, why, place }),
            Some((attr, Crossing { why, place, .. })) => {
                self.warnings.push(Warning {
                    code: "OV1172",
                    message: format!("the order of the patches of `{attr}` may not be the wanted one: {why}"),
                    place: Some(place),
                    hint: Some("without --offline Nix is asked for the order in which they are applied".into()),
                });
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Returns the files as they would be.
    pub fn written(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let overlays = self.changes.iter().map(|change| (change.path.clone(), change.new.clone().into_bytes()));
        overlays.chain(self.files.iter().cloned()).collect()
    }

    /// Writes it, and makes new files visible to a flake; returns the paths that changed.
    ///
    /// # Errors
    /// Those of writing; nothing has changed then.
    pub fn commit(self, workspace: &Workspace) -> Result<Vec<PathBuf>, Error> {
        let changed = self.batch.commit()?;
        // A folder goes with its last patch; one that holds something else stays.
        self.emptied.iter().for_each(|dir| fs::remove_dir_if_empty(dir));
        make_visible(workspace, &self.paths)?;
        Ok(changed)
    }
}

/// Plans for several queues, which become one batch: the overlays are told of each change before the next is planned.
#[derive(Debug)]
pub struct Together {
    pub overlays: Overlays,
    all: Rewrite,
}

impl Together {
    /// Begins without a change.
    pub fn new(workspace: &Workspace, overlays: Overlays) -> Together {
        Together { overlays, all: Rewrite::new(workspace) }
    }

    /// Plans to replace a queue that has been patched already, as [`plan`].
    pub fn plan(&mut self, workspace: &Workspace, series: &Series, wanted: &[Wanted]) -> Result<(), Error> {
        let how = Asking { offline: true, nixpkgs: None };
        let one = draft(workspace, &self.overlays, series, wanted, how, Binding::AsItIs)?;
        for change in one.changes {
            self.overlays.replace(&change.path, change.new.clone())?;
            self.all.changes.retain(|known| known.path != change.path);
            self.all.changes.push(change);
        }
        self.all.moves.extend(one.moves);
        self.all.files.extend(one.files);
        self.all.batch.append(one.batch);
        self.all.paths.extend(one.paths);
        self.all.diff.push_str(&one.diff);
        self.all.warnings.extend(one.warnings);
        self.all.removed.extend(one.removed);
        self.all.emptied.extend(one.emptied);
        self.all.crossing = self.all.crossing.take().or(one.crossing);
        Ok(())
    }

    /// Returns the one change that all plans make, tried as [`plan`] does.
    pub fn done(self, workspace: &Workspace, how: Asking<'_>) -> Result<Rewrite, Error> {
        self.all.tried(workspace, how)
    }
}

/// What happens to a queue that no overlay binds.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// An overlay is made to bind it: the one that the user named, or the one that comes into question.
    Made(Option<&'a Choice>),
    /// It stays so: only the bytes of its files may change.
    AsItIs,
}

/// Returns the queue as it is, as the queue that is wanted.
pub fn keep(series: &Series) -> Vec<Wanted> {
    let kept = |e: &crate::queue::series::Entry| Wanted {
        from: Some(e.path.clone()),
        bytes: e.bytes.clone(),
        subject: e.subject(),
        rename: false,
    };
    series.patches.iter().map(kept).collect()
}

/// Plans to replace a queue, and evaluates the workspace as it would be.
///
/// # Errors
/// [`Error::OverlayOrder`] when the overlay's list cannot follow; [`Error::Damage`]; those of the overlay room, and of a nixpkgs that
/// was named and cannot be used.
pub fn plan(
    workspace: &Workspace,
    overlays: &Overlays,
    series: &Series,
    wanted: &[Wanted],
    how: Asking<'_>,
    binding: Binding<'_>,
) -> Result<Rewrite, Error> {
    draft(workspace, overlays, series, wanted, how, binding)?.tried(workspace, how)
}

fn draft(
    workspace: &Workspace,
    overlays: &Overlays,
    series: &Series,
    wanted: &[Wanted],
    how: Asking<'_>,
    binding: Binding<'_>,
) -> Result<Rewrite, Error> {
    let paths = name(series, wanted);
    let mut rewrite = Rewrite {
        paths: paths.clone(),
        moves: vec![Moves::of(series, wanted, &paths)],
        files: paths.iter().cloned().zip(wanted.iter().map(|wanted| wanted.bytes.clone())).collect(),
        emptied: if paths.is_empty() { vec![series.dir.clone()] } else { Vec::new() },
        crossing: crossing(overlays, series, wanted)?.map(|crossing| (series.attr.clone(), crossing)),
        ..Rewrite::new(workspace)
    };
    for (wanted, path) in wanted.iter().zip(&paths) {
        let link = wanted.from.as_ref().filter(|from| *from != path && from.is_symlink());
        if let Some(from) = link {
            let why = format!("{} is a link, which gets no other name", from.display());
            return Err(Error::OverlayOrder { attr: series.attr.clone(), why, place: Place::file(from) });
        }
    }
    for entry in &series.patches {
        // What was edited since it was read is not written over.
        rewrite.batch.expect(&entry.path, Some(&entry.bytes));
        // A file that stands elsewhere is the user's: it is only no longer named.
        if !paths.contains(&entry.path) && entry.path.starts_with(&series.dir) {
            rewrite.batch.remove(&entry.path);
            rewrite.removed.push(entry.path.clone());
        }
    }
    for (path, wanted) in paths.iter().zip(wanted) {
        rewrite.batch.write(path, wanted.bytes.clone());
    }
    let old: Vec<PathBuf> = series.patches.iter().map(|e| e.path.clone()).collect();
    let choice = match binding {
        Binding::Made(choice) => Some(choice),
        Binding::AsItIs => None,
    };
    let named = !series.bound.is_empty() || series.placed;
    if old == paths && (named || choice.is_none()) {
        return Ok(rewrite);
    }
    // What an overlay is made to bind: all of a queue that nothing names, and what comes to one that no binding shows.
    let coming = |(wanted, path): (&Wanted, &PathBuf)| (!named || wanted.from.is_none()).then(|| path.clone());
    let bind: Vec<PathBuf> = match series.bound.is_empty() {
        true => wanted.iter().zip(&paths).filter_map(coming).collect(),
        false => Vec::new(),
    };
    let stays = wanted.iter().zip(&paths).all(|(wanted, path)| wanted.from.as_ref().is_none_or(|from| from == path));
    let refused = match (choice.is_none(), named) {
        (true, false) => Some("no text was found that names its patches"),
        (true, true) if !bind.is_empty() => Some("no binding was found that a new patch could go to"),
        (false, true) if !bind.is_empty() && !stays => Some("a patch comes while others get another name or order"),
        _ => None,
    };
    if let Some(why) = refused {
        let (attr, why, place) = (series.attr.clone(), why.to_string(), Place::file(&series.dir));
        return Err(Error::OverlayOrder { attr, why, place });
    }
    let changes = match bind.as_slice() {
        [] if !named => Vec::new(),
        [] => follow(workspace, overlays, series, wanted, how, &paths)?,
        bind => {
            let (facts, warnings) = match how.offline {
                true => (Facts::default(), Vec::new()),
                false => facts::ask(workspace, how.nixpkgs, &series.attr)?,
            };
            rewrite.warnings.extend(warnings);
            let mut draft = |spot: Spot<'_>| {
                if let Some(planned) = discover::loaded(&spot, &series.attr, &series.dir) {
                    return Ok(planned);
                }
                let request = PatchRequest {
                    attr: series.attr.clone(),
                    elements: bind.iter().map(|p| element(workspace, spot.file.path(), p)).collect::<Result<_, _>>()?,
                    position: None,
                    scope: Scope::All,
                    facts: facts.clone(),
                    attribute: None,
                };
                Ok(spot.file.add_patches(&Disk, spot.select, &request)?)
            };
            let attrs = std::slice::from_ref(&series.attr);
            let trial = match how.offline {
                true => None,
                false => Trial::begin(workspace, how.nixpkgs, attrs)?.ok(),
            };
            let mut try_it = |planned: &Planned, warnings: &mut Vec<Warning>| {
                let Some(trial) = &trial else { return Ok(trial::Outcome::InEffect(Vec::new())) };
                let overlays =
                    planned.changes.iter().map(|change| (change.path.clone(), change.new.clone().into_bytes()));
                let written: Vec<(PathBuf, Vec<u8>)> = overlays.chain(rewrite.files.iter().cloned()).collect();
                let appends = true;
                let change = trial::Change { attrs, written: &written, wanted: bind, appends, ..Default::default() };
                trial.of(&change, warnings)
            };
            let asked: choose::Try<'_, Planned> = if trial.is_some() { Some(&mut try_it) } else { None };
            let chosen = choose::choose(workspace, choice.flatten(), &series.attr, &mut draft, asked)?;
            rewrite.warnings.extend(chosen.warnings);
            rewrite.warnings.extend(chosen.plan.warnings);
            chosen.plan.changes
        }
    };
    for change in &changes {
        rewrite.batch.replace(&change.path, Some(change.old.as_bytes()), change.new.as_bytes());
    }
    rewrite.diff = diff(&changes);
    rewrite.changes = changes;
    Ok(rewrite)
}

/// Gives each patch of the new queue its file. A patch that stays keeps its name, one that is renamed its number, as long as the
/// order holds and there is a number for each new one; otherwise all are numbered anew. A file that stands outside the queue's folder
/// keeps its path.
fn name(series: &Series, wanted: &[Wanted]) -> Vec<PathBuf> {
    let queued = |path: &Path| {
        let name = path.file_name().filter(|_| path.parent() == Some(series.dir.as_path()))?;
        QueueName::parse(&name.to_string_lossy())
    };
    let before = |w: &Wanted| series.patches.iter().position(|entry| Some(&entry.path) == w.from.as_ref());
    let in_order = wanted.iter().filter_map(before).is_sorted();
    // The number of a patch that goes is free again.
    let is_other = |name: &String| !series.patches.iter().any(|entry| entry.path == series.dir.join(name));
    let there = super::files(&series.dir).unwrap_or_default();
    let others = there.iter().filter(|name| is_other(name)).filter_map(|name| QueueName::parse(name));
    let all = others.chain(wanted.iter().filter_map(|w| queued(w.from.as_ref()?)));
    let mut highest = all.map(|name| name.number).max().unwrap_or(0);
    // Without the names that have no number: such a file is numbered only with all others.
    let number = |w: &Wanted| w.from.as_deref().and_then(queued).map(|name| name.number);
    let all_stay = wanted.len() == series.patches.len() && wanted.iter().all(|w| w.from.is_some());
    let mut paths = Vec::with_capacity(wanted.len());
    let mut last = 0;
    for (at, w) in wanted.iter().enumerate() {
        let own = number(w);
        let path = match (&w.from, own) {
            (Some(path), _) if !w.rename || path.parent() != Some(series.dir.as_path()) => Some(path.clone()),
            (Some(_), Some(number)) => {
                let number = if all_stay || number <= last { number } else { last + 1 };
                Some(series.dir.join(QueueName::new(number, &w.subject).file_name()))
            }
            _ => {
                let next = wanted.get(at + 1..).unwrap_or_default().iter().find_map(number);
                let free = match next {
                    Some(next) => Some(last + 1).filter(|free| *free < next),
                    None => Some(highest + 1),
                };
                last = free.unwrap_or(last);
                highest = highest.max(last);
                free.map(|free| series.dir.join(QueueName::new(free, &w.subject).file_name()))
            }
        };
        last = own.unwrap_or(last);
        paths.extend(path);
    }
    if in_order && paths.len() == wanted.len() {
        return paths;
    }
    // Where all have one already, the numbers are those that there are.
    let mut numbers: Vec<u32> = wanted.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let in_dir = |w: &&Wanted| w.from.as_ref().is_none_or(|from| from.parent() == Some(series.dir.as_path()));
    if numbers.len() != wanted.iter().filter(in_dir).count() {
        numbers = (1..).take(wanted.len()).collect();
    }
    let mut numbers = numbers.into_iter();
    let anew = wanted.iter().map(|w| match &w.from {
        Some(path) if !in_dir(&w) => path.clone(),
        from => {
            let number = numbers.next().unwrap_or_default();
            let own = from.as_deref().and_then(queued).filter(|_| !w.rename);
            let name =
                own.map_or_else(|| QueueName::new(number, &w.subject), |own| QueueName { number, slug: own.slug });
            series.dir.join(name.file_name())
        }
    });
    anew.collect()
}

pub(super) fn element(workspace: &Workspace, overlay: &Path, patch: &Path) -> Result<PatchElement, Error> {
    Ok(PatchElement::Path { relative: super::relative(overlay, patch)?, from_root: from_root(workspace, patch) })
}

/// Returns the patch relative to the root of the flake, when the workspace is one.
pub(crate) fn from_root(workspace: &Workspace, patch: &Path) -> Option<String> {
    let relative = super::relative(&workspace.path("flake.nix"), patch).ok()?;
    workspace.path("flake.nix").is_file().then(|| relative.trim_start_matches("./").to_string())
}

/// Makes new files visible to a flake, which sees only what git knows.
pub(crate) fn make_visible(workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    if !workspace.path("flake.nix").is_file() {
        return Ok(Vec::new());
    }
    Ok(crate::git::make_visible(workspace.root(), files)?)
}

/// Returns the changes of the overlay files as one unified diff.
pub(crate) fn diff(changes: &[FileChange]) -> String {
    let mut out = String::new();
    for change in changes {
        let path = change.path.display().to_string();
        let diff = similar::TextDiff::from_lines(&change.old, &change.new);
        out.push_str(
            &diff.unified_diff().context_radius(3).header(&format!("a/{path}"), &format!("b/{path}")).to_string(),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(from: Option<&str>, subject: &str) -> Wanted {
        Wanted { from: from.map(PathBuf::from), bytes: Vec::new(), subject: subject.into(), rename: false }
    }

    fn names(wanted: &[Wanted]) -> Vec<String> {
        let attr = AttrPath::parse("a").unwrap();
        let mut series = Series::new(attr, "q".into());
        let mut all: Vec<&PathBuf> = wanted.iter().filter_map(|w| w.from.as_ref()).collect();
        all.sort_by_key(|path| path.file_name());
        series.patches = all
            .into_iter()
            .map(|path| crate::queue::series::Entry { path: path.clone(), bytes: Vec::new(), conditional: false })
            .collect();
        name(&series, wanted).iter().map(|p| p.display().to_string()).collect()
    }

    #[test]
    fn names_stay_while_the_order_holds() {
        let kept = [wanted(Some("q/0001-a.patch"), "a"), wanted(Some("q/0003-c.patch"), "c"), wanted(None, "New one")];
        assert_eq!(names(&kept), ["q/0001-a.patch", "q/0003-c.patch", "q/0004-New-one.patch"]);
        let gap = [wanted(Some("q/0001-a.patch"), "a"), wanted(None, "b"), wanted(Some("q/0003-c.patch"), "c")];
        assert_eq!(names(&gap), ["q/0001-a.patch", "q/0002-b.patch", "q/0003-c.patch"]);
        let swapped = [wanted(Some("q/0003-c.patch"), "c"), wanted(Some("q/0001-a.patch"), "a")];
        // The numbers are those that there were, so that the way back gives the old names.
        assert_eq!(names(&swapped), ["q/0001-c.patch", "q/0003-a.patch"]);
        let mut renamed = wanted(Some("q/0003-c.patch"), "other");
        renamed.rename = true;
        assert_eq!(names(&[wanted(Some("q/0001-a.patch"), "a"), renamed]), ["q/0001-a.patch", "q/0003-other.patch"]);
        let other = [wanted(Some("x/mine.patch"), "m"), wanted(Some("q/0001-a.patch"), "a"), wanted(None, "b")];
        assert_eq!(names(&other), ["x/mine.patch", "q/0001-a.patch", "q/0002-b.patch"]);
    }

    #[test]
    fn what_was_edited_since_it_was_read_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let overlay = "final: prev: { a = prev.a.overrideAttrs (o: { patches = [ ./patches/a/0001-x.patch ]; }); }";
        let patch = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n";
        for edited in ["overlay.nix", "patches/a/0001-x.patch"] {
            fs::write(&at("overlay.nix"), overlay.as_bytes()).unwrap();
            fs::write(&at("patches/a/0001-x.patch"), patch.as_bytes()).unwrap();
            let workspace = Workspace::open(Some(dir.path())).unwrap();
            let overlays = Overlays::read(&workspace, None).unwrap();
            let series = overlays.queue(&workspace, &AttrPath::single("a")).unwrap();
            let renamed = vec![Wanted { rename: true, subject: "y".into(), ..keep(&series).remove(0) }];
            let how = Asking { nixpkgs: None, offline: true };
            let plan = plan(&workspace, &overlays, &series, &renamed, how, Binding::AsItIs).unwrap();
            let text = fs::read_text(&at(edited)).unwrap() + "# by hand\n";
            fs::write(&at(edited), text.as_bytes()).unwrap();
            let refused = plan.commit(&workspace).unwrap_err();
            assert_eq!(crate::base::diagnostic::Coded::code(&refused), "OV0006", "{refused}");
            assert_eq!(fs::read_text(&at(edited)).unwrap(), text);
            assert!(at("patches/a/0001-x.patch").is_file() && !at("patches/a/0001-y.patch").exists());
        }
    }

    /// Swaps two patches offline, each named by an overlay of its own in a workspace with these settings.
    fn swapped(settings: &str, guard: &str) -> Result<Vec<&'static str>, String> {
        changed(settings, guard, |queue| queue.reverse(), &["0001-y", "0002-x"])
    }

    /// Changes their queue offline, which then has these names.
    fn changed(
        settings: &str,
        guard: &str,
        change: impl Fn(&mut Vec<Wanted>),
        names: &[&str],
    ) -> Result<Vec<&'static str>, String> {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(&at("overlayctl.toml"), settings.as_bytes()).unwrap();
        for (overlay, name) in [("a.nix", "0001-x"), ("b.nix", "0002-y")] {
            let list = format!("{guard}[ ./patches/a/{name}.patch ]");
            let text =
                format!("final: prev: {{ a = prev.a.overrideAttrs (o: {{ patches = o.patches ++ {list}; }}); }}");
            fs::write(&at(overlay), text.as_bytes()).unwrap();
            let patch = format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-1\n+2\n");
            fs::write(&at(&format!("patches/a/{name}.patch")), patch.as_bytes()).unwrap();
        }
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        let overlays = Overlays::read(&workspace, None).unwrap();
        let series = overlays.queue(&workspace, &AttrPath::single("a")).unwrap();
        let mut queue = keep(&series);
        change(&mut queue);
        let how = Asking { nixpkgs: None, offline: true };
        let planned = plan(&workspace, &overlays, &series, &queue, how, Binding::AsItIs);
        let planned = planned.map_err(|error| format!("{}: {error}", crate::base::diagnostic::Coded::code(&error)))?;
        let paths: Vec<PathBuf> = names.iter().map(|name| at(&format!("patches/a/{name}.patch"))).collect();
        assert_eq!(planned.paths, paths);
        Ok(planned.warnings.iter().map(|warning| warning.code).collect())
    }

    #[test]
    fn offline_two_overlays_that_both_apply_keep_their_order() {
        let listed = "overlays = [\"a.nix\", \"b.nix\"]\n";
        let both = "[boards.p]\nplatform = \"x\"\npackages = [\"a\"]\ncross-overlays = [\"a.nix\", \"b.nix\"]\n";
        for settings in [listed, both, "overlays = [\"a.nix\"]\ncross-overlays = [\"b.nix\"]\n"] {
            let refused = swapped(settings, "").unwrap_err();
            assert!(refused.starts_with("OV1051") && refused.contains("b.nix"), "{refused}");
        }
        // Under a condition, or where only the user's own code could apply them, the text does not tell.
        assert_eq!(swapped(listed, "final.lib.optionals final.stdenv.isLinux ").unwrap(), ["OV1172"]);
        assert_eq!(swapped("overlays = []\n", "").unwrap(), ["OV1172"]);
        // No board has both.
        let apart = "[boards.p]\nplatform = \"x\"\npackages = [\"a\"]\ncross-overlays = [\"a.nix\"]\n\
                     [boards.q]\nplatform = \"y\"\npackages = [\"a\"]\ncross-overlays = [\"b.nix\"]\n";
        assert_eq!(swapped(apart, "").unwrap(), [""; 0]);
    }

    #[test]
    fn offline_a_new_patch_comes_behind_the_others_as_far_as_text_tells() {
        let behind = |queue: &mut Vec<Wanted>| queue.push(wanted(None, "z"));
        let names = ["0001-x", "0002-y", "0003-z"];
        assert_eq!(changed("overlays = [\"a.nix\", \"b.nix\"]\n", "", behind, &names).unwrap(), [""; 0]);
        // Only the user's own code could say which is applied last.
        assert_eq!(changed("overlays = []\n", "", behind, &names).unwrap(), ["OV1172"]);
    }
}
