//! Both sides of a workspace: the targets without and with its overlays, as derivation graphs.

use std::path::PathBuf;

use serde::Serialize;

use super::baseline::Baseline;
use super::progress::Progress;
use super::targets::{self, Group, Selection};
use super::{Error, engine};
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::graph::{self, Graph, StoreDir};
use crate::nix::{EvalFailure, Instantiated, Nix, PackageSet, Root, Side};
use crate::view::{Document, Role, Text};

/// The graphs of both sides.
#[derive(Debug)]
pub struct Comparison {
    /// The targets that have a derivation with the overlays.
    pub targets: Vec<Compared>,
    /// The closure of all targets without the overlays.
    pub before: Graph,
    /// The closure of all targets with them.
    pub after: Graph,
    /// Targets that do not evaluate with the overlays.
    pub failures: Vec<TargetFailure>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// A target on both sides.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Its whole attribute path.
    pub name: String,
    /// The board it is for.
    pub board: Option<String>,
    /// Its path below the set that the board or the options chose.
    pub attr: String,
    /// Its derivation without the overlays.
    pub before: Option<String>,
    /// Its derivation with them.
    pub after: String,
    /// What it stands for with them.
    pub instantiated: Instantiated,
}

/// A target that does not evaluate.
#[derive(Debug, Clone, Serialize)]
pub struct TargetFailure {
    /// Its whole attribute path.
    pub target: String,
    /// Whether it fails without the overlays too.
    pub also_unpatched: bool,
    /// Why.
    #[serde(flatten)]
    pub failure: EvalFailure,
}

/// Evaluates the targets of a workspace without and with its overlays, side by side, and reads both closures.
///
/// # Errors
/// [`Error::Eval`] when no target evaluates; those of the workspace, of Nix and of reading derivations.
pub(super) fn of_workspace(
    workspace: &Workspace,
    selection: &Selection,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    of_sides(workspace, selection, &Baseline::Unpatched, progress)
}

/// Evaluates the targets with the workspace as the baseline has it and as it is, side by side, and reads both closures.
///
/// # Errors
/// As [`of_workspace`], and those of making the baseline.
pub(super) fn of_sides(
    workspace: &Workspace,
    selection: &Selection,
    baseline: &Baseline,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    let groups = targets::resolve(workspace, selection)?;
    // Kept until both sides are evaluated.
    let copy = baseline.copy(workspace)?;
    let baselines: Vec<PackageSet> = match &copy {
        None => groups.iter().map(|group| group.plain.clone()).collect(),
        Some(copy) => {
            let groups = targets::resolve_with(workspace, &copy.workspace, selection)?;
            groups.into_iter().map(|group| group.patched).collect()
        }
    };
    let nix = engine::nix(workspace)?;
    let count: usize = groups.iter().map(|g| g.targets.len()).sum();
    progress.stage(&format!("evaluating {} twice: {baseline}, and as it is", super::impact::plural(count, "target")));
    let sides: Vec<Side> =
        groups.iter().zip(&baselines).flat_map(|(group, before)| sides(group, before, baseline)).collect();
    let mut results = nix.instantiate(&sides)?.into_iter();
    let mut compared = Vec::new();
    let mut failures = Vec::new();
    let mut warnings = Vec::new();
    for group in &groups {
        let plain = results.next().unwrap_or_default();
        let patched = results.next().unwrap_or_default();
        for ((target, before), after) in group.targets.iter().zip(plain).zip(patched) {
            match (before, after) {
                (before, Err(failure)) => {
                    failures.push(TargetFailure {
                        target: target.name.clone(),
                        also_unpatched: before.is_err(),
                        failure,
                    });
                }
                (before, Ok(after)) => {
                    if let Err(failure) = &before {
                        warnings.push(only_patched(&target.name, baseline, failure));
                    }
                    compared.push(Compared {
                        name: target.name.clone(),
                        board: target.board.clone(),
                        attr: target.attr.to_string(),
                        before: before.ok().map(|drv| drv.drv_path),
                        after: after.drv_path.clone(),
                        instantiated: after,
                    });
                }
            }
        }
    }
    if compared.is_empty() {
        let first = failures.into_iter().next();
        return Err(
            first.map_or_else(|| Error::NoTargets, |f| Error::Eval { target: f.target, failure: Box::new(f.failure) })
        );
    }
    progress.stage("reading the derivations");
    let (before, after) = graphs(&nix, &compared)?;
    Ok(Comparison { targets: compared, before, after, failures, warnings })
}

fn sides(group: &Group, before: &PackageSet, baseline: &Baseline) -> [Side; 2] {
    let paths: Vec<Vec<String>> = group.targets.iter().map(|t| t.attr.names().to_vec()).collect();
    let side = |name: &str, set: &PackageSet| Side {
        name: name.to_string(),
        root: Root::Packages(Box::new(set.clone())),
        targets: paths.clone(),
    };
    [side(&baseline.to_string(), before), side("the package set with the overlays", &group.patched)]
}

/// Reads the closures of both sides.
fn graphs(nix: &Nix, compared: &[Compared]) -> Result<(Graph, Graph), Error> {
    let store = StoreDir::open(&nix.store_root().unwrap_or_else(|| PathBuf::from("/")))?;
    let root =
        |name: &str, drv_path: &str| graph::Root { attr: Some(name.to_string()), drv_path: drv_path.to_string() };
    let before: Vec<_> = compared.iter().filter_map(|t| Some(root(&t.name, t.before.as_deref()?))).collect();
    let after: Vec<_> = compared.iter().map(|t| root(&t.name, &t.after)).collect();
    let (before, after) = rayon::join(|| Graph::read(&before, &store), || Graph::read(&after, &store));
    Ok((before?, after?))
}

fn only_patched(target: &str, baseline: &Baseline, failure: &EvalFailure) -> Warning {
    Warning {
        code: "OV1007",
        message: format!(
            "`{target}` does not evaluate in {baseline}, so all that only it needs counts as new: {}",
            failure.message
        ),
        place: None,
        hint: None,
    }
}

/// Shows the targets that do not evaluate.
pub(super) fn show_failures(failures: &[TargetFailure], document: &mut Document) {
    for failed in failures {
        let also =
            if failed.also_unpatched { " (without the overlays neither)" } else { " (without the overlays it does)" };
        document.line(
            Text::new()
                .with(Role::Bad, "does not evaluate ")
                .with(Role::Name, &failed.target)
                .with(Role::Dim, also)
                .plain(format!(": {}", failed.failure.message)),
        );
        if !failed.failure.near.is_empty() {
            document.line(Text::new().with(Role::Dim, "  near names: ").plain(failed.failure.near.join(", ")));
        }
    }
    if !failures.is_empty() {
        document.blank();
    }
}
