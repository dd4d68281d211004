//! Closures of derivations over a reader that is handed in.

use std::collections::HashMap;
use std::io;

use rayon::prelude::*;

use super::derivation::Derivation;
use super::error::Error;
use super::parse::parse;

/// Where the bytes of `.drv` files come from. Several threads ask at once.
pub trait Source: Sync {
    /// Replaces the content of `buffer` with the bytes of the `.drv` file of that store path.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::NotFound`] when there is no such file.
    fn read(&self, drv_path: &str, buffer: &mut Vec<u8>) -> io::Result<()>;
}

/// A closure held as texts: by store path, the bytes of the `.drv` file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closure {
    texts: HashMap<String, Vec<u8>>,
}

impl Source for Closure {
    fn read(&self, drv_path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        let text = self.texts.get(drv_path).ok_or(io::ErrorKind::NotFound)?;
        buffer.clear();
        buffer.extend_from_slice(text);
        Ok(())
    }
}

impl Closure {
    /// Makes a closure of derivations that are at hand, by store path.
    pub fn from_derivations<'a>(derivations: impl IntoIterator<Item = (String, Derivation<'a>)>) -> Closure {
        Closure { texts: derivations.into_iter().map(|(path, derivation)| (path, derivation.print())).collect() }
    }

    /// Returns the number of derivations.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Returns a derivation.
    pub fn get(&self, drv_path: &str) -> Option<Derivation<'_>> {
        // Everything in the map was parsed before it was put there.
        parse(self.texts.get(drv_path)?).ok()
    }

    /// Returns the texts of the `.drv` files, in no order.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.texts.values().map(Vec::as_slice)
    }

    /// Returns the store paths, in no order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }
}

/// A text and the paths of its inputs.
type Read = (Vec<u8>, Vec<String>);

/// Reads derivations and everything they need, breadth first, the derivations of one distance in parallel.
///
/// For whole package sets use `graph`, which keeps no texts.
///
/// # Errors
/// The first derivation, in the order of the walk, that cannot be read or parsed.
pub fn read_closure<'r>(roots: impl IntoIterator<Item = &'r str>, source: &dyn Source) -> Result<Closure, Error> {
    let mut closure = Closure::default();
    let mut frontier: Vec<String> = roots.into_iter().map(str::to_owned).collect();
    frontier.sort_unstable();
    frontier.dedup();
    while !frontier.is_empty() {
        let read: Vec<Result<Read, Error>> = frontier
            .par_iter()
            .map(|drv_path| {
                let mut text = Vec::new();
                source
                    .read(drv_path, &mut text)
                    .map_err(|source| Error::Read { drv_path: drv_path.clone(), source })?;
                let inputs = match parse(&text) {
                    Ok(derivation) => derivation.inputs.into_iter().map(|input| input.drv_path.into_owned()).collect(),
                    Err(source) => return Err(Error::Parse { drv_path: drv_path.clone(), source }),
                };
                Ok((text, inputs))
            })
            .collect();
        let mut next = Vec::new();
        for (drv_path, result) in frontier.into_iter().zip(read) {
            let (text, inputs) = result?;
            closure.texts.insert(drv_path, text);
            next.extend(inputs);
        }
        next.sort_unstable();
        next.dedup();
        next.retain(|path| !closure.texts.contains_key(path));
        frontier = next;
    }
    Ok(closure)
}
