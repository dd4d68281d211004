//! `rebase --time-machine`: which revision between two of nixpkgs made a patch stop applying.
//!
//! A bisection over the first parents between both; what came in with a merge is looked for in the merged line. A revision
//! says what the package is made from (Nix), and the queue is applied to that as `check` does. Each revision is asked
//! about once, each source unpacked once. Nothing in the workspace changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::rc::Rc;

use serde::Serialize;

use super::revisions;
use crate::base::diagnostic::{Coded as _, Warning};
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::git::{self, Oid, Scratch};
use crate::ops::Error;
use crate::ops::check::{self, Failure, State};
use crate::ops::history::History;
use crate::overlay::AttrPath;
use crate::patch::date;
use crate::queue::Error as QueueError;
use crate::queue::discover::Overlays;
use crate::queue::model::Asking;
use crate::queue::series::{self, Series};
use crate::queue::source::Asked;

/// How many revisions beside one that says nothing are tried before the search ends there.
const TRIES: usize = 12;

/// What the time machine is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The packages, as typed; all that are patched when empty.
    pub attrs: Vec<String>,
    /// The old nixpkgs; the workspace's when absent.
    pub from: Option<String>,
    pub to: String,
    /// Whether a source may be built that is neither there nor in a cache.
    pub build: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Travelled {
    pub from: Revision,
    pub to: Revision,
    /// How many revisions lie between both, by first parents.
    pub between: usize,
    pub asked: usize,
    pub packages: Vec<Package>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    pub id: String,
    pub subject: String,
    pub date: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    /// Its name and version in the old revision.
    pub from: Option<String>,
    /// Its name and version in the new one.
    pub to: Option<String>,
    pub patches: Vec<Patch>,
    /// Why nothing is known of it in the new revision, or in the old one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The revision since which that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Break>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    pub subject: String,
    /// How it applies to the old source.
    pub before: State,
    /// How it applies to the new one.
    pub state: State,
    /// Where it does not, in a few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The revision since which that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Break>,
    /// Why that revision could not be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// The revision that changed something.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Break {
    pub first: Revision,
    pub last_before: Revision,
    /// The merges by which it came in, the outermost first.
    pub merges: Vec<Revision>,
    /// The package's name and version before.
    pub from: Option<String>,
    /// The package's name and version there.
    pub to: Option<String>,
    /// How the patch applied there first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How many revisions between the two say nothing, so that it may be one of them.
    pub unclear: usize,
}

/// Looks for the revisions at which patches stopped applying.
///
/// # Errors
/// [`crate::queue::error::Error::NoHistory`]; those of git, and of Nix as a whole.
pub fn time_machine(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Travelled, Error> {
    let between = revisions::between(workspace, options.from.as_deref(), &options.to)?;
    let overlays = Overlays::read(workspace, None)?;
    let attrs = overlays.typed_or_all(workspace, &options.attrs)?;
    let mut queues = attrs.iter().map(|attr| overlays.queue(workspace, attr)).collect::<Result<Vec<_>, _>>()?;
    series::arrange(&mut queues, workspace, Asking { nixpkgs: options.from.as_deref(), offline: false })?;
    let into = revisions::temporary()?;
    let mut machine = Machine {
        workspace,
        build: options.build,
        scratch: between.history.scratch(into.path())?,
        history: between.history,
        old: between.from,
        attrs,
        queues,
        seen: HashMap::new(),
        by_source: BTreeMap::new(),
        progress,
    };
    let line = machine.history.first_parents(between.from, between.to)?;
    let mut packages = Vec::new();
    for index in 0..machine.attrs.len() {
        packages.push(machine.package(index, between.to, &line)?);
    }
    Ok(Travelled {
        from: machine.revision(between.from)?,
        to: machine.revision(between.to)?,
        between: line.len(),
        asked: machine.seen.len(),
        packages,
        warnings: Vec::new(),
    })
}

/// What a revision has of a package: the queue on its source, or why nothing can be said.
type Look = Result<Rc<check::Package>, Rc<QueueError>>;

struct Machine<'a> {
    workspace: &'a Workspace,
    build: bool,
    history: git::History,
    scratch: Scratch,
    old: Oid,
    attrs: Vec<AttrPath>,
    queues: Vec<Series>,
    /// What each revision has of each package.
    seen: HashMap<Oid, Vec<Look>>,
    /// The same by package and source, as many revisions have one source.
    by_source: BTreeMap<(usize, String), Look>,
    progress: &'a mut dyn Progress,
}

/// What a search came to.
enum Found {
    Break(Box<Break>),
    Unknown(String),
}

impl Machine<'_> {
    fn revision(&self, id: Oid) -> Result<Revision, Error> {
        let git::Revision { id, subject, seconds, .. } = self.history.revision(id)?;
        Ok(Revision { id: id.to_string(), subject, date: date::day(seconds) })
    }

    /// Returns what a revision has of a package.
    fn look(&mut self, id: Oid, index: usize) -> Result<Look, Error> {
        if !self.seen.contains_key(&id) {
            let looks = self.look_at(id)?;
            self.seen.insert(id, looks);
        }
        let look = self.seen.get(&id).and_then(|looks| looks.get(index)).cloned();
        Ok(look.ok_or(crate::targets::Error::NoTargets)?)
    }

    fn look_at(&mut self, id: Oid) -> Result<Vec<Look>, Error> {
        let short: String = id.to_string().chars().take(10).collect();
        let subject = self.history.revision(id)?.subject;
        self.progress.stage(&format!("looking at {short} {subject}"));
        let set = self.scratch.check_out(id)?.display().to_string();
        let queues: Vec<&Series> = self.queues.iter().collect();
        let asked = match Asked::of_queues(self.workspace, Some(&set), &queues) {
            Ok(asked) => asked,
            Err(error) => {
                // A revision whose package set as a whole is broken, or not there, says nothing of any package.
                let error = Rc::new(error);
                return Ok(self.attrs.iter().map(|_| Err(Rc::clone(&error))).collect());
            }
        };
        let identities: Vec<Option<String>> = (0..self.attrs.len()).map(|i| asked.identity(i)).collect();
        let known = |i: usize| Some(self.by_source.get(&(i, identities.get(i)?.clone()?))?.clone());
        let mut looks: Vec<Option<Look>> = (0..self.attrs.len()).map(known).collect();
        let missing: Vec<usize> = (0..looks.len()).filter(|i| matches!(looks.get(*i), Some(None))).collect();
        let sources = History::ask(self.build, |building| asked.sources(missing.clone(), building, self.progress))?;
        for (index, source) in missing.iter().copied().zip(sources) {
            let Some(queue) = self.queues.get(index) else { continue };
            let look = source.and_then(|source| check::package(queue, &source)).map(Rc::new).map_err(Rc::new);
            if let Some(Some(identity)) = identities.get(index) {
                self.by_source.insert((index, identity.clone()), look.clone());
            }
            if let Some(slot) = looks.get_mut(index) {
                *slot = Some(look);
            }
        }
        Ok(looks.into_iter().flatten().collect())
    }

    fn package(&mut self, index: usize, new: Oid, line: &[Oid]) -> Result<Package, Error> {
        let attr = self.attrs.get(index).cloned().ok_or(crate::targets::Error::NoTargets)?;
        let (old, now) = (self.look(self.old, index)?, self.look(new, index)?);
        let name = |look: &Look| look.as_ref().ok().and_then(|package| package.name.clone());
        let mut package =
            Package { attr, from: name(&old), to: name(&now), patches: Vec::new(), failure: None, since: None };
        let (before, after) = match (&old, &now) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(error), _) => {
                package.failure = Some(failure("in the old revision: ", error));
                return Ok(package);
            }
            (Ok(_), Err(error)) => {
                package.failure = Some(failure("", error));
                let is_gone = |look: &Look| Some(look.is_err());
                if let Found::Break(since) = self.first(index, line, &is_gone, None)? {
                    package.since = Some(*since);
                }
                return Ok(package);
            }
        };
        for (i, (before, after)) in before.patches.iter().zip(&after.patches).enumerate() {
            let mut patch = Patch {
                path: after.path.clone(),
                subject: after.subject.clone(),
                before: before.state,
                state: after.state,
                detail: after.detail.clone(),
                since: None,
                unknown: None,
            };
            if !after.state.fits() && before.state != after.state {
                let is = asked_for(i, before.state, after.state);
                match self.first(index, line, &is, Some(i))? {
                    Found::Break(since) => patch.since = Some(*since),
                    Found::Unknown(why) => patch.unknown = Some(why),
                }
            }
            package.patches.push(patch);
        }
        Ok(package)
    }

    /// Looks for the first revision of a line for which `is` holds; it does for the last one.
    fn first(
        &mut self,
        index: usize,
        line: &[Oid],
        is: &dyn Fn(&Look) -> Option<bool>,
        patch: Option<usize>,
    ) -> Result<Found, Error> {
        let mut line = line.to_vec();
        let mut merges = Vec::new();
        // The line may begin behind the point where the old revision's own branch parted from it.
        let mut start = self.start(&line)?;
        if start != self.old {
            let shown = self.revision(start)?;
            match is(&self.look(start, index)?) {
                Some(false) => {}
                Some(true) => {
                    let short: String = shown.id.chars().take(10).collect();
                    return Ok(Found::Unknown(format!(
                        "it is so at {short} already, where the branch of the old revision parts: what makes the difference is on that branch"
                    )));
                }
                None => {
                    return Ok(Found::Unknown(format!(
                        "nothing can be said of {}, where both branches part",
                        shown.id
                    )));
                }
            }
        }
        loop {
            let (low, high, unclear) = self.bisect(index, &line, is)?;
            let (Some(first), last) = (line.get(high).copied(), low.and_then(|low| line.get(low).copied())) else {
                return Ok(Found::Unknown("there is nothing between the two revisions".into()));
            };
            let last = last.unwrap_or(start);
            let parents = self.history.revision(first)?.parents;
            let mut inner = None;
            if unclear == 0 && parents.len() > 1 {
                for side in parents.into_iter().skip(1) {
                    if is(&self.look(side, index)?) != Some(true) {
                        continue;
                    }
                    let inside = self.history.first_parents(last, side)?;
                    let from = self.start(&inside)?;
                    if !inside.is_empty() && is(&self.look(from, index)?) == Some(false) {
                        inner = Some((from, inside));
                    }
                }
            }
            match inner {
                Some((from, inside)) => {
                    merges.push(self.revision(first)?);
                    (start, line) = (from, inside);
                }
                None => {
                    let (was, became) = (self.look(last, index)?, self.look(first, index)?);
                    let name = |look: &Look| look.as_ref().ok().and_then(|package| package.name.clone());
                    let state = patch.and_then(|i| Some(became.as_ref().ok()?.patches.get(i)?.state));
                    return Ok(Found::Break(Box::new(Break {
                        first: self.revision(first)?,
                        last_before: self.revision(last)?,
                        merges,
                        from: name(&was),
                        to: name(&became),
                        state,
                        unclear,
                    })));
                }
            }
        }
    }

    /// Returns the commit that a line begins behind.
    fn start(&self, line: &[Oid]) -> Result<Oid, Error> {
        let Some(first) = line.first() else { return Ok(self.old) };
        Ok(self.history.revision(*first)?.parents.first().copied().unwrap_or(*first))
    }

    /// Narrows a line down: the last place known not to be so (`None`: what is before the line), the first known to be so,
    /// and how many between them say nothing.
    fn bisect(
        &mut self,
        index: usize,
        line: &[Oid],
        is: &dyn Fn(&Look) -> Option<bool>,
    ) -> Result<(Option<usize>, usize, usize), Error> {
        // One more than the place, so that what is before the line is a number too.
        let (mut low, mut high) = (0, line.len());
        let mut silent = BTreeSet::new();
        while high > low + 1 {
            let middle = low + (high - low) / 2;
            let near = (0..TRIES).flat_map(|n| {
                let far = (1usize << n) - 1;
                [middle.checked_sub(far), middle.checked_add(far)].into_iter().flatten()
            });
            let next = near.filter(|at| (low + 1..high).contains(at)).find(|at| !silent.contains(at));
            let Some((at, id)) = next.and_then(|at| Some((at, *line.get(at - 1)?))) else { break };
            match is(&self.look(id, index)?) {
                Some(true) => high = at,
                Some(false) => low = at,
                None => drop(silent.insert(at)),
            }
        }
        Ok((low.checked_sub(1), high.saturating_sub(1), high.saturating_sub(low + 1)))
    }
}

/// Returns the question that the search asks of each revision.
fn asked_for(patch: usize, before: State, after: State) -> impl Fn(&Look) -> Option<bool> {
    move |look| {
        let state = look.as_ref().ok()?.patches.get(patch)?.state;
        Some(match after {
            // Upstream may have changed the place first and taken the patch later: what counts is when it was taken.
            State::AlreadyUpstream => state == after,
            _ if !before.fits() => state == after,
            // Fuzz comes before the conflict that is looked for.
            State::Fuzz => !state.fits(),
            _ => !state.fits() && state != State::Fuzz,
        })
    }
}

fn failure(what: &str, error: &QueueError) -> Failure {
    Failure { code: error.code(), message: format!("{what}{error}"), hint: error.hint() }
}
