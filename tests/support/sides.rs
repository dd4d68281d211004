//! A workspace that was one thing and is another, two package sets for it, and what Nix's own tools say of both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use overlayctl::base::process::find_program;
use serde_json::Value;

use super::nixpkgs::skipped;

/// The files of one side, by their paths below the workspace.
pub type Files = BTreeMap<String, String>;

/// A place with `nixpkgs`, `nixpkgs-next` and the workspace `board`.
pub struct Sides {
    dir: tempfile::TempDir,
}

/// Runs one of Nix's programs, or git, and returns what it prints.
pub fn nix(program: &str, dir: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(dir).env("NIX_CONFIG", super::nix_config()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", super::said(&output));
    String::from_utf8(output.stdout).unwrap()
}

impl Sides {
    /// Makes one; `None`, and says so, where there is no Nix.
    pub fn new() -> Option<Sides> {
        if find_program("nix-store").is_none() {
            skipped("Nix is not installed");
            return None;
        }
        let sides = Sides { dir: tempfile::tempdir().unwrap() };
        let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs");
        super::copy(&set, &sides.at("nixpkgs"));
        super::copy(&set, &sides.at("nixpkgs-next"));
        // The next one has another tool, which builds curl.
        let packages = fs::read_to_string(set.join("packages.nix")).unwrap();
        let next = packages.replace("pname = \"tool\"; version = \"1\"", "pname = \"tool\"; version = \"2\"");
        assert_ne!(packages, next);
        fs::write(sides.at("nixpkgs-next/packages.nix"), next).unwrap();
        Some(sides)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a folder hold these files and no others.
    pub fn write(&self, dir: &str, files: &Files) {
        let dir = self.at(dir);
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten().filter(|entry| entry.file_name() != ".git") {
            match entry.path().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
        for (name, text) in files {
            let file = dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    /// Makes the workspace one that was committed as one side and is the other one now.
    pub fn change(&self, [before, after]: [&Files; 2]) {
        let _ = fs::remove_dir_all(self.at("board"));
        fs::create_dir(self.at("board")).unwrap();
        self.write("board", before);
        super::commit(&self.at("board"));
        self.write("board", after);
    }

    /// Returns the outputs of all that the derivations of a side need, by derivation, with whether they are fixed; as Nix tells.
    pub fn closure(&self, files: &Files, oracle: &str) -> BTreeMap<String, (bool, BTreeSet<String>)> {
        self.write("oracle", files);
        let dir = self.at("oracle");
        let drvs = nix("nix-instantiate", &dir, &["-E", oracle]);
        let drvs: Vec<&str> = drvs.split_whitespace().map(|drv| drv.split('!').next().unwrap()).collect();
        if drvs.is_empty() {
            return BTreeMap::new();
        }
        let closure = nix("nix-store", &dir, &[&["-qR"][..], &drvs].concat());
        let all: Vec<&str> = closure.lines().filter(|path| path.ends_with(".drv")).collect();
        let shown: Value = serde_json::from_str(&nix("nix", &dir, &[&["show-derivation"][..], &all].concat())).unwrap();
        let outputs = |derivation: &Value| {
            let outputs: Vec<&Value> = derivation["outputs"].as_object().unwrap().values().collect();
            let paths = outputs.iter().map(|output| output["path"].as_str().unwrap().to_owned()).collect();
            (outputs.iter().any(|output| output["hash"].is_string()), paths)
        };
        shown.as_object().unwrap().iter().map(|(drv, shown)| (drv.clone(), outputs(shown))).collect()
    }

    /// Returns what is rebuilt between two sides, each with its derivations in Nix's words, as Nix's own closures say.
    pub fn rebuilt(&self, sides: [(&Files, &str); 2]) -> BTreeMap<String, BTreeSet<String>> {
        let [before, after] = sides.map(|(files, oracle)| self.closure(files, oracle));
        let known: BTreeSet<&String> = before.values().flat_map(|(_, paths)| paths).collect();
        let is_new = |paths: &BTreeSet<String>| paths.iter().any(|path| !known.contains(path));
        let new = after.into_iter().filter(|(_, (is_fixed, paths))| !is_fixed && is_new(paths));
        new.map(|(drv, (_, paths))| (drv, paths)).collect()
    }
}
