//! The source of a package as its build sees it before its own patches: fetched by Nix, unpacked in memory.
//!
//! What Nix says of the package (its sources, `sourceRoot`, `patches`, `patchFlags`) is asked of the package set with
//! the workspace's overlays where it is about a queue: they may have a source of their own. Nothing of the build is run: `prePatch`, `postPatch` and the like are named, not executed.

mod archive;
mod asked;
mod directory;
mod gathered;
mod listed;
mod missing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::{Coded as _, Warning};
use crate::base::fs;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::nix::{Building, Input, Nix};
use crate::overlay::AttrPath;
use crate::patch::{self, MemoryTree};
use crate::queue::Error;
use crate::queue::series::Series;
pub(crate) use archive::{Opened, opened};
pub(crate) use asked::Asked;
use asked::{Question, flags};
use gathered::Gathered;
use missing::{Missing, physical};

/// How much is unpacked at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The bytes of all files of a package.
    pub bytes: u64,
    pub entries: usize,
}

impl Default for Limits {
    /// 4 GiB and a million entries: twice the size of Linux 6.12's 90,000 files, and then some.
    fn default() -> Limits {
        Limits { bytes: 4 << 30, entries: 1_000_000 }
    }
}

impl Limits {
    fn too_many_bytes(&self, path: &Path) -> Error {
        Error::TooLarge { path: path.to_path_buf(), limit: format!("{} MiB of files", self.bytes >> 20) }
    }

    fn too_many_entries(&self, path: &Path) -> Error {
        Error::TooLarge { path: path.to_path_buf(), limit: format!("{} entries", self.entries) }
    }
}

/// The source of a package, unpacked.
#[derive(Debug, Clone)]
pub struct Source {
    /// The package's name and version, as nixpkgs has it.
    pub name: String,
    /// The files in the directory in which patches apply.
    pub tree: MemoryTree,
    /// nixpkgs' own patches, in order: the name and the bytes as GNU patch reads them.
    pub own_patches: Vec<(String, Vec<u8>)>,
    /// Patches that the overlays name and that are no files of the queue: what Nix fetches or makes.
    pub fetched: Vec<Fetched>,
    /// The `-pN` with which the build applies patches.
    pub strip: usize,
    /// The store paths that the source was unpacked from.
    pub from: Vec<String>,
    /// Whether the build changes the files after the patches: it has `postPatch`.
    pub post_patch: bool,
    pub warnings: Vec<Warning>,
}

/// A patch that an overlay names and that is no file of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub name: String,
    pub bytes: Vec<u8>,
    /// How many patches of the queue stand before it.
    pub behind: usize,
}

/// Gets the sources of the packages of queues as the workspace's overlays leave them: an overlay may change the source or fetch
/// further patches. What is wrong with one does not touch the others.
pub(crate) fn of_queues(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    queues: &[&Series],
    building: Building<'_>,
    progress: &mut dyn Progress,
) -> Result<Vec<Result<Source, Error>>, Error> {
    progress.stage(&format!("asking Nix for the source of {}", crate::base::text::plural(queues.len(), "package")));
    let asked = Asked::of_queues(workspace, nixpkgs, queues)?;
    asked.sources((0..queues.len()).collect(), building, progress)
}

/// Gets the source of the package of a queue, as [`of_queues`].
///
/// # Errors
/// As [`of_queues`], and what is wrong with the package.
pub(crate) fn of_queue(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    queue: &Series,
    building: Building<'_>,
    progress: &mut dyn Progress,
) -> Result<Source, Error> {
    let mut all = of_queues(workspace, nixpkgs, &[queue], building, progress)?;
    all.pop().unwrap_or_else(|| Err(Error::NoSource { attr: queue.attr.to_string() }))
}

/// Gets the source of a package of the package set without the workspace's overlays.
///
/// # Errors
/// Those of the workspace and of Nix, and what is wrong with the package.
pub(crate) fn of_package(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
    building: Building<'_>,
    progress: &mut dyn Progress,
) -> Result<Source, Error> {
    progress.stage(&format!("asking Nix for the source of `{attr}`"));
    let asked = Asked::plain(workspace, nixpkgs, std::slice::from_ref(attr))?;
    let mut all = asked.sources(vec![0], building, progress)?;
    all.pop().unwrap_or_else(|| Err(Error::NoSource { attr: attr.to_string() }))
}

fn unpack(
    nix: &Nix,
    question: Question<'_>,
    failed: &BTreeMap<String, Missing>,
    limits: &Limits,
) -> Result<Source, Error> {
    let Question { attr, queue, facts, mut warnings } = question;
    let (attr, facts) = (&attr, facts?);
    if facts.sources.is_empty() {
        return Err(Error::NoSource { attr: attr.to_string() });
    }
    let place = |input: &Input| match failed.get(&input.path) {
        Some(Missing::Failed(why)) => Err(Error::NotBuilt { path: input.path.clone(), why: why.clone() }),
        Some(Missing::Unbuilt(unbuilt)) => {
            let what = format!("{}, which is needed for the source of `{attr}`,", input.name);
            Err(crate::nix::Error::WouldBuild { what, unbuilt: Box::new(unbuilt.clone()) }.into())
        }
        None => Ok(physical(nix, &input.path)),
    };
    let mut gathered = Gathered::default();
    for input in &facts.sources {
        gather(&place(input)?, &input.name, limits, &mut gathered)?;
    }
    let mut root = source_root(attr, facts.source_root.as_deref(), &gathered)?;
    let flags = flags(&facts);
    if let Some(directory) = &flags.directory {
        root = source_root(attr, Some(format!("{root}/{directory}").trim_start_matches('/')), &gathered)?;
    }
    let read = |input: &Input| -> Result<Vec<u8>, Error> { plain(fs::read(&place(input)?)?, &input.path, limits) };
    let mut own_patches = Vec::new();
    let mut fetched = Vec::new();
    for listed in listed::arrange(&facts.patches, queue, &read) {
        // What is there already is taken as the build takes it.
        let whose = if listed.of_overlay { "the overlay's" } else { "nixpkgs' own" };
        let bytes = read(listed.input).map(|bytes| match patch::as_gnu_reads(&bytes) {
            Ok((as_read, odd)) => {
                warnings.extend(odd.first().map(|odd| Warning {
                    code: "OV0254",
                    message: format!("{whose} patch {}, line {}: {}", listed.input.name, odd.at.line, odd.what),
                    place: None,
                    hint: None,
                }));
                as_read.into_owned()
            }
            Err(_) => bytes,
        });
        match (listed.of_overlay, bytes) {
            // Nothing comes of an empty one.
            (_, Ok(bytes)) if bytes.is_empty() => {}
            (false, bytes) => own_patches.push((listed.input.name.clone(), bytes?)),
            (true, Ok(bytes)) => {
                fetched.push(Fetched { name: listed.input.name.clone(), bytes, behind: listed.behind });
            }
            (true, Err(error @ Error::Nix(crate::nix::Error::WouldBuild { .. }))) => return Err(error),
            (true, Err(error)) => warnings.push(Warning {
                code: "OV1061",
                message: format!("{}, a patch of the overlay, was left out: {error}", listed.input.name),
                place: None,
                hint: error.hint(),
            }),
        }
    }
    warnings.extend(before_patches(attr, &facts.hooks));
    if let Some((name, why)) = gathered.skipped.first() {
        let more = gathered.skipped.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        warnings.push(Warning {
            code: "OV1062",
            message: format!("the source of `{attr}` has an entry that was left out: {name}: {why}{more}"),
            place: None,
            hint: None,
        });
    }
    Ok(Source {
        name: facts.name.clone(),
        tree: gathered.take_below(&root),
        own_patches,
        fetched,
        strip: flags.strip,
        from: facts.sources.iter().map(|s| s.path.clone()).collect(),
        post_patch: facts.hooks.iter().any(|hook| hook == "postPatch"),
        warnings,
    })
}

/// Says what the build does to the source before its patches. What it does after them (`postPatch`) is no matter of theirs.
fn before_patches(attr: &AttrPath, hooks: &[String]) -> Option<Warning> {
    if hooks.iter().any(|hook| hook == "patchPhase") {
        return Some(Warning {
            code: "OV1060",
            message: format!(
                "`{attr}` has a patchPhase of its own: here its patches are applied as usual, one after the other"
            ),
            place: None,
            hint: Some(format!("`overlayctl build {attr}` tells whether it takes them")),
        });
    }
    let before: Vec<&str> = hooks.iter().map(String::as_str).filter(|hook| *hook != "postPatch").collect();
    (!before.is_empty()).then(|| Warning {
        code: "OV1060",
        message: format!("the build of `{attr}` runs {} before its patches; here that is not run", before.join(", ")),
        place: None,
        hint: Some("a patch of a file that this changes may fit differently in the build".into()),
    })
}

/// Adds a source: an archive is unpacked, a directory taken as it is, under its own name, as nixpkgs' `unpackFile` does.
fn gather(path: &Path, name: &str, limits: &Limits, into: &mut Gathered) -> Result<(), Error> {
    if path.is_dir() {
        return directory::gather(path, name, limits, into);
    }
    if !archive::is_archive(path) && !archive::is_named_so(name) {
        // A source of one file: it stands there under its name.
        let bytes = std::fs::read(path).map_err(|e| Error::Unpack { path: path.to_path_buf(), why: e.to_string() })?;
        return into.file(name.as_bytes(), bytes, crate::patch::REGULAR, path, limits);
    }
    archive::unpack(path, limits, into)
}

/// Reads a directory or an archive that is no package's; an archive's only directory is taken off.
pub fn read(path: &Path, limits: &Limits) -> Result<MemoryTree, Error> {
    let mut gathered = Gathered::default();
    if path.is_dir() {
        directory::gather(path, "", limits, &mut gathered)?;
        return Ok(gathered.take_below(""));
    }
    archive::unpack(path, limits, &mut gathered)?;
    let only = (gathered.tops.len() == 1).then(|| gathered.tops.first().cloned()).flatten();
    let alone = only.filter(|top| gathered.tree.iter().all(|(path, _)| path.starts_with(&format!("{top}/"))));
    Ok(gathered.take_below(&alone.unwrap_or_default()))
}

/// Returns the directory in which patches apply: `sourceRoot`, or the only directory that unpacking makes.
fn source_root(attr: &AttrPath, named: Option<&str>, gathered: &Gathered) -> Result<String, Error> {
    let unknown = |why: String| Error::SourceRoot { attr: attr.to_string(), why };
    match named {
        Some(named) => {
            let parts: Vec<&str> = named.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
            if named.starts_with('/') || named.contains(['$', '`']) || parts.contains(&"..") {
                return Err(unknown(format!("`sourceRoot` is computed or leads out: {named}")));
            }
            let root = parts.join("/");
            let there = root.is_empty() || gathered.tree.iter().any(|(p, _)| p.starts_with(&format!("{root}/")));
            if there { Ok(root) } else { Err(unknown(format!("there is no `{root}` in the source"))) }
        }
        None => match gathered.tops.iter().collect::<Vec<_>>().as_slice() {
            [one] => Ok((*one).clone()),
            [] => Ok(String::new()),
            several => {
                Err(unknown(format!("unpacking makes {} directories and there is no `sourceRoot`", several.len())))
            }
        },
    }
}

/// Decompresses a patch as nixpkgs' `patchPhase` does: `.gz`, `.bz2`, `.xz`.
fn plain(bytes: Vec<u8>, path: &str, limits: &Limits) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let most = limits.bytes.min(crate::patch::MAX_PATCH_BYTES as u64);
    let reader: Box<dyn std::io::Read> = match path.rsplit_once('.').map(|(_, end)| end) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        Some("bz2") => Box::new(bzip2::read::MultiBzDecoder::new(bytes.as_slice())),
        Some("xz") => Box::new(lzma_rust2::XzReader::new_mem_limit(bytes.as_slice(), true, 1 << 20)),
        _ => return Ok(bytes),
    };
    let mut out = Vec::new();
    reader
        .take(most)
        .read_to_end(&mut out)
        .map_err(|e| Error::Unpack { path: PathBuf::from(path), why: e.to_string() })?;
    Ok(out)
}
