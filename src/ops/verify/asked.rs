//! What Nix is asked about targets and packages while a workspace is verified.

use std::collections::BTreeMap;

use crate::nix::{EvalServer, Nix, PackageFacts, PackageSet, Patches, Root, attr_path_text, quoted};
use crate::ops::Error;
use crate::ops::targets::Group;
use crate::overlay::AttrPath;

/// The most attributes of similar names that are compared.
const ALIASES: usize = 40;

/// What a target is, as far as Nix knows.
#[derive(Debug, Clone, Default)]
pub(in crate::ops) struct TargetFacts {
    /// The triple of the platform that builds it.
    pub build: Option<String>,
    /// The triple of the platform that it runs on.
    pub host: Option<String>,
    /// The triple of the platform that it makes code for.
    pub target: Option<String>,
    /// `gcc.abi` of the platform that it runs on.
    pub gcc_abi: Option<String>,
    /// Whether its platform links statically.
    pub is_static: bool,
    /// `meta.mainProgram`.
    pub main_program: Option<String>,
    /// Its name without version.
    pub pname: Option<String>,
}

impl TargetFacts {
    /// Says whether it is built for another platform than the one that builds it.
    pub(in crate::ops) fn is_cross(&self) -> bool {
        self.build != self.host
    }
}

/// The package sets of one group of targets, and the evaluator that answers questions about them.
pub(in crate::ops) struct Asked<'n> {
    nix: &'n Nix,
    group: &'n Group,
    server: Option<EvalServer>,
    facts: BTreeMap<(bool, Vec<String>), PackageFacts>,
}

impl<'n> Asked<'n> {
    pub(in crate::ops) fn new(nix: &'n Nix, group: &'n Group) -> Asked<'n> {
        Asked { nix, group, server: None, facts: BTreeMap::new() }
    }

    /// Returns the string that an expression over `root`, the patched package set, evaluates to; `None` when it does not.
    fn string(&mut self, expression: &str) -> Result<Option<String>, Error> {
        if self.server.is_none() {
            let mut server = self.nix.eval_server()?;
            server.bind("root", &Root::Packages(Box::new(self.group.patched.clone())).to_nix()?)?;
            self.server = Some(server);
        }
        let Some(server) = &mut self.server else { return Ok(None) };
        Ok(server.eval_string(expression)?.ok().filter(|text| !text.is_empty()))
    }

    /// Asks what a target is.
    ///
    /// # Errors
    /// Those of the evaluator; what a target does not say is `None`.
    pub(in crate::ops) fn target(&mut self, target: &AttrPath) -> Result<TargetFacts, Error> {
        let d = below("root", target.names());
        Ok(TargetFacts {
            build: self.string(&format!("{d}.stdenv.buildPlatform.config"))?,
            host: self.string(&format!("{d}.stdenv.hostPlatform.config"))?,
            target: self.string(&format!("{d}.stdenv.targetPlatform.config"))?,
            gcc_abi: self.string(&format!("{d}.stdenv.hostPlatform.gcc.abi or \"\""))?,
            is_static: self
                .string(&format!("if {d}.stdenv.hostPlatform.isStatic or false then \"1\" else \"\""))?
                .is_some(),
            main_program: self.string(&format!("{d}.meta.mainProgram or \"\""))?,
            pname: self.string(&format!("{d}.pname or (builtins.parseDrvName {d}.name).name"))?,
        })
    }

    /// Returns those of `names`, attributes beside the target or of its build tools, that are the C library of its toolchain;
    /// `None` when that cannot be asked.
    pub(super) fn libc_owners(&mut self, target: &AttrPath, names: &[&str]) -> Result<Option<Vec<String>>, Error> {
        let libc = format!("{}.stdenv.cc.libc.outPath", below("root", target.names()));
        if self.string(&libc)?.is_none() {
            return Ok(None);
        }
        let mut owners = Vec::new();
        for name in names {
            let sets = [set_of(target), [set_of(target), vec!["buildPackages".to_string()]].concat()];
            for set in sets {
                let owner = below("root", &[set, vec![(*name).to_string()]].concat());
                let same = self.string(&format!("if {owner}.outPath == {libc} then \"1\" else \"\""))?;
                if same.is_some() {
                    owners.push((*name).to_string());
                    break;
                }
            }
        }
        Ok(Some(owners))
    }

    /// Looks for the attribute beside `attr`, with a name that begins alike, that a derivation is the value of, in the target's set and
    /// in those of its build tools: `python37` beside `python3`.
    ///
    /// # Errors
    /// Those of the evaluator.
    pub(super) fn alias(
        &mut self,
        target: &AttrPath,
        attr: &AttrPath,
        drv_path: &str,
    ) -> Result<Option<String>, Error> {
        let stem = attr.last().trim_end_matches(|c: char| c.is_ascii_digit() || "_-.".contains(c));
        let parent = attr.parent().map(|parent| parent.names().to_vec()).unwrap_or_default();
        let mut set = set_of(target);
        for _stage in 0..3 {
            let scope = below("root", &[set.clone(), parent.clone()].concat());
            let prefix = quoted(stem);
            let similar = format!(
                "builtins.concatStringsSep \" \" (builtins.filter (n: builtins.substring 0 {} n == {prefix}) \
                 (builtins.attrNames {scope}))",
                stem.len()
            );
            let names = self.string(&similar)?.unwrap_or_default();
            for name in names.split(' ').filter(|name| !name.is_empty() && *name != attr.last()).take(ALIASES) {
                let value = below(&scope, &[name.to_string()]);
                let same = format!("if {value}.drvPath or \"\" == {} then \"1\" else \"\"", quoted(drv_path));
                if self.string(&same)?.is_some() {
                    return Ok(Some(name.to_string()));
                }
            }
            set.push("buildPackages".to_string());
        }
        Ok(None)
    }

    /// Asks about a package of the set that a target is in, with or without the overlays.
    ///
    /// # Errors
    /// Those of the evaluator.
    pub(super) fn package(
        &mut self,
        target: &AttrPath,
        attr: &AttrPath,
        patched: bool,
    ) -> Result<&PackageFacts, Error> {
        let set = if patched { &self.group.patched } else { &self.group.plain };
        let path = [set_of(target), attr.names().to_vec()].concat();
        ask(self.nix, &mut self.facts, set, patched, path)
    }

    /// Asks about a package of the native set with the overlays.
    ///
    /// # Errors
    /// Those of the evaluator.
    pub(super) fn native(&mut self, attr: &AttrPath) -> Result<PackageFacts, Error> {
        let set = PackageSet { cross: None, is_static: false, ..self.group.patched.clone() };
        Ok(self.nix.package_facts(&Root::Packages(Box::new(set)), attr.names())?)
    }
}

fn ask<'f>(
    nix: &Nix,
    known: &'f mut BTreeMap<(bool, Vec<String>), PackageFacts>,
    set: &PackageSet,
    patched: bool,
    path: Vec<String>,
) -> Result<&'f PackageFacts, Error> {
    match known.entry((patched, path)) {
        std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
        std::collections::btree_map::Entry::Vacant(entry) => {
            let facts = nix.package_facts(&Root::Packages(Box::new(set.clone())), &entry.key().1)?;
            Ok(entry.insert(facts))
        }
    }
}

/// Returns the patches of a package as texts; none when it has no list of them.
pub(super) fn patches(facts: &PackageFacts) -> Vec<&str> {
    match &facts.patches {
        Patches::List(list) => list.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Returns the part of a target's path that names package sets: `pkgsCross.riscv64.pkgsStatic`.
pub(super) fn set_of(target: &AttrPath) -> Vec<String> {
    let mut set = Vec::new();
    let mut names = target.names().iter().peekable();
    while let Some(name) = names.next() {
        let is_set = matches!(name.as_str(), "buildPackages" | "targetPackages") || name.starts_with("pkgs");
        // The last name is the package, whatever it is called.
        if !is_set || names.peek().is_none() {
            break;
        }
        set.push(name.clone());
        if name == "pkgsCross" {
            set.extend(names.next().cloned());
        }
    }
    set
}

fn below(root: &str, path: &[String]) -> String {
    if path.is_empty() { root.to_string() } else { format!("{root}.{}", attr_path_text(path)) }
}

/// Returns a text as it is typed into a shell.
pub(in crate::ops) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-./_=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns the command that evaluates an attribute of a package set by hand.
pub(super) fn by_hand(set: &PackageSet, target: &AttrPath, attr: &AttrPath, what: &str) -> Option<String> {
    let path = [set_of(target), attr.names().to_vec()].concat();
    let text = format!("with {{ root = {}; }}; {}{what}", set.to_nix().ok()?, below("root", &path));
    Some(format!("nix-instantiate --eval --strict -E {}", shell_word(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_a_target_is_told_from_its_package() {
        let set = |path: &str| set_of(&AttrPath::parse(path).unwrap()).join(".");
        assert_eq!(set("pkgsCross.riscv64.pkgsStatic.curl"), "pkgsCross.riscv64.pkgsStatic");
        assert_eq!(set("pkgsCross.riscv64.buildPackages.gcc"), "pkgsCross.riscv64.buildPackages");
        assert_eq!(set("python3Packages.requests"), "");
        assert_eq!(set("curl"), "");
        assert_eq!(set("pkgsStatic.python3Packages.x"), "pkgsStatic");
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_word("/nix/store/a-b.drv"), "/nix/store/a-b.drv");
        assert_eq!(shell_word("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }
}
