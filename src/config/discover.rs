//! What a folder is, found by looking: a flake, npins, niv, overlay files.

use std::path::{Path, PathBuf};

/// Where the package set comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NixpkgsSource {
    Path(PathBuf),
    /// `<nixpkgs>` in NIX_PATH.
    SearchPath,
    /// The input of a flake: the flake's directory and the name of the input.
    FlakeInput {
        /// The directory with `flake.nix`.
        dir: PathBuf,
        input: String,
    },
    /// An attribute of a file that npins or niv wrote.
    Pin {
        /// The Nix file, a set of sources when imported.
        file: PathBuf,
        name: String,
    },
}

impl NixpkgsSource {
    /// Reads a name from the user: `<nixpkgs>`, `flake:INPUT`, or a path that is there.
    pub fn named(value: &str, path: PathBuf) -> Option<NixpkgsSource> {
        if value == "<nixpkgs>" {
            return Some(NixpkgsSource::SearchPath);
        }
        if let Some(input) = value.strip_prefix("flake:") {
            let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Some(NixpkgsSource::FlakeInput { dir: dir.to_path_buf(), input: input.to_string() });
        }
        path.exists().then_some(NixpkgsSource::Path(path))
    }
}

impl std::fmt::Display for NixpkgsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NixpkgsSource::Path(path) => write!(f, "{}", path.display()),
            NixpkgsSource::SearchPath => write!(f, "<nixpkgs>"),
            NixpkgsSource::FlakeInput { input, .. } => write!(f, "the flake's input `{input}`"),
            NixpkgsSource::Pin { file, name } => write!(f, "`{name}` of {}", file.display()),
        }
    }
}

/// Says whether `<nixpkgs>` may lead somewhere: in NIX_PATH, in the channels that Nix looks at without it, or by a setting.
///
/// Starting Nix only to hear that there is none takes longer than everything else that a preview does.
pub fn may_have_search_path() -> bool {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let set = |file: PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains("nix-path"));
    let is_set = std::env::var("NIX_CONFIG").is_ok_and(|text| text.contains("nix-path"))
        || set(PathBuf::from("/etc/nix/nix.conf"))
        || set(home.join(".config/nix/nix.conf"))
        || std::env::var_os("NIX_CONF_DIR").is_some()
        || std::env::var_os("NIX_USER_CONF_FILES").is_some();
    is_set || leads_to_nixpkgs(std::env::var("NIX_PATH").ok().as_deref(), &home)
}

fn leads_to_nixpkgs(nix_path: Option<&str>, home: &Path) -> bool {
    match nix_path {
        Some(path) => path.split(':').filter(|entry| !entry.is_empty()).any(|entry| match entry.split_once('=') {
            Some((name, _)) => name == "nixpkgs",
            // An address is cut at its colon; what it leads to is not known.
            None => !entry.starts_with('/') || Path::new(entry).join("nixpkgs").exists(),
        }),
        None => ["/nix/var/nix/profiles/per-user/root/channels"]
            .map(PathBuf::from)
            .into_iter()
            .chain([".nix-defexpr/channels", ".local/state/nix/defexpr/channels"].map(|dir| home.join(dir)))
            .any(|dir| dir.join("nixpkgs").exists()),
    }
}

/// What a folder holds that a workspace can be wired to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// It has a `flake.nix`.
    pub flake: bool,
    /// It has `npins/default.nix`.
    pub npins: bool,
    /// It has `nix/sources.nix`, as niv writes it.
    pub niv: bool,
    /// The package set that these lead to.
    pub nixpkgs: Option<NixpkgsSource>,
    /// Overlay files, relative to the folder.
    pub overlays: Vec<PathBuf>,
}

impl Found {
    /// Looks at the folder `dir`.
    pub fn in_dir(dir: &Path) -> Found {
        let flake = dir.join("flake.nix").is_file();
        let npins = dir.join("npins/default.nix").is_file();
        let niv = dir.join("nix/sources.nix").is_file();
        let nixpkgs = if npins {
            Some(NixpkgsSource::Pin { file: dir.join("npins/default.nix"), name: "nixpkgs".into() })
        } else if niv {
            Some(NixpkgsSource::Pin { file: dir.join("nix/sources.nix"), name: "nixpkgs".into() })
        } else {
            flake.then(|| NixpkgsSource::FlakeInput { dir: dir.to_path_buf(), input: "nixpkgs".into() })
        };
        Found { flake, npins, niv, nixpkgs, overlays: overlays(dir) }
    }
}

/// Returns the files of `dir`, relative to it, that are its overlays by name: `overlays/default.nix` (which by custom
/// composes its neighbours), else `overlays/*.nix`; `overlay.nix`; `overlays.nix`.
pub fn overlays(dir: &Path) -> Vec<PathBuf> {
    let is_file = |path: &PathBuf| dir.join(path).is_file();
    let composed = PathBuf::from("overlays/default.nix");
    let mut found: Vec<PathBuf> =
        if is_file(&composed) { vec![composed] } else { nix_files(dir, Path::new("overlays")) };
    found.extend(["overlay.nix", "overlays.nix"].map(PathBuf::from).into_iter().filter(is_file));
    found
}

/// Returns the `.nix` files of one folder below `dir`, sorted.
fn nix_files(dir: &Path, below: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir.join(below))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(below.join(entry.ok()?.file_name())))
        .filter(|path| path.extension().is_some_and(|e| e == "nix") && dir.join(path).is_file())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_path_is_read_as_nix_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        assert!(leads_to_nixpkgs(Some("x=/a:nixpkgs=/b"), home));
        assert!(leads_to_nixpkgs(Some("nixpkgs=https://example.org/x.tar.gz"), home));
        assert!(!leads_to_nixpkgs(Some("x=/a"), home));
        assert!(!leads_to_nixpkgs(Some(""), home));
        let channels = home.join(".nix-defexpr/channels");
        assert!(!leads_to_nixpkgs(Some(&channels.display().to_string()), home));
        crate::base::fs::write(&channels.join("nixpkgs/default.nix"), b"").unwrap();
        assert!(leads_to_nixpkgs(Some(&channels.display().to_string()), home));
        assert!(leads_to_nixpkgs(None, home));
    }
}
