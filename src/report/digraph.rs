//! Directed graphs as Graphviz and Mermaid text.

use std::fmt::Write as _;

use crate::base::visible;
use crate::view::{Digraph, Role};

/// Renders a graph in Graphviz' dot language.
pub fn graphviz(graph: &Digraph) -> String {
    let mut out = String::from("digraph rebuild {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n");
    for (i, (label, role)) in graph.nodes.iter().enumerate() {
        let colour = match role {
            Role::Bad => ", style=filled, fillcolor=\"#f4c7c3\"",
            Role::Good => ", style=filled, fillcolor=\"#c8e6c9\"",
            Role::Name => ", style=filled, fillcolor=\"#cfe2f3\"",
            Role::Dim => ", color=gray, fontcolor=gray",
            _ => "",
        };
        let label = visible::line(label);
        let _ = writeln!(out, "  n{i} [label=\"{}\"{colour}];", label.replace('\\', "\\\\").replace('"', "\\\""));
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(out, "  n{from} -> n{to};");
    }
    out.push_str("}\n");
    out
}

/// Renders a graph as a Mermaid flowchart.
pub fn mermaid(graph: &Digraph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (i, (label, role)) in graph.nodes.iter().enumerate() {
        let class = match role {
            Role::Bad => ":::root",
            Role::Good => ":::target",
            _ => "",
        };
        let label = visible::line(label);
        let _ = writeln!(out, "  n{i}[\"{}\"]{class}", label.replace('"', "#quot;"));
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(out, "  n{from} --> n{to}");
    }
    out.push_str("  classDef root fill:#f4c7c3\n  classDef target fill:#c8e6c9\n");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_of_a_label_is_left_for_the_terminal(label in visible::tests::hostile()) {
            let graph = Digraph { nodes: vec![(label, Role::Bad)], edges: vec![] };
            for text in [graphviz(&graph), mermaid(&graph)] {
                visible::tests::assert_safe(&text);
                prop_assert_eq!(text.matches('\n').count(), text.lines().count());
                prop_assert_eq!(text.lines().filter(|line| line.starts_with("  n0[") || line.starts_with("  n0 [")).count(), 1);
            }
        }
    }

    #[test]
    fn labels_are_escaped() {
        let graph = Digraph { nodes: vec![("a\"b".into(), Role::Bad), ("c".into(), Role::Plain)], edges: vec![(0, 1)] };
        assert!(graphviz(&graph).contains("n0 [label=\"a\\\"b\""));
        assert!(graphviz(&graph).contains("n0 -> n1;"));
        assert!(mermaid(&graph).contains("n0[\"a#quot;b\"]:::root"));
    }
}
