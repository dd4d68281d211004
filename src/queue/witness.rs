//! Patches in the closures of targets: the store path of a patch's file in a derivation is the witness that the target has it,
//! whatever package set the user's own code made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Error;
use super::asked::is_file;
use super::sets::OwnTarget;
use crate::drv::read_closure;
use crate::nix::{Nix, Side};

#[derive(Debug, Default)]
pub(super) struct Witnessed(BTreeMap<PathBuf, BTreeSet<String>>);

impl Witnessed {
    /// Returns the names of the targets that have a file.
    pub(super) fn of(&self, file: &Path) -> Vec<String> {
        self.0.get(file).into_iter().flatten().cloned().collect()
    }

    /// Returns the names of the targets that have all of some files.
    pub(super) fn of_all(&self, files: &[PathBuf]) -> Vec<String> {
        let Some((first, rest)) = files.split_first() else { return Vec::new() };
        let all = |name: &String| rest.iter().all(|file| self.0.get(file).is_some_and(|names| names.contains(name)));
        self.of(first).into_iter().filter(all).collect()
    }
}

/// Instantiates targets and looks for files in the derivations that they need. A target that does not evaluate has none.
pub(super) fn in_targets<'p>(
    nix: &Nix,
    targets: &[OwnTarget],
    files: impl Iterator<Item = &'p Path>,
) -> Result<Witnessed, Error> {
    let files: BTreeSet<&Path> = files.collect();
    let mut witnessed = Witnessed::default();
    if files.is_empty() || targets.is_empty() {
        return Ok(witnessed);
    }
    let mut asked: Vec<(Side, Vec<&str>)> = Vec::new();
    for target in targets {
        match asked.iter_mut().find(|(side, _)| side.root == target.root) {
            Some((side, names)) => {
                side.targets.push(target.path.clone());
                names.push(&target.name);
            }
            None => {
                let root = target.root.clone();
                let side = Side { name: "the workspace".into(), root, targets: vec![target.path.clone()] };
                asked.push((side, vec![&target.name]));
            }
        }
    }
    let (sides, names): (Vec<Side>, Vec<Vec<&str>>) = asked.into_iter().unzip();
    let store = nix.store_dir()?;
    for (results, names) in nix.instantiate_kept(&sides)?.into_iter().zip(names) {
        for (result, name) in results.into_iter().zip(names) {
            let Ok(instantiated) = result else { continue };
            let closure = read_closure([instantiated.drv_path.as_str()], &store)?;
            for text in closure.values() {
                for file in named_in(text, &files) {
                    witnessed.0.entry(file.to_path_buf()).or_default().insert(name.to_string());
                }
            }
        }
    }
    Ok(witnessed)
}

/// Returns those of the files that the text of a derivation names.
pub(crate) fn named_in<'f>(text: &[u8], files: &BTreeSet<&'f Path>) -> Vec<&'f Path> {
    let is_path = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'/' | b'=' | b'?');
    let mut found = Vec::new();
    for file in files {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        let names_it = memchr::memmem::find_iter(text, name.as_bytes()).any(|at| {
            let before = text.get(..at).unwrap_or_default();
            let start = before.iter().rposition(|b| !is_path(b)).map_or(0, |other| other + 1);
            let path = text.get(start..at + name.len()).and_then(|path| std::str::from_utf8(path).ok());
            let root = Path::new("/");
            path.is_some_and(|path| path.starts_with("/nix/store/") && is_file(path, file, root))
        });
        if names_it {
            found.push(*file);
        }
    }
    found
}
