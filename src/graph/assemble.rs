//! Putting a graph together: from facts about derivations in any order to the numbered, compressed form.

use rayon::prelude::*;

use super::builder::{Part, RawNode, Span};
use super::error::Error;
use super::image::{Image, SHAPE_SHIFT, text_hash};
use super::layout::{Counts, Layout};
use super::order::{self, Compressed};
use super::{Graph, digest};

fn to_u32(count: usize, what: &'static str) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::TooLarge { what })
}

/// The lists of a node in its part.
#[derive(Debug, Clone, Copy, Default)]
struct Row<'p> {
    inputs: &'p [u32],
    outputs: &'p [(Span, Span)],
    links: &'p [Span],
}

/// Goes through the lists of a part's nodes.
struct Rows;

impl Rows {
    fn of(part: &Part) -> impl Iterator<Item = Row<'_>> {
        let (mut inputs, mut outputs, mut links) = (&part.inputs[..], &part.outputs[..], &part.links[..]);
        part.nodes.iter().map(move |node| Row {
            inputs: first(&mut inputs, node.inputs),
            outputs: first(&mut outputs, node.outputs),
            links: first(&mut links, node.sources + node.patches),
        })
    }
}

/// Takes the first elements off a list.
fn first<'p, T>(list: &mut &'p [T], count: u32) -> &'p [T] {
    let (taken, rest) = list.split_at_checked(count as usize).unwrap_or((list, &[]));
    *list = rest;
    taken
}

/// A node, its part and its lists.
type Located<'p> = (&'p RawNode, &'p Part, Row<'p>);

/// No node: of a derivation that is missing.
const NONE: u32 = u32::MAX;

/// Puts the parts together. Numbers in `inputs` and `roots` are below `known`; those that no node has are left out.
///
/// The graph depends on what is in the parts, but not on how it is spread over them, nor on the numbers: nodes are
/// sorted by path first.
pub(super) fn assemble(
    store_dir: &str,
    parts: &[Part],
    known: usize,
    roots: &[(Option<&str>, u32)],
    missing: &[&str],
) -> Result<Graph, Error> {
    let mut located: Vec<Option<Located<'_>>> = vec![None; known];
    for part in parts {
        for (node, row) in part.nodes.iter().zip(Rows::of(part)) {
            if let Some(place) = located.get_mut(node.number as usize) {
                *place = Some((node, part, row));
            }
        }
    }
    to_u32(known, "derivations")?;
    to_u32(parts.iter().map(|part| part.inputs.len()).sum(), "edges")?;
    let path_of = |number: u32| match located.get(number as usize) {
        Some(Some((node, part, _))) => part.text(node.drv_path),
        _ => &[],
    };
    let present = located.iter().flatten().map(|(node, ..)| node.number);
    let sorted = order::by_path(present, path_of);
    let mut rank_of = vec![NONE; known];
    for (rank, number) in sorted.iter().enumerate() {
        rank_of[*number as usize] = rank as u32;
    }
    let located: Vec<Located<'_>> =
        sorted.iter().filter_map(|number| located.get(*number as usize).copied().flatten()).collect();
    let count = located.len();

    let mut rows = Compressed::with_capacity(count, parts.iter().map(|part| part.inputs.len()).sum());
    for (_, _, row) in &located {
        let ranks = row.inputs.iter().filter_map(|input| rank_of.get(*input as usize).copied());
        rows.targets.extend(ranks.filter(|rank| *rank != NONE));
        rows.end_row();
    }
    let order = rows.topological().map_err(|cycle| {
        let path = |rank: u32| located.get(rank as usize).map(|(node, part, _)| part.text(node.drv_path));
        let path = |rank: u32| String::from_utf8_lossy(path(rank).unwrap_or_default()).into_owned();
        Error::Cycle(cycle.into_iter().map(path).collect())
    })?;
    let mut new_of = vec![0u32; count];
    for (new, rank) in order.iter().enumerate() {
        new_of[*rank as usize] = new as u32;
    }
    let nodes: Vec<Located<'_>> = order.iter().filter_map(|rank| located.get(*rank as usize).copied()).collect();

    // Texts that belong to no node: the store directory, the attributes, the missing ones.
    let extra = [store_dir].into_iter().chain(roots.iter().map(|(attr, _)| attr.unwrap_or_default()));
    let extra: Vec<&str> = extra.chain(missing.iter().copied()).collect();
    let node_text: usize = nodes.iter().map(|(node, ..)| (node.text_end - node.drv_path.start) as usize).sum();
    let extra_text: usize = extra.iter().map(|text| text.len()).sum();
    to_u32(node_text + extra_text, "bytes of text")?;
    let packages = || nodes.iter().filter(|(node, ..)| !node.fixed_output);
    let counts = Counts {
        nodes: count,
        edges: rows.targets.len(),
        outputs: parts.iter().map(|part| part.outputs.len()).sum(),
        links: parts.iter().map(|part| part.links.len()).sum(),
        roots: roots
            .iter()
            .filter(|(_, number)| rank_of.get(*number as usize).is_some_and(|rank| *rank != NONE))
            .count(),
        missing: missing.len(),
        text: node_text + extra_text,
        packages: packages().count(),
        sources: packages().map(|(node, ..)| node.sources as usize).sum(),
        ..Counts::default()
    };
    let layout = Layout::of(counts).ok_or(Error::TooLarge { what: "bytes" })?;
    let mut words = vec![0u64; layout.length / 8];
    let Some(sections) = layout.split(&mut words) else { return Err(Error::TooLarge { what: "bytes" }) };
    let (node_bytes, extra_bytes) = sections.text.split_at_mut(node_text);
    let texts = Texts { nodes: sections.nodes, outputs: sections.outputs, links: sections.links, text: node_bytes };
    let edges = Edges {
        input_offsets: sections.input_offsets,
        inputs: sections.inputs,
        dependent_offsets: sections.dependent_offsets,
        dependents: sections.dependents,
    };
    let (by_path, index) = (sections.by_path, (sections.fixed_outputs, sections.by_source, sections.by_package));
    rayon::join(
        || texts.fill(&nodes, &order, &rows, &downloads(&located)),
        || {
            by_path.copy_from_slice(&new_of);
            rayon::join(|| edges.fill(&rows, &order, &new_of), || fill_index(&nodes, index));
        },
    );
    let mut extra_spans = Vec::with_capacity(extra.len());
    let mut at = 0;
    for text in &extra {
        if let Some(place) = extra_bytes.get_mut(at..at + text.len()) {
            place.copy_from_slice(text.as_bytes());
        }
        extra_spans.push(((node_text + at) as u32, text.len() as u32));
        at += text.len();
    }
    let mut spans = extra_spans.into_iter();
    let store_span = spans.next().unwrap_or_default();
    let present = roots.iter().zip(&mut spans).filter_map(|((attr, number), span)| {
        let rank = rank_of.get(*number as usize).copied().filter(|rank| *rank != NONE)?;
        Some([span.0, span.1, new_of.get(rank as usize).copied()?, u32::from(attr.is_some())])
    });
    for (place, row) in sections.roots.iter_mut().zip(present) {
        *place = row;
    }
    for (place, span) in sections.missing.iter_mut().zip(spans) {
        *place = [span.0, span.1];
    }
    Ok(Graph::from_image(Image::seal(words, layout, (0, 0), store_span)))
}

/// Returns what each download adds to the digests of those that need it; 0 for what is none.
fn downloads(located: &[Located<'_>]) -> Vec<u128> {
    let of = |(node, part, row): &Located<'_>| {
        let paths = row.outputs.iter().filter(|_| node.fixed_output).map(|(_, path)| part.text(*path));
        paths.fold(0, |sum: u128, path| sum.wrapping_add(digest::of_download(path)))
    };
    located.par_iter().with_min_len(1 << 12).map(of).collect()
}

/// The sections that tell of each node.
struct Texts<'m> {
    nodes: &'m mut [[u32; 16]],
    outputs: &'m mut [[u32; 4]],
    links: &'m mut [[u32; 2]],
    text: &'m mut [u8],
}

impl Texts<'_> {
    fn fill(self, nodes: &[Located<'_>], order: &[u32], rows: &Compressed, downloads: &[u128]) {
        let (mut outputs, mut links, mut text) = (0u32, 0u32, 0u32);
        for (((node, part, row), rank), place) in nodes.iter().zip(order).zip(self.nodes.iter_mut()) {
            let from = part.text.get(node.drv_path.start as usize..node.text_end as usize).unwrap_or_default();
            if let Some(place) = self.text.get_mut(text as usize..text as usize + from.len()) {
                place.copy_from_slice(from);
            }
            // All texts of a node move by the same distance.
            let moved = |span: Span| [(span.start - node.drv_path.start) + text, span.length];
            let inputs = rows.row(*rank as usize).iter();
            let downloads = inputs.map(|input| downloads.get(*input as usize).copied().unwrap_or_default());
            let own = downloads.fold(node.digest, u128::wrapping_add);
            let [drv_path, pname, version, system] = [node.drv_path, node.pname, node.version, node.system].map(moved);
            *place = [
                drv_path[0],
                drv_path[1],
                pname[0],
                pname[1],
                version[0],
                version[1],
                system[0],
                system[1],
                u32::from(node.fixed_output) | node.shape << SHAPE_SHIFT,
                outputs,
                links,
                links + node.sources,
                own as u32,
                (own >> 32) as u32,
                (own >> 64) as u32,
                (own >> 96) as u32,
            ];
            for ((name, path), place) in row.outputs.iter().zip(self.outputs.iter_mut().skip(outputs as usize)) {
                let (name, path) = (moved(*name), moved(*path));
                *place = [name[0], name[1], path[0], path[1]];
            }
            for (link, place) in row.links.iter().zip(self.links.iter_mut().skip(links as usize)) {
                *place = moved(*link);
            }
            outputs += row.outputs.len() as u32;
            links += row.links.len() as u32;
            text += from.len() as u32;
        }
        if let Some(last) = self.nodes.last_mut() {
            *last = [0, 0, 0, 0, 0, 0, 0, 0, 0, outputs, links, links, 0, 0, 0, 0];
        }
    }
}

/// The sections that tell what needs what.
struct Edges<'m> {
    input_offsets: &'m mut [u32],
    inputs: &'m mut [u32],
    dependent_offsets: &'m mut [u32],
    dependents: &'m mut [u32],
}

impl Edges<'_> {
    fn fill(self, rows: &Compressed, order: &[u32], new_of: &[u32]) {
        let mut inputs = Compressed::with_capacity(order.len(), rows.targets.len());
        for rank in order {
            let start = inputs.targets.len();
            let row = rows.row(*rank as usize).iter();
            inputs.targets.extend(row.map(|input| new_of.get(*input as usize).copied().unwrap_or_default()));
            if let Some(row) = inputs.targets.get_mut(start..) {
                row.sort_unstable();
            }
            inputs.end_row();
        }
        let dependents = inputs.turned();
        for (place, from) in [
            (self.input_offsets, &inputs.offsets),
            (self.inputs, &inputs.targets),
            (self.dependent_offsets, &dependents.offsets),
            (self.dependents, &dependents.targets),
        ] {
            if place.len() == from.len() {
                place.copy_from_slice(from);
            }
        }
    }
}

/// Fills the sections by which the kin of a node is found: which are fixed-output, and those that are not by source and
/// by package.
fn fill_index(
    nodes: &[Located<'_>],
    (fixed_outputs, by_source, by_package): (&mut [u64], &mut [[u32; 2]], &mut [[u32; 2]]),
) {
    for (index, (node, ..)) in nodes.iter().enumerate() {
        if let Some(word) = fixed_outputs.get_mut(index / 64).filter(|_| node.fixed_output) {
            *word |= 1 << (index % 64);
        }
    }
    let packages = || (0..).zip(nodes).filter(|(_, (node, ..))| !node.fixed_output);
    for (place, (id, (node, part, _))) in by_package.iter_mut().zip(packages()) {
        *place = [text_hash(part.text(node.pname)), id];
    }
    let sources = packages().flat_map(|(id, (node, part, row))| {
        row.links.iter().take(node.sources as usize).map(move |link| [text_hash(part.text(*link)), id])
    });
    for (place, pair) in by_source.iter_mut().zip(sources) {
        *place = pair;
    }
    rayon::join(|| by_package.sort_unstable(), || by_source.sort_unstable());
}
