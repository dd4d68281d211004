//! The strict reader of the ATerm form.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use super::derivation::{Derivation, Input, Output, OutputKind, Selection, Variable};
use super::error::{ParseError, Problem};

/// How deep dynamic inputs may be nested; each level is a derivation that writes a derivation.
pub(super) const MAX_DEPTH: usize = 64;

/// Parses the text of a `.drv` file.
///
/// # Errors
/// The first offset at which the text is not what Nix writes. The time is linear in the length.
pub fn parse(text: &[u8]) -> Result<Derivation<'_>, ParseError> {
    let mut reader = Reader { text, at: 0, dynamic: false };
    if reader.take(b"Derive(") {
    } else if reader.take(b"DrvWithVersion(") {
        let start = reader.at;
        if *reader.bytes()? != *b"xp-dyn-drv" {
            return Err(ParseError { offset: start, problem: Problem::Version });
        }
        reader.expect(",")?;
        reader.dynamic = true;
    } else {
        return Err(reader.fail(Problem::Header));
    }
    let start = reader.at;
    let outputs = reader.list(Reader::output)?;
    if outputs.is_empty() {
        return Err(ParseError { offset: start, problem: Problem::NoOutputs });
    }
    unique(start, outputs.iter().map(|output| &output.name))?;
    reader.expect(",")?;
    let start = reader.at;
    let inputs = reader.list(Reader::input)?;
    unique(start, inputs.iter().map(|input| &input.drv_path))?;
    reader.expect(",")?;
    let start = reader.at;
    let sources = reader.list(Reader::path)?;
    unique(start, &sources)?;
    reader.expect(",")?;
    let system = reader.text()?;
    reader.expect(",")?;
    let builder = reader.bytes()?;
    reader.expect(",")?;
    let args = reader.list(Reader::bytes)?;
    reader.expect(",")?;
    let start = reader.at;
    let env = reader.list(Reader::variable)?;
    unique(start, env.iter().map(|(name, _)| name))?;
    reader.expect(")")?;
    if reader.at < text.len() {
        return Err(reader.fail(Problem::Trailing));
    }
    Ok(Derivation { outputs, inputs, sources, system, builder, args, env })
}

/// Refuses a name that is there twice; Nix writes from sorted maps and has each once.
fn unique<T: Eq + Hash + Ord>(offset: usize, names: impl IntoIterator<Item = T>) -> Result<(), ParseError> {
    let names: Vec<T> = names.into_iter().collect();
    if names.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(names.len());
    if names.iter().all(|name| seen.insert(name)) {
        return Ok(());
    }
    Err(ParseError { offset, problem: Problem::Duplicate })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    dynamic: bool,
}

impl<'a> Reader<'a> {
    fn fail(&self, problem: Problem) -> ParseError {
        ParseError { offset: self.at, problem }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, token: &[u8]) -> bool {
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    fn expect(&mut self, token: &'static str) -> Result<(), ParseError> {
        if self.take(token.as_bytes()) {
            Ok(())
        } else if self.rest().is_empty() {
            Err(self.fail(Problem::Truncated))
        } else {
            Err(self.fail(Problem::Expected(token)))
        }
    }

    fn list<T>(&mut self, element: impl Fn(&mut Self) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
        self.expect("[")?;
        let mut elements = Vec::new();
        if self.take(b"]") {
            return Ok(elements);
        }
        loop {
            elements.push(element(self)?);
            if self.take(b"]") {
                return Ok(elements);
            }
            self.expect(",")?;
        }
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>, ParseError> {
        self.expect("\"")?;
        let start = self.at;
        let mut owned: Option<Vec<u8>> = None;
        loop {
            let rest = self.rest();
            let Some(plain) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return Err(self.fail(Problem::Truncated));
            };
            let (before, from) = rest.split_at(plain);
            if let Some(owned) = &mut owned {
                owned.extend_from_slice(before);
            }
            self.at += plain;
            if from.first() == Some(&b'"') {
                let end = self.at;
                self.at += 1;
                return Ok(match owned {
                    Some(owned) => Cow::Owned(owned),
                    None => Cow::Borrowed(self.text.get(start..end).unwrap_or_default()),
                });
            }
            let escaped = match from.get(1) {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(&byte @ (b'"' | b'\\')) => byte,
                Some(_) => return Err(self.fail(Problem::Escape)),
                None => {
                    self.at = self.text.len();
                    return Err(self.fail(Problem::Truncated));
                }
            };
            owned.get_or_insert_with(|| self.text.get(start..self.at).unwrap_or_default().to_vec()).push(escaped);
            self.at += 2;
        }
    }

    fn text(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let offset = self.at;
        let not_utf8 = ParseError { offset, problem: Problem::NotUtf8 };
        match self.bytes()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| not_utf8),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_utf8),
        }
    }

    fn path(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let offset = self.at;
        let path = self.text()?;
        if path.starts_with('/') { Ok(path) } else { Err(ParseError { offset, problem: Problem::NotAbsolute }) }
    }

    fn output(&mut self) -> Result<Output<'a>, ParseError> {
        let offset = self.at;
        self.expect("(")?;
        let name = self.text()?;
        self.expect(",")?;
        let path_at = self.at;
        let path = self.text()?;
        if !path.is_empty() && !path.starts_with('/') {
            return Err(ParseError { offset: path_at, problem: Problem::NotAbsolute });
        }
        self.expect(",")?;
        let hash_algo = self.text()?;
        self.expect(",")?;
        let hash = self.text()?;
        self.expect(")")?;
        if OutputKind::of(path.as_bytes(), hash_algo.as_bytes(), hash.as_bytes()).is_none() {
            return Err(ParseError { offset, problem: Problem::OutputKind });
        }
        Ok(Output { name, path, hash_algo, hash })
    }

    fn input(&mut self) -> Result<Input<'a>, ParseError> {
        self.expect("(")?;
        let drv_path = self.path()?;
        self.expect(",")?;
        let outputs = self.selection(MAX_DEPTH)?;
        self.expect(")")?;
        Ok(Input { drv_path, outputs })
    }

    fn selection(&mut self, depth: usize) -> Result<Selection<'a>, ParseError> {
        if !(self.dynamic && self.take(b"(")) {
            return Ok(Selection { names: self.list(Reader::text)?, dynamic: Vec::new() });
        }
        let Some(depth) = depth.checked_sub(1) else { return Err(self.fail(Problem::TooDeep)) };
        let names = self.list(Reader::text)?;
        self.expect(",")?;
        let start = self.at;
        let dynamic = self.list(|reader| {
            reader.expect("(")?;
            let name = reader.text()?;
            reader.expect(",")?;
            let below = reader.selection(depth)?;
            reader.expect(")")?;
            Ok((name, below))
        })?;
        unique(start, dynamic.iter().map(|(name, _)| name))?;
        self.expect(")")?;
        Ok(Selection { names, dynamic })
    }

    fn variable(&mut self) -> Result<Variable<'a>, ParseError> {
        self.expect("(")?;
        let name = self.bytes()?;
        self.expect(",")?;
        let value = self.bytes()?;
        self.expect(")")?;
        Ok((name, value))
    }
}
