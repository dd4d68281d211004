//! The second level: the patch applies to the source without fuzz, after the ones before it.
//!
//! What `patch` said in the build log decides where there is one; else the source is unpacked in memory and the derivation's
//! patches are applied to it, in their order.

use std::collections::BTreeMap;

use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::base::{fs, store_path};
use crate::config::Workspace;
use crate::graph::NodeId;
use crate::overlay::AttrPath;
use crate::patch::Verdict;
use crate::queue::applying;
use crate::queue::source::{self, Source};
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::derivation::Members;
use crate::verify::finding::{Answer, Cause};
use crate::verify::log::{BuildLog, Said, no_patched, said};

/// The sources of packages, each unpacked once.
#[derive(Debug)]
pub(super) struct Sources<'w> {
    workspace: &'w Workspace,
    nixpkgs: Option<String>,
    known: BTreeMap<AttrPath, Result<Source, String>>,
}

impl<'w> Sources<'w> {
    pub(super) fn new(workspace: &'w Workspace, nixpkgs: Option<String>) -> Sources<'w> {
        Sources { workspace, nixpkgs, known: BTreeMap::new() }
    }

    fn get(&mut self, attr: &AttrPath, progress: &mut dyn Progress) -> &Result<Source, String> {
        let (workspace, nixpkgs) = (self.workspace, self.nixpkgs.as_deref());
        self.known.entry(attr.clone()).or_insert_with(|| {
            source::of_package(workspace, nixpkgs, attr, progress).map_err(|error| error.to_string())
        })
    }
}

/// Judges the level.
///
/// # Errors
/// Those of reading patches.
pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members, logs: &[BuildLog]) -> Result<Answer, Error> {
    if members.patched.is_empty() {
        return Ok(no_patched(members));
    }
    match by_log(case, logs) {
        Some(answer) => Ok(answer),
        None => {
            let board = members.patched.iter().copied().find(|id| case.runs_on_board(*id));
            let id = board.or(members.patched.first().copied()).unwrap_or_default();
            by_source(case, id)
        }
    }
}

/// Judges by what `patch` said; `None` when no log has a word of it.
fn by_log(case: &mut Case<'_, '_>, logs: &[BuildLog]) -> Option<Answer> {
    let (mut evidence, mut fuzzy, mut command) = (Vec::new(), None, None);
    for log in logs {
        let Some(text) = &log.text else { continue };
        let name = case.delta.after().node(log.id).name().to_string();
        for path in case.own_patches(log.id) {
            // A patch without a word makes the level log fail.
            let Said::Applied(fuzz) = said(text, &path) else { continue };
            command = command.or(Some(format!("{} | grep -A9 'applying patch'", log.command)));
            match fuzz.first() {
                Some(line) => fuzzy = fuzzy.or(Some((path.clone(), line.clone()))),
                None => evidence.push(format!("{name}: {path} applied without fuzz")),
            }
            evidence.extend(fuzz.into_iter().map(|line| format!("{name}: {path}: {line}")));
        }
    }
    let command = command?;
    let answer = match fuzzy {
        Some((path, line)) => with_fuzz(case, &path, &line),
        None => Answer::ok("it applied without fuzz, says the log"),
    };
    Some(answer.evidence(evidence).command(command))
}

fn with_fuzz(case: &Case<'_, '_>, path: &str, how: &str) -> Answer {
    Answer::failed(Cause::DoesNotFit, format!("{} applies with fuzz only: {how}", store_path::name(path)))
        .hint(format!("`overlayctl refresh {}` writes it anew for this source", case.package.attr))
}

/// Judges by applying all patches of a derivation to its source.
fn by_source(case: &mut Case<'_, '_>, id: NodeId) -> Result<Answer, Error> {
    let node = case.delta.after().node(id);
    let name = node.name().to_string();
    let there = |path: &str| case.nix.physical(path).is_some_and(|real| real.exists());
    if !case.may_build && !node.sources().all(there) {
        return Ok(Answer::unknown("its source is not here, and nothing may be fetched")
            .hint("leave --no-build out, and it is fetched for that"));
    }
    let own = case.own_patches(id);
    let source = match case.sources.get(&case.package.attr, case.progress) {
        Ok(source) => source,
        Err(why) => return Ok(Answer::unknown(format!("the source cannot be had: {why}"))),
    };
    if !node.sources().any(|path| source.from.iter().any(|from| from == path)) {
        return Ok(Answer::unknown(format!("{name} is made of another source than `{}`", case.package.attr)));
    }
    let mut tree = source.tree.clone();
    let mut evidence: Vec<String> = source.from.iter().map(|from| format!("source {from}")).collect();
    evidence.extend(source.warnings.iter().map(|warning| warning.message.clone()));
    let mut command = format!("tar -xf {}", source.from.first().cloned().unwrap_or_default());
    for path in node.patches() {
        let is_own = own.iter().any(|own| own == path);
        let of_nixpkgs = source.own_patches.iter().find(|(name, _)| path.ends_with(&format!("-{name}")));
        let bytes = match (case.nix.physical(path).filter(|real| real.is_file()), of_nixpkgs) {
            (_, Some((_, bytes))) if !is_own => bytes.clone(),
            (Some(real), _) => fs::read(&real)?,
            (None, _) => return Ok(Answer::unknown(format!("{} is not in the store", store_path::name(path)))),
        };
        command.push_str(&format!(" && patch -p{} <{path}", source.strip));
        let (outcome, verdict) = match applying::step(&mut tree, &bytes, source.strip) {
            Ok(outcome) => outcome,
            Err(error) if is_own => {
                return Ok(Answer::failed(Cause::DoesNotFit, format!("{}: {error}", store_path::name(path)))
                    .evidence(evidence)
                    .command(command));
            }
            Err(error) => return Ok(Answer::unknown(format!("{}: {error}", store_path::name(path)))),
        };
        evidence.push(format!("{}: {}", path, words(verdict)));
        let answer = match verdict {
            Verdict::Clean | Verdict::Offset => continue,
            Verdict::Fuzz if !is_own => continue,
            // One of nixpkgs' own says more of the source at hand than of the patch.
            _ if !is_own => Answer::unknown(format!("{} of nixpkgs {}", store_path::name(path), words(verdict))),
            Verdict::Fuzz => with_fuzz(case, path, &plural(usize::try_from(outcome.max_fuzz()).unwrap_or(0), "line")),
            _ => {
                let at = applying::why(&outcome);
                let at = if at.is_empty() { String::new() } else { format!(": {at}") };
                Answer::failed(Cause::DoesNotFit, format!("{} {}{at}", store_path::name(path), words(verdict)))
                    .hint("`overlayctl check` says more, `overlayctl rebase` moves it to another version")
            }
        };
        return Ok(answer.evidence(evidence).command(command));
    }
    Ok(Answer::ok("it applies to the source without fuzz, in its place of the series")
        .evidence(evidence)
        .command(command))
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "applies",
        Verdict::Offset => "applies, some lines away",
        Verdict::Fuzz => "applies with fuzz only",
        Verdict::AlreadyApplied => "is in the source already",
        Verdict::PartlyApplied => "is in the source in part",
        Verdict::FileGone => "changes a file that is not there",
        Verdict::Conflict => "does not apply",
    }
}
