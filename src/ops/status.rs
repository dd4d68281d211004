//! `status`: the queues at a glance: each patch's upstream status, whether it applies, its age, its owner.
//!
//! Must not change anything. Sources are fetched, unless that is not wanted.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::check::{self, State};
use super::{Error, Outcome, rebase};
use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::overlay::AttrPath;
use crate::patch::lint::{self, Upstream};
use crate::patch::{PatchFile, Standing, date};
use crate::queue;
use crate::queue::discover::Overlays;
use crate::queue::model::{Asking, InEffect, Model};
use crate::queue::series::Entry;
use crate::queue::session;

/// What `status` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The packages, as typed; all that are patched when empty.
    pub attrs: Vec<String>,
    pub nixpkgs: Option<String>,
    /// Whether sources are left alone, so that it is not known whether the patches apply.
    pub offline: bool,
    /// Now, in seconds since 1970.
    pub now: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub packages: Vec<Package>,
    /// Whether a rebase is under way.
    pub rebasing: bool,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    /// What nixpkgs has: name and version.
    pub name: Option<String>,
    /// The CVEs that its queue fixes.
    pub cves: BTreeSet<String>,
    pub patches: Vec<Patch>,
    /// Its worktree, when it holds work that the queue does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub editing: Option<PathBuf>,
    /// Why it is not known whether they apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<check::Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    pub subject: String,
    /// Where it stands with upstream, by its `Upstream-Status:`.
    pub upstream_status: Upstream,
    /// Where it stands with upstream, in the words of its own convention.
    pub upstream: Standing,
    /// Whether it applies; `None` when that was not looked at.
    pub applies: Option<State>,
    /// Its age by its `Date:`, in days.
    pub age_days: Option<i64>,
    pub in_effect: InEffect,
    /// Who answers for it: the last who signed it off, else its author.
    pub owner: Option<String>,
}

/// Looks at the queues of a workspace.
///
/// # Errors
/// Those of the workspace; of Nix only when a package set was named.
pub fn status(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Status, Error> {
    let overlays = Overlays::read(workspace, None)?;
    let model = Model::read(workspace, Asking { nixpkgs: options.nixpkgs.as_deref(), offline: options.offline })?;
    let mut attrs: BTreeSet<AttrPath> = overlays.typed_or_all(workspace, &options.attrs)?.into_iter().collect();
    if options.attrs.is_empty() {
        // A folder beside the queues whose files other packages have is no queue of a package.
        let is_unused = |attr: &AttrPath| model.unused.iter().any(|path| path.starts_with(queue::dir(workspace, attr)));
        attrs.retain(|attr| !model.asked || model.find(attr).is_some() || is_unused(attr));
        attrs.extend(model.packages.iter().map(|package| package.attr.clone()));
    }
    let mut warnings = model.warnings.clone();
    let mut checked = Vec::new();
    if !options.offline && !attrs.is_empty() {
        let how = check::Options {
            attrs: options.attrs.clone(),
            nixpkgs: options.nixpkgs.clone(),
            allow_fuzz: true,
            build: false,
        };
        match check::check(workspace, &how, progress) {
            Ok(done) => {
                warnings.extend(done.warnings);
                checked = done.packages;
            }
            Err(error) if options.nixpkgs.is_some() => return Err(error),
            Err(error) => warnings.push(Warning {
                code: "OV1006",
                message: format!("Nix was not asked, so it is not known whether the patches apply: {error}"),
                place: None,
                hint: None,
            }),
        }
    }
    let mut packages = Vec::new();
    for attr in attrs {
        let mut series = overlays.series(workspace, &attr)?;
        series.arrange_by(&model);
        let known: Vec<PathBuf> = series.patches.iter().filter_map(|entry| queue::unlinked(&entry.path).ok()).collect();
        // What somebody else's overlay puts on the package is no part of its queue, and is shown behind it.
        for patch in model.find(&attr).into_iter().flat_map(|package| &package.patches) {
            if let (Some(path), Some(real)) = (&patch.path, &patch.real)
                && !known.contains(real)
            {
                let (path, bytes) = (path.clone(), fs::read(path)?);
                series.patches.push(Entry { path, bytes, conditional: patch.conditional });
            }
        }
        if series.patches.is_empty() && series.others.is_empty() {
            return Err(queue::Error::NoQueue { attr, dir: series.dir }.into());
        }
        let at = checked.iter().position(|p| p.attr == attr);
        let found = at.map(|at| checked.swap_remove(at));
        let state = |i: usize| Some(found.as_ref()?.patches.get(i)?.state);
        let mut cves = BTreeSet::new();
        for entry in &series.patches {
            cves.extend(PatchFile::parse(&entry.bytes).map(|p| lint::cves(&entry.name(), &p)).unwrap_or_default());
        }
        packages.push(Package {
            patches: series
                .patches
                .iter()
                .enumerate()
                .map(|(i, e)| patch(e, state(i), effect(&model, &attr, e), options.now))
                .collect(),
            editing: session::unfinished(workspace, &attr),
            attr,
            cves,
            name: found.as_ref().and_then(|f| f.name.clone()),
            failure: found.and_then(|f| f.failure),
        });
    }
    Ok(Status { packages, rebasing: rebase::is_under_way(workspace), warnings })
}

/// Says whether a patch is in effect: in whichever overlay names its file.
fn effect(model: &Model, attr: &AttrPath, entry: &Entry) -> InEffect {
    let real = queue::unlinked(&entry.path).ok();
    // The package may have the patch by another name.
    let packages = model.find(attr).map_or(model.packages.as_slice(), std::slice::from_ref);
    let patches = packages.iter().flat_map(|package| &package.patches);
    let named: Vec<InEffect> = patches.filter(|patch| patch.real == real).map(|patch| patch.reach.in_effect).collect();
    [InEffect::Yes, InEffect::Exported, InEffect::Unknown]
        .into_iter()
        .find(|one| named.contains(one))
        .unwrap_or(InEffect::No)
}

fn patch(entry: &Entry, applies: Option<State>, in_effect: InEffect, now: i64) -> Patch {
    let parsed = PatchFile::parse(&entry.bytes);
    let headers = parsed.as_ref().map(|p| p.headers()).unwrap_or_default();
    let signed = headers.values("Signed-off-by").last().map(str::to_string);
    let written = headers.date.as_deref().and_then(date::read);
    Patch {
        path: entry.path.clone(),
        subject: entry.subject(),
        upstream_status: lint::upstream_status(&entry.bytes),
        upstream: parsed.map_or(Standing::OpenEmbedded(Upstream::Missing), |p| p.standing()),
        applies,
        in_effect,
        age_days: written.map(|(seconds, _)| (now - seconds).div_euclid(86_400)),
        owner: signed.or(headers.author),
    }
}

impl Outcome for Status {
    const SCHEMA: &'static str = "overlayctl.status/1";
}
