//! What a second evaluation tells, in which every attribute of the package set carries a mark of its own name.
//!
//! An overlay that adds a variable to every package, with the name of the attribute, shows what no graph shows: a derivation
//! that is an override of another carries the other's mark too, and one that two attributes name comes apart into two
//! *variants* where it is taken by both. Which variant is made of which derivation is found by a digest of all that each
//! is made of, without the marks. Changing an attribute then rebuilds every derivation all of whose variants have its mark or
//! need one that has it: told of every attribute at once, for the price of one evaluation (measured: docs/prediction.md).
//!
//! Must not know how derivations are obtained.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

use fixedbitset::FixedBitSet;
use twox_hash::XxHash3_128;

use super::digest;
use super::family::Family;
use super::image::{Image, MarkRows, NodeId, text_hash};
use super::predict::{Possible, Prediction, Range, Reason};
use super::{Error, Graph, Root};
use crate::drv::Source;

/// The variable that carries the marks: names of attributes, each after a space.
pub const MARK: &str = "overlayctlMarks";

/// Derivations whose marks are noted and taken off as they are read.
pub struct Marked<'s> {
    source: &'s dyn Source,
    marks: Mutex<HashMap<String, String>>,
}

impl<'s> Marked<'s> {
    pub fn new(source: &'s dyn Source) -> Marked<'s> {
        Marked { source, marks: Mutex::default() }
    }
}

impl Source for Marked<'_> {
    fn read(&self, drv_path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.source.read(drv_path, buffer)?;
        if let Some(marks) = take_marks(buffer) {
            self.marks.lock().unwrap_or_else(PoisonError::into_inner).insert(drv_path.to_owned(), marks);
        }
        Ok(())
    }
}

/// Takes the variable of the marks out of the text of a derivation, from its environment and from its structured
/// attributes, and returns its value.
fn take_marks(text: &mut Vec<u8>) -> Option<String> {
    let plain = take(text, &format!("(\"{MARK}\",\""), "\")");
    let structured = take(text, &format!("\\\"{MARK}\\\":\\\""), "\\\"");
    structured.or(plain)
}

/// Takes one entry of a list, with a comma beside it, out of a text, and returns what is between its start and its end.
fn take(text: &mut Vec<u8>, start: &str, end: &str) -> Option<String> {
    let from = memchr::memmem::find(text, start.as_bytes())?;
    let value = from + start.len();
    let length = memchr::memmem::find(text.get(value..)?, end.as_bytes())?;
    let marks = String::from_utf8(text.get(value..value + length)?.to_vec()).ok()?;
    let to = value + length + end.len();
    match (text.get(to), from.checked_sub(1).and_then(|before| text.get(before))) {
        (Some(b','), _) => drop(text.drain(from..to + 1)),
        (_, Some(b',')) => drop(text.drain(from - 1..to)),
        _ => drop(text.drain(from..to)),
    }
    Some(marks)
}

impl Graph {
    /// Adds what the derivations of a marked evaluation tell: `roots` are those of this graph's attributes with the marks.
    pub fn with_marks(self, roots: &[Root], source: &dyn Source) -> Result<Graph, Error> {
        self.prove()?;
        let source = Marked::new(source);
        let marked = Graph::read(roots, &source)?;
        let marks = source.marks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let rows = rows(&self, &marked, &marks);
        Ok(Graph::from_image(self.image.with_marks(&rows)?))
    }

    /// Says whether it holds what a marked evaluation told.
    pub fn is_marked(&self) -> bool {
        self.image.counts().marked > 0
    }

    /// Predicts by marks; `None` when no derivation carries the attribute's.
    ///
    /// # Errors
    /// [`Error::Cache`], as [`Graph::predict`].
    pub fn predict_marked(&self, attr: &str) -> Result<Option<Prediction>, Error> {
        if !self.is_marked() {
            return Ok(None);
        }
        self.prove_with(Image::prove_marks)?;
        let image = &self.image;
        let hash = text_hash(attr.as_bytes());
        let rows = image.marks();
        let own = rows.iter().skip(rows.partition_point(|row| row[0] < hash)).take_while(|row| row[0] == hash);
        let own: Vec<u32> = own.filter(|row| image.text(row[1], row[2]) == attr).map(|row| row[3]).collect();
        if own.is_empty() {
            return Ok(None);
        }
        self.prove_with(Image::prove_dependents)?;
        let dependents = image.marked_rows();
        let mut reached = FixedBitSet::with_capacity(image.counts().marked);
        let is_own: FixedBitSet = own.iter().map(|id| *id as usize).collect();
        let mut todo = own;
        while let Some(id) = todo.pop() {
            if !reached.put(id as usize) {
                todo.extend_from_slice(dependents.of(id));
            }
        }
        let mut prediction = Prediction::default();
        let mut told = FixedBitSet::with_capacity(self.len());
        for variants in image.variants().chunk_by(|a, b| a[0] == b[0]) {
            let Some([node, _]) = variants.first() else { continue };
            told.insert(*node as usize);
            if variants.iter().all(|row| reached.contains(row[1] as usize)) {
                prediction.rebuild.push(*node);
                if variants.iter().any(|row| is_own.contains(row[1] as usize)) {
                    prediction.roots.push(*node);
                }
            }
        }
        self.add_untold(attr, &told, &mut prediction)?;
        let low = prediction.rebuild.len();
        prediction.range = Range { low, high: low + prediction.possible.len() };
        Ok(Some(prediction))
    }

    /// Adds as possible what no marked derivation tells about (an attribute that did not evaluate with marks) and what may
    /// be changed.
    fn add_untold(&self, attr: &str, told: &FixedBitSet, prediction: &mut Prediction) -> Result<(), Error> {
        let untold = |id: &NodeId| !told.contains(*id as usize) && !self.is_fixed_output(*id);
        if !self.ids().any(|id| untold(&id)) {
            return Ok(());
        }
        let mut kin = prediction.rebuild.clone();
        if let Ok(id) = self.attribute(attr) {
            let family = Family::of(self, attr, &[id])?;
            kin.extend(family.certain);
            kin.extend(family.uncertain.iter().map(|(_, id)| id));
        }
        let root = kin.first().copied().unwrap_or_default();
        let mut also = FixedBitSet::with_capacity(self.len());
        let mut nodes = self.propagate(&kin, &mut also);
        nodes.retain(untold);
        nodes.sort_unstable();
        prediction.possible = nodes.into_iter().map(|node| Possible { node, reason: Reason::Untold, root }).collect();
        Ok(())
    }
}

/// Puts together what is kept.
fn rows(plain: &Graph, marked: &Graph, marks: &HashMap<String, String>) -> MarkRows {
    let mut nodes_of: HashMap<u128, Vec<NodeId>> = HashMap::new();
    for (id, digest) in plain.ids().zip(whole_digests(plain)).filter(|(id, _)| !plain.is_fixed_output(*id)) {
        nodes_of.entry(digest).or_default().push(id);
    }
    // Derivations that differ in more than downloads are not told apart by their digest: nothing is said of them.
    nodes_of.retain(|_, nodes| {
        let outputs = |id: &NodeId| plain.node(*id).outputs().collect::<Vec<_>>();
        nodes.windows(2).all(|pair| pair.first().map(outputs) == pair.last().map(outputs))
    });
    let mut rows = MarkRows::default();
    let mut texts: HashMap<&str, [u32; 2]> = HashMap::new();
    rows.offsets.push(0);
    for (id, digest) in marked.ids().zip(whole_digests(marked)) {
        let dependents = marked.dependents(id).iter().filter(|id| !marked.is_fixed_output(**id));
        if !marked.is_fixed_output(id) {
            rows.variants.extend(nodes_of.get(&digest).into_iter().flatten().map(|node| [*node, id]));
            rows.dependents.extend(dependents);
            let names = marks.get(marked.node(id).drv_path()).map_or("", String::as_str);
            for name in names.split_ascii_whitespace().collect::<BTreeSet<_>>() {
                let [start, length] = *texts.entry(name).or_insert_with(|| {
                    let start = rows.text.len() as u32;
                    rows.text.extend_from_slice(name.as_bytes());
                    [start, name.len() as u32]
                });
                rows.marks.push([text_hash(name.as_bytes()), start, length, id]);
            }
        }
        rows.offsets.push(rows.dependents.len() as u32);
    }
    rows.marks.sort_unstable();
    rows.variants.sort_unstable();
    rows
}

/// Returns for each node a digest of all that it is made of. That of a download is its output: how it is fetched changes
/// nothing of what needs it.
fn whole_digests(graph: &Graph) -> Vec<u128> {
    let mut digests: Vec<u128> = Vec::with_capacity(graph.len());
    let mut text: Vec<u8> = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        text.clear();
        if node.fixed_output() {
            for (name, path) in node.outputs() {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(path.as_bytes());
            }
        } else {
            // Two variants of one download would count twice in the digest of its own part.
            let downloads = graph.inputs(id).iter().filter(|input| graph.is_fixed_output(**input));
            let paths = downloads.flat_map(|input| graph.node(*input).outputs().map(|(_, path)| path));
            let own = paths.fold(node.digest(), |own, path| own.wrapping_sub(digest::of_download(path.as_bytes())));
            text.extend_from_slice(node.name().as_bytes());
            text.extend_from_slice(&own.to_le_bytes());
            let inputs: BTreeSet<u128> =
                graph.inputs(id).iter().filter_map(|input| digests.get(*input as usize).copied()).collect();
            for input in inputs {
                text.extend_from_slice(&input.to_le_bytes());
            }
        }
        digests.push(XxHash3_128::oneshot(&text));
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_off_without_a_trace() {
        for (marked, plain, marks) in [
            (r#"[("a","1"),("overlayctlMarks"," x y"),("z","2")]"#, r#"[("a","1"),("z","2")]"#, " x y"),
            (r#"[("a","1"),("overlayctlMarks"," x")]"#, r#"[("a","1")]"#, " x"),
            (r#"[("overlayctlMarks"," x")]"#, "[]", " x"),
            (
                r#"[("__json","{\"a\":1,\"overlayctlMarks\":\" x\",\"z\":[]}"),("b","")]"#,
                r#"[("__json","{\"a\":1,\"z\":[]}"),("b","")]"#,
                " x",
            ),
        ] {
            let mut text = marked.as_bytes().to_vec();
            assert_eq!(take_marks(&mut text).as_deref(), Some(marks), "{marked}");
            assert_eq!(String::from_utf8(text).unwrap(), plain);
        }
        let mut text = b"[(\"a\",\"1\")]".to_vec();
        assert_eq!(take_marks(&mut text), None);
        assert_eq!(text, b"[(\"a\",\"1\")]");
    }
}
