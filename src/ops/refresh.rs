//! `refresh`: rewrites the patches whose context moved, so that they fit at their lines; nothing else in them changes.

use std::path::PathBuf;

use serde::Serialize;

use super::history::History;
use super::{Error, Outcome};
use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::patch::{self, Refreshed as New};
use crate::queue::discover::Overlays;
use crate::queue::error::Error as QueueError;
use crate::queue::model::Asking;
use crate::queue::rewrite::{self, Wanted};
use crate::queue::series::{self, Series};
use crate::queue::source;
use crate::queue::{applying, session};

/// What `refresh` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The packages, as typed; all that are patched when empty.
    pub attrs: Vec<String>,
    pub nixpkgs: Option<String>,
    /// Whether patches that need fuzz are rewritten too.
    pub allow_fuzz: bool,
    /// Whether counts in hunk headers that are wrong are put right first.
    pub recount: bool,
    pub dry_run: bool,
    /// Whether a source may be built that is neither there nor in a cache.
    pub build: bool,
    /// Whether the result is not evaluated before it is written.
    pub offline: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    pub unchanged: bool,
    pub dry_run: bool,
    /// How many patches were looked at.
    pub patches: usize,
    pub files: Vec<PathBuf>,
    pub warnings: Vec<Warning>,
}

/// Refreshes queues.
///
/// # Errors
/// [`QueueError::DoesNotApply`] for the first patch that does not apply, or only with fuzz; nothing has changed then.
pub fn refresh(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Refreshed, Error> {
    let overlays = Overlays::read(workspace, None)?;
    let attrs = overlays.typed_or_all(workspace, &options.attrs)?;
    for attr in &attrs {
        session::refuse_unfinished(workspace, attr)?;
    }
    let mut queues = attrs.iter().map(|attr| overlays.queue(workspace, attr)).collect::<Result<Vec<_>, _>>()?;
    series::arrange(&mut queues, workspace, Asking { nixpkgs: options.nixpkgs.as_deref(), offline: false })?;
    let asked: Vec<&Series> = queues.iter().collect();
    let sources = History::ask(options.build, |building| {
        source::of_queues(workspace, options.nixpkgs.as_deref(), &asked, building, progress)
    })?;
    let mut done =
        Refreshed { unchanged: true, dry_run: options.dry_run, patches: 0, files: Vec::new(), warnings: Vec::new() };
    let mut together = rewrite::Together::new(workspace, overlays);
    for (series, source) in queues.iter().zip(sources) {
        let (attr, source) = (&series.attr, source?);
        done.warnings.extend(source.warnings.iter().cloned());
        let mut tree = applying::base(&attr.to_string(), &source)?;
        let mut wanted = Vec::new();
        for (i, (entry, kept)) in series.patches.iter().zip(rewrite::keep(series)).enumerate() {
            applying::between(&attr.to_string(), &mut tree, &source, i)?;
            let fuzz = if options.allow_fuzz { patch::Options::default().fuzz } else { 0 };
            let how = patch::Options { strip: source.strip, fuzz, ..patch::Options::default() };
            let in_file = |e: patch::Error| Error::Patch(e.in_file(&entry.path));
            let counted = match options.recount {
                true => patch::recount(&kept.bytes).map_err(in_file)?,
                false => kept.bytes.clone(),
            };
            let parsed = patch::PatchFile::parse(&counted).map_err(in_file)?;
            let bytes = match patch::refresh(&tree, &parsed, &how)? {
                New::Unchanged => counted,
                New::Rewritten(bytes) => bytes,
                New::Rejected(outcome) => {
                    let refused = QueueError::DoesNotApply {
                        attr: attr.to_string(),
                        patch: entry.name(),
                        why: applying::why(&outcome),
                    };
                    return Err(refused.into());
                }
            };
            applying::step(&mut tree, &bytes, source.strip)?;
            wanted.push(Wanted { bytes, ..kept });
        }
        done.patches += wanted.len();
        together.plan(workspace, series, &wanted)?;
    }
    let how = Asking { nixpkgs: options.nixpkgs.as_deref(), offline: options.offline };
    let plan = together.done(workspace, how)?;
    done.files = plan.batch.changes();
    done.unchanged = done.files.is_empty();
    if !options.dry_run {
        plan.commit(workspace)?;
    }
    Ok(done)
}

impl Outcome for Refreshed {
    const SCHEMA: &'static str = "overlayctl.refresh/1";
}
