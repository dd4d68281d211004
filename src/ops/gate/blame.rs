//! Which change something is over its limit because of, where that is, and by which chain it costs so much.

use std::collections::HashMap;

use serde::Serialize;

use super::measure::Subject;
use super::{Judged, Site, counts_derivations};
use crate::comparison::Comparison;
use crate::config::Workspace;
use crate::graph::{Delta, NodeId};

/// What something costs because of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blame {
    /// The change, or what is the matter.
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// How many of what was counted would not be there without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

/// Fills in who is to blame.
pub(super) fn blame(
    workspace: &Workspace,
    comparison: &Comparison,
    delta: &Delta<'_>,
    subject: &Subject,
    judged: &mut Judged,
) {
    judged.causes.clone_from(&subject.findings);
    let Some(since) = comparison.since.as_ref().filter(|_| counts_derivations(judged.limit.key)) else { return };
    let of = |id: NodeId| delta.rebuilt().binary_search(&id).map_or(&[][..], |at| since.causes.of(at));
    let mut counts = vec![0usize; since.changes.len()];
    for id in &subject.ids {
        let causes = of(*id);
        judged.without_cause += usize::from(causes.is_empty());
        for number in causes {
            if let Some(count) = counts.get_mut(*number) {
                *count += 1;
            }
        }
    }
    let mut order: Vec<usize> = (0..counts.len()).filter(|number| counts[*number] > 0).collect();
    order.sort_by_key(|number| (std::cmp::Reverse(counts[*number]), *number));
    for number in &order {
        let change = &since.changes[*number];
        let site = change.place.as_ref().zip(change.file.clone());
        let site = site.map(|(place, file)| Site::of(workspace, place, file));
        judged.causes.push(Blame { what: change.to_string(), site, count: Some(counts[*number]) });
    }
    let is_root = |id: NodeId| delta.is_root_cause(id) && order.first().is_none_or(|number| of(id).contains(number));
    let names = chain(delta, &subject.targets, &is_root);
    judged.chain = names.into_iter().map(|id| comparison.after.node(id).name().to_owned()).collect();
}

/// Returns the longest chain of rebuilds from a root cause that is meant to one of some targets; of several the one that is found first.
fn chain(delta: &Delta<'_>, targets: &[NodeId], is_root: &dyn Fn(NodeId) -> bool) -> Vec<NodeId> {
    // How long the longest chain to each is, and by which input.
    let mut longest: HashMap<NodeId, (usize, Option<NodeId>)> = HashMap::new();
    for id in delta.rebuilt() {
        let inputs = delta.after().inputs(*id).iter();
        let below = inputs.filter_map(|input| Some((longest.get(input)?.0, std::cmp::Reverse(*input)))).max();
        match below {
            Some((length, std::cmp::Reverse(input))) => drop(longest.insert(*id, (length + 1, Some(input)))),
            None if is_root(*id) => drop(longest.insert(*id, (1, None))),
            None => {}
        }
    }
    let best = targets.iter().filter_map(|id| Some((longest.get(id)?.0, std::cmp::Reverse(*id)))).max();
    let last = best.map(|(_, std::cmp::Reverse(id))| id);
    let mut chain: Vec<NodeId> =
        std::iter::successors(last, |id| longest.get(id).and_then(|(_, input)| *input)).collect();
    chain.reverse();
    chain
}
