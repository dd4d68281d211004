//! The first level: the derivations that should have the patch have it, once.
//!
//! Where one has not, Nix is asked why ([`crate::verify::cause`]).

use crate::base::text::plural;
use crate::graph::NodeId;
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::cause;
use crate::verify::family::{Family, Times};
use crate::verify::finding::{Answer, Cause};

/// The derivations of a package that a target needs, told apart by what they have.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// The patched ones, each once.
    pub patched: Vec<NodeId>,
    /// Those that should be and are not: at least one patch is missing.
    pub unpatched: Vec<NodeId>,
    /// Those that need not be: they run on the build machine, and the patch is for the board.
    pub exempt: Vec<NodeId>,
    /// Those that have a patch more than once.
    pub twice: Vec<NodeId>,
    /// Those of which it cannot be told.
    pub unclear: Vec<NodeId>,
    /// Packages of another name that are made of the same source and do not have the patch.
    pub relatives: Vec<NodeId>,
    /// How often each has each patch.
    pub times: Vec<(NodeId, Vec<Times>)>,
}

impl Members {
    /// Says whether the target needs the package at all.
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

/// Sorts the derivations of a package that a target needs.
pub(super) fn members(case: &mut Case<'_, '_>, family: &Family) -> Members {
    let mut members = Members::default();
    let graph = case.delta.after();
    // The set around `pkgsStatic` has a package of the same source, which is another one.
    let in_set = case.package.attr.names().len() > 1 && case.package.attr.first().starts_with("pkgs");
    // A patch of every stage is missing wherever it is not; one for the board only there.
    let everywhere: Vec<bool> = case.package.patches.iter().map(|patch| !patch.scoped).collect();
    for id in case.needs.ids() {
        let is_of = !in_set && family.has(graph, id) || case.carries(id);
        let named = !graph.node(id).fixed_output() && is_of;
        if !named {
            if !graph.node(id).fixed_output() && family.shares_source(graph, id) {
                members.relatives.push(id);
            }
            continue;
        }
        let times = case.identity.times_of(case.delta, id, case.package);
        let missing = times.contains(&Some(0));
        let lacks_one = times.iter().zip(&everywhere).any(|(times, everywhere)| *everywhere && *times == Some(0));
        match () {
            () if times.iter().any(|t| t.is_some_and(|n| n > 1)) => members.twice.push(id),
            () if missing && !lacks_one && !case.runs_on_board(id) => members.exempt.push(id),
            () if missing => members.unpatched.push(id),
            () if times.contains(&None) => members.unclear.push(id),
            () => members.patched.push(id),
        }
        members.times.push((id, times));
    }
    // What runs on the board first, then what is nearest to the target: a bootstrap stage is mostly the consequence.
    members.unpatched.sort_by_cached_key(|id| (!case.runs_on_board(*id), case.needs.chain(*id).len()));
    members
}

/// Takes out what need not have the patch although it is made of the same source under the same name: the build machine's
/// own C library, where the overlay patches the one of the cross toolchain.
pub(super) fn excuse(case: &mut Case<'_, '_>, members: &mut Members) -> Result<(), Error> {
    let here: Vec<NodeId> = members.unpatched.iter().copied().filter(|id| !case.runs_on_board(*id)).collect();
    if here.is_empty() || here.len() < members.unpatched.len() || members.patched.is_empty() {
        return Ok(());
    }
    let target = case.target.attr.clone();
    if cause::owns_libc(case, &target)? == Some(true) {
        members.unpatched.clear();
        members.exempt.extend(here);
    }
    Ok(())
}

/// Says that files of the package's queue are in no overlay; `None` when all are.
pub(super) fn unnamed(case: &Case<'_, '_>) -> Option<Answer> {
    let attr = &case.package.attr;
    let files = &case.package.unnamed;
    let name = files.first()?.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let more = if files.len() > 1 { format!(" (and {} more)", files.len() - 1) } else { String::new() };
    let why = format!("{name} is in the queue of {attr}, and no overlay names it{more}");
    let hint =
        format!("`overlayctl patch {attr} FILE` writes it into the overlay; remove the file if it is not wanted");
    let command = format!("grep -rn {} --include=*.nix .", super::asked::shell_word(&name));
    let evidence = files.iter().map(|path| format!("in no overlay: {}", path.display()));
    Some(Answer::failed(Cause::NotWiredIn, why).hint(hint).evidence(evidence).command(command))
}

pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members) -> Result<Answer, Error> {
    let graph = case.delta.after();
    let name = |id: &NodeId| graph.node(*id).name().to_string();
    let evidence = evidence(case, members);
    let shown = members.patched.first().or(members.times.first().map(|(id, _)| id)).copied();
    let shown = members.twice.first().or(members.unpatched.first()).copied().or(shown);
    let command = shown.map(|id| format!("nix-store --query --binding patches {}", graph.node(id).drv_path()));
    let with = |mut answer: Answer| {
        answer.evidence.splice(0..0, evidence.iter().cloned());
        answer.command = answer.command.or(command.clone());
        answer
    };
    if let Some(id) = members.twice.first() {
        return Ok(with(cause::twice(case, *id, &members.times)));
    }
    if members.is_empty() || !members.unpatched.is_empty() {
        return Ok(with(cause::missing(case, members)?));
    }
    if let Some(answer) = cause::outside_flake(case) {
        return Ok(with(answer));
    }
    if let Some(id) = members.unclear.first() {
        return Ok(with(Answer::unknown(format!(
            "{} has patches that cannot be told apart: the overlay computes them",
            name(id)
        ))));
    }
    if members.patched.is_empty() {
        let why = "only build tools use it, and the patch is for what runs on the board";
        return Ok(with(Answer::not_applicable(why)));
    }
    let count = case.package.patches.len();
    let what = if count == 1 { "the patch is in".to_string() } else { format!("the {count} patches are in") };
    let mut why = match members.patched.as_slice() {
        [one] => format!("{what} {}, once", name(one)),
        many => format!("{what} {}, once each", plural(many.len(), "derivation")),
    };
    if case.facts.is_cross() && !members.patched.iter().any(|id| case.runs_on_board(*id)) {
        why.push_str("; they run on the build machine only: nothing of it reaches the board");
    }
    // A derivation without a source has nothing to patch; whether its build applies patches all the same is for the log to say.
    let sourceless: Vec<String> =
        members.patched.iter().filter(|id| graph.node(**id).sources().len() == 0).map(name).collect();
    if !sourceless.is_empty() {
        return Ok(with(
            Answer::unknown(format!(
                "{} has no source of its own: a patch there is usually ignored",
                sourceless.join(", ")
            ))
            .hint("patch the package that it wraps"),
        ));
    }
    Ok(with(Answer::ok(why)))
}

fn evidence(case: &Case<'_, '_>, members: &Members) -> Vec<String> {
    let graph = case.delta.after();
    let mut lines = Vec::new();
    for (id, times) in &members.times {
        let node = graph.node(*id);
        let has: Vec<String> = case
            .package
            .patches
            .iter()
            .zip(times)
            .map(|(patch, times)| match times {
                Some(1) => patch.name.clone(),
                Some(0) => format!("not {}", patch.name),
                Some(n) => format!("{} {n} times", patch.name),
                None => format!("perhaps {}", patch.name),
            })
            .collect();
        let exempt = if members.exempt.contains(id) {
            " (it runs on the build machine, and the patch is for the board)"
        } else {
            ""
        };
        lines.push(format!("{} has {}{exempt}", node.drv_path(), has.join(", ")));
    }
    for id in &members.relatives {
        lines.push(format!(
            "{} is made of the same source under another name, without the patch",
            graph.node(*id).drv_path()
        ));
    }
    lines
}
