//! The libraries of a program, found as its loader would find them, without running anything.
//!
//! glibc's rules are those of `elf/dl-load.c`, musl's those of `ldso/dynlink.c`; see [`Loader`]. Not followed are
//! `LD_LIBRARY_PATH` and `LD_PRELOAD`, which are the user's, and the `glibc-hwcaps` directories and entries of the cache,
//! which are the processor's. Files are seen through [`Files`].

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::elf::{Class, Elf, Kind, Linkage};
use super::error::Error;

mod cache;
mod disk;
mod loader;
mod script;

pub use disk::Disk;
pub use loader::Loader;
pub use script::{Shebang, shebang};

use cache::Cache;
use loader::Start;

/// The files of a closure, by the paths that the programs themselves would use.
pub trait Files {
    /// Returns the bytes of a file, `None` when it is not there or may not be opened; symbolic links are followed.
    ///
    /// # Errors
    /// [`Error::File`] when it can be opened and not be read: a directory.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Returns the path with every symbolic link followed, `None` when there is no such file.
    fn canonical(&self, path: &str) -> Option<String>;

    /// Returns the names in a directory, sorted; none when there is no such directory.
    fn names(&self, dir: &str) -> Vec<String> {
        let _ = dir;
        Vec::new()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "of")]
pub enum Found {
    /// `DT_RPATH` of this file.
    Rpath(String),
    /// `DT_RUNPATH` of this file.
    Runpath(String),
    /// The cache of a system, `/etc/ld.so.cache`.
    Cache,
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
    pub interpreter_found: bool,
    /// What is wrong with the file itself or with its interpreter: it is cut off, or for another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Every needed name once, in the order in which a loader meets them: breadth first.
    pub needed: Vec<Needed>,
}

impl Libraries {
    /// Says whether the loader and everything needed is found and fits.
    pub fn is_complete(&self) -> bool {
        let interpreter = self.interpreter.is_none() || self.interpreter_found;
        interpreter && self.problem.is_none() && self.needed.iter().all(|n| n.path.is_some() && n.problem.is_none())
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
    // The kernel hands the loader the program's real place; a library is opened by the name that it is asked for by.
    let path = if elf.is_program() { files.canonical(path) } else { None }.unwrap_or_else(|| path.to_string());

    let start = Start::of(files, &elf, &path);
    let interpreter = elf.interpreter.clone();
    let mut result = Libraries {
        linkage: elf.linkage(),
        loader: Some(start.loader).filter(|_| elf.linkage() == Some(Linkage::Dynamic)),
        interpreter_found: interpreter.as_deref().is_some_and(|i| files.canonical(i).is_some()),
        problem: elf.damage.clone(),
        interpreter,
        needed: Vec::new(),
    };
    if matches!(elf.kind, Kind::Relocatable | Kind::Core) {
        return Ok(Some(result));
    }
    if let (Some(interpreter), None) = (&result.interpreter, &result.problem)
        && let Some(Tried::PassedOver(what) | Tried::Stops(what)) = examine(files, interpreter, Some(&elf), None)
    {
        result.problem = Some(format!("its loader {interpreter}: {what}"));
    }
    let dirs = match default_dirs {
        Some(dirs) => dirs.to_vec(),
        None => start.dirs.clone(),
    };
    let mut search = Search {
        files,
        loader: start.loader,
        cache: start.cache.as_deref().map(|path| Cache::read(files, path, elf.endianness)),
        interpreter: start.path,
        dirs,
        loaded: vec![Loaded { path, elf, by: None }],
        by_name: HashMap::new(),
        by_file: HashMap::new(),
    };
    if let Some(first) = search.loaded.first() {
        search.by_file.insert(files.canonical(&first.path).unwrap_or_else(|| first.path.clone()), 0);
        // A library that is asked for by its own name, by something it needs, is there already.
        if let Some(soname) = first.elf.soname.clone() {
            search.by_name.insert(soname, first.path.clone());
        }
    }
    // The loader is mapped before anything else, under its SONAME.
    if let (Some(soname), Some(interpreter), Loader::Glibc) = (start.soname, &search.interpreter, search.loader) {
        search.by_name.insert(soname, interpreter.clone());
    }
    search.run(&mut result.needed);
    Ok(Some(result))
}

struct Search<'a> {
    files: &'a dyn Files,
    loader: Loader,
    /// The cache of the system, when the loader looks into one; itself `None` when it is not there.
    cache: Option<Option<Cache>>,
    /// The loader's own file.
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
            Tried::Stops(problem) | Tried::PassedOver(problem) => {
                Hit { path, found, problem: Some(problem), elf: None }
            }
        }
    }
}

impl Search<'_> {
    fn run(&mut self, out: &mut Vec<Needed>) {
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
                let mut hit = self.find(&name, index);
                if let Ok(hit) = &mut hit
                    && let Some(new) = self.load(&name, hit, index)
                {
                    queue.push_back(new);
                }
                let (path, found, problem) = match hit {
                    Ok(hit) => (Some(hit.path), Some(hit.found), hit.problem),
                    Err(problem) => (None, None, problem),
                };
                out.push(Needed { name, from: from.clone(), path, found, problem });
            }
        }
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

    /// Finds a name; where it is not found, what is to be said of that.
    fn find(&self, name: &str, by: usize) -> Result<Hit, Option<String>> {
        if self.loader == Loader::Musl
            && loader::is_musl_itself(name)
            && let Some(interpreter) = &self.interpreter
        {
            return Ok(Hit::already(interpreter.clone(), Found::Loader));
        }
        if let Some(path) = self.by_name.get(name) {
            let found = if Some(path) == self.interpreter.as_ref() { Found::Loader } else { Found::Loaded };
            return Ok(Hit::already(path.clone(), found));
        }
        let mut passed_over = None;
        for (path, found) in self.candidates(name, by)? {
            match self.try_file(&path) {
                None => {}
                Some(Tried::PassedOver(why)) => drop(passed_over.get_or_insert(format!("passed over {path}: {why}"))),
                Some(tried) => return Ok(Hit::new(path, found, tried)),
            }
        }
        Err(passed_over.or_else(|| self.only_configured(name)))
    }

    /// Returns the files that a needed name may mean, in the order in which they are tried.
    fn candidates(&self, name: &str, by: usize) -> Result<Vec<(String, Found)>, Option<String>> {
        if name.contains('/') {
            let Some(loaded) = self.loaded.get(by) else { return Ok(Vec::new()) };
            let path = self.loader.expand_needed(name, &loaded.path);
            if !path.starts_with('/') {
                return Err(Some("its path begins wherever the program is started".to_string()));
            }
            return Ok(vec![(path, Found::Path)]);
        }
        let in_dir = |(dir, found): (String, Found)| (format!("{}/{name}", dir.trim_end_matches('/')), found);
        let mut paths: Vec<(String, Found)> = self.directories(by).into_iter().map(in_dir).collect();
        let no_default = self.loader == Loader::Glibc && self.loaded.get(by).is_some_and(|l| l.elf.no_default_lib);
        if let Some(Some(cache)) = &self.cache {
            let is_default = |path: &str| self.dirs.iter().any(|dir| path.starts_with(dir.as_str()));
            let cached = cache.paths(name).iter().filter(|path| !(no_default && is_default(path)));
            paths.extend(cached.map(|path| (path.clone(), Found::Cache)));
        }
        if !no_default {
            paths.extend(self.dirs.iter().map(|dir| in_dir((dir.clone(), Found::DefaultDirectory(dir.clone())))));
        }
        Ok(paths)
    }

    /// Says where a library stands that only `ld.so.conf` leads to: the loader reads the cache that `ldconfig` makes of it.
    fn only_configured(&self, name: &str) -> Option<String> {
        let no_cache = matches!(self.cache, Some(None));
        let dirs = if no_cache { cache::configured_dirs(self.files) } else { Vec::new() };
        let path = dirs.iter().map(|dir| format!("{dir}/{name}")).find(|path| self.files.canonical(path).is_some())?;
        Some(format!(
            "{path} is there, and ld.so.conf names its directory: run ldconfig, the loader reads its cache only"
        ))
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
        dirs
    }

    fn try_file(&self, path: &str) -> Option<Tried> {
        examine(self.files, path, self.loaded.first().map(|l| &l.elf), Some(self.loader))
    }
}

/// What is at a place where a library might be.
enum Tried {
    Fits(Box<Elf>),
    /// The loader gives up here.
    Stops(String),
    /// The loader looks on.
    PassedOver(String),
}

/// Looks at a file as a loader does before it maps it for `program`; `None` where nothing can be opened. Without a loader it is
/// the kernel that maps it.
///
/// glibc looks on where class or machine is another and gives up at whatever else is wrong (`open_verify`); musl takes the first
/// file that can be opened.
fn examine(files: &dyn Files, path: &str, program: Option<&Elf>, loader: Option<Loader>) -> Option<Tried> {
    let bytes = match files.read(path) {
        Ok(bytes) => bytes?,
        Err(Error::File { what, .. }) => return Some(Tried::Stops(what)),
        Err(error) => return Some(Tried::Stops(error.to_string())),
    };
    let header = if program.is_some_and(|p| p.class == Class::Elf32) { 52 } else { 64 };
    let elf = match Elf::read(&bytes) {
        _ if bytes.len() < header => return Some(Tried::Stops("the file is too short".to_string())),
        Ok(Some(elf)) => elf,
        Ok(None) => return Some(Tried::Stops("it is no ELF file".to_string())),
        Err(Error::Elf { what }) => return Some(Tried::Stops(what)),
        Err(error) => return Some(Tried::Stops(error.to_string())),
    };
    let foreign = |what: String| match loader {
        Some(Loader::Glibc) => Some(Tried::PassedOver(what)),
        _ => Some(Tried::Stops(what)),
    };
    if let Some(program) = program {
        if elf.class != program.class {
            return foreign(format!("it is {}", elf.class));
        }
        if elf.endianness != program.endianness {
            return Some(Tried::Stops(format!("it is {}", elf.endianness)));
        }
        if elf.machine.number != program.machine.number {
            return foreign(format!("it is for {}", elf.machine));
        }
    }
    let stops = match elf.kind {
        Kind::Executable | Kind::Pie | Kind::Shared if elf.damage.is_some() => elf.damage,
        Kind::Executable | Kind::Pie | Kind::Shared if elf.has_dynamic || loader.is_none() => {
            return Some(Tried::Fits(Box::new(elf)));
        }
        Kind::Executable | Kind::Pie | Kind::Shared => Some("it has no dynamic section".to_string()),
        _ => Some("it is neither a library nor a program".to_string()),
    };
    stops.map(Tried::Stops)
}
