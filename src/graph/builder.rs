//! Putting a graph together: from facts about derivations in any order to the numbered, compressed form.

use std::collections::HashMap;

use super::error::Error;
use super::image::{Counts, FIXED_OUTPUT, Image, Layout, NodeId};
use super::{Graph, Root, digest, names};
use crate::base::store_path;

/// A part of the text of a [`Part`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub start: u32,
    pub length: u32,
}

/// What is kept of a derivation; spans are into the text of its part.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RawNode {
    pub drv_path: Span,
    pub pname: Span,
    pub version: Span,
    pub system: Span,
    pub fixed_output: bool,
    pub digest: u128,
    /// How many entries of `Part::outputs`, of `Part::links` that are sources and that are patches, of `Part::inputs`.
    pub outputs: u32,
    pub sources: u32,
    pub patches: u32,
    pub inputs: u32,
}

/// Some derivations with their texts: what one thread has read at a time.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub text: Vec<u8>,
    pub nodes: Vec<RawNode>,
    pub outputs: Vec<(Span, Span)>,
    pub links: Vec<Span>,
    /// Numbers in the order of discovery.
    pub inputs: Vec<u32>,
}

impl Part {
    /// Adds a text.
    pub(super) fn push(&mut self, text: &str) -> Span {
        let span = Span { start: self.text.len() as u32, length: text.len() as u32 };
        self.text.extend_from_slice(text.as_bytes());
        span
    }
}

/// A derivation for [`Builder::add`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The store path of the `.drv` file.
    pub drv_path: &'a str,
    /// The package name; the name's own when empty.
    pub pname: &'a str,
    /// The version; the name's own when empty.
    pub version: &'a str,
    /// The system that builds it.
    pub system: &'a str,
    /// Names and paths of the outputs; an unknown path is empty.
    pub outputs: &'a [(&'a str, &'a str)],
    /// Whether the outputs are given by hash.
    pub fixed_output: bool,
    /// The store paths of its sources.
    pub sources: &'a [&'a str],
    /// The store paths of its patches.
    pub patches: &'a [&'a str],
    /// Which part is its own; see [`super::Node::digest`].
    pub digest: u128,
    /// The numbers of its inputs, as [`Builder::add`] gave or will give them.
    pub inputs: &'a [u32],
}

/// Makes graphs from derivations that are not files: for tests and generated graphs.
#[derive(Debug, Default)]
pub struct Builder {
    part: Part,
}

impl Builder {
    /// Makes an empty one.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds a derivation and returns its number, which counts from 0 and holds only here, not in the graph.
    pub fn add(&mut self, facts: &Facts<'_>) -> u32 {
        let part = &mut self.part;
        let (pname, version) = names::split_version(store_path::drv_name(facts.drv_path));
        let start = part.inputs.len();
        let mut inputs = facts.inputs.to_vec();
        inputs.sort_unstable();
        inputs.dedup();
        part.inputs.extend_from_slice(&inputs);
        let drv_path = part.push(facts.drv_path);
        let mut shared = |text: &str| match facts.drv_path.find(text) {
            Some(at) => Span { start: drv_path.start + at as u32, length: text.len() as u32 },
            None => part.push(text),
        };
        let pname = shared(if facts.pname.is_empty() { pname } else { facts.pname });
        let version = shared(if facts.version.is_empty() { version } else { facts.version });
        let node = RawNode {
            drv_path,
            pname,
            version,
            system: part.push(facts.system),
            fixed_output: facts.fixed_output,
            digest: facts.digest,
            outputs: facts.outputs.len() as u32,
            sources: facts.sources.len() as u32,
            patches: facts.patches.len() as u32,
            inputs: (part.inputs.len() - start) as u32,
        };
        for (name, path) in facts.outputs {
            let spans = (part.push(name), part.push(path));
            part.outputs.push(spans);
        }
        for link in facts.sources.iter().chain(facts.patches) {
            let span = part.push(link);
            part.links.push(span);
        }
        part.nodes.push(node);
        (part.nodes.len() - 1) as u32
    }

    /// Makes the graph.
    ///
    /// # Errors
    /// [`Error::Cycle`], [`Error::TooLarge`], [`Error::NotADerivation`] for an input that was never added.
    pub fn finish(self, roots: &[(Option<&str>, u32)]) -> Result<Graph, Error> {
        let roots: Vec<(Root, u32)> = roots
            .iter()
            .map(|(attr, node)| (Root { attr: attr.map(str::to_owned), drv_path: String::new() }, *node))
            .collect();
        assemble(store_path::STORE_DIR, &[self.part], &roots, &[])
    }
}

fn to_u32(count: usize, what: &'static str) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::TooLarge { what })
}

/// Puts the parts together. Numbers in `inputs` and `roots` count the nodes of all parts in order.
pub(super) fn assemble(
    store_dir: &str,
    parts: &[Part],
    roots: &[(Root, u32)],
    missing: &[String],
) -> Result<Graph, Error> {
    // The nodes of all parts in the order of discovery.
    let mut raw: Vec<(&RawNode, Place)> = Vec::with_capacity(parts.iter().map(|part| part.nodes.len()).sum());
    let mut text_starts = Vec::with_capacity(parts.len());
    let mut text_length = 0;
    for (index, part) in parts.iter().enumerate() {
        text_starts.push(text_length as u32);
        text_length += part.text.len();
        let mut place = Place { part: index, outputs: 0, links: 0, inputs: 0 };
        for node in &part.nodes {
            raw.push((node, place));
            place.outputs += node.outputs as usize;
            place.links += (node.sources + node.patches) as usize;
            place.inputs += node.inputs as usize;
        }
    }
    let count = raw.len();
    let inputs_of = |old: usize| -> &[u32] {
        raw.get(old)
            .and_then(|(node, place)| {
                parts.get(place.part)?.inputs.get(place.inputs..place.inputs + node.inputs as usize)
            })
            .unwrap_or_default()
    };
    let path_of = |old: usize| -> &str {
        raw.get(old)
            .and_then(|(node, place)| {
                let start = node.drv_path.start as usize;
                parts.get(place.part)?.text.get(start..start + node.drv_path.length as usize)
            })
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    };
    let edges: usize = parts.iter().map(|part| part.inputs.len()).sum();
    to_u32(count, "derivations")?;
    to_u32(edges, "edges")?;
    if let Some(old) = (0..count).find(|old| inputs_of(*old).iter().any(|input| *input as usize >= count)) {
        return Err(Error::NotADerivation { path: path_of(old).to_owned(), store_dir: store_dir.to_owned() });
    }

    let order = topological_order(count, edges, inputs_of)
        .map_err(|cycle| Error::Cycle(cycle.into_iter().map(|old| path_of(old as usize).to_owned()).collect()))?;
    let mut new_of = vec![0u32; count];
    for (new, old) in order.iter().enumerate() {
        new_of[*old as usize] = new as u32;
    }

    let mut extra_text = String::from(store_dir);
    let mut extra = |text: &str| -> Span {
        let span = Span { start: extra_text.len() as u32, length: text.len() as u32 };
        extra_text.push_str(text);
        span
    };
    let root_spans: Vec<Span> = roots.iter().map(|(root, _)| extra(root.attr.as_deref().unwrap_or_default())).collect();
    let missing_spans: Vec<Span> = missing.iter().map(|path| extra(path)).collect();
    let extra_start = text_length;
    to_u32(text_length + extra_text.len(), "bytes of text")?;
    let extra_start = extra_start as u32;

    let counts = Counts {
        nodes: count,
        edges,
        outputs: parts.iter().map(|part| part.outputs.len()).sum(),
        links: parts.iter().map(|part| part.links.len()).sum(),
        roots: roots.len(),
        missing: missing.len(),
        text: text_length + extra_text.len(),
    };
    let layout = Layout::of(counts).ok_or(Error::TooLarge { what: "bytes" })?;
    let mut words = vec![0u64; layout.length / 8];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);

    // Downloads by number, so that the digests of those that need them can be completed.
    let mut downloads: Vec<u128> = vec![0; count];
    for (old, (node, place)) in raw.iter().enumerate() {
        if node.fixed_output
            && let Some(part) = parts.get(place.part)
        {
            for (_, path) in part.outputs.get(place.outputs..place.outputs + node.outputs as usize).unwrap_or_default()
            {
                let path = part.text.get(path.start as usize..(path.start + path.length) as usize).unwrap_or_default();
                downloads[old] =
                    downloads[old].wrapping_add(digest::of_download(std::str::from_utf8(path).unwrap_or_default()));
            }
        }
    }

    let mut input_offsets = Vec::with_capacity(count + 1);
    let mut inputs: Vec<NodeId> = Vec::with_capacity(edges);
    let mut nodes: Vec<[u32; 16]> = Vec::with_capacity(count + 1);
    let mut outputs: Vec<[u32; 4]> = Vec::with_capacity(counts.outputs);
    let mut links: Vec<[u32; 2]> = Vec::with_capacity(counts.links);
    input_offsets.push(0u32);
    for old in &order {
        let old = *old as usize;
        let Some((node, place)) = raw.get(old) else { continue };
        let Some(part) = parts.get(place.part) else { continue };
        let base = text_starts.get(place.part).copied().unwrap_or_default();
        let mut own = node.digest;
        let start = inputs.len();
        for input in inputs_of(old) {
            own = own.wrapping_add(downloads[*input as usize]);
            inputs.push(new_of[*input as usize]);
        }
        if let Some(row) = inputs.get_mut(start..) {
            row.sort_unstable();
        }
        input_offsets.push(inputs.len() as u32);
        nodes.push([
            base + node.drv_path.start,
            node.drv_path.length,
            base + node.pname.start,
            node.pname.length,
            base + node.version.start,
            node.version.length,
            base + node.system.start,
            node.system.length,
            if node.fixed_output { FIXED_OUTPUT } else { 0 },
            outputs.len() as u32,
            links.len() as u32,
            links.len() as u32 + node.sources,
            own as u32,
            (own >> 32) as u32,
            (own >> 64) as u32,
            (own >> 96) as u32,
        ]);
        for (name, path) in part.outputs.get(place.outputs..place.outputs + node.outputs as usize).unwrap_or_default() {
            outputs.push([base + name.start, name.length, base + path.start, path.length]);
        }
        let count = (node.sources + node.patches) as usize;
        for link in part.links.get(place.links..place.links + count).unwrap_or_default() {
            links.push([base + link.start, link.length]);
        }
    }
    let (outputs_end, links_end) = (outputs.len() as u32, links.len() as u32);
    nodes.push([0, 0, 0, 0, 0, 0, 0, 0, 0, outputs_end, links_end, links_end, 0, 0, 0, 0]);

    let (dependent_offsets, dependents) = transpose(count, &input_offsets, &inputs);
    let by_path = order_of_paths(count, |new| order.get(new).map_or("", |old| path_of(*old as usize)));
    let root_rows: Vec<[u32; 4]> = roots
        .iter()
        .zip(&root_spans)
        .map(|((root, old), span)| {
            let node = new_of.get(*old as usize).copied().unwrap_or_default();
            [extra_start + span.start, span.length, node, u32::from(root.attr.is_some())]
        })
        .collect();
    let missing_rows: Vec<[u32; 2]> =
        missing_spans.iter().map(|span| [extra_start + span.start, span.length]).collect();

    let mut put = |range: &std::ops::Range<usize>, section: &[u8]| {
        if let Some(place) = bytes.get_mut(range.clone())
            && place.len() == section.len()
        {
            place.copy_from_slice(section);
        }
    };
    put(&layout.nodes, bytemuck::cast_slice(&nodes));
    put(&layout.outputs, bytemuck::cast_slice(&outputs));
    put(&layout.links, bytemuck::cast_slice(&links));
    put(&layout.roots, bytemuck::cast_slice(&root_rows));
    put(&layout.missing, bytemuck::cast_slice(&missing_rows));
    put(&layout.input_offsets, bytemuck::cast_slice(&input_offsets));
    put(&layout.inputs, bytemuck::cast_slice(&inputs));
    put(&layout.dependent_offsets, bytemuck::cast_slice(&dependent_offsets));
    put(&layout.dependents, bytemuck::cast_slice(&dependents));
    put(&layout.by_path, bytemuck::cast_slice(&by_path));
    let mut at = layout.text.start;
    for text in parts.iter().map(|part| part.text.as_slice()).chain([extra_text.as_bytes()]) {
        put(&(at..at + text.len()), text);
        at += text.len();
    }
    let store_span = (extra_start, store_dir.len() as u32);
    Ok(Graph::from_image(Image::seal(words, layout, (0, 0), store_span)))
}

/// Where the lists of a node start in its part.
#[derive(Debug, Clone, Copy)]
struct Place {
    part: usize,
    outputs: usize,
    links: usize,
    inputs: usize,
}

/// Returns the old numbers so that inputs come before what needs them (Kahn's algorithm), or the members of a cycle.
fn topological_order<'a>(
    count: usize,
    edges: usize,
    inputs_of: impl Fn(usize) -> &'a [u32],
) -> Result<Vec<u32>, Vec<u32>> {
    let mut input_offsets = Vec::with_capacity(count + 1);
    let mut inputs = Vec::with_capacity(edges);
    input_offsets.push(0u32);
    for old in 0..count {
        inputs.extend_from_slice(inputs_of(old));
        input_offsets.push(inputs.len() as u32);
    }
    let (dependent_offsets, dependents) = transpose(count, &input_offsets, &inputs);
    let mut waiting: Vec<u32> = (0..count).map(|old| inputs_of(old).len() as u32).collect();
    let mut order: Vec<u32> = Vec::with_capacity(count);
    order.extend((0..count as u32).filter(|old| waiting[*old as usize] == 0));
    let mut next = 0;
    while let Some(&old) = order.get(next) {
        next += 1;
        let old = old as usize;
        for &dependent in &dependents[dependent_offsets[old] as usize..dependent_offsets[old + 1] as usize] {
            let left = &mut waiting[dependent as usize];
            *left -= 1;
            if *left == 0 {
                order.push(dependent);
            }
        }
    }
    if order.len() == count {
        return Ok(order);
    }
    // Whoever still waits has an input that waits: following these leads into a cycle.
    let mut seen: HashMap<u32, usize> = HashMap::new();
    let mut path = Vec::new();
    let mut at = (0..count as u32).find(|old| waiting[*old as usize] > 0);
    while let Some(node) = at {
        if let Some(start) = seen.insert(node, path.len()) {
            let mut cycle = path.split_off(start);
            cycle.reverse();
            return Err(cycle);
        }
        path.push(node);
        at = inputs_of(node as usize).iter().copied().find(|input| waiting[*input as usize] > 0);
    }
    Err(path)
}

/// Turns rows around.
fn transpose(count: usize, offsets: &[u32], targets: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut turned_offsets = vec![0u32; count + 1];
    for target in targets {
        turned_offsets[*target as usize + 1] += 1;
    }
    for index in 0..count {
        turned_offsets[index + 1] += turned_offsets[index];
    }
    let mut next = turned_offsets.clone();
    let mut turned = vec![0u32; targets.len()];
    for node in 0..count {
        for target in &targets[offsets[node] as usize..offsets[node + 1] as usize] {
            let slot = &mut next[*target as usize];
            turned[*slot as usize] = node as u32;
            *slot += 1;
        }
    }
    (turned_offsets, turned)
}

/// Returns the first eight bytes of the last part of a path, in an order: with store paths, of the hash.
pub(super) fn path_key(path: &str) -> u64 {
    let start = path.rfind('/').map_or(0, |slash| slash + 1);
    let mut key = [0u8; 8];
    for (byte, from) in key.iter_mut().zip(path.as_bytes().get(start..).unwrap_or_default()) {
        *byte = *from;
    }
    u64::from_be_bytes(key)
}

/// Returns the nodes in the order of [`path_key`], which nearly always decides, and then of their paths.
fn order_of_paths<'a>(count: usize, path_of: impl Fn(usize) -> &'a str) -> Vec<u32> {
    let mut keyed: Vec<(u64, u32)> = (0..count).map(|node| (path_key(path_of(node)), node as u32)).collect();
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| path_of(a.1 as usize).cmp(path_of(b.1 as usize))));
    keyed.into_iter().map(|(_, node)| node).collect()
}
