//! Closures of derivations over a reader that is handed in.

use std::collections::HashMap;
use std::io;

use rayon::prelude::*;

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

/// A text and the paths of its inputs.
type Read = (Vec<u8>, Vec<String>);

/// Reads derivations and everything they need, breadth first, the derivations of one distance in parallel: by store path, the bytes of
/// the `.drv` file.
///
/// For whole package sets use `graph`, which keeps no texts.
///
/// # Errors
/// The first derivation, in the order of the walk, that cannot be read or parsed.
pub fn read_closure<'r>(
    roots: impl IntoIterator<Item = &'r str>,
    source: &dyn Source,
) -> Result<HashMap<String, Vec<u8>>, Error> {
    let mut closure = HashMap::new();
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
            closure.insert(drv_path, text);
            next.extend(inputs);
        }
        next.sort_unstable();
        next.dedup();
        next.retain(|path| !closure.contains_key(path));
        frontier = next;
    }
    Ok(closure)
}
