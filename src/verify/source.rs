//! The second level: the patch applies to the source without fuzz, after the ones before it.
//!
//! What `patch` said in the build log decides where there is one; else the source is unpacked in memory and the derivation's
//! patches are applied to it, in their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::base::{fs, store_path};
use crate::config::Workspace;
use crate::graph::NodeId;
use crate::nix::{Building, Expected};
use crate::overlay::AttrPath;
use crate::patch::{self, FileOutcome, Flags, HunkOutcome, HunkState, MemoryTree, Options, PatchFile, Verdict as Fit};
use crate::queue::applying;
use crate::queue::source::{self, Limits, Source, read};
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::derivation::Members;
use crate::verify::effect;
use crate::verify::finding::{Answer, Cause, Verdict};
use crate::verify::log::{BuildLog, Said, no_patched, said};
use crate::verify::variant::Change;

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

    fn get(&mut self, attr: &AttrPath, expected: Expected<'_>, progress: &mut dyn Progress) -> &Result<Source, String> {
        let (workspace, nixpkgs) = (self.workspace, self.nixpkgs.as_deref());
        self.known.entry(attr.clone()).or_insert_with(|| {
            let building = Building { allowed: false, expected };
            source::of_package(workspace, nixpkgs, attr, building, progress).map_err(|error| error.to_string())
        })
    }
}

pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members, logs: &[BuildLog]) -> Result<Answer, Error> {
    if members.patched.is_empty() {
        return Ok(no_patched(members));
    }
    let board = members.patched.iter().copied().find(|id| case.runs_on_board(*id));
    let id = board.or(members.patched.first().copied()).unwrap_or_default();
    if case.replay {
        return by_replay(case, id, touched_until(case, id).unwrap_or(Until::Patched));
    }
    // What can put a file back is looked at in any case; that it could not be is no answer.
    if let Some(until) = case.may_build.then(|| touched_until(case, id)).flatten() {
        let answer = by_replay(case, id, until)?;
        if answer.verdict == Verdict::Failed {
            return Ok(answer);
        }
        // A phase of the package's own can say anything in the log.
        if variable_of(case, id, "patchPhase").is_some() {
            let applied = by_source(case, id)?;
            return Ok(match (answer.verdict, applied.verdict) {
                (Verdict::Ok, Verdict::Failed) if answer.cause == applied.cause => answer,
                (_, Verdict::Failed | Verdict::Ok) => applied,
                _ => answer,
            });
        }
    }
    match by_log(case, logs) {
        Some(answer) => Ok(answer),
        None => by_source(case, id),
    }
}

/// How far a replay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    /// Up to the patches, and what runs right after them.
    Patched,
    Configured,
    /// Up to what is installed.
    Built,
}

/// Returns the source of a patched derivation as it is before the patches; `None` where it cannot be had.
pub(super) fn unpatched(case: &mut Case<'_, '_>, id: NodeId) -> Option<MemoryTree> {
    let node = case.delta.after().node(id);
    let there = |path: &str| case.nix.physical(path).is_some_and(|real| real.exists());
    if !case.may_build && !node.sources().all(there) {
        return None;
    }
    let source = case.sources.get(&case.package.attr, case.expected, case.progress).as_ref().ok()?;
    if node.sources().any(|path| source.from.iter().any(|from| from == path)) {
        return Some(source.tree.clone());
    }
    own_source(case, id)
}

/// Returns the source of a derivation that is one path in the store.
fn own_source(case: &Case<'_, '_>, id: NodeId) -> Option<MemoryTree> {
    let mut sources = case.delta.after().node(id).sources();
    let (one, None) = (sources.next()?, sources.next()) else { return None };
    read(&case.nix.physical(one)?, &Limits::default()).ok()
}

/// Returns what a derivation is made of, as far as it is in the store: directories and archives.
pub(super) fn trees(case: &Case<'_, '_>, id: NodeId) -> impl Iterator<Item = MemoryTree> {
    let node = case.delta.after().node(id);
    let mut paths: BTreeSet<String> = node.sources().map(str::to_string).collect();
    let bytes = case.nix.physical(node.drv_path()).and_then(|real| fs::read(&real).ok()).unwrap_or_default();
    if let Ok(derivation) = crate::drv::parse(&bytes) {
        paths.extend(derivation.sources.iter().map(|path| path.to_string()));
    }
    let real: Vec<_> = paths.iter().filter_map(|path| case.nix.physical(path)).collect();
    real.into_iter().filter_map(|real| read(&real, &Limits::default()).ok())
}

/// Returns a variable of a derivation's environment.
fn variable_of(case: &Case<'_, '_>, id: NodeId, variable: &str) -> Option<String> {
    let real = case.nix.physical(case.delta.after().node(id).drv_path())?;
    let bytes = fs::read(&real).ok()?;
    let derivation = crate::drv::parse(&bytes).ok()?;
    let value = match derivation.structured_attrs() {
        Some(attrs) => match attrs.get(variable)? {
            serde_json::Value::Array(words) => {
                words.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" ")
            }
            value => value.as_str()?.to_string(),
        },
        None => String::from_utf8_lossy(derivation.env(variable)?).into_owned(),
    };
    Some(value).filter(|value| !value.is_empty())
}

impl Until {
    fn what(self) -> &'static str {
        match self {
            Until::Patched => "up to its patches",
            Until::Configured => "up to its build",
            Until::Built => "up to its installation",
        }
    }
}

/// Says how far one has to look: to the last phase of the package's own that speaks of a file that the patches change, or of the source
/// as a whole. Every build speaks of its files, so there only what can write one counts.
fn touched_until(case: &Case<'_, '_>, id: NodeId) -> Option<Until> {
    let files = case.package.changed_files();
    let names: BTreeSet<&str> = files.iter().map(|file| file.rsplit('/').next().unwrap_or(file)).collect();
    let sources: Vec<&str> = case.delta.after().node(id).sources().collect();
    let whole = |text: &str| ["$src", "${src", "unpackPhase"].iter().chain(&sources).any(|word| text.contains(word));
    let writes = |text: &str| {
        let commands = text.split(['\n', ';', '|', '&']).map(str::trim);
        let is_writing = |command: &str| {
            command.contains('>')
                || ["cp ", "mv ", "sed -i", "install ", "ln ", "tee ", "patch ", "git ", "perl -", "rm "]
                    .iter()
                    .any(|word| command.starts_with(word))
        };
        let mut writing = commands.filter(|command| is_writing(command));
        writing.any(|command| names.iter().any(|name| command.contains(name)) || command.contains("patch -R"))
    };
    let of = |phases: &[&str]| phases.iter().filter_map(|phase| variable_of(case, id, phase)).collect::<Vec<String>>();
    if of(&["buildPhase", "postBuild"]).iter().any(|text| whole(text) || writes(text)) {
        return Some(Until::Built);
    }
    let names_one = |text: &String| names.iter().any(|name| text.contains(name)) || whole(text);
    if of(&["configurePhase", "postConfigure", "preBuild"]).iter().any(names_one) {
        return Some(Until::Configured);
    }
    let patching = of(&["patchPhase"]);
    let around = of(&["prePatch", "postPatch", "preConfigure"]);
    (!patching.is_empty() || around.iter().any(|text| names_one(text) || text.contains("$patches")))
        .then_some(Until::Patched)
}

/// Ends a build after its patches and keeps what there is then.
const CAPTURE: &str = "mkdir -p \"$out\" && cp -a . \"$out/\" && exit 0";

/// Judges by what the derivation's own `unpackPhase` and `patchPhase` leave: every patch can be taken out of that again, the last
/// first.
fn by_replay(case: &mut Case<'_, '_>, id: NodeId, until: Until) -> Result<Answer, Error> {
    let node = case.delta.after().node(id);
    let (drv_path, name) = (node.drv_path(), node.name());
    let text = |variable: &str| variable_of(case, id, variable);
    if text("buildCommand").is_some() {
        return Ok(Answer::unknown(format!(
            "{name} is made by a buildCommand: it has no phases that could be replayed"
        )));
    }
    let Flags { strip, directory } = Flags::read(text("patchFlags").as_deref());
    // Where a phase is replaced its hook is not run by the builder, so the capture begins with it.
    let (hook, first, later): (&str, &[&'static str], &[&'static str]) = match until {
        Until::Patched => (
            "preConfigure",
            &["preConfigure", "configurePhase"],
            &["preBuild", "buildPhase", "preInstall", "installPhase"],
        ),
        Until::Configured => ("preBuild", &["preBuild", "buildPhase"], &["preInstall", "installPhase"]),
        Until::Built => ("", &["preInstall", "installPhase"], &[]),
    };
    let before = text(hook).unwrap_or_default();
    let mut set: BTreeMap<&str, String> = later.iter().map(|phase| (*phase, CAPTURE.to_string())).collect();
    set.extend(first.iter().map(|phase| (*phase, format!("{before}\n{CAPTURE}"))));
    let unset = match until {
        Until::Patched => vec!["dontConfigure", "dontBuild", "dontInstall"],
        Until::Configured => vec!["dontBuild", "dontInstall"],
        Until::Built => vec!["dontInstall"],
    };
    let change = Change { set, unset, only_out: true, ..Change::default() };
    let replayed = match effect::variant(case, id, drv_path, until.what(), &change)? {
        Ok(variant) => variant,
        Err(answer) => return Ok(answer),
    };
    let out = replayed.outputs.first().map(|(_, path)| path.clone()).unwrap_or_default();
    let command = format!("ls -R {out}");
    let mut tree =
        match case.nix.physical(&out).map(|real| read(&real.join(directory.unwrap_or_default()), &Limits::default())) {
            Some(Ok(tree)) => tree,
            _ => return Ok(Answer::unknown(format!("what {name} is patched to cannot be read")).command(command)),
        };
    let forth = Options { strip, ..Options::default() };
    let back = Options { reverse: true, ..forth };
    let fits = |file: &FileOutcome| {
        let applied = |hunk: &HunkOutcome| matches!(hunk.state, HunkState::Applied { .. });
        file.skipped.is_none() && !file.hunks.is_empty() && file.hunks.iter().all(applied)
    };
    let mut evidence = vec![format!("replayed: {out}")];
    for path in case.own_patches(id).iter().rev() {
        let patch = case.nix.physical(path).map(|real| fs::read(&real)).transpose()?.unwrap_or_default();
        let parsed = PatchFile::parse(&patch)?;
        let outcome = patch::apply(&tree, &parsed, &back)?;
        if !outcome.accepted() {
            // A file that the patch fits once more is as it was before; one that it fits neither way was changed further.
            let undone: Vec<String> = patch::apply(&tree, &parsed, &forth)?
                .files
                .iter()
                .filter(|f| fits(f))
                .map(|f| f.path.clone())
                .collect();
            let file = store_path::name(path);
            return Ok(match undone.first() {
                Some(first) => {
                    Answer::failed(Cause::NotApplied, format!("{first} is without {file} in what {name} is built of"))
                        .hint("its patchPhase, or what runs before and after it, puts it back or leaves it out")
                }
                None => {
                    Answer::unknown(format!("{name} changes further what {file} changes: {}", applying::why(&outcome)))
                }
            }
            .evidence(evidence)
            .command(command));
        }
        evidence.push(format!("{path}: can be taken out of it again"));
        tree.update(outcome.changes);
    }
    Ok(Answer::ok("its own unpackPhase and patchPhase, run once more, leave the source as the patch makes it")
        .evidence(evidence)
        .command(command))
}

/// Judges by what `patch` said; `None` when no log has a word of it.
fn by_log(case: &mut Case<'_, '_>, logs: &[BuildLog]) -> Option<Answer> {
    let (mut evidence, mut fuzzy, mut command) = (Vec::new(), None, None);
    for log in logs {
        let Some(text) = &log.text else { continue };
        let name = case.delta.after().node(log.id).name().to_string();
        for path in case.own_patches(log.id) {
            // Where `patch` refused one, or said nothing, the source itself decides.
            let fuzz = match said(text, &path) {
                Said::Applied(fuzz) => fuzz,
                Said::Refused(_) | Said::Silent => return None,
                Said::Nothing => continue,
            };
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
    let own_source = own_source(case, id);
    let source = match case.sources.get(&case.package.attr, case.expected, case.progress) {
        Ok(source) => source,
        Err(why) => return Ok(Answer::unknown(format!("the source cannot be had: {why}"))),
    };
    let mut from = source.from.clone();
    let mut tree = source.tree.clone();
    if !node.sources().any(|path| from.iter().any(|from| from == path)) {
        // A source that is a directory of the workspace is known by its copy in the store.
        from = node.sources().map(str::to_string).collect();
        match own_source {
            Some(own) => tree = own,
            None => {
                return Ok(Answer::unknown(format!("{name} is made of another source than `{}`", case.package.attr)));
            }
        }
    }
    let mut evidence: Vec<String> = from.iter().map(|from| format!("source {from}")).collect();
    evidence.extend(source.warnings.iter().map(|warning| warning.message.clone()));
    let mut command = format!("tar -xf {}", from.first().cloned().unwrap_or_default());
    for path in node.patches() {
        let is_own = own.iter().any(|own| own == path);
        let of_nixpkgs = source.own_patches.iter().find(|(name, _)| path.ends_with(&format!("-{name}")));
        let bytes = match (case.nix.physical(path).filter(|real| real.is_file()), of_nixpkgs) {
            (_, Some((_, bytes))) if !is_own => bytes.clone(),
            (Some(real), _) => fs::read(&real)?,
            (None, _) => return Ok(Answer::unknown(format!("{} is not in the store", store_path::name(path)))),
        };
        command.push_str(&format!(" && patch -p{} <{path}", source.strip));
        if bytes.is_empty() {
            continue;
        }
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
            Fit::Clean | Fit::Offset => continue,
            Fit::Fuzz if !is_own => continue,
            // One of nixpkgs' own says more of the source at hand than of the patch.
            _ if !is_own => Answer::unknown(format!("{} of nixpkgs {}", store_path::name(path), words(verdict))),
            Fit::Fuzz => with_fuzz(case, path, &plural(usize::try_from(outcome.max_fuzz()).unwrap_or(0), "line")),
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

fn words(verdict: Fit) -> &'static str {
    match verdict {
        Fit::Clean => "applies",
        Fit::Offset => "applies, some lines away",
        Fit::Fuzz => "applies with fuzz only",
        Fit::AlreadyApplied => "is in the source already",
        Fit::PartlyApplied => "is in the source in part",
        Fit::FileGone => "changes a file that is not there",
        Fit::Conflict => "does not apply",
    }
}
