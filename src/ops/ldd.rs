//! `ldd`: the libraries of a program of any machine, found without running it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::diagnostic::Verdict;
use crate::base::fs::FsError;
use crate::cross::ldd::{self, Disk, Files as _, Libraries};
use crate::cross::{self, Elf};

/// What `ldd` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub file: PathBuf,
    /// The directory that stands for `/` to the program: the root of its board, or of a store elsewhere.
    pub root: Option<PathBuf>,
    /// Where the loader looks last, instead of its own directories.
    pub library_dirs: Vec<String>,
}

/// The libraries of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Linked {
    /// The file, as the program would name itself.
    pub file: String,
    pub elf: Elf,
    pub libraries: Libraries,
    /// Whether loader and libraries are all found and fit.
    pub complete: bool,
}

/// Finds what a program or library needs, as its loader would; nothing is run.
///
/// # Errors
/// [`Error::NotElf`] for any other file, [`Error::Cross`] for a damaged one, [`Error::Fs`].
pub fn ldd(options: &Options) -> Result<Linked, Error> {
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|source| FsError::Read { path: path.to_path_buf(), source });
    let (disk, path) = match &options.root {
        None => (Disk::here(), absolute(&options.file)?),
        Some(root) => {
            // Both ways of writing it are meant: as the board sees it, and as it is here.
            let here = absolute(&options.file)?;
            let inside = match here.strip_prefix(absolute(root)?) {
                Ok(inside) => inside,
                Err(_) => options.file.strip_prefix("/").unwrap_or(&options.file),
            };
            (Disk::below([root.clone()]), Path::new("/").join(inside))
        }
    };
    let seen = path.to_string_lossy().into_owned();
    let no_elf = || Error::NotElf { path: options.file.clone() };
    let damaged = |error: cross::Error| match error {
        cross::Error::Elf { what } => cross::Error::Elf { what: format!("{seen}: {what}") },
        other => other,
    };
    let absent = || cross::Error::File { path: seen.clone(), what: "there is no such file".to_string() };
    let elf = Elf::read(&disk.read(&seen)?.ok_or_else(absent)?).map_err(damaged)?.ok_or_else(no_elf)?;
    let dirs = (!options.library_dirs.is_empty()).then_some(options.library_dirs.as_slice());
    let libraries = ldd::libraries(&disk, &seen, dirs)?.ok_or_else(no_elf)?;
    let complete = libraries.is_complete();
    Ok(Linked { file: seen, elf, libraries, complete })
}

impl Outcome for Linked {
    const SCHEMA: &'static str = "overlayctl.ldd/1";

    fn verdict(&self) -> Option<Verdict> {
        (!self.complete).then_some(Verdict::No)
    }
}
