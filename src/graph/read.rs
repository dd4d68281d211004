//! Reading a closure of derivations into a graph, breadth first and in parallel.
//!
//! The derivations of one distance from the roots are read and scanned by all threads at once; what they need is then
//! numbered by one. So the graph does not depend on how the threads ran.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use serde::Deserialize;

use super::builder::{Part, RawNode, Span, assemble};
use super::digest::Digester;
use super::error::Error;
use super::path_hash::PathHash;
use super::{Graph, Root, names};
use crate::base::store_path;
use crate::drv::{self, OutputKind, Scanner, Source, unescape};

/// What to do about a derivation that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// End with an error that names it.
    Refuse,
    /// Leave it out and list it in [`Graph::missing`]; the graph is then partial and has to be called so.
    List,
}

/// Derivations that one thread takes at a time.
const BATCH: usize = 64;
/// Marks an input that has no number yet; the rest is an index into `Read::new`.
const NEW: u32 = 1 << 31;

impl Graph {
    /// Reads the closure of some roots.
    ///
    /// # Errors
    /// [`Error::NoRoots`]; [`Error::Derivation`] with the first derivation that is missing or no derivation;
    /// [`Error::NotADerivation`], [`Error::Cycle`], [`Error::TooLarge`].
    pub fn read(roots: &[Root], source: &dyn Source) -> Result<Graph, Error> {
        Graph::read_with(roots, source, Missing::Refuse)
    }

    /// Reads the closure of some roots; `missing` says what to do about derivations that are not there.
    ///
    /// # Errors
    /// As [`Graph::read`].
    pub fn read_with(roots: &[Root], source: &dyn Source, missing: Missing) -> Result<Graph, Error> {
        let first = roots.first().ok_or(Error::NoRoots)?;
        let store_dir = first.drv_path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let mut walk = Walk { numbers: HashMap::default(), paths: Vec::new() };
        let mut root_numbers = Vec::with_capacity(roots.len());
        for root in roots {
            if !is_derivation(store_dir, &root.drv_path) {
                return Err(Error::NotADerivation { path: root.drv_path.clone(), store_dir: store_dir.to_owned() });
            }
            root_numbers.push((root.clone(), walk.number(root.drv_path.as_bytes())?));
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut absent: Vec<u32> = Vec::new();
        let idle: Mutex<Vec<Reader<'_>>> = Mutex::new(Vec::new());
        let mut done = 0;
        while done < walk.paths.len() {
            let frontier = walk.paths.get(done..).unwrap_or_default();
            let numbers = &walk.numbers;
            let read: Vec<Result<Read, Error>> = frontier
                .par_chunks(BATCH)
                .map(|batch| {
                    // Buffers go from batch to batch: fresh ones would be paged in again and again.
                    let reader = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let mut reader = reader.unwrap_or_else(|| Reader::new(store_dir));
                    let read = reader.batch(batch, source, numbers, missing);
                    idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
                    read
                })
                .collect();
            let mut number = done as u32;
            done = walk.paths.len();
            for read in read {
                let mut read = read?;
                let found: Vec<u32> = read.new.iter().map(|path| walk.number(path)).collect::<Result<_, _>>()?;
                for input in &mut read.part.inputs {
                    if *input & NEW != 0 {
                        *input = found.get((*input & !NEW) as usize).copied().unwrap_or_default();
                    }
                }
                absent.extend(read.absent.iter().map(|index| number + index));
                number += read.part.nodes.len() as u32 + read.absent.len() as u32;
                parts.push(read.part);
            }
        }
        let missing_paths: Vec<String> = absent
            .iter()
            .filter_map(|number| walk.paths.get(*number as usize))
            .map(|path| text_of(path).to_owned())
            .collect();
        if !absent.is_empty() {
            leave_out(&absent, &mut parts, &mut root_numbers);
        }
        assemble(store_dir, &parts, &root_numbers, &missing_paths)
    }
}

/// Says whether a path is that of a derivation directly in the store directory.
fn is_derivation(store_dir: &str, path: &str) -> bool {
    path.ends_with(".drv") && store_path::split_in(store_dir, path).is_some()
}

/// Takes derivations that could not be read out of all rows and counts the others again.
fn leave_out(absent: &[u32], parts: &mut [Part], roots: &mut Vec<(Root, u32)>) {
    // `absent` rises, so the numbers before an absent one are its index among them.
    let renumber = |number: u32| absent.binary_search(&number).err().map(|before| number - before as u32);
    for part in parts {
        let mut kept = Vec::with_capacity(part.inputs.len());
        let mut at = 0;
        for node in &mut part.nodes {
            let end = at + node.inputs as usize;
            let before = kept.len();
            kept.extend(part.inputs.get(at..end).unwrap_or_default().iter().filter_map(|input| renumber(*input)));
            node.inputs = (kept.len() - before) as u32;
            at = end;
        }
        part.inputs = kept;
    }
    roots.retain_mut(|(_, number)| match renumber(*number) {
        Some(new) => {
            *number = new;
            true
        }
        None => false,
    });
}

/// Returns a path as text. All that is numbered was checked to be a store path, which is ASCII.
fn text_of(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default()
}

/// The numbers of the paths seen so far, in the order of discovery.
struct Walk {
    numbers: HashMap<Arc<[u8]>, u32, PathHash>,
    paths: Vec<Arc<[u8]>>,
}

impl Walk {
    fn number(&mut self, path: &[u8]) -> Result<u32, Error> {
        if let Some(number) = self.numbers.get(path) {
            return Ok(*number);
        }
        let number = u32::try_from(self.paths.len())
            .ok()
            .filter(|number| number & NEW == 0)
            .ok_or(Error::TooLarge { what: "derivations" })?;
        let path: Arc<[u8]> = path.into();
        self.paths.push(path.clone());
        self.numbers.insert(path, number);
        Ok(number)
    }
}

/// What a batch of derivations gave.
#[derive(Default)]
struct Read {
    part: Part,
    /// Paths without a number, in the order of discovery.
    new: Vec<Arc<[u8]>>,
    /// Indices within the batch of derivations that are not there.
    absent: Vec<u32>,
}

/// One thread's buffers.
struct Reader<'s> {
    store_dir: &'s str,
    text: Vec<u8>,
    scanner: Scanner,
    digester: Digester,
}

impl<'s> Reader<'s> {
    fn new(store_dir: &'s str) -> Reader<'s> {
        Reader { store_dir, text: Vec::new(), scanner: Scanner::default(), digester: Digester::new(store_dir) }
    }

    fn batch(
        &mut self,
        paths: &[Arc<[u8]>],
        source: &dyn Source,
        numbers: &HashMap<Arc<[u8]>, u32, PathHash>,
        missing: Missing,
    ) -> Result<Read, Error> {
        let mut read = Read::default();
        let store_dir = self.store_dir;
        let mut seen: HashMap<Arc<[u8]>, u32, PathHash> = HashMap::default();
        read.part.text.reserve(paths.len() * 512);
        for (index, path) in paths.iter().enumerate() {
            let path = text_of(path);
            match source.read(path, &mut self.text) {
                Ok(()) => {}
                Err(error) if missing == Missing::List && error.kind() == io::ErrorKind::NotFound => {
                    read.absent.push(index as u32);
                    continue;
                }
                Err(source) => return Err(drv::Error::Read { drv_path: path.to_owned(), source }.into()),
            }
            self.scan(path)?;
            self.keep(path, &mut read, |read, input| {
                if let Some(number) = numbers.get(input).or_else(|| seen.get(input)) {
                    return Some(*number);
                }
                if !is_derivation(store_dir, text_of(input)) {
                    return None;
                }
                let number = NEW | read.new.len() as u32;
                let input: Arc<[u8]> = input.into();
                read.new.push(input.clone());
                seen.insert(input, number);
                Some(number)
            })?;
        }
        Ok(read)
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
    fn keep(
        &mut self,
        drv_path: &str,
        read: &mut Read,
        mut number: impl FnMut(&mut Read, &[u8]) -> Option<u32>,
    ) -> Result<(), Error> {
        let Reader { store_dir, text, scanner, digester } = self;
        let digest = digester.digest(text, scanner);
        let path_span = read.part.push(drv_path);
        for input in &scanner.inputs {
            let Some(number) = number(read, input.of(text)) else {
                let path = input.text_of(text).to_owned();
                return Err(Error::NotADerivation { path, store_dir: (*store_dir).to_owned() });
            };
            read.part.inputs.push(number);
        }
        for output in &scanner.outputs {
            let spans = (read.part.push(output.name.text_of(text)), read.part.push(output.path.text_of(text)));
            read.part.outputs.push(spans);
        }
        let variables = Variables::of(text, scanner);
        // Package and version nearly always stand in the name, so its text serves for them.
        let name = store_path::drv_name(drv_path);
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
                None => read.part.push(text),
            }
        };
        let pname = shared(&variables.pname, name_pname);
        let version = shared(&variables.version, name_version);
        let system = read.part.push(scanner.system.text_of(text));
        for link in variables.sources.iter().chain(&variables.patches) {
            let span = read.part.push(link);
            read.part.links.push(span);
        }
        read.part.nodes.push(RawNode {
            drv_path: path_span,
            pname,
            version,
            system,
            fixed_output: scanner.outputs.iter().all(|output| output.kind == OutputKind::Fixed),
            digest,
            outputs: scanner.outputs.len() as u32,
            sources: variables.sources.len() as u32,
            patches: variables.patches.len() as u32,
            inputs: scanner.inputs.len() as u32,
        });
        Ok(())
    }
}

/// The variables that a graph keeps.
#[derive(Default)]
struct Variables<'t> {
    pname: Cow<'t, str>,
    version: Cow<'t, str>,
    sources: Vec<Cow<'t, str>>,
    patches: Vec<Cow<'t, str>>,
}

impl<'t> Variables<'t> {
    fn of(text: &'t [u8], scanner: &Scanner) -> Variables<'t> {
        let value = |range: Option<drv::Range>| -> Cow<'t, str> {
            match range.map(|range| unescape(range.of(text))) {
                Some(Cow::Borrowed(bytes)) => String::from_utf8_lossy(bytes),
                Some(Cow::Owned(bytes)) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
                None => Cow::Borrowed(""),
            }
        };
        if let Some(json) = scanner.json {
            return Variables::of_json(&unescape(json.of(text)));
        }
        let words = |range| -> Vec<Cow<'t, str>> {
            match value(range) {
                Cow::Borrowed(text) => text.split_ascii_whitespace().map(Cow::Borrowed).collect(),
                Cow::Owned(text) => text.split_ascii_whitespace().map(|word| Cow::Owned(word.to_owned())).collect(),
            }
        };
        let mut sources = words(scanner.src);
        if sources.is_empty() {
            sources = words(scanner.srcs);
        }
        Variables {
            pname: value(scanner.pname),
            version: value(scanner.version),
            sources,
            patches: words(scanner.patches),
        }
    }

    fn of_json(json: &[u8]) -> Variables<'t> {
        let Ok(structured) = serde_json::from_slice::<Structured>(json) else { return Variables::default() };
        let mut sources = words_of(&structured.src);
        if sources.is_empty() {
            sources = words_of(&structured.srcs);
        }
        let text = |value: &serde_json::Value| Cow::Owned(value.as_str().unwrap_or_default().to_owned());
        Variables {
            pname: text(&structured.pname),
            version: text(&structured.version),
            sources,
            patches: words_of(&structured.patches),
        }
    }
}

/// The structured attributes that a graph keeps; each may be anything.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Structured {
    pname: serde_json::Value,
    version: serde_json::Value,
    src: serde_json::Value,
    srcs: serde_json::Value,
    patches: serde_json::Value,
}

/// Returns the texts of a JSON text or list, words apart.
fn words_of(value: &serde_json::Value) -> Vec<Cow<'static, str>> {
    let texts: Vec<&str> = match value {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(list) => list.iter().filter_map(serde_json::Value::as_str).collect(),
        _ => Vec::new(),
    };
    texts.iter().flat_map(|text| text.split_ascii_whitespace()).map(|word| Cow::Owned(word.to_owned())).collect()
}
