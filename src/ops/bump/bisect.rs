//! `bump --bisect`: which revision between the old nixpkgs and the new one broke a target or a patch.
//!
//! The revisions are those of a clone, by first parents, or a list in a file. Patches in a clone are looked for by
//! [`crate::ops::rebase::time_machine()`], which goes into merges as well. Whatever else is to be looked for, a budget for example, is another
//! [`Question`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use crate::base::diagnostic::Verdict;
use crate::base::fs;
use crate::base::process::{ProcessError, interrupted};
use crate::base::progress::Progress;
use crate::comparison::state;
use crate::config::Workspace;
use crate::git::{Oid, Scratch};
use crate::nix::{FailureKind, Root, Side};
use crate::ops::check;
use crate::ops::rebase::revisions;
use crate::ops::{Error, Outcome};
use crate::overlay::AttrPath;
use crate::queue::discover::Overlays;
use crate::queue::series;
use crate::targets::{self, Selection, engine};

/// How many revisions beside one that says nothing are tried before the search ends there.
const TRIES: usize = 12;

/// What is looked for, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The new nixpkgs; a list needs none.
    pub to: Option<String>,
    /// A file with a package set in each line, the old one first.
    pub pins: Option<PathBuf>,
    /// The target that does not evaluate any more; the patches when absent.
    pub target: Option<String>,
    pub build: bool,
}

/// What a revision is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    /// Does the target evaluate?
    Target(String),
    /// Does this patch of a package apply?
    Patch(AttrPath, PathBuf),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bisected {
    pub from: String,
    pub to: String,
    /// How many revisions lie between both.
    pub between: usize,
    pub asked: usize,
    pub findings: Vec<Finding>,
}

/// What came of one question.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The target, or the patch.
    pub what: String,
    /// Whether it is broken in the new revision; absent where that is not known.
    pub broken: Option<bool>,
    /// The first revision in which it is.
    pub first: Option<String>,
    /// The last before that in which it is not.
    pub last_before: Option<String>,
    /// How many revisions between the two say nothing.
    pub unclear: usize,
    /// What that revision says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Where the revisions come from; the first is the old one, the last the new one.
enum Line {
    Clone { scratch: Scratch, ids: Vec<Oid>, shown: Vec<String>, _dir: TempDir },
    List(Vec<String>),
}

/// An answer: whether it is broken, and what is said of that.
type Answer = (Option<bool>, Option<String>);

struct Search<'a> {
    workspace: &'a Workspace,
    build: bool,
    line: Line,
    /// What the packages are at a revision, or why that is not known.
    checked: HashMap<usize, Result<Vec<check::Package>, String>>,
    targets: HashMap<usize, Answer>,
    progress: &'a mut dyn Progress,
}

/// Looks for the revisions.
///
/// # Errors
/// [`crate::queue::Error::NoHistory`], those of reading the list; that a revision cannot be evaluated is an answer.
pub fn bisect(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Bisected, Error> {
    let line = match (&options.pins, &options.to) {
        (Some(file), _) => list(workspace, file)?,
        (None, Some(to)) => clone(workspace, to)?,
        (None, None) => {
            return Err(Error::usage(
                "it is not said where to look",
                "name the new one with --to, or a list with --pins",
            ));
        }
    };
    let mut search =
        Search { workspace, build: options.build, line, checked: HashMap::new(), targets: HashMap::new(), progress };
    let last = search.line.len() - 1;
    let questions: Vec<Question> = match &options.target {
        Some(target) => vec![Question::Target(target.clone())],
        None => {
            // Those of the workspace: what the new revision does not have is a question as well.
            let overlays = Overlays::read(workspace, None)?;
            let mut questions = Vec::new();
            for attr in overlays.typed_or_all(workspace, &[])? {
                let series = overlays.series(workspace, &attr)?;
                let patch = |entry: series::Entry| Question::Patch(attr.clone(), entry.path);
                questions.extend(series.patches.into_iter().map(patch));
            }
            questions
        }
    };
    if questions.is_empty() {
        return Err(Error::usage(
            "there is nothing to look for",
            "the workspace has no patch in a queue; name a target with --target",
        ));
    }
    let findings = questions.iter().map(|question| search.find(question)).collect();
    if interrupted() {
        return Err(ProcessError::Interrupted.into());
    }
    Ok(Bisected {
        from: search.line.shown(0),
        to: search.line.shown(last),
        between: last.saturating_sub(1),
        asked: search.checked.len().max(search.targets.len()),
        findings,
    })
}

/// Refuses a package set that does not evaluate as a whole: it says nothing of any target.
fn evaluates(workspace: &Workspace, set: &str) -> Result<(), Error> {
    let root = Root::Packages(Box::new(targets::plain_set(workspace, Some(set))?));
    let none = "overlayctl-no-such-attribute";
    let side = Side { name: "the package set".into(), root, targets: vec![vec![none.into()]] };
    let results = engine::nix_without_builds(workspace)?.instantiate(&[side])?;
    match results.into_iter().flatten().next() {
        Some(Err(failure)) if !matches!(&failure.kind, FailureKind::MissingAttribute { attribute } if attribute == none) => {
            Err(targets::Error::Eval { target: set.to_owned(), failure: Box::new(failure) }.into())
        }
        _ => Ok(()),
    }
}

fn list(workspace: &Workspace, file: &Path) -> Result<Line, Error> {
    let text = fs::read_text(file)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pins: Vec<String> = lines.map(str::to_owned).collect();
    if pins.len() < 2 {
        return Err(Error::usage(
            format!("{} names fewer than two package sets", file.display()),
            "one in each line, the old one first",
        ));
    }
    for end in pins.first().into_iter().chain(pins.last()) {
        revisions::package_set(workspace, None, end)?;
    }
    Ok(Line::List(pins))
}

fn clone(workspace: &Workspace, to: &str) -> Result<Line, Error> {
    let revisions::Between { history, from, to } = revisions::between(workspace, None, to)?;
    let mut ids = history.first_parents(from, to)?;
    // The line begins where the branch of the old revision parts.
    let first = ids.first().map(|id| history.revision(*id)).transpose()?;
    ids.insert(0, first.and_then(|first| first.parents.first().copied()).unwrap_or(from));
    let shown = ids.iter().map(|id| Ok(format!("{id} {}", history.revision(*id)?.subject)));
    let shown = shown.collect::<Result<_, Error>>()?;
    let dir = revisions::temporary()?;
    let scratch = history.scratch(dir.path())?;
    Ok(Line::Clone { scratch, ids, shown, _dir: dir })
}

impl Line {
    fn len(&self) -> usize {
        match self {
            Line::Clone { ids, .. } => ids.len(),
            Line::List(pins) => pins.len(),
        }
    }

    fn shown(&self, at: usize) -> String {
        let shown = match self {
            Line::Clone { shown, .. } => shown.get(at),
            Line::List(pins) => pins.get(at),
        };
        shown.cloned().unwrap_or_default()
    }
}

impl Search<'_> {
    /// Makes the package set of a revision, and asks something of it.
    fn with_set<T>(&mut self, at: usize, ask: impl FnOnce(&mut Self, &str) -> Result<T, Error>) -> Result<T, Error> {
        let shown = self.line.shown(at);
        self.progress.stage(&format!("looking at {}", crate::base::text::shorten(&shown, 60)));
        match &self.line {
            Line::Clone { scratch, ids, .. } => {
                let id = ids.get(at).copied().ok_or(crate::targets::Error::NoTargets)?;
                let set = scratch.check_out(id)?.display().to_string();
                ask(self, &set)
            }
            Line::List(pins) => {
                let pin = pins.get(at).cloned().ok_or(crate::targets::Error::NoTargets)?;
                let set = revisions::package_set(self.workspace, None, &pin)?;
                ask(self, &set.nixpkgs)
            }
        }
    }

    fn packages(&mut self, at: usize) -> &Result<Vec<check::Package>, String> {
        if !self.checked.contains_key(&at) {
            let asked = self.with_set(at, |search, set| {
                let options =
                    check::Options { nixpkgs: Some(set.to_owned()), build: search.build, ..check::Options::default() };
                check::check(search.workspace, &options, search.progress)
            });
            self.checked.insert(at, asked.map(|checked| checked.packages).map_err(|error| error.to_string()));
        }
        &self.checked[&at]
    }

    fn answer(&mut self, at: usize, question: &Question) -> Answer {
        match question {
            Question::Patch(attr, path) => {
                let packages = match self.packages(at) {
                    Ok(packages) => packages,
                    Err(why) => return (None, Some(why.clone())),
                };
                let Some(package) = packages.iter().find(|package| package.attr == *attr) else { return (None, None) };
                match package.patches.iter().find(|patch| patch.path == *path) {
                    Some(patch) => {
                        let words = format!("{} {}", patch.state.words(), patch.detail);
                        (Some(!patch.state.fits()), Some(words.trim_end().to_owned()))
                    }
                    None => (None, package.failure.as_ref().map(|failure| failure.message.clone())),
                }
            }
            Question::Target(target) => {
                if let Some(known) = self.targets.get(&at) {
                    return known.clone();
                }
                let selection = |set: &str| Selection {
                    nixpkgs: Some(set.to_owned()),
                    targets: vec![target.clone()],
                    ..Selection::default()
                };
                let asked = self.with_set(at, |search, set| {
                    evaluates(search.workspace, set)?;
                    Ok(state::of(search.workspace, search.workspace, &selection(set), true)?)
                });
                let answer = match asked {
                    Ok(state) => match state.targets.into_iter().find_map(|target| target.derivation.err()) {
                        Some(failure) => (Some(true), Some(failure.message)),
                        None => (Some(false), None),
                    },
                    Err(error) => (None, Some(error.to_string())),
                };
                self.targets.insert(at, answer.clone());
                answer
            }
        }
    }

    fn find(&mut self, question: &Question) -> Finding {
        let what = match question {
            Question::Target(target) => target.clone(),
            Question::Patch(_, path) => path.display().to_string(),
        };
        let (mut low, mut high) = (0, self.line.len() - 1);
        let (broken, message) = self.answer(high, question);
        let mut finding = Finding { what, broken, first: None, last_before: None, unclear: 0, message, unknown: None };
        match (broken, self.answer(low, question).0) {
            (Some(false), _) => return finding,
            (None, _) => finding.unknown = Some("the new revision says nothing of it".into()),
            (_, None) => finding.unknown = Some("the old revision says nothing of it".into()),
            (_, Some(true)) => finding.unknown = Some("it is so in the old revision already".into()),
            (Some(true), Some(false)) => {}
        }
        if finding.unknown.is_some() {
            return finding;
        }
        let mut silent: Vec<usize> = Vec::new();
        while high > low + 1 {
            let middle = low + (high - low) / 2;
            let near =
                (0..TRIES).flat_map(|far| [middle.checked_sub(far), middle.checked_add(far)].into_iter().flatten());
            let mut free = near.filter(|at| (low + 1..high).contains(at));
            let Some(at) = free.find(|at| !silent.contains(at)) else { break };
            match self.answer(at, question).0 {
                Some(true) => high = at,
                Some(false) => low = at,
                None => silent.push(at),
            }
        }
        finding.message = self.answer(high, question).1;
        finding.first = Some(self.line.shown(high));
        finding.last_before = Some(self.line.shown(low));
        finding.unclear = high - low - 1;
        finding
    }
}

impl Outcome for Bisected {
    const SCHEMA: &'static str = "overlayctl.bump-bisect/1";

    fn verdict(&self) -> Option<Verdict> {
        self.findings.iter().any(|finding| finding.broken != Some(false)).then_some(Verdict::No)
    }
}
