//! `init`: a workspace, wired to what is there already; or the demo.

use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use serde::Serialize;

use crate::base::fs::{self, Batch};
use crate::config::{FILE_NAME, Found, NixpkgsSource, Workspace};
use crate::git;
use crate::ops::{Error, Outcome};
use crate::queue::discover::{Functions, Overlays};

static DEMO: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/overlays/demo");

/// What `init` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub dir: PathBuf,
    /// Whether the demo is written instead of an empty workspace.
    pub demo: bool,
}

/// What `init` did.
#[derive(Debug, Serialize)]
pub struct Initialised {
    pub dir: PathBuf,
    pub demo: bool,
    pub written: Vec<PathBuf>,
    pub kept: Vec<PathBuf>,
    pub found: Vec<String>,
    pub nixpkgs: Option<String>,
    pub overlays: Vec<PathBuf>,
    /// How the overlay is to be wired in by hand, when there is a flake.
    pub wiring: Option<String>,
}

/// Makes a workspace; never overwrites anything.
///
/// # Errors
/// [`Error::Exists`] when the demo would meet other files; [`Error::Fs`].
pub fn init(options: &Options) -> Result<Initialised, Error> {
    if options.demo { demo(&options.dir) } else { workspace(&options.dir) }
}

fn demo(dir: &Path) -> Result<Initialised, Error> {
    let mut files = Vec::new();
    collect(&DEMO, &mut files);
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for (relative, bytes) in &files {
        match fs::read(&dir.join(relative)) {
            Ok(old) if old == *bytes => kept.push(dir.join(relative)),
            Ok(_) => return Err(crate::queue::Error::Exists { path: dir.join(relative) }.into()),
            Err(_) => written.push(dir.join(relative)),
        }
    }
    let mut batch = Batch::new(dir);
    for (relative, bytes) in &files {
        batch.write(dir.join(relative), *bytes);
    }
    batch.commit()?;
    for (relative, _) in files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "sh")) {
        fs::make_executable(&dir.join(relative))?;
    }
    Ok(Initialised {
        dir: dir.to_path_buf(),
        demo: true,
        written,
        kept,
        found: Vec::new(),
        nixpkgs: Some(dir.join("nixpkgs").display().to_string()),
        overlays: vec![dir.join("overlays/default.nix")],
        wiring: None,
    })
}

fn collect(dir: &Dir<'static>, files: &mut Vec<(&'static Path, &'static [u8])>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, files),
            DirEntry::File(file) => files.push((file.path(), file.contents())),
        }
    }
}

const OVERLAY: &str = "\
final: prev: {
  # Patched packages; `overlayctl patch PACKAGE FILE` writes here.
}
";

const QUEUES: &str = "\
Patch queues: one folder a package, one file a patch, applied in the order of their numbers.
`overlayctl patch PACKAGE FILE` adds to them, `overlayctl list` shows them.
";

fn workspace(dir: &Path) -> Result<Initialised, Error> {
    let found = Found::in_dir(dir);
    let mut said = Vec::new();
    let has = [(found.flake, "a flake (flake.nix)"), (found.npins, "npins"), (found.niv, "niv (nix/sources.nix)")];
    said.extend(has.iter().filter(|(there, _)| *there).map(|(_, what)| (*what).to_string()));
    said.extend(found.overlays.iter().map(|path| format!("an overlay ({})", path.display())));
    let nixpkgs = found.nixpkgs.clone().or_else(|| {
        let searched = std::env::var("NIX_PATH").is_ok_and(|path| path.split(':').any(|e| e.starts_with("nixpkgs=")));
        said.extend(searched.then(|| "<nixpkgs> in NIX_PATH".to_string()));
        searched.then_some(NixpkgsSource::SearchPath)
    });
    let (mut overlays, mut used) = (found.overlays.clone(), Vec::new());
    if overlays.is_empty() {
        // Those that stand within other files are found when a package is patched; Nix is given whole files only.
        // A directory that is made first holds nothing, and a workspace further up has overlays of its own.
        let opened = dir.is_dir().then(|| Workspace::open(Some(dir))).transpose()?;
        let here = opened.filter(|opened| opened.root() == fs::tidy(dir) || opened.root() == dir);
        // One that is named and cannot be read is for the other commands to say: nothing of it is written here.
        let overlays_there = here.and_then(|opened| Overlays::read(&opened, None).ok()).unwrap_or_default();
        let functions = Functions::of(&overlays_there);
        let found = functions.all();
        // Of several, one may be what another composes: which of them Nix is given is the user's to say.
        let is_only = found.len() == 1;
        for overlay in found {
            let place = &overlay.function.place;
            let line = place.line_col.map_or(1, |at| at.line);
            let relative = place.path.strip_prefix(fs::tidy(dir)).unwrap_or(&place.path).to_path_buf();
            let whole = overlay.is_whole();
            said.push(match whole {
                true => format!("an overlay ({})", relative.display()),
                false => format!("an overlay ({}:{line})", relative.display()),
            });
            used.push(place.path.clone());
            if whole && is_only {
                overlays.push(relative);
            }
        }
    }
    let is_new = overlays.is_empty() && used.is_empty();
    if is_new {
        overlays.push(PathBuf::from("overlays/default.nix"));
    }
    let mut wanted = vec![(PathBuf::from(FILE_NAME), settings_text(&overlays, nixpkgs.as_ref()))];
    if is_new {
        wanted.extend(overlays.first().map(|path| (path.clone(), OVERLAY.to_string())));
    }
    wanted.push((PathBuf::from("patches/README"), QUEUES.to_string()));
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    let mut batch = Batch::new(dir);
    for (relative, text) in wanted {
        let path = fs::tidy(&dir.join(&relative));
        if path.symlink_metadata().is_ok() {
            kept.push(path);
        } else {
            batch.write(&path, text);
            written.push(path);
        }
    }
    batch.commit()?;
    if found.flake {
        git::make_visible(dir, &written)?;
    }
    // What the flake names already is wired in there.
    let flake = fs::read_text_if_there(&dir.join("flake.nix"))?.unwrap_or_default();
    let is_wired = |path: &PathBuf| {
        let whole = path.display().to_string();
        let named =
            [whole.strip_suffix("/default.nix").unwrap_or(&whole), whole.strip_suffix(".nix").unwrap_or(&whole)];
        named.iter().any(|name| flake.contains(&format!("./{name}")))
    };
    let open = found.flake && !overlays.is_empty() && !overlays.iter().any(is_wired) && (is_new || used.is_empty());
    let wiring = open.then(|| {
        let import = |path: &PathBuf| format!("(import ./{})", path.display());
        format!("overlays = [ {} ];", overlays.iter().map(import).collect::<Vec<_>>().join(" "))
    });
    Ok(Initialised {
        dir: dir.to_path_buf(),
        demo: false,
        written,
        kept,
        found: said,
        nixpkgs: nixpkgs.map(|source| source.to_string()),
        overlays: overlays.iter().map(|path| fs::tidy(&dir.join(path))).collect(),
        wiring,
    })
}

fn settings_text(overlays: &[PathBuf], nixpkgs: Option<&NixpkgsSource>) -> String {
    let set = match nixpkgs {
        Some(NixpkgsSource::FlakeInput { input, .. }) => format!("nixpkgs = \"flake:{input}\"\n"),
        Some(NixpkgsSource::SearchPath) => "nixpkgs = \"<nixpkgs>\"\n".to_string(),
        // npins and niv are found again by looking; a path would go stale with the next pin.
        Some(NixpkgsSource::Pin { .. }) => "# nixpkgs comes from the pins of this folder\n".to_string(),
        _ => "# nixpkgs = \"../nixpkgs\"    # a checkout; `<nixpkgs>` when this is not set\n".to_string(),
    };
    // A path found in the folder is written as TOML writes strings, whatever is in it.
    let list: toml_edit::Array = overlays.iter().map(|path| path.display().to_string()).collect();
    let overlays = match list.is_empty() {
        true => "# overlays = [ \"overlay.nix\" ]    # files that are overlays; others are found where they are\n"
            .to_string(),
        false => format!("overlays = {list}\n"),
    };
    format!(
        "# The workspace of overlayctl: patched packages in Nix overlays.\n\
         {set}\
         {overlays}\
         patches = \"patches\"\n\
         \n\
         # targets = [ \"pkgsCross.aarch64-multiplatform-musl.ripgrep\" ]\n\
         \n\
         # [boards.NAME]\n\
         # platform = \"aarch64-multiplatform-musl\"    # `overlayctl platforms` lists them\n\
         # packages = [ \"ripgrep\" ]\n"
    )
}

impl Outcome for Initialised {
    const SCHEMA: &'static str = "overlayctl.init/1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_workspace_opens_and_a_second_run_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { dir: dir.path().join("board \"x\""), demo: false };
        assert_eq!(init(&options).unwrap().written.len(), 3);
        let workspace = Workspace::open(Some(&options.dir)).unwrap();
        assert_eq!(workspace.overlays(), [options.dir.join("overlays/default.nix")]);
        let again = init(&options).unwrap();
        assert_eq!((again.written.len(), again.kept.len()), (0, 2));
    }

    #[test]
    fn an_overlay_that_is_there_is_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(&dir.path().join("overlay.nix"), b"final: prev: { }").unwrap();
        fs::write(&dir.path().join("flake.nix"), b"{ }").unwrap();
        let done = init(&Options { dir: dir.path().to_path_buf(), demo: false }).unwrap();
        assert_eq!(done.overlays, [dir.path().join("overlay.nix")]);
        assert_eq!(done.wiring.as_deref(), Some("overlays = [ (import ./overlay.nix) ];"));
        assert!(!dir.path().join("overlays").exists());
        let settings = fs::read_text(&dir.path().join(FILE_NAME)).unwrap();
        assert!(
            settings.contains("nixpkgs = \"flake:nixpkgs\"") && settings.contains("overlays = [\"overlay.nix\"]"),
            "{settings}"
        );
    }

    #[test]
    fn the_demo_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { dir: dir.path().join("demo"), demo: true };
        let first = init(&options).unwrap();
        assert!(first.written.len() > 5 && first.kept.is_empty());
        assert!(init(&options).unwrap().written.is_empty());
        fs::write(&options.dir.join("overlays/default.nix"), b"mine").unwrap();
        assert!(matches!(init(&options), Err(Error::Queue(crate::queue::Error::Exists { .. }))));
        assert_eq!(fs::read(&options.dir.join("overlays/default.nix")).unwrap(), b"mine");
    }
}
