//! A rebuild set as trees or as a table.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;

use crate::base::text::plural;
use crate::graph::without_platform;
use crate::ops::impact::names::kind;
use crate::ops::impact::view::{By, Cover, Rebuild, View};
use crate::view::{Block, Digraph, Document, Role, Table, Text, Tree};

/// How many rows are shown when nothing is said.
const ROWS: usize = 40;

/// The deepest level of a tree that is shown; what is below is counted.
const LEVELS: usize = 120;

impl Cover {
    pub(super) fn show(&self, verbose: bool, document: &mut Document) {
        if self.attributes.is_empty() {
            return;
        }
        let limit = if verbose { usize::MAX } else { 12 };
        let mut names = self.attributes.iter().take(limit).cloned().collect::<Vec<_>>().join(" ");
        if self.attributes.len() > limit {
            names.push_str(&format!(" ... ({} more)", self.attributes.len() - limit));
        }
        let what = format!("covered by building {}  ", plural(self.attributes.len(), "attribute"));
        document.line(Role::Dim.text(what).plain(names));
    }
}

impl Rebuild {
    /// Shows the set as a tree or a table.
    pub fn show(&self, view: &View, verbose: bool, document: &mut Document) {
        let limit = view.limit.unwrap_or(if verbose { usize::MAX } else { ROWS });
        match view.table {
            None => {
                for tree in self.trees(view, limit) {
                    document.push(Block::Tree(tree));
                }
            }
            Some(by) => {
                let (mut table, all) = self.table(view, by);
                table.rows.truncate(limit);
                let left = all - table.rows.len();
                document.push(Block::Table(table));
                if left > 0 {
                    document.line(Role::Dim.text(format!("... and {left} more rows")));
                }
            }
        }
    }

    /// Returns what the filter and the depth let through, each with all that it hangs on.
    fn let_through(&self, view: &View) -> FixedBitSet {
        let mut kept = FixedBitSet::with_capacity(self.rebuild.len());
        for (at, rebuilt) in self.rebuild.iter().enumerate().rev() {
            let named = view.filter.as_deref().is_none_or(|text| rebuilt.name.contains(text));
            let near = view.depth.is_none_or(|depth| rebuilt.depth as usize <= depth);
            if (named && near) || kept.contains(at) {
                kept.insert(at);
                if let Some(parent) = self.shape.parents[at] {
                    kept.insert(parent);
                }
            }
        }
        kept
    }

    /// Chooses what is shown: targets and what they hang on first, then what is nearest to the root causes.
    fn chosen(&self, view: &View, limit: usize) -> FixedBitSet {
        let kept = self.let_through(view);
        if kept.count_ones(..) <= limit {
            return kept;
        }
        let mut chosen = FixedBitSet::with_capacity(self.rebuild.len());
        let mut left = limit;
        for target in self.shape.targets.ones().filter(|at| kept.contains(*at)) {
            let way: Vec<usize> = std::iter::successors(Some(target), |at| self.shape.parents[*at])
                .take_while(|at| !chosen.contains(*at))
                .collect();
            if way.len() <= left {
                left -= way.len();
                chosen.extend(way);
            }
        }
        let mut by_depth: Vec<usize> = kept.ones().filter(|at| !chosen.contains(*at)).collect();
        by_depth.sort_by_key(|at| (self.rebuild[*at].depth, *at));
        // A parent is never deeper than its child, so nothing is chosen without what it hangs on.
        chosen.extend(by_depth.into_iter().take(left));
        chosen
    }

    /// Returns the trees from the root causes, each derivation once, below the deepest of its inputs.
    fn trees(&self, view: &View, limit: usize) -> Vec<Tree> {
        let kept = self.let_through(view);
        let chosen = self.chosen(view, limit);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.rebuild.len()];
        let mut sizes = vec![0usize; self.rebuild.len()];
        let mut roots = Vec::new();
        for at in (0..self.rebuild.len()).rev().filter(|at| kept.contains(*at)) {
            sizes[at] += 1;
            match self.shape.parents[at] {
                Some(parent) => {
                    sizes[parent] += sizes[at];
                    children[parent].push(at);
                }
                None => roots.push(at),
            }
        }
        children.iter_mut().for_each(|list| list.reverse());
        roots.reverse();
        self.level(&roots, 0, &children, &sizes, &chosen)
    }

    /// Returns the trees of siblings; those that are not shown are counted in a last one.
    fn level(
        &self,
        siblings: &[usize],
        level: usize,
        children: &[Vec<usize>],
        sizes: &[usize],
        chosen: &FixedBitSet,
    ) -> Vec<Tree> {
        let mut trees = Vec::new();
        let mut folded = 0;
        for at in siblings.iter().copied() {
            if level >= LEVELS || !chosen.contains(at) {
                folded += sizes[at];
                continue;
            }
            let below = self.level(&children[at], level + 1, children, sizes, chosen);
            trees.push(Tree { label: self.label(at), children: below });
        }
        if folded > 0 {
            let label = Role::Dim.text(format!("... and {folded} more"));
            trees.push(Tree { label, children: Vec::new() });
        }
        trees
    }

    fn label(&self, at: usize) -> Text {
        let rebuilt = &self.rebuild[at];
        let mut label = if rebuilt.root_cause { Role::Warn } else { Role::Plain }.text(&rebuilt.name);
        if rebuilt.root_cause {
            let cause = match rebuilt.caused_by.as_slice() {
                [] => "  (root cause)".to_owned(),
                changes => format!("  (root cause: {})", changes.join(", ")),
            };
            label = label.with(Role::Dim, cause);
        }
        if self.shape.targets.contains(at) {
            label = label.with(Role::Good, "  (target)");
        }
        label
    }

    /// Returns a table and the number of its rows.
    fn table(&self, view: &View, by: By) -> (Table, usize) {
        let kept = self.let_through(view);
        // The way to what the filter lets through is for trees; a table counts only what matches.
        let counted = |at: &usize| {
            kept.contains(*at)
                && view.filter.as_deref().is_none_or(|text| self.rebuild[*at].name.contains(text))
                && view.depth.is_none_or(|depth| self.rebuild[*at].depth as usize <= depth)
        };
        let number = |count: usize| Text::from(count.to_string());
        let (header, rows): (Vec<&str>, Vec<Vec<Text>>) = match by {
            By::Kind | By::Depth => {
                let mut groups: BTreeMap<(u32, &str), Vec<usize>> = BTreeMap::new();
                for at in kept.ones().filter(counted) {
                    let rebuilt = &self.rebuild[at];
                    let group = if by == By::Kind { (0, kind(&rebuilt.name)) } else { (rebuilt.depth, "") };
                    groups.entry(group).or_default().push(at);
                }
                let mut groups: Vec<_> = groups.into_iter().collect();
                if by == By::Kind {
                    groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
                }
                let rows = groups.into_iter().map(|((depth, kind), members)| {
                    let first = if by == By::Kind { kind.to_owned() } else { depth.to_string() };
                    let name = |at: &usize| without_platform(&self.rebuild[*at].name);
                    let names: BTreeSet<String> = members.iter().map(name).collect();
                    let mut examples = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
                    if names.len() > 3 {
                        examples.push_str(", ...");
                    }
                    vec![Role::Name.text(first), number(members.len()), Role::Dim.text(examples)]
                });
                let title = if by == By::Kind { "kind" } else { "depth" };
                (vec![title, "derivations", "for example"], rows.collect())
            }
            By::Attribute => {
                let below = self.below();
                let mut rows: Vec<(usize, &str, usize)> = kept
                    .ones()
                    .filter(counted)
                    .flat_map(|at| self.shape.attributes[at].iter().map(move |attr| (at, attr.as_str())))
                    .map(|(at, attr)| (below[at], attr, at))
                    .collect();
                rows.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
                let rows = rows.into_iter().map(|(count, attr, at)| {
                    vec![
                        Role::Name.text(attr),
                        number(count),
                        number(self.rebuild[at].depth as usize),
                        Role::Dim.text(&self.rebuild[at].name),
                    ]
                });
                (vec!["attribute", "rebuilds", "depth", "name"], rows.collect())
            }
        };
        let count = rows.len();
        (Table { rows, ..Table::new(header) }, count)
    }

    /// Returns for each how many rebuilt derivations its build needs, itself among them.
    fn below(&self) -> Vec<usize> {
        let count = self.rebuild.len();
        let mut inputs: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (from, to) in &self.shape.edges {
            inputs[*to].push(*from);
        }
        // One bit for each that is below each takes too much room for a million; in stripes it does not.
        const STRIPE: usize = 1 << 10;
        let mut below = vec![0; count];
        for start in (0..count).step_by(STRIPE) {
            let mut reached = vec![[0u64; STRIPE / 64]; count - start];
            for at in start..count {
                let mut own = [0u64; STRIPE / 64];
                if at < start + STRIPE {
                    own[(at - start) / 64] |= 1 << ((at - start) % 64);
                }
                for input in inputs[at].iter().filter(|input| **input >= start) {
                    for (word, more) in own.iter_mut().zip(&reached[input - start]) {
                        *word |= more;
                    }
                }
                below[at] += own.iter().map(|word| word.count_ones() as usize).sum::<usize>();
                reached[at - start] = own;
            }
        }
        below
    }

    /// Returns the set as a graph, from root causes to targets.
    pub fn digraph(&self, view: &View) -> Digraph {
        let kept = self.chosen(view, view.limit.unwrap_or(usize::MAX));
        let mut index = vec![usize::MAX; self.rebuild.len()];
        let mut graph = Digraph::default();
        for at in kept.ones() {
            index[at] = graph.nodes.len();
            let role = match (self.rebuild[at].root_cause, self.shape.targets.contains(at)) {
                (true, _) => Role::Bad,
                (false, true) => Role::Good,
                (false, false) => Role::Plain,
            };
            graph.nodes.push((self.rebuild[at].name.clone(), role));
        }
        let inside = self.shape.edges.iter().filter(|(a, b)| kept.contains(*a) && kept.contains(*b));
        graph.edges = inside.map(|(a, b)| (index[*a], index[*b])).collect();
        graph
    }
}

/// Says that derivations are content-addressed, where some are.
pub(super) fn unknown_outputs(count: usize, document: &mut Document) {
    if count > 0 {
        document.line(Role::Warn.text(format!(
            "{} outputs that are known only after the build (content-addressed): Nix may stop early there, and \
                 less be built",
            if count == 1 { "1 derivation has".to_owned() } else { format!("{count} derivations have") }
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::impact::view::{Rebuilt, Shape};

    /// A rebuild set `0 <- 1 <- 3`, `0 <- 2`, `2 <- 3`, whose last is a target.
    fn set() -> Rebuild {
        let rebuilt = |name: &str, depth| Rebuilt {
            drv_path: format!("/nix/store/x-{name}.drv"),
            name: name.into(),
            before: None,
            outputs: BTreeMap::new(),
            root_cause: depth == 0,
            depth,
            caused_by: Vec::new(),
        };
        let mut targets = FixedBitSet::with_capacity(4);
        targets.insert(3);
        Rebuild {
            rebuild: vec![rebuilt("musl", 0), rebuilt("gcc", 1), rebuilt("zlib", 1), rebuilt("curl", 2)],
            cover: Cover::default(),
            shape: Shape {
                parents: vec![None, Some(0), Some(0), Some(1)],
                edges: vec![(0, 1), (0, 2), (1, 3), (2, 3)],
                depths: vec![0, 1, 1, 2],
                attributes: vec![Vec::new(), Vec::new(), vec!["zlib".into()], vec!["curl".into()]],
                targets,
            },
        }
    }

    fn lines(tree: &Tree) -> Vec<String> {
        std::iter::once(tree.label.unstyled()).chain(tree.children.iter().flat_map(lines)).collect()
    }

    #[test]
    fn a_short_tree_keeps_the_way_to_the_target_and_counts_the_rest() {
        let trees = set().trees(&View::default(), 3);
        assert_eq!(lines(&trees[0]), ["musl  (root cause)", "gcc", "curl  (target)", "... and 1 more"]);
        let filtered = set().trees(&View { filter: Some("zlib".into()), ..View::default() }, 40);
        assert_eq!(lines(&filtered[0]), ["musl  (root cause)", "zlib"]);
        let near = set().digraph(&View { depth: Some(1), ..View::default() });
        assert_eq!((near.nodes.len(), near.edges.len()), (3, 2));
    }

    #[test]
    fn what_is_below_is_counted_once() {
        assert_eq!(set().below(), [1, 2, 2, 4]);
        let (table, rows) = set().table(&View::default(), By::Attribute);
        assert_eq!(rows, 2);
        assert_eq!(table.rows[0][0].unstyled(), "curl");
        let (table, _) = set().table(&View::default(), By::Depth);
        assert_eq!(table.rows.iter().map(|row| row[1].unstyled()).collect::<Vec<_>>(), ["1", "2", "1"]);
    }
}
