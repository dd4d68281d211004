//! `impact ATTR --predict`: what would be rebuilt if a package were changed, from the unpatched graph alone.
//!
//! No change of this package is evaluated, so it is a prediction and is called one, and it is a range. Where the derivations
//! come from an evaluation, a second one marks every attribute (`graph/marks.rs`): then it is a point.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::impact::Named;
use super::impact::view::{Cover, Each, Rebuild, View};
use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::config::Workspace;
use crate::graph::{self, Counts, Graph, NodeId, Prediction, Reason};
use crate::nix::{Root, Side};
use crate::ops::{Error, Outcome, marks};
use crate::overlay::{self, AttrPath};
use crate::targets::engine;
use crate::targets::{self, Selection};

/// What would be rebuilt if a package were changed.
#[derive(Debug)]
pub struct Predicted {
    pub attr: String,
    /// Where the graph comes from: a file, or the targets whose closure it is.
    pub graph_of: String,
    pub warnings: Vec<Warning>,
    pub view: View,
    pub(crate) graph: Graph,
    pub(crate) prediction: Prediction,
    pub(crate) counts: Counts,
}

/// Predicts from a stored graph; nothing is evaluated.
pub fn from_file(attr: &str, file: &Path, view: View) -> Result<Predicted, Error> {
    // A file that is none is told by its first bytes; the rest is checked beside the prediction.
    let graph = Graph::open_unproved(file)?;
    let (proved, prediction) = rayon::join(|| graph.prove(), || graph.predict(attr));
    let prediction = prediction?;
    proved?;
    Ok(predicted(attr, PathBuf::from(file).display().to_string(), graph, prediction, view))
}

/// How far a package can be from the set it is asked for in: the stages of nixpkgs.
const STAGES: [&[&str]; 4] = [&[], &["buildPackages"], &["buildPackages", "buildPackages"], &["targetPackages"]];

/// Predicts what a change of a package would rebuild for the targets of a workspace. Evaluated are the targets and the
/// package in every stage, without overlays.
///
/// # Errors
/// [`Error::Eval`] when no target evaluates, [`Error::NoSuchAttribute`] when the package is in no stage, and those of the
/// workspace and of Nix.
pub fn from_workspace(
    workspace: &Workspace,
    attr: &str,
    selection: &Selection,
    view: View,
    progress: &mut dyn Progress,
) -> Result<Predicted, Error> {
    let package = AttrPath::parse(attr).map_err(overlay::Error::from)?;
    let groups = targets::resolve(workspace, selection)?;
    let nix = engine::nix_for(workspace, selection)?;
    let mut sides = Vec::new();
    for group in &groups {
        let mut paths: Vec<Vec<String>> = group.targets.iter().map(|target| target.attr.names().to_vec()).collect();
        // A target may choose its package set in its path; the package is meant in the same one.
        let mut sets: Vec<Vec<String>> = group.targets.iter().map(|target| set_of(target.attr.names())).collect();
        sets.sort();
        sets.dedup();
        for set in sets {
            for stage in STAGES {
                let stage = stage.iter().map(|name| (*name).to_owned());
                paths.push(set.iter().cloned().chain(stage).chain(package.names().iter().cloned()).collect());
            }
        }
        let root = Root::Packages(Box::new(group.plain.clone()));
        sides.push(Side { name: "the package set without the overlays".into(), root, targets: paths });
    }
    progress.stage(&format!("evaluating {attr} in every stage, and the targets without and with marks"));
    let (results, marked) = marks::instantiate(&nix, sides, groups.iter().map(|group| group.targets.len()))?;
    let (mut roots, mut stages, mut near) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = None;
    let mut warnings = Vec::new();
    for (group, results) in groups.iter().zip(results) {
        for (index, result) in results.into_iter().enumerate() {
            match (group.targets.get(index), result) {
                (Some(target), Ok(drv)) => {
                    roots.push(graph::Root { attr: Some(target.name.clone()), drv_path: drv.drv_path });
                }
                (Some(target), Err(failure)) => {
                    warnings.push(Warning {
                        code: "OV1080",
                        message: format!("`{}` does not evaluate and is left out: {}", target.name, failure.message),
                        place: None,
                        hint: None,
                    });
                    failed.get_or_insert((target.name.clone(), failure));
                }
                (None, Ok(drv)) => stages.push(drv.drv_path),
                // Not every stage has every package.
                (None, Err(failure)) => near.extend(failure.near),
            }
        }
    }
    if roots.is_empty() {
        return Err(failed.map_or(crate::targets::Error::NoTargets.into(), |(target, failure)| {
            crate::targets::Error::Eval { target, failure: Box::new(failure) }.into()
        }));
    }
    if stages.is_empty() {
        near.sort();
        near.dedup();
        return Err(crate::queue::Error::NoSuchAttribute { attr: attr.to_owned(), near }.into());
    }
    progress.stage("reading the derivations");
    let store = nix.store_dir()?;
    let names: Vec<String> = roots.iter().filter_map(|root| root.attr.clone()).collect();
    let graph_of = if names.len() > 3 { plural(names.len(), "target") } else { names.join(", ") };
    let marked: Vec<graph::Root> = marked.into_iter().flatten().collect();
    if !marked.is_empty() {
        let graph = Graph::read(&roots, &store)?.with_marks(&marked, &store)?;
        if let Some(prediction) = graph.predict_marked(attr)? {
            let mut predicted = predicted(attr, graph_of, graph, prediction, view);
            predicted.warnings = warnings;
            return Ok(predicted);
        }
    }
    let targets: Vec<String> = roots.iter().map(|root| root.drv_path.clone()).collect();
    roots.extend(stages.iter().map(|drv_path| graph::Root { attr: None, drv_path: drv_path.clone() }));
    let graph = Graph::read(&roots, &store)?;
    let mut stages: Vec<NodeId> = stages.iter().filter_map(|drv_path| graph.find(drv_path)).collect();
    let mut seen = HashSet::new();
    stages.retain(|id| seen.insert(*id));
    let mut prediction = graph.predict_stages(attr, &stages)?;
    // The stages of the package are in the graph for its family's sake; asked is about the targets.
    let needed = graph.closure(targets.iter().filter_map(|drv_path| graph.find(drv_path)));
    let is_needed = |id: &NodeId| needed.contains(*id as usize);
    let before = prediction.rebuild.len();
    prediction.rebuild.retain(is_needed);
    prediction.roots.retain(is_needed);
    prediction.possible.retain(|possible| is_needed(&possible.node));
    let left_out = before - prediction.rebuild.len();
    prediction.range.low = prediction.range.low.saturating_sub(left_out);
    prediction.range.high = prediction.rebuild.len() + prediction.possible.len() + prediction.unlisted;
    let mut predicted = predicted(attr, graph_of, graph, prediction, view);
    predicted.warnings = warnings;
    Ok(predicted)
}

/// Returns the part of an attribute path that chooses a package set: `pkgsCross.X`, `pkgsStatic`.
pub(super) fn set_of(path: &[String]) -> Vec<String> {
    let mut at = 0;
    while let Some(name) = path.get(at) {
        at += match name.as_str() {
            "pkgsCross" => 2,
            "pkgsStatic" | "pkgsMusl" | "pkgsi686Linux" | "pkgsLLVM" | "buildPackages" | "targetPackages" | "pkgs" => 1,
            _ => break,
        };
    }
    path.get(..at).unwrap_or_default().to_vec()
}

pub(super) fn predicted(attr: &str, graph_of: String, graph: Graph, prediction: Prediction, view: View) -> Predicted {
    let counts = prediction.counts(&graph);
    Predicted { attr: attr.to_owned(), graph_of, warnings: Vec::new(), view, graph, prediction, counts }
}

/// Says why a derivation is only possible.
pub(crate) fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::SameSource => "built from the same source under another name",
        Reason::SamePackage => "the same package from another source",
        Reason::Alias => "may need it through another attribute",
        Reason::Untold => "did not evaluate with marks, so that nothing is known of it",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PossibleEntry<'p> {
    drv_path: &'p str,
    name: &'p str,
    reason: Reason,
    because: &'static str,
    root: &'p str,
}

impl Serialize for Predicted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let graph = &self.graph;
        let possible = self.prediction.possible.iter().map(|possible| PossibleEntry {
            drv_path: graph.node(possible.node).drv_path(),
            name: graph.node(possible.node).name(),
            reason: possible.reason,
            because: because(possible.reason),
            root: graph.node(possible.root).drv_path(),
        });
        let mut fields = serializer.serialize_struct("Predicted", 12)?;
        fields.serialize_field("prediction", &true)?;
        fields.serialize_field("attr", &self.attr)?;
        fields.serialize_field("graph", &self.graph_of)?;
        fields.serialize_field("partial", &(graph.missing().len() > 0))?;
        fields.serialize_field("range", &self.prediction.range)?;
        fields.serialize_field("counts", &self.counts)?;
        fields.serialize_field("roots", &Named::each(graph, &self.prediction.roots))?;
        fields.serialize_field("rebuild", &Named::each(graph, &self.prediction.rebuild))?;
        fields.serialize_field("possible", &Each(possible))?;
        fields.serialize_field("unlisted", &self.prediction.unlisted)?;
        fields.serialize_field("cover", &Cover::of(graph, &self.prediction.rebuild))?;
        fields.serialize_field("warnings", &self.warnings)?;
        fields.end()
    }
}

impl Predicted {
    pub(crate) fn set(&self) -> Rebuild {
        Rebuild::of_prediction(&self.graph, &self.prediction.rebuild, &self.prediction.roots)
    }
}

impl Outcome for Predicted {
    const SCHEMA: &'static str = "overlayctl.predict/1";
}
