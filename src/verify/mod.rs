//! `verify`: for each patch of each target, is it in?
//!
//! Level by level, each with verdict, evidence and a command that shows it by hand. What cannot be known is `unknown` and
//! never passes for good.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use crate::base::progress::Progress;
use crate::comparison::baseline::Baseline;
use crate::comparison::sites;
use crate::comparison::unreached::{self};
use crate::comparison::{self, Compared};
use crate::config::Workspace;
use crate::graph::{Delta, NodeId};
use crate::nix::{Expected, Nix};
use crate::overlay::AttrPath;
use crate::queue::model::{Asking, Model};
use crate::targets::engine;
use crate::targets::{Selection, Target};

pub(crate) mod asked;
mod cause;
mod closure;
mod contents;
mod derivation;
mod effect;
pub mod error;
mod family;
pub(crate) mod files;
mod finding;
pub(crate) mod launch;
mod log;
mod outputs;
mod packed;
mod program;
mod running;
mod search;
mod source;
mod subject;
mod traces;
mod variant;
mod vendored;
mod verified;

pub(crate) use closure::reference_chain;
pub use error::Error;
pub use finding::{Cause, Finding, Level, Verdict};
pub use subject::{Package, Patch};
pub use verified::{Counts, Verified, VerifiedTarget};

use asked::{Asked, TargetFacts};
use contents::Comparisons;
use family::{Family, Identity, Needs};
use finding::Answer;
use variant::Maker;

/// What `verify` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// Only these packages; all that are patched when empty.
    pub packages: Vec<String>,
    /// Whether what cannot be known is no failure.
    pub allow_unknown: bool,
    /// Whether the unpatched packages that the patched ones are compared with are left unbuilt.
    pub no_build: bool,
    /// Whether Nix unpacks and patches the sources once more, to look at the result.
    pub replay: bool,
    /// The longest that the build of one may take; [`COMPARE_LIMIT`] when `None`.
    pub compare_limit: Option<Duration>,
    /// What to run the programs with, and what they have to print.
    pub run: Option<RunCheck>,
}

/// The longest that the build of an unpatched package, to compare with, may take unless asked otherwise.
pub const COMPARE_LIMIT: Duration = Duration::from_secs(600);

/// A program is run, has to end as it should and may have to print something.
#[derive(Debug, Clone, Default)]
pub struct RunCheck {
    pub args: String,
    pub expect: Option<String>,
    /// The status that it has to end with.
    pub exit: i32,
    /// The program, when not the main one.
    pub program: Option<String>,
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
    maker: &'c mut Maker,
    comparisons: &'c mut Comparisons,
    replay: bool,
    /// Whether what is missing for a comparison may be built or fetched.
    may_build: bool,
    compare_limit: Duration,
    expected: Expected<'c>,
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

/// Verifies that the patches of a workspace are in its targets; `expected` says how long a build took before.
///
/// # Errors
/// [`Error::NothingPatched`]; those of the workspace, of evaluation and of asking Nix. That a patch is not in is a finding.
pub fn verify(
    workspace: &Workspace,
    options: &Options,
    expected: Expected<'_>,
    progress: &mut dyn Progress,
) -> Result<Verified, Error> {
    let nixpkgs = options.selection.nixpkgs.as_deref();
    let model = Model::read(workspace, Asking { nixpkgs, offline: false })?;
    let mut packages = wanted(subject::packages(workspace, &model), &options.packages)?;
    // What is only given away is told as what reaches no target.
    if packages.is_empty() && model.packages.is_empty() {
        return Err(Error::NothingPatched);
    }
    let sides = sites::both_sides(workspace, &options.selection)?;
    let nix = engine::nix(workspace)?;
    let comparison = comparison::of_workspace(workspace, &options.selection, progress)?;
    let delta = Delta::between(&comparison.before, &comparison.after);
    progress.stage("looking for the patches");
    let mut identity = Identity::new(&nix);
    let (mut maker, mut comparisons) = (Maker::default(), Comparisons::new());
    let mut sources = source::Sources::new(workspace, options.selection.nixpkgs.clone());
    // What an overlay computes has no name in its text; its file in a derivation shows that it is in effect.
    for package in &mut packages {
        for path in std::mem::take(&mut package.unnamed) {
            let patch = Patch::of_queue(&workspace.path(&path));
            let after = delta.after();
            match after.ids().any(|id| after.node(id).patches().any(|path| identity.same(path, &patch))) {
                true => package.patches.push(patch),
                false => package.unnamed.push(path),
            }
        }
    }
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
                let Some(package) = subject.package.of_target(target.board.as_deref(), site.set.is_some()) else {
                    continue;
                };
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
                    maker: &mut maker,
                    comparisons: &mut comparisons,
                    replay: options.replay,
                    may_build: !options.no_build,
                    compare_limit: options.compare_limit.unwrap_or(COMPARE_LIMIT),
                    expected,
                    progress: &mut *progress,
                };
                let answers = levels(&mut case, subject)?;
                for (level, answer) in answers {
                    report(Some(&package.attr), level, answer);
                }
            }
            let program = program_level(&nix, &facts, &outputs)?;
            let link = workspace.path(crate::targets::link_name(
                target.board.as_deref(),
                &target.attr.to_string(),
                &target.name,
            ));
            report(
                None,
                Level::Program,
                stale(&link, &outputs).filter(|_| program.verdict == Verdict::Ok).unwrap_or(program),
            );
            if let Some(check) = &options.run {
                report(None, Level::Run, running::judge(&nix, &target.name, compared, &facts, &outputs, check)?);
            }
        }
    }
    verified::settle(&mut verified);
    Ok(verified)
}

/// Says that the link to a target, which is what people take to their board, leads to another build; `None` when it does not.
fn stale(link: &Path, outputs: &[String]) -> Option<Answer> {
    let at = std::fs::read_link(link).ok()?;
    let shown = at.to_string_lossy();
    let other =
        shown.contains(crate::base::store_path::STORE_DIR) && !outputs.iter().any(|o| shown.ends_with(o.as_str()));
    (other && !outputs.is_empty()).then(|| {
        let name = link.file_name().unwrap_or_default().to_string_lossy();
        Answer::unknown(format!("{name} leads to an earlier build, {shown}, and not to what was verified"))
            .hint("`overlayctl build` sets the link")
            .command(format!("readlink {}", asked::shell_word(&link.display().to_string())))
    })
}

fn program_level(nix: &Nix, facts: &TargetFacts, outputs: &[String]) -> Result<Answer, Error> {
    if outputs.is_empty() {
        return Ok(Answer::not_built("the target"));
    }
    program::judge(&program::Request { nix, facts, outputs, is_static: facts.is_static })
}

/// Judges the levels of one package of one target.
fn levels(case: &mut Case<'_, '_>, subject: &Subject<'_>) -> Result<Vec<(Level, Answer)>, Error> {
    if case.package.patches.is_empty() {
        return Ok(derivation::unnamed(case).map(|answer| (Level::Derivation, answer)).into_iter().collect());
    }
    let mut family = subject.family.clone();
    if family.names.is_empty() {
        // Nothing carries the patch anywhere: what the package is made of has to be asked.
        if let Some(facts) = case.asked.package(&case.target.attr, &case.package.attr, false)? {
            let (src, pname) = (facts.src.clone(), facts.pname.as_deref().map(crate::graph::without_platform));
            // A source that is a directory of the workspace has its store path in the derivations only.
            if src.as_deref().is_some_and(|src| !src.starts_with(crate::base::store_path::STORE_DIR)) {
                let after = case.delta.after();
                for id in after.ids().filter(|id| !after.is_fixed_output(*id)) {
                    if Some(family::bare(after, id)) == pname {
                        family.sources.extend(after.node(id).sources().map(str::to_string));
                    }
                }
            }
            family.sources.extend(src);
            family.names.extend(pname);
        }
    }
    let mut members = derivation::members(case, &family);
    derivation::excuse(case, &mut members)?;
    let logs = log::logs(case, &members)?;
    let contents = contents::judge(case, &members, &logs)?;
    Ok(vec![
        (Level::Derivation, derivation::unnamed(case).map_or_else(|| derivation::judge(case, &members), Ok)?),
        (Level::Source, source::judge(case, &members, &logs)?),
        (Level::Log, log::judge(case, &members, &logs, &contents)),
        (Level::Closure, closure::judge(case, &members, &family)?),
        (Level::Contents, contents),
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
    Ok(packages)
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
