//! Reading a closure of derivations into a graph, in parallel.
//!
//! Every thread reads what any of them has found; see `walk.rs`. The graph does not depend on how the threads ran.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::assemble::assemble;
use super::builder::{Part, RawNode, Span};
use super::digest::Digester;
use super::error::Error;
use super::variables::Variables;
use super::walk::Walk;
use super::{Graph, Root, names};
use crate::base::store_path;
use crate::drv::{self, OutputKind, Scanner, Source};

/// What to do about a derivation that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// End with an error that names it.
    Refuse,
    /// Leave it out and list it in [`Graph::missing`]; the graph is then partial and has to be called so.
    List,
}

/// Marks an input that has no number yet; the rest is an index into `Reader::new`.
const NEW: u32 = 1 << 31;
/// A part is full when it has so much text: parts that grow would be copied again and again.
const PART: usize = 1 << 20;

impl Graph {
    /// Reads the closure of some roots.
    ///
    /// # Errors
    /// [`Error::NoRoots`]; [`Error::Derivation`] with the first derivation, in the order of paths, that is missing or no
    /// derivation; [`Error::NotADerivation`], [`Error::Cycle`], [`Error::TooLarge`].
    pub fn read(roots: &[Root], source: &dyn Source) -> Result<Graph, Error> {
        Graph::read_with(roots, source, Missing::Refuse)
    }

    /// Reads the closure of some roots; `missing` says what to do about derivations that are not there.
    pub fn read_with(roots: &[Root], source: &dyn Source, missing: Missing) -> Result<Graph, Error> {
        let first = roots.first().ok_or(Error::NoRoots)?;
        let store_dir = first.drv_path.rsplit_once('/').map_or("", |(dir, _)| dir);
        if let Some(root) = roots.iter().find(|root| !is_derivation(store_dir, &root.drv_path)) {
            return Err(Error::NotADerivation { path: root.drv_path.clone(), store_dir: store_dir.to_owned() });
        }
        let threads = rayon::current_num_threads();
        let walk = Walk::new(store_dir, threads);
        let mut root_numbers = Vec::with_capacity(roots.len());
        walk.add(roots.iter().map(|root| root.drv_path.as_bytes()), |number| root_numbers.push(number))?;
        let read: Vec<Found> = (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| Reader::new(store_dir, source, missing).run(&walk))
            .collect();
        let numbers = walk.into_numbers();
        let (mut parts, mut absent, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for mut found in read {
            parts.append(&mut found.parts);
            absent.append(&mut found.absent);
            failures.append(&mut found.failures);
        }
        if let Some((_, error)) = failures.into_iter().min_by(|a, b| numbers.path(a.0).cmp(numbers.path(b.0))) {
            return Err(error);
        }
        let mut absent: Vec<&str> = absent.into_iter().map(|number| text_of(numbers.path(number))).collect();
        absent.sort_unstable();
        let roots: Vec<(Option<&str>, u32)> =
            roots.iter().zip(root_numbers).map(|(root, number)| (root.attr.as_deref(), number)).collect();
        assemble(store_dir, &parts, numbers.len(), &roots, &absent)
    }
}

/// Says whether a path is that of a derivation directly in the store directory.
fn is_derivation(store_dir: &str, path: &str) -> bool {
    path.ends_with(".drv") && store_path::split_in(store_dir, path).is_some()
}

/// Returns the name in the path of a derivation of the store directory, without `.drv`.
fn name_in<'p>(store_dir: &str, drv_path: &'p str) -> &'p str {
    let start = store_dir.len() + "/".len() + store_path::HASH_LEN + "-".len();
    drv_path.get(start..).and_then(|name| name.strip_suffix(".drv")).unwrap_or_default()
}

/// Returns a path as text. All that is numbered was checked to be a store path, which is ASCII.
fn text_of(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default()
}

#[derive(Default)]
struct Found {
    parts: Vec<Part>,
    absent: Vec<u32>,
    /// Derivations that cannot be read or are none.
    failures: Vec<(u32, Error)>,
}

/// One thread and its buffers.
struct Reader<'s> {
    store_dir: &'s str,
    source: &'s dyn Source,
    missing: Missing,
    text: Vec<u8>,
    scanner: Scanner,
    digester: Digester,
    /// Paths of inputs without a number, one after the other, and where each lies.
    new: Vec<u8>,
    new_spans: Vec<Range<usize>>,
    found: Found,
}

impl<'s> Reader<'s> {
    fn new(store_dir: &'s str, source: &'s dyn Source, missing: Missing) -> Reader<'s> {
        Reader {
            store_dir,
            source,
            missing,
            text: Vec::new(),
            scanner: Scanner::default(),
            digester: Digester::new(store_dir),
            new: Vec::new(),
            new_spans: Vec::new(),
            found: Found::default(),
        }
    }

    /// Reads until nobody finds more.
    fn run(mut self, walk: &Walk) -> Found {
        let mut part = Part::with_room(PART);
        let (mut paths, mut path_ends) = (String::new(), Vec::new());
        while let Some(taken) = walk.take() {
            let before = part.inputs.len();
            paths.clear();
            path_ends.clear();
            {
                let numbers = walk.numbers();
                for number in taken.range.clone() {
                    paths.push_str(text_of(numbers.path(number)));
                    path_ends.push(paths.len());
                }
            }
            let mut start = 0;
            for (end, number) in path_ends.iter().zip(taken.range.clone()) {
                let path = paths.get(start..*end).unwrap_or_default();
                start = *end;
                match self.source.read(path, &mut self.text) {
                    Ok(()) => {}
                    Err(error) if self.missing == Missing::List && error.kind() == io::ErrorKind::NotFound => {
                        self.found.absent.push(number);
                        continue;
                    }
                    Err(source) => {
                        let error = drv::Error::Read { drv_path: path.to_owned(), source };
                        self.found.failures.push((number, error.into()));
                        continue;
                    }
                }
                if let Err(error) = self.scan(path).and_then(|()| self.keep(path, number, &mut part, walk)) {
                    self.found.failures.push((number, error));
                }
            }
            let mut numbers = Vec::with_capacity(self.new_spans.len());
            let paths = self.new_spans.iter().map(|span| self.new.get(span.clone()).unwrap_or_default());
            if let Err(error) = walk.add(paths, |number| numbers.push(number)) {
                self.found.failures.push((taken.range.start, error));
                break;
            }
            for input in part.inputs.get_mut(before..).unwrap_or_default() {
                if *input & NEW != 0 {
                    *input = numbers.get((*input & !NEW) as usize).copied().unwrap_or_default();
                }
            }
            self.new.clear();
            self.new_spans.clear();
            if part.text.len() >= PART {
                self.found.parts.push(std::mem::replace(&mut part, Part::with_room(PART)));
            }
        }
        self.found.parts.push(part);
        self.found
    }

    /// Scans the text; what the scanner refuses and the parser accepts is first brought into canonical order.
    fn scan(&mut self, path: &str) -> Result<(), Error> {
        if self.scanner.scan(&self.text) {
            return Ok(());
        }
        let mut derivation = match drv::parse(&self.text) {
            Ok(derivation) => derivation,
            Err(source) => return Err(drv::Error::Parse { drv_path: path.to_owned(), source }.into()),
        };
        derivation.sort();
        let canonical = derivation.print();
        self.text = canonical;
        if self.scanner.scan(&self.text) {
            return Ok(());
        }
        // Left are names and paths with bytes that no store path has.
        Err(Error::NotADerivation { path: path.to_owned(), store_dir: self.store_dir.to_owned() })
    }

    /// Copies what a graph needs of the derivation that was scanned last.
    fn keep(&mut self, drv_path: &str, number: u32, part: &mut Part, walk: &Walk) -> Result<(), Error> {
        let (text, scanner) = (&self.text, &self.scanner);
        if text.len() > (u32::MAX / 2) as usize {
            return Err(Error::TooLarge { what: "bytes of one derivation" });
        }
        let inputs_before = part.inputs.len();
        {
            let numbers = walk.numbers();
            for range in &scanner.inputs {
                let input = range.of(text);
                if let Some(number) = numbers.get(input) {
                    part.inputs.push(number);
                    continue;
                }
                let path = text_of(input);
                if !is_derivation(self.store_dir, path) {
                    part.inputs.truncate(inputs_before);
                    return Err(Error::NotADerivation { path: path.to_owned(), store_dir: self.store_dir.to_owned() });
                }
                part.inputs.push(NEW | self.new_spans.len() as u32);
                let start = self.new.len();
                self.new.extend_from_slice(input);
                self.new_spans.push(start..self.new.len());
            }
        }
        let (digest, shape) = self.digester.digest(text, scanner);
        let path_span = part.push(drv_path.as_bytes());
        for output in &scanner.outputs {
            let spans = (part.push(output.name.of(text)), part.push(output.path.of(text)));
            part.outputs.push(spans);
        }
        let variables = Variables::of(text, scanner);
        // Package and version nearly always stand in the name, so its text serves for them.
        let name = name_in(self.store_dir, drv_path);
        let (name_pname, name_version) = names::split_version(name);
        let name_start = (drv_path.len() - name.len() - ".drv".len()) as u32 + path_span.start;
        let mut shared = |text: &str, or: &str| -> Span {
            let text = if text.is_empty() { or } else { text };
            let after_pname = name_pname.len() + 1;
            let place = if name.starts_with(text) {
                Some(0)
            } else if name.get(after_pname..).is_some_and(|rest| rest.starts_with(text)) {
                Some(after_pname)
            } else {
                name.find(text)
            };
            match place {
                Some(at) => Span { start: name_start + at as u32, length: text.len() as u32 },
                None => part.push(text.as_bytes()),
            }
        };
        let pname = shared(&variables.pname, name_pname);
        let version = shared(&variables.version, name_version);
        let system = part.push(scanner.system.of(text));
        for link in variables.sources.iter().chain(&variables.patches) {
            let span = part.push(link.as_bytes());
            part.links.push(span);
        }
        part.nodes.push(RawNode {
            number,
            drv_path: path_span,
            text_end: part.text.len() as u32,
            pname,
            version,
            system,
            fixed_output: scanner.outputs.iter().all(|output| output.kind == OutputKind::Fixed),
            digest,
            shape,
            outputs: scanner.outputs.len() as u32,
            sources: variables.sources.len() as u32,
            patches: variables.patches.len() as u32,
            inputs: scanner.inputs.len() as u32,
        });
        Ok(())
    }
}
