//! What the platforms of an attribute path mean for its package, as pieces of text for a command to lay out.

use serde::Serialize;

use super::{Position, Stage};
use crate::cross::platform::Platform;

/// Whether the target platform means anything to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A compiler, assembler, linker or debugger: it works on programs for its target platform.
    Toolchain,
    /// Anything else: the target platform does not matter.
    Program,
}

/// How build, host and target relate, the names of cross-compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Built here, runs here, and compiles for here.
    Native,
    /// Built here, runs here, compiles for there: a cross compiler, or a build tool of a cross set.
    CrossTool,
    /// Built here, runs there, and a compiler compiles for there.
    CrossBuilt,
}

/// What a path is, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Whether the target platform matters.
    pub role: Role,
    pub relation: Relation,
    /// "built here (x86_64-linux)".
    pub built: String,
    /// "runs there (aarch64-linux, musl)".
    pub runs: String,
    /// "compiles for there (aarch64-linux, musl)"; `None` for what is no toolchain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiles: Option<String>,
    pub sentence: String,
    /// What one should know: that it does not run here, where the wanted one is, the prefix of its programs.
    pub remarks: Vec<String>,
}

/// Tools that work on programs for their target platform. Versions, as in `gcc13` and `clang_17`, are taken off.
const TOOLCHAIN: &[&str] = &[
    "as",
    "bintools",
    "binutils",
    "cc",
    "clang",
    "cling",
    "dmd",
    "flang",
    "gcc",
    "gcc-unwrapped",
    "gccgo",
    "gdb",
    "gfortran",
    "ghc",
    "gnat",
    "go",
    "ldc",
    "libgccjit",
    "lld",
    "lldb",
    "llvm",
    "musl-gcc",
    "ocaml",
    "patchelf-unwrapped",
    "rustc",
    "rustc-unwrapped",
    "swift",
    "tinycc",
    "vala",
    "wabt",
    "zig",
];

impl Role {
    /// Returns the role of a package by its name: the last part of `llvmPackages_17.clang`.
    pub fn of(package: &[String]) -> Role {
        let Some(name) = package.last() else { return Role::Program };
        let name = name.strip_suffix("-unwrapped").unwrap_or(name);
        let name = name.strip_suffix("_latest").unwrap_or(name);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        if TOOLCHAIN.contains(&name) { Role::Toolchain } else { Role::Program }
    }
}

/// Says what a stage means for its package.
pub fn account(stage: &Stage) -> Account {
    let role = Role::of(&stage.package);
    let (build, host, target) = (&stage.build, &stage.host, &stage.target);
    let relation = match stage.position {
        Position::Native => Relation::Native,
        Position::BuildTools => Relation::CrossTool,
        Position::Cross | Position::After => Relation::CrossBuilt,
    };
    let cross = relation != Relation::Native;
    let at = |platform: &Platform| {
        let place = if !cross || platform == build { "here" } else { "there" };
        format!("{place} ({})", name(platform, build))
    };
    let compiles = (role == Role::Toolchain).then(|| format!("compiles for {}", at(target)));
    Account {
        role,
        relation,
        built: format!("built {}", at(build)),
        runs: format!("runs {}", at(host)),
        sentence: sentence(stage, role),
        remarks: remarks(stage, role, relation),
        compiles,
    }
}

/// The system, with the C library where two platforms share the system, and `static`.
fn name(platform: &Platform, build: &Platform) -> String {
    let system = platform.system();
    let libc = platform.libc.as_deref().filter(|libc| !(*libc == "glibc" && build.libc.as_deref() == Some("glibc")));
    let parts = [Some(system.as_str()), libc, platform.is_static.then_some("static")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn sentence(stage: &Stage, role: Role) -> String {
    let (build, host, target) = (&stage.build, &stage.host, &stage.target);
    let package = match stage.package.is_empty() {
        true => "the package set".to_string(),
        false => stage.package.join("."),
    };
    let made = if host == build { String::new() } else { format!(", built on {}", name(build, build)) };
    match role {
        Role::Toolchain => {
            format!("{package} that runs on {} and compiles for {}{made}", name(host, build), name(target, build))
        }
        Role::Program => format!("{package} that runs on {}{made}", name(host, build)),
    }
}

fn remarks(stage: &Stage, role: Role, relation: Relation) -> Vec<String> {
    let (build, host, target) = (&stage.build, &stage.host, &stage.target);
    let with = |set: &str| {
        let parts = stage.sets.iter().map(String::as_str).chain([set]);
        parts.chain(stage.package.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
    };
    let mut remarks = Vec::new();
    match (relation, role) {
        (Relation::CrossBuilt, Role::Toolchain) => {
            if !build.can_execute(host) {
                remarks.push(format!(
                    "it does not run on this machine; the cross compiler that does is `{}`",
                    with("buildPackages")
                ));
            }
        }
        (Relation::CrossBuilt, Role::Program) => {
            if !build.can_execute(host) {
                remarks.push("it does not run on this machine; an emulator or the device runs it".to_string());
            }
        }
        (Relation::CrossTool, Role::Toolchain) => {
            remarks.push(format!("its programs are called {}-...", target.triple()));
        }
        (Relation::CrossTool, Role::Program) => {
            remarks.push(format!(
                "a build tool: it runs here, and the {} program is the path without `buildPackages`",
                target.system()
            ));
        }
        (Relation::Native, _) => {}
    }
    if relation != Relation::Native && host.is_static && host != build {
        remarks.push("linked statically: the one file is all that the device needs".to_string());
    }
    if !target.has_os() && relation != Relation::Native {
        remarks.push(format!("{} has no operating system: only freestanding code compiles for it", target.system()));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::attr::stage;

    fn told(path: &str) -> Account {
        let parts: Vec<String> = path.split('.').map(str::to_string).collect();
        account(&stage(&parts, &Platform::parse("x86_64-linux").unwrap(), None).unwrap())
    }

    #[test]
    fn a_compiler_and_a_cross_compiler_are_told_apart() {
        let gcc = told("pkgsCross.aarch64-multiplatform.gcc");
        assert_eq!(gcc.relation, Relation::CrossBuilt);
        assert_eq!(
            (gcc.built.as_str(), gcc.runs.as_str(), gcc.compiles.as_deref()),
            ("built here (x86_64-linux)", "runs there (aarch64-linux)", Some("compiles for there (aarch64-linux)"))
        );
        assert!(gcc.remarks[0].contains("`pkgsCross.aarch64-multiplatform.buildPackages.gcc`"), "{:?}", gcc.remarks);

        let cross = told("pkgsCross.aarch64-multiplatform.pkgsStatic.buildPackages.gcc");
        assert_eq!(cross.relation, Relation::CrossTool);
        assert_eq!(
            (cross.runs.as_str(), cross.compiles.as_deref()),
            ("runs here (x86_64-linux)", Some("compiles for there (aarch64-linux, musl, static)"))
        );
        assert!(cross.remarks.iter().any(|r| r.contains("aarch64-unknown-linux-musl-")), "{:?}", cross.remarks);

        let native = told("gcc13");
        assert_eq!((native.relation, native.role), (Relation::Native, Role::Toolchain));
        assert_eq!(native.compiles.as_deref(), Some("compiles for here (x86_64-linux)"));
        assert!(native.remarks.is_empty());
    }

    #[test]
    fn a_program_has_no_target() {
        let curl = told("pkgsCross.aarch64-multiplatform.pkgsStatic.curl");
        assert_eq!((curl.role, curl.compiles.as_deref()), (Role::Program, None));
        assert_eq!(curl.sentence, "curl that runs on aarch64-linux, musl, static, built on x86_64-linux");
        assert!(curl.remarks.iter().any(|r| r.starts_with("linked statically")));
        assert_eq!(told("curl").sentence, "curl that runs on x86_64-linux");
        let tool = told("pkgsCross.riscv64.buildPackages.curl");
        assert!(tool.remarks[0].starts_with("a build tool"), "{:?}", tool.remarks);
        assert!(told("pkgsCross.avr.buildPackages.gcc").remarks.iter().any(|r| r.contains("no operating system")));
    }

    #[test]
    fn compilers_are_known_by_name() {
        let role = |path: &str| Role::of(&path.split('.').map(str::to_string).collect::<Vec<_>>());
        for name in [
            "gcc",
            "gcc13",
            "gcc_latest",
            "clang_17",
            "llvmPackages_17.clang",
            "stdenv.cc",
            "binutils-unwrapped",
            "rustc",
        ] {
            assert_eq!(role(name), Role::Toolchain, "{name}");
        }
        for name in ["curl", "gccStdenv", "goaccess", "python3", "zlib", ""] {
            assert_eq!(role(name), Role::Program, "{name}");
        }
    }
}
