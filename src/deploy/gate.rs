//! The gate on this machine: what a target needs to run, and whether all of it can run on the board.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::Error;
use super::record::Placed;
use crate::base::fs;
use crate::base::store_path::STORE_DIR;
use crate::cross::ldd;
use crate::cross::{Elf, Expected, Platform, expected};
use crate::nix::Nix;
use crate::verify::files::{self, StoreFile};
use crate::verify::reference_chain;

/// What a target needs to run, examined.
#[derive(Debug, Clone)]
pub struct Closure {
    pub target: String,
    /// The name of its store path, and those of all that it needs.
    pub out: String,
    pub paths: BTreeSet<String>,
    /// How much each takes, in bytes, rounded up to blocks.
    pub(super) sizes: BTreeMap<String, u64>,
    /// Its programs by name.
    pub programs: BTreeSet<String>,
    /// Interpreters beside the store that its programs name, each with a program.
    pub(super) outside: BTreeMap<String, String>,
    /// Whether store paths stand in its files.
    linked: bool,
}

/// The blocks that file systems count in.
const BLOCK: u64 = 4096;

impl Closure {
    /// Examines a target that is built, for a platform.
    ///
    /// # Errors
    /// [`Error::Gate`] for a file that cannot run there; those of asking Nix.
    pub fn examine(nix: &Nix, platform: &Platform, target: &str, out_path: &str) -> Result<Closure, Error> {
        let paths = nix.requisites(&[out_path])?;
        let all: Vec<&String> = paths.iter().collect();
        let references = nix.references(&all)?;
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_string();
        let mut closure = Closure {
            target: target.to_string(),
            out: name(out_path),
            paths: paths.iter().map(|path| name(path)).collect(),
            sizes: BTreeMap::new(),
            programs: BTreeSet::new(),
            outside: BTreeMap::new(),
            linked: references.values().any(|references| !references.is_empty()),
        };
        let wanted = expected(platform);
        let mut wrong = Vec::new();
        for path in &paths {
            let real = nix.physical(path).ok_or_else(|| not_here(path))?;
            closure.sizes.insert(name(path), size(&real));
            for file in files::below(nix, path) {
                if let Some(why) = closure.look(&wanted, &paths, &file) {
                    wrong.push((path, file.path, why));
                }
            }
        }
        if let Some((path, file, why)) = wrong.first() {
            let chain = reference_chain(nix, &paths, &[out_path.to_string()], path)?;
            let others = wrong.len() - 1;
            return Err(Error::Gate { path: file.clone(), why: why.clone(), chain, others });
        }
        let bin = nix.physical(out_path).ok_or_else(|| not_here(out_path))?.join("bin");
        for entry in std::fs::read_dir(&bin).into_iter().flatten().flatten() {
            let is_program = entry.path().metadata().is_ok_and(|m| m.is_file() && files::is_executable(&m))
                || entry.path().is_symlink();
            // A name that is no line of text could not be recorded.
            let name = entry.file_name().into_string().ok().filter(|name| !name.contains('\n'));
            closure.programs.extend(name.filter(|_| is_program));
        }
        Ok(closure)
    }

    /// Looks at a file; returns why it cannot run on the board.
    fn look(&mut self, wanted: &Expected, paths: &BTreeSet<String>, file: &StoreFile) -> Option<String> {
        let inside = |path: &str| {
            let top: Vec<&str> = path.splitn(5, '/').take(4).collect();
            paths.contains(&top.join("/"))
        };
        if file.is_elf() {
            let bytes = match fs::read(&file.real) {
                Ok(bytes) => bytes,
                Err(error) => return Some(error.to_string()),
            };
            let elf = match Elf::read(&bytes) {
                Ok(elf) => elf?,
                Err(error) => return Some(error.to_string()),
            };
            // Programs of the kernel's own machine run on none.
            if elf.machine.number == object::elf::EM_BPF.0 {
                return None;
            }
            let matched = match wanted {
                Expected::Elf(wanted) if file.is_freestanding() => wanted.clone().freestanding().matches(&elf),
                wanted => wanted.matches(&bytes),
            };
            if let Err(mismatch) = matched {
                return Some(mismatch.to_string());
            }
            let interpreter = elf.interpreter.filter(|_| !file.is_freestanding())?;
            return (!inside(&interpreter)).then(|| format!("its interpreter {interpreter} is not in the closure"));
        }
        let script = ldd::shebang(&file.head).filter(|_| file.executable)?;
        let interpreter = script.interpreter.clone();
        if interpreter.starts_with(STORE_DIR) {
            return (!inside(&interpreter)).then(|| format!("its interpreter {interpreter} is not in the closure"));
        }
        if file.in_bin() {
            self.outside.entry(interpreter).or_insert_with(|| file.path.clone());
        }
        None
    }

    /// Says whether it works only where its paths are in `/nix/store`.
    pub fn needs_store(&self) -> bool {
        self.linked
    }

    /// Makes the refusal of a file of the target itself.
    pub(super) fn refuse(&self, path: &str, why: String) -> Error {
        Error::Gate { path: path.to_string(), why, chain: Vec::new(), others: 0 }
    }

    /// Returns it as it is recorded.
    pub fn placed(&self) -> Placed {
        Placed {
            target: self.target.clone(),
            out: self.out.clone(),
            paths: self.paths.iter().cloned().collect(),
            programs: self.programs.iter().cloned().collect(),
            linked: self.linked,
        }
    }
}

fn not_here(path: &str) -> Error {
    Error::NotProven { why: format!("{path} is in a store that is not on this machine's disk") }
}

/// Returns how much a path takes, in bytes: its files, links and directories in whole blocks.
fn size(top: &Path) -> u64 {
    let Ok(metadata) = top.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.len().div_ceil(BLOCK) * BLOCK;
    }
    let below = std::fs::read_dir(top).into_iter().flatten().flatten();
    BLOCK + below.map(|entry| size(&entry.path())).sum::<u64>()
}
