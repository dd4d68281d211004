//! The programs of Nix: where they are, with which options they are started, which version they are.
//!
//! Finding them starts nothing; the version is asked only when it is needed. `NIX_CONFIG` and the rest of the
//! environment are the user's and are inherited. Must not know what is evaluated or built.

use std::ffi::OsString;
use std::fmt;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;

use super::error::{Error, program_name};
use super::reads::Watch;
use crate::base::fs::FsError;
use crate::base::process::{Exec, Finished, find_program};
use crate::drv::StoreDir;

/// How Nix is to be run; the default is as the user would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Settings of Nix, each `--option NAME VALUE`.
    pub options: Vec<(String, String)>,
    /// The store, `--store URL`, when not the usual one.
    pub store: Option<String>,
    /// Entries in front of the search path, each `-I ENTRY`.
    pub search_path: Vec<String>,
    /// What else Nix is given, as it is.
    pub extra_args: Vec<OsString>,
    /// Variables set on top of the environment.
    pub env: Vec<(OsString, OsString)>,
    /// The directory with the programs, when not those on `PATH`.
    pub programs: Option<PathBuf>,
    /// The longest that one expression may take to evaluate; half an hour when not said.
    pub eval_limit: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version {
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The rest as it is (`.0`, `.3pre123`).
    pub rest: String,
}

impl Version {
    /// The oldest version that overlayctl works with.
    pub const MINIMUM: Version = Version { major: 2, minor: 8, rest: String::new() };

    /// Reads what `nix --version` prints: `nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.91.1`.
    pub fn read(text: &str) -> Option<Version> {
        let word = text.lines().next()?.split_whitespace().last()?;
        let (major, rest) = word.split_once('.')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (minor, rest) = rest.split_at(end);
        Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()?, rest: rest.to_string() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.major, self.minor, self.rest)
    }
}

/// Returns the files that Nix reads its settings from, as its manual says ("nix.conf").
fn settings_files() -> Vec<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let system = var("NIX_CONF_DIR").map_or_else(|| "/etc/nix".into(), PathBuf::from);
    let mut files = vec![system.join("nix.conf")];
    match var("NIX_USER_CONF_FILES") {
        Some(own) => files.extend(std::env::split_paths(&own)),
        None => {
            let home = || Some(PathBuf::from(var("HOME")?).join(".config"));
            let dirs = var("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
            let own = var("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
            files.extend(own.into_iter().chain(std::env::split_paths(&dirs)).map(|dir| dir.join("nix/nix.conf")));
        }
    }
    files
}

/// Nix, found and ready to be started.
#[derive(Debug, Clone)]
pub struct Nix {
    pub(super) nix: PathBuf,
    pub(super) nix_store: PathBuf,
    pub(super) settings: Settings,
    version: OnceLock<Version>,
    pub(super) watch: Option<Arc<Watch>>,
    /// The copy of a workspace that it is asked about.
    pub(super) copy: Option<PathBuf>,
}

impl Nix {
    /// Finds Nix on `PATH` (or in [`Settings::programs`]); starts nothing.
    ///
    /// # Errors
    /// [`Error::NoNix`] names the program that is missing.
    pub fn discover(settings: Settings) -> Result<Nix, Error> {
        let find = |name: &str| {
            let wanted =
                settings.programs.as_ref().map_or_else(|| name.into(), |dir| dir.join(name).display().to_string());
            find_program(&wanted).ok_or(Error::NoNix { program: wanted })
        };
        Ok(Nix {
            nix: find("nix")?,
            nix_store: find("nix-store")?,
            settings,
            version: OnceLock::new(),
            watch: None,
            copy: None,
        })
    }

    /// Returns what decides how Nix evaluates, as lines of text: the program, the options, the settings and the variables that it looks
    /// at itself. Starts nothing; `None` where it cannot be told.
    pub fn identity(&self) -> Option<String> {
        // Another token gets the same files, and is nobody's business.
        let without_tokens = |settings: &str| -> String {
            let is_token = |line: &&str| line.trim_start().trim_start_matches("extra-").starts_with("access-tokens");
            settings.lines().filter(|line| !is_token(line)).collect::<Vec<_>>().join("\n")
        };
        let program = self.nix.canonicalize().ok()?;
        let there = program.metadata().ok()?;
        let (size, at) = (there.size(), (there.mtime(), there.mtime_nsec()));
        let mut text = format!("nix {} {size} {at:?} {:?}\n", program.display(), self.settings);
        let counts = |name: &str| {
            name.starts_with("NIX") || ["HOME", "USER", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"].contains(&name)
        };
        let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(counts)).collect();
        variables.sort();
        for (name, value) in variables {
            let value = value.to_string_lossy();
            let _ = writeln!(text, "variable {name:?} {:?}", without_tokens(&value));
        }
        let mut files = settings_files();
        let mut at = 0;
        while let Some(file) = files.get(at).filter(|_| at < 64).cloned() {
            at += 1;
            let Ok(settings) = std::fs::read(&file) else { continue };
            let settings = String::from_utf8_lossy(&settings);
            let _ = writeln!(text, "settings {} {:?}", file.display(), without_tokens(&settings));
            let included = |line: &str| {
                let named = line.trim().strip_prefix('!').unwrap_or(line.trim()).strip_prefix("include")?.trim();
                Some(file.parent()?.join(named))
            };
            files.extend(settings.lines().filter_map(included));
        }
        Some(text)
    }

    /// Returns the version, asking Nix the first time.
    ///
    /// # Errors
    /// [`Error::Garbage`] when what answers is not Nix, and those of running it.
    pub fn version(&self) -> Result<&Version, Error> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        let finished = Exec::new(&self.nix).arg("--version").limit(Duration::from_secs(30)).run()?;
        let answer = String::from_utf8_lossy(&finished.stdout).into_owned();
        let version = Version::read(&answer).ok_or_else(|| Error::Garbage {
            program: format!("{} --version", program_name(&self.nix)),
            reason: "no version number in it".into(),
            answer,
        })?;
        Ok(self.version.get_or_init(|| version))
    }

    /// Checks that Nix is not older than [`Version::MINIMUM`]; starts Nix, so not for the hot path.
    ///
    /// # Errors
    /// [`Error::TooOld`], and as [`Nix::version`].
    pub fn check_version(&self) -> Result<(), Error> {
        let found = self.version()?;
        if *found < Version::MINIMUM { Err(Error::TooOld { found: found.clone() }) } else { Ok(()) }
    }

    /// Makes the error of a failure better: if Nix is too old, that is the reason.
    pub(super) fn explained(&self, error: Error) -> Error {
        match error {
            Error::Failed { .. } | Error::EvaluatorDied { .. } | Error::Garbage { .. } => match self.check_version() {
                Err(old @ Error::TooOld { .. }) => old,
                _ => error,
            },
            error => error,
        }
    }

    /// Adds what every call gets; a subcommand comes before it.
    pub(super) fn with_options(&self, exec: Exec) -> Exec {
        // The features are asked for explicitly: `nix repl` and flakes are still experimental in every version.
        let mut exec = exec.args(["--extra-experimental-features", "nix-command flakes"]);
        for (name, value) in &self.settings.options {
            exec = exec.args(["--option", name, value]);
        }
        if let Some(store) = &self.settings.store {
            exec = exec.args(["--store", store]);
        }
        exec = exec.args(&self.settings.extra_args);
        exec.env.extend(self.settings.env.iter().cloned());
        exec
    }

    /// As [`Nix::with_options`], for a program that evaluates.
    pub(super) fn evaluating(&self, exec: Exec) -> Exec {
        let exec = self.with_options(exec);
        self.settings.search_path.iter().fold(exec, |exec, entry| exec.args(["-I", entry]))
    }

    /// Makes a call of `nix-store`.
    pub(super) fn store_call(&self) -> Exec {
        self.with_options(Exec::new(&self.nix_store))
    }

    /// Runs a call to its end; a status other than 0 is an error.
    pub(super) fn output(&self, exec: &Exec) -> Result<Finished, Error> {
        let finished = exec.run()?;
        if finished.status.success() {
            Ok(finished)
        } else {
            Err(self.explained(Error::of_command(&exec.program, &finished)))
        }
    }

    /// Returns the directory that stands for `/` before store paths: `/` itself, or the root of a local store elsewhere
    /// (`--store /dir`); `None` for a store that is not a directory here.
    pub fn store_root(&self) -> Option<PathBuf> {
        match self.settings.store.as_deref() {
            None | Some("" | "auto" | "daemon" | "local") => Some(PathBuf::from("/")),
            Some(url) => {
                let url = url.strip_prefix("local?root=").or_else(|| url.strip_prefix("local://")).unwrap_or(url);
                let path = url.split(['?', '&']).next().unwrap_or(url);
                path.starts_with('/').then(|| PathBuf::from(path))
            }
        }
    }

    /// Opens the directory that derivations are read from; the machine's own for a store that is not a directory here.
    pub fn store_dir(&self) -> Result<StoreDir, FsError> {
        StoreDir::open(&self.store_root().unwrap_or_else(|| PathBuf::from("/")))
    }

    /// Returns where a store path is on this machine.
    pub fn physical(&self, store_path: &str) -> Option<PathBuf> {
        Some(self.store_root()?.join(store_path.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Nix {
        /// Makes one whose argument vectors can be looked at; it cannot be started.
        pub(in crate::nix) fn for_argument_tests(settings: Settings) -> Nix {
            Nix {
                nix: "nix".into(),
                nix_store: "nix-store".into(),
                settings,
                version: OnceLock::new(),
                watch: None,
                copy: None,
            }
        }
    }

    #[test]
    fn versions_of_every_flavour() {
        let read = |text: &str| Version::read(text).map(|v| v.to_string());
        assert_eq!(read("nix (Nix) 2.8.0\n").as_deref(), Some("2.8.0"));
        assert_eq!(read("nix (Lix, like Nix) 2.91.1").as_deref(), Some("2.91.1"));
        assert_eq!(read("nix (Nix) 2.26.3pre20250301_abc").as_deref(), Some("2.26.3pre20250301_abc"));
        assert_eq!(read("hello"), None);
        assert!(Version::read("nix (Nix) 2.7.0").unwrap() < Version::MINIMUM);
        assert!(Version::read("nix (Nix) 2.10.3").unwrap() > Version::MINIMUM);
        assert!(Version::read("nix (Nix) 2.8.0").unwrap() >= Version::MINIMUM);
    }

    #[test]
    fn a_missing_nix_is_named() {
        let settings = Settings { programs: Some("/no/such/place".into()), ..Settings::default() };
        assert!(matches!(Nix::discover(settings), Err(Error::NoNix { program }) if program == "/no/such/place/nix"));
    }

    #[test]
    fn options_are_given_explicitly() {
        let nix = Nix::for_argument_tests(Settings {
            options: vec![("max-jobs".into(), "0".into())],
            store: Some("/tmp/a b".into()),
            search_path: vec!["nixpkgs=/n".into()],
            extra_args: vec!["--impure".into()],
            ..Settings::default()
        });
        let args = nix.evaluating(Exec::new("nix")).args;
        assert_eq!(
            args,
            [
                "--extra-experimental-features",
                "nix-command flakes",
                "--option",
                "max-jobs",
                "0",
                "--store",
                "/tmp/a b",
                "--impure",
                "-I",
                "nixpkgs=/n"
            ]
        );
        assert_eq!(nix.physical("/nix/store/x").unwrap(), PathBuf::from("/tmp/a b/nix/store/x"));
    }
}
