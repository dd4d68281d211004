//! Build, host and target platform of an attribute path, by the rules of nixpkgs.
//!
//! nixpkgs makes a cross package set as a list of stages (`pkgs/stdenv/cross`, `pkgs/stdenv/booter.nix`):
//! native packages (build, host and target are the local platform), build tools (target is the cross platform), the
//! packages themselves (host and target are the cross platform). `buildPackages` and its relatives step between
//! them; `pkgsCross.X`, `pkgsStatic`, `pkgsMusl` and others (`pkgs/top-level/stage.nix`) start a new set.
//! These are rules, not an evaluation: a nixpkgs may differ, and the caller says that it was the rules. Must not ask
//! Nix.

use serde::Serialize;

use super::catalogue;
use super::error::Error;
use super::platform::{Cpu, Platform};

mod account;

pub use account::{Account, Relation, Role, account};

/// A package set: the local platform, the cross platform where there is one, and the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    local: Platform,
    cross: Option<Platform>,
    position: Position,
}

/// Where in the list of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Packages that are built here, run here and compile for here.
    Native,
    /// Packages that run here and compile for the cross platform.
    BuildTools,
    /// Packages that run on the cross platform.
    Cross,
    /// What comes after: nothing but `stdenv.cc`, for compilers that are cross compiled themselves.
    After,
}

/// The platforms of an attribute path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Where it is built.
    pub build: Platform,
    /// Where it runs.
    pub host: Platform,
    /// What a compiler in it compiles for.
    pub target: Platform,
    /// The stage of its package set.
    pub position: Position,
    /// The parts of the path that name package sets.
    pub sets: Vec<String>,
    /// The rest: the package, and what is below it.
    pub package: Vec<String>,
}

/// Returns the platforms of `path`, an attribute path in parts, in a nixpkgs imported for `local` and, where the
/// import has a `crossSystem`, for `cross`.
///
/// `legacyPackages.SYSTEM` in front, as flakes have it, chooses the local platform.
///
/// # Errors
/// [`Error::UnknownName`] for a name below `pkgsCross` that the built-in table lacks: give its platform through
/// [`stage_with`]. [`Error::Stage`] for a set that nixpkgs refuses to make.
pub fn stage(path: &[String], local: &Platform, cross: Option<&Platform>) -> Result<Stage, Error> {
    stage_with(path, local, cross, &|name| catalogue::entry(name).map(|e| e.platform.clone()))
}

/// As [`stage`], with `pkgs_cross` saying what is below `pkgsCross`: boards, or a nixpkgs' own list.
pub fn stage_with(
    path: &[String],
    local: &Platform,
    cross: Option<&Platform>,
    pkgs_cross: &dyn Fn(&str) -> Result<Platform, Error>,
) -> Result<Stage, Error> {
    let mut set = Set::new(local.clone(), cross.cloned());
    let mut parts = path.iter().map(String::as_str).peekable();
    let mut sets = Vec::new();
    let refused = |what: String| Error::Stage { path: path.join("."), what };
    if let Some(first @ ("legacyPackages" | "packages")) = parts.peek().copied() {
        parts.next();
        let system = parts.next().ok_or_else(|| refused(format!("a system must follow `{first}`")))?;
        set = Set::new(Platform::parse(system)?, cross.cloned());
        sets.extend([first.to_string(), system.to_string()]);
    }
    while let Some(part) = parts.peek().copied() {
        if set.position == Position::After && part != "stdenv" {
            return Err(refused(format!("after `{}` there is only `stdenv.cc`", sets.join("."))));
        }
        if part == "pkgsCross" {
            parts.next();
            sets.push(part.to_string());
            let Some(name) = parts.next() else { break };
            set = Set::new(set.local, Some(pkgs_cross(name)?));
            sets.push(name.to_string());
            continue;
        }
        match set.step(part) {
            Some(next) => set = next.map_err(refused)?,
            None => break,
        }
        sets.push(part.to_string());
        parts.next();
    }
    let (build, host, target) = set.platforms();
    let package = parts.map(str::to_string).collect();
    Ok(Stage { build, host, target, position: set.position, sets, package })
}

impl Set {
    /// The last stage of a set; without a cross platform, or with one that is the local one, the native stage.
    fn new(local: Platform, cross: Option<Platform>) -> Set {
        match cross.filter(|cross| *cross != local) {
            Some(cross) => Set { local, cross: Some(cross), position: Position::Cross },
            None => Set { local, cross: None, position: Position::Native },
        }
    }

    fn at(&self, position: Position) -> Set {
        Set { position, ..self.clone() }
    }

    fn platforms(&self) -> (Platform, Platform, Platform) {
        let local = self.local.clone();
        let cross = self.cross.clone().unwrap_or_else(|| local.clone());
        match self.position {
            Position::Native => (local.clone(), local.clone(), local),
            Position::BuildTools => (local.clone(), local, cross),
            Position::Cross | Position::After => (local, cross.clone(), cross),
        }
    }

    fn host(&self) -> &Platform {
        match (&self.cross, self.position) {
            (Some(cross), Position::Cross | Position::After) => cross,
            _ => &self.local,
        }
    }

    /// Whether host and build platform are the same, by which some sets replace one or the other.
    fn runs_where_it_is_built(&self) -> bool {
        *self.host() == self.local
    }

    /// Returns the set that `part` names in this one; `None` when it is no package set.
    fn step(&self, part: &str) -> Option<Result<Set, String>> {
        use Position::{After, BuildTools, Cross, Native};
        let to = |position| Some(Ok(self.at(position)));
        match (part, self.position) {
            ("pkgs" | "pkgsHostTarget" | "pkgsExtraHardening", _) => to(self.position),
            // The native stages know no neighbours but themselves.
            (
                "buildPackages" | "targetPackages" | "pkgsBuildBuild" | "pkgsBuildHost" | "pkgsBuildTarget"
                | "pkgsHostHost" | "pkgsTargetTarget",
                Native,
            ) => to(Native),
            ("buildPackages" | "pkgsBuildHost" | "pkgsBuildBuild" | "pkgsHostHost", BuildTools) => to(Native),
            ("pkgsBuildTarget", BuildTools) => to(BuildTools),
            ("targetPackages" | "pkgsTargetTarget", BuildTools) => to(Cross),
            ("buildPackages" | "pkgsBuildHost" | "pkgsBuildTarget", Cross) => to(BuildTools),
            ("pkgsBuildBuild", Cross) => to(Native),
            ("pkgsHostHost", Cross) => to(Cross),
            ("targetPackages" | "pkgsTargetTarget", Cross) => to(After),
            ("pkgsStatic", _) => Some(Ok(self.statically())),
            ("pkgsMusl", _) => Some(self.with_musl()),
            ("pkgsi686Linux", _) => Some(self.i686()),
            ("pkgsLinux", _) if self.host().kernel == "linux" => to(self.position),
            ("pkgsLinux", _) => {
                let linux = Platform::parse(&format!("{}-linux", self.host().cpu.name));
                Some(linux.map(|local| Set::new(local, self.cross.clone())).map_err(|e| e.to_string()))
            }
            // The same platform with another toolchain, which makes it a cross platform.
            ("pkgsLLVM" | "pkgsLLVMLibc" | "pkgsArocc" | "pkgsZig", _) => {
                Some(Ok(Set { local: self.local.clone(), cross: Some(self.host().clone()), position: Cross }))
            }
            ("pkgsx86_64Darwin", _) => Some(self.x86_64_darwin()),
            _ => None,
        }
    }

    /// `pkgsStatic`: the host platform with musl (on Linux) and `isStatic`, always as a cross platform.
    fn statically(&self) -> Set {
        let host = self.host();
        let mut cross = if host.kernel == "linux" { host.with_musl() } else { host.clone() };
        cross.is_static = true;
        Set { local: self.local.clone(), cross: Some(cross), position: Position::Cross }
    }

    /// Replaces the local platform where host and build platform are the same, as nixpkgs does, else the cross one.
    fn replaced(&self, platform: Platform) -> Set {
        if self.runs_where_it_is_built() {
            Set::new(platform, self.cross.clone())
        } else {
            Set::new(self.local.clone(), Some(platform))
        }
    }

    fn with_musl(&self) -> Result<Set, String> {
        if self.host().kernel != "linux" || self.local.cpu.bits != 64 {
            return Err("pkgsMusl is there for 64-bit Linux only".to_string());
        }
        Ok(self.replaced(self.host().with_musl()))
    }

    fn i686(&self) -> Result<Set, String> {
        let cpu = Cpu::named("i686").filter(|_| self.host().kernel == "linux" && self.host().cpu.family == "x86");
        let cpu = cpu.ok_or_else(|| "pkgsi686Linux is there on x86 Linux only".to_string())?;
        Ok(self.replaced(self.host().with_cpu(cpu)))
    }

    fn x86_64_darwin(&self) -> Result<Set, String> {
        let cpu = Cpu::named("x86_64").filter(|_| self.host().kernel == "darwin");
        let cpu = cpu.ok_or_else(|| "pkgsx86_64Darwin is there on Darwin only".to_string())?;
        Ok(Set::new(self.host().with_cpu(cpu), self.cross.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn linux() -> Platform {
        Platform::parse("x86_64-linux").unwrap()
    }

    fn at(path: &str) -> Result<Stage, Error> {
        let parts: Vec<String> = path.split('.').map(str::to_string).collect();
        stage(&parts, &linux(), None)
    }

    /// build, host, target as triples' processors and ABIs.
    fn platforms(path: &str) -> [String; 3] {
        let stage = at(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        [stage.build, stage.host, stage.target].map(|p| p.triple().replace("-unknown-linux", ""))
    }

    #[test]
    fn the_table_of_the_seed_article_comes_out() {
        let (x86, arm) = ("x86_64-gnu", "aarch64-gnu");
        for (path, expected) in [
            ("curl", [x86, x86, x86]),
            ("pkgsCross.aarch64-multiplatform.curl", [x86, arm, arm]),
            ("gcc", [x86, x86, x86]),
            ("pkgsCross.aarch64-multiplatform.gcc", [x86, arm, arm]),
            ("pkgsCross.aarch64-multiplatform.buildPackages.gcc", [x86, x86, arm]),
        ] {
            assert_eq!(platforms(path), expected, "{path}");
        }
    }

    #[test]
    fn sets_nest() {
        let (x86, arm, musl) = ("x86_64-gnu", "aarch64-gnu", "aarch64-musl");
        let board = "pkgsCross.aarch64-multiplatform";
        for (path, expected) in [
            ("pkgsStatic.curl", [x86, "x86_64-musl", "x86_64-musl"]),
            ("{}.pkgsStatic.curl", [x86, musl, musl]),
            ("{}.pkgsStatic.buildPackages.gcc", [x86, x86, musl]),
            ("{}.buildPackages.buildPackages.gcc", [x86, x86, x86]),
            ("{}.buildPackages.buildPackages.buildPackages.gcc", [x86, x86, x86]),
            ("{}.buildPackages.targetPackages.curl", [x86, arm, arm]),
            ("{}.pkgsBuildBuild.gcc", [x86, x86, x86]),
            ("{}.pkgsBuildTarget.gcc", [x86, x86, arm]),
            ("{}.pkgsHostHost.gcc", [x86, arm, arm]),
            ("{}.pkgsHostTarget.gcc", [x86, arm, arm]),
            ("{}.buildPackages.pkgsHostHost.gcc", [x86, x86, x86]),
            ("{}.pkgsMusl.curl", [x86, musl, musl]),
            ("{}.pkgsCross.riscv64.curl", [x86, "riscv64-gnu", "riscv64-gnu"]),
            ("pkgsMusl.curl", ["x86_64-musl", "x86_64-musl", "x86_64-musl"]),
            ("pkgsMusl.{}.curl", ["x86_64-musl", arm, arm]),
            ("pkgsi686Linux.curl", ["i686-gnu", "i686-gnu", "i686-gnu"]),
            ("buildPackages.targetPackages.curl", [x86, x86, x86]),
            ("pkgsCross.raspberryPi.pkgsStatic.curl", [x86, "armv6l-musleabihf", "armv6l-musleabihf"]),
            ("legacyPackages.aarch64-linux.pkgsCross.riscv64.buildPackages.gcc", [arm, arm, "riscv64-gnu"]),
            // The same platform as here: no cross set at all.
            ("pkgsCross.gnu64.buildPackages.gcc", [x86, x86, x86]),
        ] {
            let path = path.replace("{}", board);
            assert_eq!(platforms(&path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_set_is_the_package() {
        let stage = at("pkgsCross.riscv64.pkgsStatic.python3Packages.requests").unwrap();
        assert_eq!(stage.sets, ["pkgsCross", "riscv64", "pkgsStatic"]);
        assert_eq!(stage.package, ["python3Packages", "requests"]);
        assert!(stage.host.is_static);
        assert_eq!(at("pkgsCross").unwrap().package, Vec::<String>::new());
        assert_eq!(stage.host.libc.as_deref(), Some("musl"));
    }

    #[test]
    fn sets_that_nixpkgs_refuses_are_refused() {
        assert!(matches!(at("pkgsCross.riscv-64.curl"), Err(Error::UnknownName { .. })));
        for path in [
            "pkgsCross.aarch64-multiplatform.pkgsi686Linux.curl",
            "pkgsi686Linux.pkgsMusl.curl",
            "pkgsCross.mingwW64.pkgsMusl.curl",
            "pkgsCross.aarch64-multiplatform.targetPackages.curl",
            "pkgsx86_64Darwin.curl",
            "legacyPackages",
        ] {
            assert!(matches!(at(path), Err(Error::Stage { .. })), "{path}");
        }
        assert!(at("pkgsCross.aarch64-multiplatform.targetPackages.stdenv.cc").is_ok());
    }

    #[test]
    fn an_import_with_a_cross_system_counts_from_there() {
        let board = Platform::parse("armv7l-linux").unwrap();
        let parts = ["buildPackages".to_string(), "gcc".to_string()];
        let stage = stage(&parts, &linux(), Some(&board)).unwrap();
        assert_eq!((stage.host.system(), stage.target.system()), ("x86_64-linux".into(), "armv7l-linux".into()));
        assert_eq!(stage.position, Position::BuildTools);
    }

    proptest! {
        #[test]
        fn any_path_is_placed_or_refused(parts in prop::collection::vec(prop::sample::select(vec![
            "pkgsCross", "riscv64", "mingwW64", "aarch64-darwin", "pkgsStatic", "pkgsMusl", "pkgsi686Linux", "pkgsLLVM",
            "buildPackages", "targetPackages", "pkgsBuildBuild", "pkgsBuildTarget", "pkgsHostHost", "pkgsTargetTarget",
            "pkgsLinux", "pkgsx86_64Darwin", "legacyPackages", "x86_64-linux", "stdenv", "curl", "",
        ]), 0..9)) {
            let parts: Vec<String> = parts.into_iter().map(str::to_string).collect();
            if let Ok(stage) = stage(&parts, &linux(), None) {
                let whole: Vec<String> = stage.sets.iter().chain(&stage.package).cloned().collect();
                prop_assert_eq!(whole, parts);
                let told = account(&stage);
                prop_assert!(!told.sentence.is_empty());
                // A native stage is one on a single platform.
                prop_assert!(stage.position != Position::Native || (stage.build == stage.host && stage.host == stage.target));
            }
        }
    }
}
