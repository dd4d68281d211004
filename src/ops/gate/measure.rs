//! What a change costs, as far as it can be told: at least so much, at most so much.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fixedbitset::FixedBitSet;
use serde::Serialize;

use super::{Blame, Site, Standing};
use crate::base::progress::Progress;
use crate::base::span::{LineCol, Place};
use crate::comparison::{Compared, Comparison};
use crate::config::Workspace;
use crate::config::budget::{Key, Limit, Scope};
use crate::graph::{Delta, NodeId};
use crate::nix::{BuildRequest, InCaches};
use crate::ops::Error;
use crate::ops::history::History;
use crate::ops::{lint, verify};
use crate::patch::Standing as Upstream;
use crate::patch::lint::Upstream as Status;
use crate::targets::{Selection, engine};
use crate::verify::{Verdict, Verified};

/// How much of something there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub least: u64,
    /// The most that it can be; absent where nothing says.
    pub most: Option<u64>,
    /// Why it is not known exactly; one sentence without its full stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What makes it known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Measured {
    fn exactly(number: u64) -> Measured {
        Measured { least: number, most: Some(number), why: None, advice: None }
    }

    pub(super) fn unknown(why: String) -> Measured {
        Measured { least: 0, most: None, why: Some(why), advice: None }
    }

    fn between(least: u64, most: Option<u64>, why: impl Into<String>, advice: impl Into<String>) -> Measured {
        match most {
            Some(most) if most <= least => Measured::exactly(least),
            most => Measured { least, most, why: Some(why.into()), advice: Some(advice.into()) },
        }
    }

    pub(super) fn against(&self, limit: u64) -> Standing {
        match self.most {
            _ if self.least > limit => Standing::Over,
            Some(most) if most <= limit => Standing::Within,
            _ => Standing::Unknown,
        }
    }
}

/// What was counted, for finding who is to blame.
#[derive(Debug, Default)]
pub(super) struct Subject {
    /// Derivations of the graph after.
    pub ids: Vec<NodeId>,
    /// Those of them that are targets of the scope.
    pub targets: Vec<NodeId>,
    /// Causes that are no changes: findings in files.
    pub findings: Vec<Blame>,
}

pub(super) struct Measure<'c> {
    workspace: &'c Workspace,
    selection: &'c Selection,
    comparison: &'c Comparison,
    delta: &'c Delta<'c>,
    /// Where the workspace is in its repository.
    below: &'c Path,
    progress: &'c mut dyn Progress,
    history: Option<History>,
    caches: Option<InCaches>,
    verified: Option<Verified>,
    linted: Option<lint::Linted>,
}

impl<'c> Measure<'c> {
    pub(super) fn new(
        workspace: &'c Workspace,
        selection: &'c Selection,
        comparison: &'c Comparison,
        delta: &'c Delta<'c>,
        below: &'c Path,
        progress: &'c mut dyn Progress,
    ) -> Measure<'c> {
        let (history, caches, verified, linted) = (None, None, None, None);
        Measure { workspace, selection, comparison, delta, below, progress, history, caches, verified, linted }
    }

    /// Measures what a limit is about. The inner error says why that was not looked at.
    pub(super) fn of(&mut self, limit: &Limit) -> Result<Result<(Measured, Subject), String>, Error> {
        if matches!(limit.key, Key::Lint | Key::PatchesWithoutStatus) {
            return self.headers(limit.key).map(Ok);
        }
        let targets: Vec<&Compared> =
            self.comparison.targets.iter().filter(|target| is_of(&limit.scope, target)).collect();
        let failed = self.failed(&limit.scope);
        if targets.is_empty()
            && failed.is_none()
            && let Some(why) = self.not_looked_at(&limit.scope)
        {
            return Ok(Err(why));
        }
        let after = &self.comparison.after;
        let ids: Vec<NodeId> = targets.iter().filter_map(|target| after.find(&target.after)).collect();
        let subject_targets = ids.iter().copied().filter(|id| self.delta.is_rebuilt(*id)).collect();
        let (mut measured, counted, findings) = match limit.key {
            Key::Unproven => {
                let (measured, findings) = self.unproven(&limit.scope)?;
                (measured, Vec::new(), findings)
            }
            Key::Builds => {
                let rebuilt = self.rebuilt(&ids);
                let sure: Vec<NodeId> =
                    rebuilt.iter().copied().filter(|id| !after.node(*id).has_unknown_outputs()).collect();
                let count = |ids: &[NodeId]| after.counts_of(ids).builds as u64;
                let why = "some outputs are content-addressed: Nix may find that nothing changed";
                (Measured::between(count(&sure), Some(count(&rebuilt)), why, "build them"), rebuilt, Vec::new())
            }
            Key::OwnBuilds | Key::BuildTime => {
                let (measured, own) = self.own(limit.key, &ids)?;
                (measured, own, Vec::new())
            }
            _ => (self.growth(&targets)?, self.rebuilt(&ids), Vec::new()),
        };
        if let Some(target) = failed {
            measured.most = None;
            measured.why = Some(format!("`{target}` does not evaluate, so what it costs is not known"));
            measured.advice = Some("mend that first".into());
        }
        Ok(Ok((measured, Subject { ids: counted, targets: subject_targets, findings })))
    }

    /// Returns a target of the scope that does not evaluate.
    fn failed(&self, scope: &Scope) -> Option<String> {
        let names = self.comparison.failures.iter().map(|failed| failed.target.as_str());
        let is_meant = |name: &str| match scope {
            Scope::Workspace | Scope::Board { .. } => true,
            Scope::Target { target, .. } => {
                name == target || name.strip_suffix(target.as_str()).is_some_and(|rest| rest.ends_with(['.', ':']))
            }
        };
        names.into_iter().find(|name| is_meant(name)).map(str::to_owned)
    }

    /// Says why nothing of a scope is among what was compared; `None` where that is known to be nothing.
    fn not_looked_at(&self, scope: &Scope) -> Option<String> {
        let board = match scope {
            Scope::Workspace => return None,
            Scope::Board { board } | Scope::Target { board: Some(board), .. } => Some(board),
            Scope::Target { board: None, .. } => None,
        };
        match board {
            Some(board) if !self.selection.boards.iter().any(|name| name == board || name == "all") => {
                Some(format!("the board {board} is not looked at: `--board {board}`, or `--board all`"))
            }
            _ => Some("no such target is looked at; the names are those that `impact` shows".to_owned()),
        }
    }

    /// Returns the rebuilt derivations that some targets need.
    fn rebuilt(&self, targets: &[NodeId]) -> Vec<NodeId> {
        let within = self.comparison.after.closure(targets.iter().copied());
        self.delta.rebuilt().iter().copied().filter(|id| within.contains(*id as usize)).collect()
    }

    /// Measures what no cache has of what is rebuilt for some targets: how many builds, or how long they take.
    fn own(&mut self, key: Key, targets: &[NodeId]) -> Result<(Measured, Vec<NodeId>), Error> {
        let caches = match &self.caches {
            Some(caches) => caches.clone(),
            None => {
                let after = &self.comparison.after;
                let outputs =
                    self.delta.rebuilt().iter().flat_map(|id| after.node(*id).outputs()).map(|(_, path)| path);
                let paths: BTreeSet<&str> = outputs.filter(|path| !path.is_empty()).collect();
                let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
                self.progress.stage("asking the caches");
                let caches = engine::nix(self.workspace)?.ask_caches(&paths, &BuildRequest::default())?;
                self.caches.insert(caches).clone()
            }
        };
        let after = &self.comparison.after;
        let is_cached = |id: NodeId| {
            let mut outputs = after.node(id).outputs();
            !after.node(id).has_unknown_outputs() && outputs.all(|(_, path)| caches.found.contains_key(path))
        };
        let most = after.builds_of(&self.needed(targets, &is_cached));
        // What a cache that does not answer may have, it has at best.
        let least: Vec<NodeId> = match caches.silent.is_empty() {
            true => most.iter().copied().filter(|id| !after.node(*id).has_unknown_outputs()).collect(),
            false => Vec::new(),
        };
        let silent = match caches.silent.as_slice() {
            [] => "some outputs are content-addressed: Nix may find that nothing changed".to_owned(),
            silent => format!("no answer from {}", silent.join(", ")),
        };
        if key == Key::OwnBuilds {
            let advice = "see that the cache can be reached, and run it again";
            return Ok((Measured::between(least.len() as u64, Some(most.len() as u64), silent, advice), most));
        }
        let history = self.history.get_or_insert_with(History::open);
        let time = |id: &NodeId| {
            let node = after.node(*id);
            history.expected(node.pname(), node.name(), node.system()).map(|time| time.as_secs_f64())
        };
        // Whole seconds, both ends in the same way: what is known is one number.
        let known = least.iter().filter_map(time).sum::<f64>().ceil() as u64;
        let unknown: Vec<&str> = most.iter().filter(|id| time(id).is_none()).map(|id| after.node(*id).name()).collect();
        let all: Option<f64> = most.iter().map(time).sum();
        let why = match unknown.as_slice() {
            [] => silent,
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                format!("no time is known for {first}{more}: never built here")
            }
        };
        let advice = "times are those of earlier `overlayctl build`s: keep their history between runs";
        Ok((Measured::between(known, all.map(|all| all.ceil() as u64), why, advice), most))
    }

    /// Returns what has to be built for some targets because of the change, where `is_cached` need not be.
    fn needed(&self, targets: &[NodeId], is_cached: &dyn Fn(NodeId) -> bool) -> Vec<NodeId> {
        let after = &self.comparison.after;
        let mut seen = FixedBitSet::with_capacity(after.len());
        let mut todo = targets.to_vec();
        let mut needed = Vec::new();
        while let Some(id) = todo.pop() {
            if seen.put(id as usize) {
                continue;
            }
            if self.delta.is_rebuilt(id) {
                if is_cached(id) {
                    continue;
                }
                needed.push(id);
            } else if !after.is_fixed_output(id) {
                // It is as it was, and so is all that it needs.
                continue;
            }
            todo.extend_from_slice(after.inputs(id));
        }
        needed.sort_unstable();
        needed
    }

    /// Measures how much larger the closures of the outputs of some targets are.
    fn growth(&mut self, targets: &[&Compared]) -> Result<Measured, Error> {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut is_changed = false;
        for target in targets {
            let out = target.instantiated.out_path.clone();
            let after = self.comparison.after.find(&target.after).map(|id| self.comparison.after.node(id));
            let name = after.and_then(|node| node.outputs().find(|(_, path)| *path == out).map(|(name, _)| name));
            let before = target.before.as_ref().and_then(|drv| self.comparison.before.find(drv));
            let before = before.map(|id| self.comparison.before.node(id));
            let was = before.and_then(|node| {
                let mut outputs = node.outputs();
                outputs.find(|(other, _)| Some(*other) == name).map(|(_, path)| path.to_owned())
            });
            match was {
                // One that is as it was still holds what others let go of.
                Some(was) => {
                    is_changed |= was != out;
                    old.push(was);
                }
                None if target.before.is_some() => {
                    return Ok(Measured::unknown(format!("`{}` had no such output", target.name)));
                }
                None => is_changed = true,
            }
            new.push(out);
        }
        if !is_changed {
            return Ok(Measured::exactly(0));
        }
        self.progress.stage("looking at the sizes of the closures");
        let nix = engine::nix(self.workspace)?;
        let all: Vec<&String> = old.iter().chain(&new).filter(|path| path.starts_with('/')).collect();
        let valid = nix.valid(&all)?;
        if let Some(missing) = old.iter().chain(&new).find(|path| !valid.contains(*path)) {
            let why = format!("{missing} is not in the store");
            let advice = "build the targets of both sides first, or fetch them, and run it again";
            return Ok(Measured::between(0, None, why, advice));
        }
        let size = |paths: &[String]| -> Result<u64, Error> {
            let closure: Vec<String> =
                if paths.is_empty() { Vec::new() } else { nix.requisites(paths)?.into_iter().collect() };
            Ok(nix.sizes(&closure)?.values().sum())
        };
        Ok(Measured::exactly(size(&new)?.saturating_sub(size(&old)?)))
    }

    /// Measures what `verify` cannot prove of the patches of some targets. Builds nothing.
    fn unproven(&mut self, scope: &Scope) -> Result<(Measured, Vec<Blame>), Error> {
        if self.verified.is_none() {
            let options = verify::Options { selection: self.selection.clone(), no_build: true, ..Default::default() };
            self.verified = Some(verify::verify(self.workspace, &options, self.progress)?);
        }
        let findings = self.verified.iter().flat_map(|verified| &verified.findings).filter(|finding| match scope {
            Scope::Workspace => true,
            Scope::Board { board } => finding.board.as_ref() == Some(board),
            Scope::Target { board, target } => {
                let is_meant = self.comparison.targets.iter().any(|of| is_of(scope, of) && of.name == finding.target);
                finding.board == *board && (finding.target == *target || is_meant)
            }
        });
        let bad: Vec<_> =
            findings.filter(|finding| matches!(finding.verdict, Verdict::Failed | Verdict::Unknown)).collect();
        let failed = bad.iter().filter(|finding| finding.verdict == Verdict::Failed).count() as u64;
        let blames = bad.iter().map(|finding| {
            let package = finding.package.as_ref().map(|attr| format!(" {attr}")).unwrap_or_default();
            Blame {
                what: format!("{}{package} ({}): {}", finding.target, finding.level.name(), finding.why),
                site: None,
                count: None,
            }
        });
        let why = bad.iter().find(|finding| finding.verdict == Verdict::Unknown).map(|finding| finding.why.clone());
        let advice = "`overlayctl build` the targets, so that `overlayctl verify` can look at them, and run it again";
        Ok((Measured::between(failed, Some(bad.len() as u64), why.unwrap_or_default(), advice), blames.collect()))
    }

    /// Counts what is wrong with the headers of the patches.
    fn headers(&mut self, key: Key) -> Result<(Measured, Subject), Error> {
        if self.linted.is_none() {
            self.linted = Some(lint::lint(self.workspace, &[], None)?);
        }
        let mut findings = Vec::new();
        for patch in self.linted.iter().flat_map(|linted| &linted.packages).flat_map(|package| &package.patches) {
            let mut add = |what: String, line: usize| {
                let line_col = Some(LineCol { line: line.max(1), column: 1 });
                let below = patch.path.strip_prefix(self.workspace.root()).unwrap_or(&patch.path);
                let file: PathBuf = self.below.join(below);
                let place = Place { path: below.to_path_buf(), span: None, line_col };
                findings.push(Blame { what, site: Some(Site::of(self.workspace, &place, file)), count: None });
            };
            match key {
                Key::Lint => patch.findings.iter().for_each(|finding| add(finding.message.clone(), finding.line)),
                _ => match &patch.upstream {
                    Upstream::OpenEmbedded(Status::Missing) => {
                        add("it does not say where it stands with upstream".into(), 1)
                    }
                    Upstream::OpenEmbedded(Status::Malformed { text, line }) => {
                        add(format!("`{text}` is no upstream status"), *line)
                    }
                    Upstream::Malformed { key, text, line } => {
                        add(format!("`{key}: {text}` is no upstream status"), *line)
                    }
                    _ => {}
                },
            }
        }
        Ok((Measured::exactly(findings.len() as u64), Subject { findings, ..Subject::default() }))
    }
}

/// Says whether a target is one that a limit is for.
fn is_of(scope: &Scope, of: &Compared) -> bool {
    match scope {
        Scope::Workspace => true,
        Scope::Board { board } => of.board.as_ref() == Some(board),
        Scope::Target { board: None, target } => of.name == *target || (of.board.is_none() && of.attr == *target),
        Scope::Target { board, target } => of.board == *board && (of.name == *target || of.attr == *target),
    }
}
