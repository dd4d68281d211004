//! The libraries of a program, found as its loader would find them, without running anything.
//!
//! glibc's rules are those of `elf/dl-load.c`, musl's those of `ldso/dynlink.c`; see [`Loader`]. Not followed are
//! `LD_LIBRARY_PATH`, `LD_PRELOAD`, `ld.so.cache` and glibc's `glibc-hwcaps` directories: none of them is there in a
//! store. Files are seen through [`Files`].

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::elf::{Elf, Kind, Linkage};
use super::error::Error;

mod disk;
mod loader;
mod script;

pub use disk::Disk;
pub use loader::Loader;
pub use script::{Shebang, shebang};

/// The files of a closure, by the paths that the programs themselves would use.
pub trait Files {
    /// Returns the bytes of a file, `None` when it is not there; symbolic links are followed.
    ///
    /// # Errors
    /// [`Error::File`] when it is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Returns the path with every symbolic link followed, `None` when there is no such file.
    fn canonical(&self, path: &str) -> Option<String>;
}

/// By what a library was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "of")]
pub enum Found {
    /// `DT_RPATH` of this file.
    Rpath(String),
    /// `DT_RUNPATH` of this file.
    Runpath(String),
    /// A directory that the loader searches by itself.
    DefaultDirectory(String),
    /// It is the loader, which is there already.
    Loader,
    /// The needed name is a path.
    Path,
    /// Another file brought it in before.
    Loaded,
}

/// One `DT_NEEDED` and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// The name as it stands in the file.
    pub name: String,
    /// The file that needs it first.
    pub from: String,
    /// Where it is, as the loader would open it; `None` when it is not found.
    pub path: Option<String>,
    /// By what it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// What is wrong with the file that was found, or which files were passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The libraries of one program or library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Libraries {
    /// How the file is linked; `None` for objects and cores.
    pub linkage: Option<Linkage>,
    /// Whose rules were followed; `None` where nothing is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loader: Option<Loader>,
    /// `PT_INTERP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Whether the interpreter is there.
    pub interpreter_found: bool,
    /// Every needed name once, in the order in which a loader meets them: breadth first.
    pub needed: Vec<Needed>,
}

impl Libraries {
    /// Returns what is not found.
    pub fn missing(&self) -> impl Iterator<Item = &Needed> {
        self.needed.iter().filter(|n| n.path.is_none())
    }

    /// Says whether the loader and everything needed is found and fits.
    pub fn is_complete(&self) -> bool {
        let interpreter = self.interpreter.is_none() || self.interpreter_found;
        interpreter && self.needed.iter().all(|n| n.path.is_some() && n.problem.is_none())
    }
}

/// A file that the loader has mapped.
struct Loaded {
    path: String,
    elf: Elf,
    /// What needed it, as an index.
    by: Option<usize>,
}

/// The most libraries that are followed: a chain of hostile files must end.
const MAX_LOADED: usize = 4096;

/// Resolves what the program or library at `path` needs; `None` when it is no ELF file.
///
/// `default_dirs` replaces the loader's own directories, for a loader that was built with others; usually `None`.
///
/// # Errors
/// [`Error::File`] when the file is not there or a file on the way cannot be read; [`Error::Elf`] when its header is
/// damaged.
pub fn libraries(files: &dyn Files, path: &str, default_dirs: Option<&[String]>) -> Result<Option<Libraries>, Error> {
    let absent = || Error::File { path: path.to_string(), what: "there is no such file".to_string() };
    let bytes = files.read(path)?.ok_or_else(absent)?;
    let Some(elf) = Elf::read(&bytes)? else { return Ok(None) };
    drop(bytes);
    // The kernel hands the loader the program's real place.
    let path = files.canonical(path).unwrap_or_else(|| path.to_string());

    let interpreter = elf.interpreter.clone();
    let interpreter_file = interpreter.as_deref().and_then(|i| files.canonical(i));
    let loader = Loader::of(&elf);
    let mut result = Libraries {
        linkage: elf.linkage(),
        loader: Some(loader).filter(|_| elf.linkage() == Some(Linkage::Dynamic)),
        interpreter_found: interpreter_file.is_some(),
        interpreter: interpreter.clone(),
        needed: Vec::new(),
    };
    if matches!(elf.kind, Kind::Relocatable | Kind::Core) {
        return Ok(Some(result));
    }

    let dirs = match default_dirs {
        Some(dirs) => dirs.to_vec(),
        None => loader.default_dirs(files, &elf, interpreter.as_deref())?,
    };
    let mut search = Search {
        files,
        loader,
        interpreter,
        dirs,
        loaded: vec![Loaded { path, elf, by: None }],
        by_name: HashMap::new(),
        by_file: HashMap::new(),
    };
    if let Some(first) = search.loaded.first() {
        search.by_file.insert(first.path.clone(), 0);
        // A library that is asked for by its own name, by something it needs, is there already.
        if let Some(soname) = first.elf.soname.clone() {
            search.by_name.insert(soname, first.path.clone());
        }
    }
    search.name_the_loader(interpreter_file)?;
    search.run(&mut result.needed)?;
    Ok(Some(result))
}

struct Search<'a> {
    files: &'a dyn Files,
    loader: Loader,
    interpreter: Option<String>,
    dirs: Vec<String>,
    loaded: Vec<Loaded>,
    /// The path of what is loaded under a name: the needed name, and for glibc the SONAME too.
    by_name: HashMap<String, String>,
    /// The index of what is loaded from a file, by its canonical path.
    by_file: HashMap<String, usize>,
}

/// Where a name leads.
struct Hit {
    path: String,
    found: Found,
    problem: Option<String>,
    /// What was read of a file that fits and is new.
    elf: Option<Elf>,
}

impl Hit {
    fn already(path: String, found: Found) -> Hit {
        Hit { path, found, problem: None, elf: None }
    }

    fn new(path: String, found: Found, tried: Tried) -> Hit {
        match tried {
            Tried::Fits(elf) => Hit { path, found, problem: None, elf: Some(*elf) },
            Tried::Wrong(problem) => Hit { path, found, problem: Some(problem), elf: None },
        }
    }
}

impl Search<'_> {
    /// The loader is mapped before anything else, under its SONAME.
    fn name_the_loader(&mut self, file: Option<String>) -> Result<(), Error> {
        let (Some(interpreter), Some(file)) = (self.interpreter.clone(), file) else { return Ok(()) };
        let soname = self.files.read(&file)?.and_then(|b| Elf::read(&b).ok().flatten()?.soname);
        if let (Some(soname), Loader::Glibc) = (soname, self.loader) {
            self.by_name.insert(soname, interpreter);
        }
        Ok(())
    }

    fn run(&mut self, out: &mut Vec<Needed>) -> Result<(), Error> {
        let mut reported = std::collections::HashSet::new();
        let mut queue = VecDeque::from([0]);
        while let Some(index) = queue.pop_front() {
            let Some((needed, from)) = self.loaded.get(index).map(|l| (l.elf.needed.clone(), l.path.clone())) else {
                continue;
            };
            for name in needed {
                if out.len() >= MAX_LOADED || !reported.insert(name.clone()) {
                    continue;
                }
                let mut hit = self.find(&name, index)?;
                if let Some(hit) = &mut hit
                    && let Some(new) = self.load(&name, hit, index)
                {
                    queue.push_back(new);
                }
                let (path, found, problem) = match hit {
                    Some(hit) => (Some(hit.path), Some(hit.found), hit.problem),
                    None => (None, None, None),
                };
                out.push(Needed { name, from: from.clone(), path, found, problem });
            }
        }
        Ok(())
    }

    /// Maps what was found; its index when it is new and its own needs are to be followed.
    fn load(&mut self, name: &str, hit: &mut Hit, by: usize) -> Option<usize> {
        self.by_name.insert(name.to_string(), hit.path.clone());
        let elf = hit.elf.take().filter(|_| self.loaded.len() < MAX_LOADED)?;
        let file = self.files.canonical(&hit.path).unwrap_or_else(|| hit.path.clone());
        let index = self.loaded.len();
        if self.by_file.contains_key(&file) {
            return None;
        }
        self.by_file.insert(file, index);
        if let (Some(soname), Loader::Glibc) = (&elf.soname, self.loader) {
            self.by_name.entry(soname.clone()).or_insert_with(|| hit.path.clone());
        }
        self.loaded.push(Loaded { path: hit.path.clone(), elf, by: Some(by) });
        Some(index)
    }

    fn find(&self, name: &str, by: usize) -> Result<Option<Hit>, Error> {
        if self.loader == Loader::Musl
            && loader::is_musl_itself(name)
            && let Some(interpreter) = &self.interpreter
        {
            return Ok(Some(Hit::already(interpreter.clone(), Found::Loader)));
        }
        if let Some(path) = self.by_name.get(name) {
            let found = if Some(path) == self.interpreter.as_ref() { Found::Loader } else { Found::Loaded };
            return Ok(Some(Hit::already(path.clone(), found)));
        }
        if name.contains('/') {
            return Ok(self.try_file(name)?.map(|tried| Hit::new(name.to_string(), Found::Path, tried)));
        }
        for (dir, found) in self.directories(by) {
            let path = format!("{}/{name}", dir.trim_end_matches('/'));
            match self.try_file(&path)? {
                None => {}
                // glibc passes over a library for another machine; musl takes the first file and fails.
                Some(Tried::Wrong(_)) if self.loader == Loader::Glibc => {}
                Some(tried) => return Ok(Some(Hit::new(path, found, tried))),
            }
        }
        Ok(None)
    }

    /// The directories that are searched for what `by` needs, in order.
    fn directories(&self, by: usize) -> Vec<(String, Found)> {
        let mut dirs = Vec::new();
        let mut chain = Vec::new();
        let mut next = Some(by);
        while let Some(loaded) = next.and_then(|index| self.loaded.get(index)) {
            chain.push(loaded);
            next = loaded.by;
        }
        let Some(first) = chain.first() else { return dirs };
        let rpath = |l: &Loaded| l.elf.rpath.clone().filter(|_| l.elf.runpath.is_none());
        let mut add = |l: &Loaded, list: Option<String>, found: &dyn Fn(String) -> Found| {
            let entries = list.map(|list| self.loader.expand(&list, &l.path, &l.elf)).unwrap_or_default();
            dirs.extend(entries.into_iter().map(|dir| (dir, found(l.path.clone()))));
        };
        match self.loader {
            Loader::Glibc => {
                // A RUNPATH of the file itself switches every RPATH off, also those of what loaded it.
                if first.elf.runpath.is_none() {
                    for loaded in &chain {
                        add(loaded, rpath(loaded), &Found::Rpath);
                    }
                }
                add(first, first.elf.runpath.clone(), &Found::Runpath);
            }
            // musl makes no difference between the two, and both are inherited.
            Loader::Musl => {
                for loaded in &chain {
                    add(loaded, rpath(loaded), &Found::Rpath);
                    add(loaded, loaded.elf.runpath.clone(), &Found::Runpath);
                }
            }
        }
        if !(self.loader == Loader::Glibc && first.elf.no_default_lib) {
            dirs.extend(self.dirs.iter().map(|dir| (dir.clone(), Found::DefaultDirectory(dir.clone()))));
        }
        dirs
    }

    fn try_file(&self, path: &str) -> Result<Option<Tried>, Error> {
        let Some(bytes) = self.files.read(path)? else { return Ok(None) };
        let elf = match Elf::read(&bytes) {
            Ok(Some(elf)) => elf,
            Ok(None) => return Ok(Some(Tried::Wrong("it is no ELF file".to_string()))),
            Err(error) => return Ok(Some(Tried::Wrong(error.to_string()))),
        };
        Ok(Some(match self.loaded.first().map(|l| &l.elf) {
            Some(program) if elf.machine.number != program.machine.number => {
                Tried::Wrong(format!("it is for {}", elf.machine))
            }
            Some(program) if elf.class != program.class => Tried::Wrong(format!("it is {}", elf.class)),
            Some(program) if elf.endianness != program.endianness => Tried::Wrong(format!("it is {}", elf.endianness)),
            _ => Tried::Fits(Box::new(elf)),
        }))
    }
}

/// What is at a place where a library might be.
enum Tried {
    Fits(Box<Elf>),
    Wrong(String),
}
