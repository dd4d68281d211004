//! `toolchain`: the cross compiler of a platform, built, and how to use it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::build::{self, Built};
use super::{Error, Outcome};
use crate::base::diagnostic::Verdict;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::nix;
use crate::targets::Selection;

/// The variables of build systems, and the tools that they name.
const VARIABLES: &[(&str, &str)] = &[
    ("CC", "gcc"),
    ("CXX", "g++"),
    ("CPP", "cpp"),
    ("LD", "ld"),
    ("AR", "ar"),
    ("AS", "as"),
    ("NM", "nm"),
    ("RANLIB", "ranlib"),
    ("STRIP", "strip"),
    ("OBJCOPY", "objcopy"),
    ("OBJDUMP", "objdump"),
    ("READELF", "readelf"),
    ("GDB", "gdb"),
    ("RUSTC", "rustc"),
    ("PKG_CONFIG", "pkg-config"),
];

/// A toolchain that is built, or the build that failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Toolchain {
    pub target: String,
    pub path: PathBuf,
    /// What stands before the names of its programs, `aarch64-unknown-linux-gnu-`; empty when they have their plain names.
    pub prefix: String,
    pub programs: Vec<String>,
    /// The variables that a build system looks at.
    pub environment: Vec<(String, String)>,
    pub build: Built,
}

/// Gets `package` of the platform's build tools; builds it if `build` allows that.
pub fn toolchain(
    workspace: &Workspace,
    mut selection: Selection,
    package: &str,
    build: bool,
    progress: &mut dyn Progress,
) -> Result<Toolchain, Error> {
    selection.targets = vec![format!("buildPackages.{package}")];
    let name = selection.targets.join(" ");
    let options = build::Options { selection, no_builds: !build, ..build::Options::default() };
    let built = build::build(workspace, &options, progress)?;
    let target = built.targets.first().ok_or_else(|| nix::Error::no_answer("nix-instantiate", &name))?;
    let path = PathBuf::from(&target.out_path);
    let programs = programs(&path.join("bin"));
    let prefix = prefix(&programs, package);
    Ok(Toolchain {
        target: target.target.clone(),
        environment: environment(&path, &programs, &prefix),
        prefix,
        programs,
        path,
        build: built,
    })
}

fn programs(bin: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(bin).into_iter().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Finds the prefix: what stands before a known tool's name in a program's.
fn prefix(programs: &[String], package: &str) -> String {
    let tools = std::iter::once(package).chain(VARIABLES.iter().map(|(_, tool)| *tool));
    tools
        .filter_map(|tool| {
            programs.iter().filter_map(|program| program.strip_suffix(tool)).find(|p| p.is_empty() || p.ends_with('-'))
        })
        .next()
        .unwrap_or_default()
        .to_string()
}

fn environment(path: &Path, programs: &[String], prefix: &str) -> Vec<(String, String)> {
    let tools = VARIABLES.iter().filter_map(|(variable, tool)| {
        let program = format!("{prefix}{tool}");
        programs
            .contains(&program)
            .then(|| ((*variable).to_string(), path.join("bin").join(program).display().to_string()))
    });
    let cross = (!prefix.is_empty()).then(|| ("CROSS_COMPILE".to_string(), prefix.to_string()));
    tools.chain(cross).collect()
}

impl Outcome for Toolchain {
    const SCHEMA: &'static str = "overlayctl.toolchain/1";

    fn verdict(&self) -> Option<Verdict> {
        self.build.verdict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_found_in_the_programs() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_string()).collect::<Vec<_>>();
        let cross = names(&[
            "aarch64-unknown-linux-gnu-ar",
            "aarch64-unknown-linux-gnu-gcc",
            "aarch64-unknown-linux-gnu-gcc-ar",
        ]);
        assert_eq!(prefix(&cross, "gcc"), "aarch64-unknown-linux-gnu-");
        assert_eq!(prefix(&names(&["cc", "gcc"]), "gcc"), "");
        assert_eq!(prefix(&names(&["arm-none-eabi-gdb"]), "gdb"), "arm-none-eabi-");
        let variables = environment(Path::new("/nix/store/x"), &cross, "aarch64-unknown-linux-gnu-");
        assert_eq!(variables[0], ("CC".into(), "/nix/store/x/bin/aarch64-unknown-linux-gnu-gcc".into()));
        assert_eq!(variables.last().unwrap().0, "CROSS_COMPILE");
    }
}
