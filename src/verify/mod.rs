//! `verify`: for each patch of each target, is it in?
//!
//! Level by level, each with verdict, evidence and a command that shows it by hand. What cannot be known is `unknown` and
//! never passes for good.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use crate::base::diagnostic::{Verdict as Ending, Warning};
use crate::base::progress::Progress;
use crate::comparison::baseline::Baseline;
use crate::comparison::sites;
use crate::comparison::unreached::{self, Unreached};
use crate::comparison::{self, Compared, TargetFailure};
use crate::config::Workspace;
use crate::graph::{Delta, NodeId};
use crate::nix::Nix;
use crate::overlay::AttrPath;
use crate::queue::model::{Asking, Model};
use crate::targets::engine;
use crate::targets::{Selection, Target};

pub(crate) mod asked;
mod cause;
mod closure;
mod contents;
mod derivation;
pub mod error;
mod family;
pub(crate) mod files;
mod finding;
pub(crate) mod launch;
mod log;
mod program;
mod running;
mod source;
mod subject;

pub use error::Error;
pub use finding::{Cause, Finding, Level, Verdict};
pub use subject::{Package, Patch};

use asked::{Asked, TargetFacts};
use family::{Family, Identity, Needs};
use finding::Answer;

/// What `verify` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The targets.
    pub selection: Selection,
    /// Only these packages; all that are patched when empty.
    pub packages: Vec<String>,
    /// Whether what cannot be known is no failure.
    pub allow_unknown: bool,
    /// Whether the unpatched libraries that the programs are compared with are left unbuilt.
    pub no_build: bool,
    /// What to run the programs with, and what they have to print.
    pub run: Option<RunCheck>,
}

/// A program is run and has to print something.
#[derive(Debug, Clone, Default)]
pub struct RunCheck {
    /// The arguments, in one line.
    pub args: String,
    /// The text that has to be in what it prints.
    pub expect: String,
    /// The program, when not the main one.
    pub program: Option<String>,
}

/// What was verified.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Whether everything is in.
    pub verified: bool,
    /// The targets.
    pub targets: Vec<VerifiedTarget>,
    /// The patched packages.
    pub packages: Vec<Package>,
    /// The verdicts: per target, package and level.
    pub findings: Vec<Finding>,
    /// How many verdicts of each kind.
    pub counts: Counts,
    /// Targets that do not evaluate.
    pub failures: Vec<TargetFailure>,
    /// Patches of the workspace that reach none of the targets.
    pub unreached: Vec<Unreached>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Whether what cannot be known is no failure.
    pub allow_unknown: bool,
}

/// A target.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedTarget {
    /// Its whole attribute path.
    pub target: String,
    /// The board it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Its derivation.
    pub drv_path: String,
    /// Its output.
    pub out_path: String,
    /// Whether it is built.
    pub built: bool,
}

/// How many verdicts of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// As it should be.
    pub ok: usize,
    /// Not as it should be.
    pub failed: usize,
    /// Not known.
    pub unknown: usize,
    /// Nothing to say.
    pub not_applicable: usize,
}

/// One package of one target, and all that is known of both.
struct Case<'c, 'n> {
    nix: &'n Nix,
    workspace: &'n Workspace,
    delta: &'c Delta<'c>,
    target: &'c Target,
    compared: &'c Compared,
    needs: &'c Needs<'c>,
    facts: &'c TargetFacts,
    package: &'c Package,
    /// The derivations anywhere in the graph that have one of the package's patches.
    carriers: &'c HashSet<NodeId>,
    /// The store paths, of those that are asked about, that are there.
    valid: &'c BTreeSet<String>,
    asked: &'c mut Asked<'n>,
    identity: &'c mut Identity<'n>,
    sources: &'c mut source::Sources<'n>,
    /// Whether what is missing for a comparison may be built or fetched.
    may_build: bool,
    progress: &'c mut dyn Progress,
}

impl Case<'_, '_> {
    fn carries(&self, id: NodeId) -> bool {
        self.carriers.contains(&id)
    }

    /// Says whether what a derivation makes runs on the board: its name says so, as nixpkgs writes it.
    fn runs_on_board(&self, id: NodeId) -> bool {
        self.names_board(self.delta.after().node(id).name())
    }

    fn names_board(&self, name: &str) -> bool {
        match &self.facts.host {
            Some(host) if self.facts.is_cross() => name.contains(&format!("-{host}")),
            _ => true,
        }
    }

    /// Returns the outputs of the target that are in the store, the one that the attribute stands for first.
    fn built_outputs(&self) -> Vec<String> {
        built_outputs(self.compared, self.valid)
    }

    /// Returns the package's patches in a derivation, as it names them.
    fn own_patches(&mut self, id: NodeId) -> Vec<String> {
        let node = self.delta.after().node(id);
        let old: Vec<&str> = match self.delta.counterpart(id) {
            Some(old) => self.delta.before().node(old).patches().collect(),
            None => Vec::new(),
        };
        let mut own = Vec::new();
        for path in node.patches() {
            let is_file = self.package.patches.iter().any(|patch| self.identity.same(path, patch));
            let opaque = self.package.patches.iter().any(|patch| patch.bytes.is_none()) && !old.contains(&path);
            if is_file || opaque {
                own.push(path.to_string());
            }
        }
        own
    }
}

fn built_outputs(compared: &Compared, valid: &BTreeSet<String>) -> Vec<String> {
    let main = &compared.instantiated.out_path;
    let others = compared.instantiated.outputs.iter().map(|o| &o.path).filter(|path| *path != main);
    std::iter::once(main).chain(others).filter(|path| valid.contains(*path)).cloned().collect()
}

/// Verifies that the patches of a workspace are in its targets.
///
/// # Errors
/// [`Error::NothingPatched`]; those of the workspace, of evaluation and of asking Nix. That a patch is not in is a finding.
pub fn verify(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Verified, Error> {
    let nixpkgs = options.selection.nixpkgs.as_deref();
    let model = Model::read(workspace, Asking { nixpkgs, offline: false })?;
    let packages = wanted(subject::packages(workspace, &model), &options.packages)?;
    let sides = sites::both_sides(workspace, &options.selection)?;
    let nix = engine::nix(workspace)?;
    let comparison = comparison::of_workspace(workspace, &options.selection, progress)?;
    let delta = Delta::between(&comparison.before, &comparison.after);
    progress.stage("looking for the patches");
    let mut identity = Identity::new(&nix);
    let mut sources = source::Sources::new(workspace, options.selection.nixpkgs.clone());
    let subjects: Vec<Subject> = packages.iter().map(|package| Subject::find(&delta, &mut identity, package)).collect();
    let valid = nix.valid(&paths_asked(&comparison.targets, &delta, &subjects))?;
    let mut verified = Verified {
        verified: false,
        targets: Vec::new(),
        packages: packages.clone(),
        findings: Vec::new(),
        counts: Counts::default(),
        failures: comparison.failures.clone(),
        unreached: unreached::of(workspace, &options.selection, &Baseline::Unpatched, &comparison, &nix)?,
        warnings: model.warnings.iter().chain(&comparison.warnings).cloned().collect(),
        allow_unknown: options.allow_unknown,
    };
    let mut compared = comparison.targets.iter().peekable();
    for site in &sides.sites {
        let mut asked = Asked::new(&nix, site);
        for target in &site.targets {
            // Targets that do not evaluate are left out of the comparison; the rest is in the same order.
            let Some(compared) = compared.next_if(|c| c.name == target.name && c.board == target.board) else {
                continue;
            };
            progress.stage(&format!("verifying {}", target.name));
            let Some(root) = comparison.after.find(&compared.after) else { continue };
            let needs = Needs::of(&comparison.after, root);
            let facts = asked.target(&target.attr)?;
            let outputs = built_outputs(compared, &valid);
            verified.targets.push(VerifiedTarget {
                target: target.name.clone(),
                board: target.board.clone(),
                drv_path: compared.after.clone(),
                out_path: compared.instantiated.out_path.clone(),
                built: !outputs.is_empty(),
            });
            let mut report = |package: Option<&AttrPath>, level: Level, answer: Answer| {
                verified.findings.push(Finding {
                    target: target.name.clone(),
                    board: target.board.clone(),
                    package: package.cloned(),
                    level,
                    verdict: answer.verdict,
                    why: answer.why,
                    cause: answer.cause,
                    code: answer.cause.map(Cause::code),
                    evidence: answer.evidence,
                    command: answer.command,
                    hint: answer.hint,
                });
            };
            for subject in &subjects {
                let Some(package) = subject.package.on_board(target.board.as_deref()) else { continue };
                let mut case = Case {
                    nix: &nix,
                    workspace,
                    delta: &delta,
                    target,
                    compared,
                    needs: &needs,
                    facts: &facts,
                    package: &package,
                    carriers: &subject.carriers,
                    valid: &valid,
                    asked: &mut asked,
                    identity: &mut identity,
                    sources: &mut sources,
                    may_build: !options.no_build,
                    progress: &mut *progress,
                };
                let answers = levels(&mut case, subject)?;
                for (level, answer) in answers {
                    report(Some(&package.attr), level, answer);
                }
            }
            report(None, Level::Program, program_level(&nix, &facts, &outputs)?);
            if let Some(check) = &options.run {
                report(None, Level::Run, running::judge(&nix, &target.name, compared, &facts, &outputs, check)?);
            }
        }
    }
    settle(&mut verified);
    Ok(verified)
}

fn program_level(nix: &Nix, facts: &TargetFacts, outputs: &[String]) -> Result<Answer, Error> {
    if outputs.is_empty() {
        return Ok(Answer::not_built("the target"));
    }
    program::judge(&program::Request { nix, facts, outputs, is_static: facts.is_static })
}

/// Judges the levels of one package of one target.
fn levels(case: &mut Case<'_, '_>, subject: &Subject<'_>) -> Result<Vec<(Level, Answer)>, Error> {
    let mut family = subject.family.clone();
    if family.names.is_empty() {
        // Nothing carries the patch anywhere: what the package is made of has to be asked.
        if let Some(facts) = case.asked.package(&case.target.attr, &case.package.attr, false)? {
            family.sources.extend(facts.src.clone());
            family.names.extend(facts.pname.as_deref().map(crate::graph::without_platform));
        }
    }
    let mut members = derivation::members(case, &family);
    derivation::excuse(case, &mut members)?;
    let logs = log::logs(case, &members)?;
    Ok(vec![
        (Level::Derivation, derivation::judge(case, &members)?),
        (Level::Source, source::judge(case, &members, &logs)?),
        (Level::Log, log::judge(case, &members, &logs)),
        (Level::Closure, closure::judge(case, &members, &family)?),
        (Level::Contents, contents::judge(case, &members)?),
    ])
}

/// Returns the packages that are asked for.
fn wanted(packages: Vec<Package>, names: &[String]) -> Result<Vec<Package>, Error> {
    let names: Vec<AttrPath> =
        names.iter().map(|n| AttrPath::parse(n)).collect::<Result<_, _>>().map_err(crate::overlay::Error::from)?;
    if let Some(name) = names.iter().find(|name| !packages.iter().any(|p| p.attr == **name)) {
        return Err(crate::queue::Error::NotPatched { attr: name.clone(), patch: None, patched: Vec::new() }.into());
    }
    let packages: Vec<Package> = packages.into_iter().filter(|p| names.is_empty() || names.contains(&p.attr)).collect();
    if packages.is_empty() { Err(Error::NothingPatched) } else { Ok(packages) }
}

/// A package and where its patches are in the graph of all targets.
struct Subject<'p> {
    package: &'p Package,
    carriers: HashSet<NodeId>,
    family: Family,
}

impl<'p> Subject<'p> {
    fn find(delta: &Delta<'_>, identity: &mut Identity<'_>, package: &'p Package) -> Subject<'p> {
        let after = delta.after();
        let mut subject = Subject { package, carriers: HashSet::new(), family: Family::default() };
        for id in after.ids() {
            let known = |path: &str| {
                let file = |patch: &Patch| {
                    let url = patch.url.as_deref().filter(|_| patch.bytes.is_none());
                    url.and_then(|url| url.rsplit('/').next())
                        .is_some_and(|f| !f.is_empty() && path.ends_with(&format!("-{f}")))
                };
                package.patches.iter().any(file)
            };
            let node = after.node(id);
            let carries =
                node.patches().any(|path| package.patches.iter().any(|p| identity.same(path, p)) || known(path));
            if carries {
                subject.carriers.insert(id);
                subject.family.add(after, id);
            }
        }
        subject
    }
}

/// Returns the store paths that are looked at.
fn paths_asked(targets: &[Compared], delta: &Delta<'_>, subjects: &[Subject<'_>]) -> Vec<String> {
    let mut paths: BTreeSet<String> = BTreeSet::new();
    for target in targets {
        paths.extend(target.instantiated.outputs.iter().map(|o| o.path.clone()));
        paths.insert(target.instantiated.out_path.clone());
    }
    for (graph, of_after) in [(delta.before(), false), (delta.after(), true)] {
        for id in graph.ids() {
            let meant = subjects.iter().any(|s| s.family.has(graph, id) || of_after && s.carriers.contains(&id));
            if meant {
                paths.extend(graph.node(id).outputs().map(|(_, path)| path.to_string()));
            }
        }
    }
    // The output of a content-addressed derivation has no path before it is built.
    paths.into_iter().filter(|path| path.starts_with('/') && crate::base::store_path::split(path).is_some()).collect()
}

/// Puts the verdicts together: what one target does not need is no failure as long as another one does.
fn settle(verified: &mut Verified) {
    let needed: BTreeSet<AttrPath> = verified
        .findings
        .iter()
        .filter(|f| f.level == Level::Derivation && f.cause != Some(Cause::NotADependency))
        .filter_map(|f| f.package.clone())
        .collect();
    for finding in &mut verified.findings {
        if finding.cause == Some(Cause::NotADependency) && finding.package.as_ref().is_some_and(|p| needed.contains(p))
        {
            finding.verdict = Verdict::NotApplicable;
            finding.why = "the target does not need the package".into();
            (finding.cause, finding.code, finding.hint) = (None, None, None);
        }
    }
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for finding in &verified.findings {
        *counts.entry(finding.verdict).or_default() += 1;
    }
    let count = |verdict| counts.get(&verdict).copied().unwrap_or_default();
    verified.counts = Counts {
        ok: count(Verdict::Ok),
        failed: count(Verdict::Failed),
        unknown: count(Verdict::Unknown),
        not_applicable: count(Verdict::NotApplicable),
    };
    verified.verified = verified.ending().is_none();
}

impl Verified {
    /// Returns how the process ends when it is not with 0.
    pub fn ending(&self) -> Option<Ending> {
        match () {
            () if self.counts.failed > 0 => Some(Ending::No),
            () if !self.failures.is_empty() => Some(Ending::Error),
            () if self.counts.unknown > 0 && !self.allow_unknown => Some(Ending::No),
            () => None,
        }
    }
}
