//! Which of the changes of a workspace each rebuilt derivation is there because of: the workspace is evaluated with one thing put back at
//! a time, and what is not there then is there because of it. Nothing is concluded from names or texts.

use std::collections::BTreeSet;

use super::changes::{Change, PutBack};
use super::parts::{OneSide, parts_of_copy};
use super::{Comparison, Error, lacks, read, root};
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::graph::{Delta, Graph, NodeId};
use crate::targets::{Selection, engine};

/// With more changes than this they are not put back one by one.
const MOST: usize = 24;

/// What the rebuilt derivations are there because of.
#[derive(Debug, Default)]
pub struct Causes {
    /// For each rebuilt derivation, in their order, the numbers of the changes without which it would not be there.
    of: Vec<Vec<usize>>,
    /// How many of them nothing could be told of.
    pub unknown: usize,
}

impl Causes {
    /// Returns the numbers of the changes without which a rebuilt derivation would not be there. None for one that more than one change
    /// alone is enough for, and where it could not be told.
    pub fn of(&self, index: usize) -> &[usize] {
        self.of.get(index).map_or(&[], Vec::as_slice)
    }
}

/// Finds what each rebuilt derivation is there because of, and counts for each change. The inner error says why that cannot be told.
pub(super) fn attribute(
    workspace: &Workspace,
    selection: &Selection,
    comparison: &Comparison,
    changes: &mut [Change],
    progress: &mut dyn Progress,
) -> Result<Result<Causes, String>, Error> {
    let delta = Delta::between(&comparison.before, &comparison.after);
    let rebuilt = delta.rebuilt();
    let mut causes = Causes { of: vec![Vec::new(); rebuilt.len()], unknown: 0 };
    match changes {
        _ if rebuilt.is_empty() => {
            changes.iter_mut().for_each(|change| change.rebuilds = Some(0));
            return Ok(Ok(causes));
        }
        [] => return Ok(Ok(causes)),
        // Put back it is the other side.
        [one] => {
            one.rebuilds = Some(rebuilt.len());
            causes.of.fill(vec![0]);
            return Ok(Ok(causes));
        }
        many if many.len() > MOST => {
            return Ok(Err(format!("{} things changed, too many to put each back on its own", many.len())));
        }
        _ => {}
    }
    let failing: BTreeSet<&str> = comparison.failures.iter().map(|failed| failed.target.as_str()).collect();
    let would = |put_back: &PutBack| would(workspace, selection, put_back, &failing);
    // To code that looks at where or when it is, a copy is another thing.
    progress.stage("evaluating a copy of the workspace");
    let copied = match would(&PutBack::default())? {
        Ok(graph) => graph,
        Err(why) => return Ok(Err(format!("a copy of the workspace does not evaluate: {why}"))),
    };
    let other = Delta::between(&copied, &comparison.after);
    let is_known = |id: NodeId| !other.is_rebuilt(id);
    let count = changes.len();
    let mut are_all_told = true;
    for (number, change) in changes.iter_mut().enumerate() {
        progress.stage(&format!("evaluating with {change} put back ({} of {count})", number + 1));
        let graph = if change.put_back.is_empty() { None } else { would(&change.put_back)?.ok() };
        let Some(graph) = graph else {
            are_all_told = false;
            continue;
        };
        let without = Delta::between(&graph, &comparison.after);
        let mut rebuilds = 0;
        for (id, causes) in rebuilt.iter().zip(&mut causes.of) {
            if is_known(*id) && without.is_rebuilt(*id) {
                causes.push(number);
                rebuilds += 1;
            }
        }
        change.rebuilds = Some(rebuilds);
    }
    let without_cause = rebuilt.iter().zip(&causes.of).filter(|(_, causes)| causes.is_empty());
    causes.unknown = without_cause.filter(|(id, _)| !are_all_told || !is_known(**id)).count();
    Ok(Ok(causes))
}

/// Evaluates the workspace with something put back; the inner error says why a target does not that evaluates as the workspace is.
fn would(
    workspace: &Workspace,
    selection: &Selection,
    put_back: &PutBack,
    failing: &BTreeSet<&str>,
) -> Result<Result<Graph, String>, Error> {
    let copy = match put_back.copy(workspace) {
        Ok(copy) => copy,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let evaluated = || -> Result<_, Error> {
        let nix = engine::nix_of_copy(&copy.workspace, workspace, !selection.no_import_from_derivation)?;
        let side = OneSide::of("a copy", parts_of_copy(workspace, &copy.workspace, selection, None)?);
        Ok((nix.instantiate(&side.sides)?, side.targets, nix))
    };
    let (results, targets, nix) = match evaluated() {
        Ok(evaluated) => evaluated,
        Err(error @ Error::Nix(crate::nix::Error::Interrupted)) => return Err(error),
        Err(why) => return Ok(Err(why.to_string())),
    };
    let mut roots = Vec::new();
    for ((_, target), result) in targets.iter().zip(results.into_iter().flatten()) {
        match result {
            Ok(derivation) => roots.push(root(&target.name, &derivation.drv_path)),
            Err(failure) if lacks(&failure, target) || failing.contains(target.name.as_str()) => {}
            Err(failure) => return Ok(Err(failure.message)),
        }
    }
    let store = nix.store_dir()?;
    Ok(Ok(read(&roots, &store)?))
}
