//! What is kept of derivations before they are a graph, and graphs of derivations that are not files.

use super::assemble::assemble;
use super::error::Error;
use super::{Graph, names};
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
    /// The number that inputs and roots call it by.
    pub number: u32,
    pub drv_path: Span,
    /// Where its text ends, which begins with the path.
    pub text_end: u32,
    pub pname: Span,
    pub version: Span,
    pub system: Span,
    pub fixed_output: bool,
    pub digest: u128,
    /// See [`super::Node::shape`].
    pub shape: u32,
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
    /// Numbers as in `RawNode::number`.
    pub inputs: Vec<u32>,
}

impl Part {
    /// Makes an empty one with room for a text and what goes with it.
    pub(super) fn with_room(text: usize) -> Part {
        let node = 1 << 8;
        Part {
            text: Vec::with_capacity(text + text / 8),
            nodes: Vec::with_capacity(text / node),
            outputs: Vec::with_capacity(text / node),
            links: Vec::with_capacity(text / node),
            inputs: Vec::with_capacity(text / node * 8),
        }
    }

    pub(super) fn push(&mut self, text: &[u8]) -> Span {
        let span = Span { start: self.text.len() as u32, length: text.len() as u32 };
        self.text.extend_from_slice(text);
        span
    }

    pub(super) fn text(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.text.get(start..start + span.length as usize).unwrap_or_default()
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
    /// How it is configured; see [`super::Node::shape`].
    pub shape: u32,
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
        let number = part.nodes.len() as u32;
        let drv_path = part.push(facts.drv_path.as_bytes());
        let mut shared = |text: &str| match facts.drv_path.find(text) {
            Some(at) => Span { start: drv_path.start + at as u32, length: text.len() as u32 },
            None => part.push(text.as_bytes()),
        };
        let pname = shared(if facts.pname.is_empty() { pname } else { facts.pname });
        let version = shared(if facts.version.is_empty() { version } else { facts.version });
        let system = part.push(facts.system.as_bytes());
        for (name, path) in facts.outputs {
            let spans = (part.push(name.as_bytes()), part.push(path.as_bytes()));
            part.outputs.push(spans);
        }
        for link in facts.sources.iter().chain(facts.patches) {
            let span = part.push(link.as_bytes());
            part.links.push(span);
        }
        part.nodes.push(RawNode {
            number,
            drv_path,
            text_end: part.text.len() as u32,
            pname,
            version,
            system,
            fixed_output: facts.fixed_output,
            digest: facts.digest,
            shape: facts.shape,
            outputs: facts.outputs.len() as u32,
            sources: facts.sources.len() as u32,
            patches: facts.patches.len() as u32,
            inputs: (part.inputs.len() - start) as u32,
        });
        number
    }

    /// Makes the graph.
    ///
    /// # Errors
    /// [`Error::Cycle`], [`Error::TooLarge`], [`Error::NotADerivation`] for an input that was never added.
    pub fn finish(self, roots: &[(Option<&str>, u32)]) -> Result<Graph, Error> {
        let known = self.part.nodes.len();
        if let Some(input) = self.part.inputs.iter().find(|input| **input as usize >= known) {
            let path = format!("number {input}");
            return Err(Error::NotADerivation { path, store_dir: store_path::STORE_DIR.to_owned() });
        }
        assemble(store_path::STORE_DIR, &[self.part], known, roots, &[])
    }
}
