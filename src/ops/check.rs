//! `check`: does each patch of the queues still apply to the source that nixpkgs has, in order, after nixpkgs' own?
//!
//! Nothing is written; a source that has to be built is only built when that is asked for.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

use super::history::History;
use super::{Error, Outcome};
use crate::base::diagnostic::{Coded as _, Verdict as Ending, Warning};
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::overlay::AttrPath;
use crate::patch::{self, Conflict, MemoryTree, Skip, Verdict};
use crate::queue::Error as QueueError;
use crate::queue::applying;
use crate::queue::discover::Overlays;
use crate::queue::model::Asking;
use crate::queue::series::{self, Entry, Series};
use crate::queue::source::{self, Source};
use crate::queue::stored;

/// What `check` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The packages, as typed; all that are patched when empty.
    pub attrs: Vec<String>,
    pub nixpkgs: Option<String>,
    pub allow_fuzz: bool,
    /// Whether a source may be built that is neither there nor in a cache.
    pub build: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub applies: bool,
    /// The packages, sorted by attribute path.
    pub packages: Vec<Package>,
    pub warnings: Vec<Warning>,
    #[serde(skip)]
    pub(crate) allow_fuzz: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    /// Its name and version, as nixpkgs has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many patches nixpkgs itself applies before.
    pub own_patches: usize,
    pub patches: Vec<Patch>,
    /// Those that the overlays name and that are no files of the queue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fetched: Vec<Fetched>,
    /// Why it could not be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why a package could not be checked.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How a patch applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Clean,
    /// At other lines.
    Offset,
    /// Only with lines of context left out.
    Fuzz,
    /// The source has it already.
    AlreadyUpstream,
    /// The source has a part of it already.
    PartlyUpstream,
    /// Some hunk does not fit.
    Conflict,
    /// A file that it changes is not there.
    FileGone,
    /// It is no patch.
    Invalid,
}

impl State {
    /// Says whether the patch applies with all its context.
    pub fn fits(self) -> bool {
        matches!(self, State::Clean | State::Offset)
    }

    pub fn words(self) -> &'static str {
        match self {
            State::Clean => "clean",
            State::Offset => "offset",
            State::Fuzz => "fuzz",
            State::AlreadyUpstream => "already upstream",
            State::PartlyUpstream => "partly upstream",
            State::Conflict => "conflict",
            State::FileGone => "file gone",
            State::Invalid => "invalid",
        }
    }
}

impl From<Verdict> for State {
    fn from(verdict: Verdict) -> State {
        match verdict {
            Verdict::Clean => State::Clean,
            Verdict::Offset => State::Offset,
            Verdict::Fuzz => State::Fuzz,
            Verdict::AlreadyApplied => State::AlreadyUpstream,
            Verdict::PartlyApplied => State::PartlyUpstream,
            Verdict::Conflict => State::Conflict,
            Verdict::FileGone => State::FileGone,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    pub subject: String,
    pub state: State,
    /// The largest distance from the lines that it names.
    pub offset: i64,
    /// The most lines of context that had to be left out.
    pub fuzz: i64,
    /// Where and why it does not, in a few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The hunks that do not fit, both sides.
    pub conflicts: Vec<Place>,
    /// The files that it changes and that are not there.
    pub gone: Vec<String>,
    /// Whether it counts only under a condition of the overlay.
    pub conditional: bool,
}

/// A patch that an overlay fetches.
#[derive(Debug, Serialize)]
pub struct Fetched {
    pub name: String,
    pub applies: bool,
    pub state: State,
    /// Where it does not, in a few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A hunk that does not fit.
#[derive(Debug, Serialize)]
pub struct Place {
    pub file: String,
    /// What stands there, and what should.
    #[serde(flatten)]
    pub sides: Conflict,
}

/// Checks the queues of a workspace.
///
/// # Errors
/// Those of the workspace and of Nix as a whole; what is wrong with one package is in its row.
pub fn check(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Checked, Error> {
    let overlays = Overlays::read(workspace, None)?;
    let attrs = overlays.typed_or_all(workspace, &options.attrs)?;
    let named = !options.attrs.is_empty();
    let queue = |attr| match named {
        true => overlays.queue(workspace, attr),
        false => overlays.series(workspace, attr),
    };
    let mut queues: Vec<Result<Series, QueueError>> = attrs.iter().map(queue).collect();
    let how = Asking { nixpkgs: options.nixpkgs.as_deref(), offline: false };
    series::arrange(queues.iter_mut().flatten(), workspace, how)?;
    let wanted: Vec<&Series> = queues.iter().flatten().collect();
    let sources = match wanted.is_empty() {
        true => Vec::new(),
        false => History::ask(options.build, |building| {
            source::of_queues(workspace, options.nixpkgs.as_deref(), &wanted, building, progress)
        })?,
    };
    let mut sources = sources.into_iter();
    let paired: Vec<_> = attrs
        .into_iter()
        .zip(queues)
        .map(|(attr, queue)| {
            let both = queue.and_then(|queue| match sources.next() {
                Some(source) => Ok((queue, source?)),
                None => Err(QueueError::NoSource { attr: attr.to_string() }),
            });
            (attr, both)
        })
        .collect();
    let mut warnings = Vec::new();
    for (queue, source) in paired.iter().filter_map(|(_, both)| both.as_ref().ok()) {
        warnings.extend(source.warnings.iter().cloned());
        warnings.extend(queue.patches.iter().flat_map(|entry| stored::warnings(&entry.path, &entry.bytes)));
    }
    let packages: Vec<Package> = paired
        .into_par_iter()
        .map(|(attr, both)| match both.and_then(|(queue, source)| package(&queue, &source)) {
            Ok(package) => package,
            Err(error) => Package {
                attr,
                name: None,
                own_patches: 0,
                patches: Vec::new(),
                fetched: Vec::new(),
                failure: Some(Failure { code: error.code(), message: error.to_string(), hint: error.hint() }),
            },
        })
        .collect();
    let fits = |patch: &Patch| match patch.state {
        State::Fuzz => options.allow_fuzz,
        state => state.fits(),
    };
    let all = |p: &Package| p.failure.is_none() && p.patches.iter().all(fits) && p.fetched.iter().all(|f| f.applies);
    let applies = packages.iter().all(all);
    Ok(Checked { applies, packages, warnings, allow_fuzz: options.allow_fuzz })
}

/// Applies the queue of a package to its source.
pub(super) fn package(queue: &Series, source: &Source) -> Result<Package, QueueError> {
    let mut tree = applying::base(&queue.attr.to_string(), source)?;
    let mut fetched = Vec::new();
    let mut between = |behind: usize, tree: &mut MemoryTree| {
        for patch in source.fetched.iter().filter(|patch| patch.behind == behind) {
            let (applies, state, detail) = match applying::step(tree, &patch.bytes, source.strip) {
                Err(error) => (false, State::Invalid, error.to_string()),
                Ok((outcome, verdict)) => (outcome.accepted(), verdict.into(), applying::why(&outcome)),
            };
            fetched.push(Fetched { name: patch.name.clone(), applies, state, detail });
        }
    };
    let mut patches = Vec::with_capacity(queue.patches.len());
    for (i, entry) in queue.patches.iter().enumerate() {
        between(i, &mut tree);
        patches.push(patch(entry, &mut tree, source.strip));
    }
    between(queue.patches.len(), &mut tree);
    Ok(Package {
        attr: queue.attr.clone(),
        name: Some(source.name.clone()),
        own_patches: source.own_patches.len(),
        patches,
        fetched,
        failure: None,
    })
}

/// Applies a patch and says how it went; the tree keeps what fits, so that those behind it are judged fairly.
fn patch(entry: &Entry, tree: &mut MemoryTree, strip: usize) -> Patch {
    let mut checked = Patch {
        path: entry.path.clone(),
        subject: entry.subject(),
        state: State::Invalid,
        offset: 0,
        fuzz: 0,
        detail: String::new(),
        conflicts: Vec::new(),
        gone: Vec::new(),
        conditional: entry.conditional,
    };
    match applying::step(tree, &entry.bytes, strip) {
        Err(error) => checked.detail = error.to_string(),
        Ok((outcome, verdict)) => {
            checked.state = verdict.into();
            checked.offset = outcome.max_offset();
            checked.fuzz = outcome.max_fuzz();
            checked.detail = match checked.state {
                State::Clean | State::AlreadyUpstream => String::new(),
                State::Offset => crate::base::text::plural(usize::try_from(checked.offset).unwrap_or(0), "line"),
                State::Fuzz => {
                    crate::base::text::plural(usize::try_from(checked.fuzz).unwrap_or(0), "line")
                        + " of context left out"
                }
                State::PartlyUpstream => upstream_part(&outcome),
                _ => applying::why(&outcome),
            };
            for file in &outcome.files {
                if file.skipped == Some(Skip::Missing) && !file.already_applied {
                    checked.gone.push(file.path.clone());
                }
                let conflicts = file.hunks.iter().filter_map(|h| h.conflict.as_deref());
                checked.conflicts.extend(conflicts.map(|c| Place { file: file.path.clone(), sides: c.clone() }));
            }
        }
    }
    checked
}

/// Says how much of a patch the source has already.
fn upstream_part(outcome: &patch::Outcome) -> String {
    let hunks = outcome.files.iter().flat_map(|f| f.hunks.iter().map(move |h| h.already_applied || f.already_applied));
    let (there, all) = hunks.fold((0, 0), |(there, all), is| (there + usize::from(is), all + 1));
    format!("{there} of {} in the source", crate::base::text::plural(all, "hunk"))
}

impl Outcome for Checked {
    const SCHEMA: &'static str = "overlayctl.check/1";

    fn verdict(&self) -> Option<Ending> {
        (!self.applies).then_some(Ending::No)
    }
}
