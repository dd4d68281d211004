//! A shape brought to life: its workspace in a temporary folder, the stand-ins beside it, a repository and a lock for a flake.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support;

/// The files of a workspace: the target of a link, or the bytes.
pub type Files = BTreeMap<PathBuf, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Bytes(Vec<u8>),
    Link(PathBuf),
}

impl Entry {
    pub fn text(&self) -> String {
        match self {
            Entry::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Entry::Link(_) => String::new(),
        }
    }
}

/// A patch of one line of the source that every package of the stand-in has.
pub fn patch(subject: &str, line: u32) -> String {
    let context = |lines: std::ops::Range<u32>| lines.map(|n| format!(" line {n}\n")).collect::<String>();
    format!(
        "Subject: {subject}\n\n--- a/main.c\n+++ b/main.c\n@@ -{0},7 +{0},7 @@\n{1}-line {line}\n+line {line} {subject}\n{2}",
        line - 3,
        context(line - 3..line),
        context(line + 1..line + 4)
    )
}

/// The subject and the line of the patch that `patch` is given; `nixpkgs-next` has it already.
pub const NEW: (&str, u32) = ("brand new", 20);

pub struct Scene {
    dir: tempfile::TempDir,
    is_flake: bool,
}

impl Scene {
    pub fn new(shape: &Path) -> Scene {
        let scene = Scene { dir: tempfile::tempdir().unwrap(), is_flake: shape.join("in/flake.nix").is_file() };
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
        let root = scene.dir.path().canonicalize().unwrap();
        for stand_in in ["nixpkgs", "home-manager", "flake-parts"] {
            copy(&all.join(stand_in), &root.join(stand_in), &root);
        }
        copy(&all.join("nixpkgs"), &root.join("nixpkgs-next"), &root);
        let source = root.join("nixpkgs-next/pkgs/source/main.c");
        let text = fs::read_to_string(&source).unwrap();
        fs::write(&source, text.replace("line 20\n", "line 20 brand new\n")).unwrap();
        fs::write(root.join("new.patch"), patch(NEW.0, NEW.1)).unwrap();
        fs::create_dir(root.join("incoming")).unwrap();
        for (i, line) in [(1, 32), (2, 36)] {
            fs::write(root.join(format!("incoming/000{i}-incoming-{i}.patch")), patch(&format!("incoming {i}"), line))
                .unwrap();
        }
        copy(&shape.join("in"), &scene.ws(), &root);
        if scene.is_flake {
            let repository = git2::Repository::init(scene.ws()).unwrap();
            scene.commit(&repository);
            let mut lock = Command::new("nix");
            scene.environment(&mut lock);
            let output = lock.args(["flake", "lock"]).current_dir(scene.ws()).output().unwrap();
            assert!(output.status.success(), "{}: {}", shape.display(), support::said(&output));
            scene.commit(&repository);
        }
        scene
    }

    fn commit(&self, repository: &git2::Repository) {
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::now("A", "a@example.org").unwrap();
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        repository.commit(Some("HEAD"), &who, &who, "m", &tree, &parent.iter().collect::<Vec<_>>()).unwrap();
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn ws(&self) -> PathBuf {
        self.beside("ws")
    }

    /// Sets what Nix and overlayctl find around them: nothing of who runs the tests.
    pub fn environment(&self, command: &mut Command) {
        command
            .env("NIX_CONFIG", support::nix_config())
            .env("NIX_PATH", format!("nixpkgs={}", self.beside("nixpkgs").display()))
            .env("HOME", self.beside("home"))
            .env("XDG_CACHE_HOME", self.beside("cache"))
            .env("XDG_STATE_HOME", self.beside("state"));
    }

    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Output {
        let mut command = support::overlayctl(&self.ws());
        self.environment(&mut command);
        command.args(args).output().unwrap()
    }

    pub fn files(&self) -> Files {
        let mut files = Files::new();
        gather(&self.ws(), Path::new(""), &mut files);
        files
    }

    /// Puts the files back as they were, and takes away worktrees.
    pub fn restore(&self, files: &Files) {
        let _ = fs::remove_dir_all(self.ws().join(".overlayctl"));
        let now = self.files();
        for path in now.keys().filter(|path| files.get(*path) != now.get(*path)) {
            fs::remove_file(self.ws().join(path)).unwrap();
        }
        for (path, entry) in files.iter().filter(|(path, entry)| now.get(*path) != Some(entry)) {
            let to = self.ws().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            match entry {
                Entry::Bytes(bytes) => fs::write(to, bytes).unwrap(),
                Entry::Link(target) => std::os::unix::fs::symlink(target, to).unwrap(),
            }
        }
    }

    /// Returns the real path of a file of the workspace as it is written relative to it.
    pub fn real(&self, path: &str) -> PathBuf {
        let path = self.ws().join(path);
        path.canonicalize().unwrap_or(path)
    }
}

fn gather(dir: &Path, below: &Path, files: &mut Files) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.unwrap();
        let (path, at) = (entry.path(), below.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            files.insert(at, Entry::Link(fs::read_link(path).unwrap()));
        } else if kind.is_dir() {
            if entry.file_name() != ".git" && entry.file_name() != ".overlayctl" {
                gather(&path, &at, files);
            }
        } else {
            files.insert(at, Entry::Bytes(fs::read(path).unwrap()));
        }
    }
}

/// Copies a folder, links as links; `@beside@` becomes the folder that workspace and stand-ins are in.
fn copy(from: &Path, to: &Path, root: &Path) {
    let mut files = Files::new();
    gather(from, Path::new(""), &mut files);
    for (path, entry) in files {
        let target = to.join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match entry {
            Entry::Link(link) => std::os::unix::fs::symlink(link, target).unwrap(),
            Entry::Bytes(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => fs::write(target, text.replace("@beside@", &root.display().to_string())).unwrap(),
                Err(_) => fs::write(target, bytes).unwrap(),
            },
        }
    }
}
