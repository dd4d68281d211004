//! `graph build` and `graph diff`: graphs in files of their own, and two of them compared.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::impact::view::{Cover, Each, Rebuild, Rebuilt, View};
use super::{Error, Outcome, marks};
use crate::base::fs;
use crate::base::fs::FsError;
use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::config::Workspace;
use crate::graph::{self, Delta, Failure, Graph, Missing, RootList, StoreDir};
use crate::nix::Side;
use crate::ops::impact::Named;
use crate::overlay::{self, AttrPath};
use crate::targets::{self, Selection, engine};

/// How a graph is to be built.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    pub roots: PathBuf,
    /// The root of the store: `/`, or the directory above `nix/store` of a chroot store.
    pub store: PathBuf,
    /// Where the graph goes.
    pub out: PathBuf,
    /// Whether derivations that are not there are left out and listed instead of ending the work.
    pub allow_missing: bool,
}

/// A graph of attributes that are evaluated first.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// The package set; its targets are those of the file.
    pub selection: Selection,
    /// The attribute paths, one a line.
    pub attrs: PathBuf,
    /// Where the graph goes.
    pub out: PathBuf,
}

/// A graph that was built and written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltGraph {
    pub derivations: usize,
    /// The number of pairs of a derivation and one of its inputs.
    pub edges: usize,
    /// The number of fixed-output derivations.
    pub fixed_output: usize,
    pub roots: usize,
    /// Attributes of the list that had failed to evaluate.
    pub failures: Vec<Failure>,
    /// Derivations that are not in the store; the graph is partial unless there is none.
    pub missing: Vec<String>,
    pub partial: bool,
    /// Whether it holds which derivations a change of each attribute reaches: predictions from it are points then.
    pub marked: bool,
    pub out: PathBuf,
}

/// Reads the closure of a list of roots and writes it as a graph.
///
/// # Errors
/// [`Error::File`] for a list of roots that is malformed; those of reading derivations and of writing.
pub fn build(options: &BuildOptions) -> Result<BuiltGraph, Error> {
    let path = &options.roots;
    let text = String::from_utf8(fs::read(path)?)
        .map_err(|e| FsError::NotUtf8 { path: path.clone(), offset: e.utf8_error().valid_up_to() })?;
    let list = RootList::parse(&text).map_err(|source| Error::File { path: path.clone(), source: Box::new(source) })?;
    let store = StoreDir::open(&options.store)?;
    let missing = if options.allow_missing { Missing::List } else { Missing::Refuse };
    let graph = Graph::read_with(&list.roots, &store, missing)?;
    written(&graph, list.failures, &options.out)
}

/// Evaluates attributes without overlays, and again with a mark on every attribute of the package set, and writes their graph.
///
/// The second evaluation runs beside the first and costs as much and a third more. From such a graph a prediction is exact.
///
/// # Errors
/// [`Error::Eval`] when no attribute evaluates; those of reading the file, of the workspace, of Nix and of writing.
pub fn build_evaluated(
    workspace: &Workspace,
    options: &EvaluateOptions,
    progress: &mut dyn Progress,
) -> Result<BuiltGraph, Error> {
    let path = &options.attrs;
    let text = String::from_utf8(fs::read(path)?)
        .map_err(|e| FsError::NotUtf8 { path: path.clone(), offset: e.utf8_error().valid_up_to() })?;
    let attrs: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut selection = options.selection.clone();
    selection.targets = attrs.iter().map(|attr| (*attr).to_owned()).collect();
    let group = targets::whole(workspace, &selection)?;
    let nix = engine::nix_for(workspace, &selection)?;
    let paths = attrs.iter().map(|attr| Ok(AttrPath::parse(attr).map_err(overlay::Error::from)?.names().to_vec()));
    let side = Side {
        name: "the package set".into(),
        root: crate::nix::Root::Packages(Box::new(group.plain)),
        targets: paths.collect::<Result<_, Error>>()?,
    };
    progress.stage(&format!("evaluating {}, without and with marks", plural(attrs.len(), "attribute")));
    let (results, marked) = marks::instantiate(&nix, vec![side], std::iter::once(attrs.len()))?;
    let (mut roots, mut failures, mut failed) = (Vec::new(), Vec::new(), None);
    for (attr, result) in attrs.iter().zip(results.into_iter().flatten()) {
        match result {
            Ok(drv) => roots.push(graph::Root { attr: Some((*attr).to_owned()), drv_path: drv.drv_path }),
            Err(failure) => {
                failures.push(Failure { attr: (*attr).to_owned(), error: failure.message.clone() });
                failed.get_or_insert(((*attr).to_owned(), failure));
            }
        }
    }
    if let (true, Some((target, failure))) = (roots.is_empty(), failed) {
        return Err(targets::Error::Eval { target, failure: Box::new(failure) }.into());
    }
    progress.stage("reading the derivations");
    let store = nix.store_dir()?;
    let mut graph = Graph::read(&roots, &store)?;
    let marked: Vec<graph::Root> = marked.into_iter().flatten().collect();
    if !marked.is_empty() {
        graph = graph.with_marks(&marked, &store)?;
    }
    written(&graph, failures, &options.out)
}

/// Writes a graph and says what it holds.
fn written(graph: &Graph, failures: Vec<Failure>, out: &Path) -> Result<BuiltGraph, Error> {
    // The graph depends on nothing but its roots: a `.drv` path is a hash over all below it.
    graph.write(out, "")?;
    Ok(BuiltGraph {
        derivations: graph.len(),
        edges: graph.edges(),
        fixed_output: graph.fixed_outputs(),
        roots: graph.roots().len(),
        failures,
        partial: graph.missing().len() > 0,
        missing: graph.missing().map(str::to_owned).collect(),
        marked: graph.is_marked(),
        out: out.to_path_buf(),
    })
}

impl Outcome for BuiltGraph {
    const SCHEMA: &'static str = "overlayctl.graph-build/1";
}

/// Two graphs in files of their own.
#[derive(Debug)]
pub struct Opened {
    before: Graph,
    after: Graph,
}

/// Opens two stored graphs, to be compared by output path as `impact` compares two evaluations.
pub fn open(before: &Path, after: &Path) -> Result<Opened, Error> {
    let (before, after) = rayon::join(|| Graph::open(before), || Graph::open(after));
    Ok(Opened { before: before?, after: after? })
}

impl Opened {
    pub fn diff(&self, view: View) -> GraphDiff<'_> {
        GraphDiff { delta: Delta::between(&self.before, &self.after), view }
    }
}

/// Two graphs compared. What it says of each derivation is made when it is shown or written: for a whole package set it is much.
#[derive(Debug)]
pub struct GraphDiff<'g> {
    pub(crate) delta: Delta<'g>,
    pub view: View,
}

/// An attribute whose outputs differ.
#[derive(Serialize)]
struct ChangedAttribute<'g> {
    attr: &'g str,
    /// Its derivation before; absent when there was none.
    before: Option<&'g str>,
    /// Its derivation after; absent when there is none any more.
    after: Option<&'g str>,
}

impl GraphDiff<'_> {
    pub(crate) fn set(&self) -> Rebuild {
        Rebuild::of_delta(&self.delta, &[])
    }

    /// Says whether derivations are missing in one of the graphs, so that the answer is partial.
    pub(crate) fn partial(&self) -> bool {
        self.delta.before().missing().len() + self.delta.after().missing().len() > 0
    }

    /// Returns the longest chain through the rebuild set, root cause first.
    pub(crate) fn chain(&self) -> Vec<&str> {
        let chain = self.delta.longest_chain().unwrap_or_default();
        chain.iter().map(|id| self.delta.after().node(*id).name()).collect()
    }
}

impl Serialize for GraphDiff<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let delta = &self.delta;
        let (before, after) = (delta.before(), delta.after());
        let changes = delta.attributes();
        let attributes = changes.iter().map(|change| ChangedAttribute {
            attr: change.attr,
            before: change.before.map(|id| before.node(id).drv_path()),
            after: change.after.map(|id| after.node(id).drv_path()),
        });
        let mut fields = serializer.serialize_struct("GraphDiff", 10)?;
        fields.serialize_field("counts", &delta.counts())?;
        fields.serialize_field("attributes", &Each(attributes))?;
        // The rebuild set: derivations of the graph after, inputs before what needs them.
        fields.serialize_field("rebuild", &Each(delta.rebuilt().iter().map(|id| Rebuilt::of(delta, *id))))?;
        fields.serialize_field("cover", &Cover::of(after, delta.rebuilt()))?;
        // The derivations of the graph before whose outputs the graph after does not make any more.
        fields.serialize_field("replaced", &Named::each(before, delta.replaced()))?;
        // Fixed-output derivations whose `.drv` path is new and whose output is not: nothing is built.
        fields.serialize_field("fixedOutputOnly", &Named::each(after, delta.fixed_output_only()))?;
        // Fixed-output derivations with new outputs: fetched, not built.
        fields.serialize_field("fetched", &Named::each(after, delta.fetched()))?;
        // Derivations whose outputs are known only after the build.
        fields.serialize_field("unknownOutputs", &Named::each(after, delta.unknown_outputs()))?;
        fields.serialize_field("chain", &self.chain())?;
        fields.serialize_field("partial", &self.partial())?;
        fields.end()
    }
}

impl Outcome for GraphDiff<'_> {
    const SCHEMA: &'static str = "overlayctl.graph-diff/1";
}
