//! What Nix is asked about targets and packages while a workspace is verified.

use std::collections::BTreeMap;

use crate::comparison::sites::Site;
use crate::nix::{EvalServer, Nix, PackageFacts, PackageSet, Patches, Root, attr_path_text, quoted};
use crate::overlay::AttrPath;
use crate::verify::Error;

/// The most attributes of similar names that are compared.
const ALIASES: usize = 40;

/// What a target is, as far as Nix knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetFacts {
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
    pub(crate) fn is_cross(&self) -> bool {
        self.build != self.host
    }
}

/// One site, and the evaluator that answers questions about its targets and packages.
pub(crate) struct Asked<'n> {
    nix: &'n Nix,
    site: &'n Site,
    server: Option<EvalServer>,
    facts: BTreeMap<(bool, Vec<String>), PackageFacts>,
    /// The package sets that targets of the workspace's own code are built from, as far as they were looked for.
    sets: BTreeMap<AttrPath, Option<Vec<String>>>,
}

impl<'n> Asked<'n> {
    pub(crate) fn new(nix: &'n Nix, site: &'n Site) -> Asked<'n> {
        Asked { nix, site, server: None, facts: BTreeMap::new(), sets: BTreeMap::new() }
    }

    /// Returns the string that an expression over `root`, what the targets are attributes of, evaluates to; `None` when it does
    /// not.
    fn string(&mut self, expression: &str) -> Result<Option<String>, Error> {
        if self.server.is_none() {
            let mut server = self.nix.eval_server()?;
            server.bind("root", &self.site.patched.to_nix()?)?;
            self.server = Some(server);
        }
        let Some(server) = &mut self.server else { return Ok(None) };
        Ok(server.eval_string(expression)?.ok().filter(|text| !text.is_empty()))
    }

    /// Asks what a target is.
    ///
    /// # Errors
    /// Those of the evaluator; what a target does not say is `None`.
    pub(crate) fn target(&mut self, target: &AttrPath) -> Result<TargetFacts, Error> {
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
            let Some(set) = self.set(target)? else { return Ok(None) };
            let sets = [set.clone(), [set, vec!["buildPackages".to_string()]].concat()];
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
    pub(super) fn alias(
        &mut self,
        target: &AttrPath,
        attr: &AttrPath,
        drv_path: &str,
    ) -> Result<Option<String>, Error> {
        let stem = attr.last().trim_end_matches(|c: char| c.is_ascii_digit() || "_-.".contains(c));
        let parent = attr.parent().map(|parent| parent.names().to_vec()).unwrap_or_default();
        let Some(mut set) = self.set(target)? else { return Ok(None) };
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

    /// Returns the path of the package set that a target is built from; `None` where the workspace's own code does not say:
    /// looked for are the `pkgs` of a NixOS system, the set that the target is in, `legacyPackages` and `pkgs` beside it.
    pub(super) fn set(&mut self, target: &AttrPath) -> Result<Option<Vec<String>>, Error> {
        if self.site.set.is_some() {
            return Ok(Some(set_of(target)));
        }
        if let Some(known) = self.sets.get(target) {
            return Ok(known.clone());
        }
        let mut found = None;
        for set in sets_near(target) {
            let at = below("root", &set);
            let is_set = format!("if {at} ? callPackage && {at} ? stdenv then \"1\" else \"\"");
            if self.string(&is_set)?.is_some() {
                found = Some(set);
                break;
            }
        }
        self.sets.insert(target.clone(), found.clone());
        Ok(found)
    }

    /// Asks about a package of the set that a target is built from, with or without the overlays; `None` when that set is not known.
    pub(super) fn package(
        &mut self,
        target: &AttrPath,
        attr: &AttrPath,
        patched: bool,
    ) -> Result<Option<&PackageFacts>, Error> {
        let Some(set) = self.set(target)? else { return Ok(None) };
        let root = if patched { Some(&self.site.patched) } else { self.site.plain.as_ref() };
        let Some(root) = root else { return Ok(None) };
        ask(self.nix, &mut self.facts, root, patched, [set, attr.names().to_vec()].concat()).map(Some)
    }

    /// Asks about a package of the native set with the overlays; `None` in the workspace's own code, which has no such set.
    pub(super) fn native(&mut self, attr: &AttrPath) -> Result<Option<PackageFacts>, Error> {
        let Some(set) = &self.site.set else { return Ok(None) };
        let set = PackageSet { cross: None, is_static: false, ..set.clone() };
        Ok(Some(self.nix.package_facts(&Root::Packages(Box::new(set)), attr.names())?))
    }

    /// Returns the command that evaluates an attribute of the target's package set by hand.
    pub(super) fn by_hand(
        &mut self,
        patched: bool,
        target: &AttrPath,
        attr: &AttrPath,
        what: &str,
    ) -> Result<Option<String>, Error> {
        let Some(set) = self.set(target)? else { return Ok(None) };
        let root = if patched { Some(&self.site.patched) } else { self.site.plain.as_ref() };
        // The unpatched side of the workspace's own code is a copy that is gone when the command is typed.
        let Some(root) = root.filter(|_| patched || self.site.set.is_some()) else { return Ok(None) };
        let Ok(root) = root.to_nix() else { return Ok(None) };
        let path = [set, attr.names().to_vec()].concat();
        let text = format!("with {{ root = {root}; }}; {}{what}", below("root", &path));
        // A flake that is not locked is no pure expression.
        let impure = if self.site.set.is_some() { "" } else { "--extra-experimental-features flakes " };
        Ok(Some(format!("nix-instantiate {impure}--eval --strict -E {}", shell_word(&text))))
    }
}

fn ask<'f>(
    nix: &Nix,
    known: &'f mut BTreeMap<(bool, Vec<String>), PackageFacts>,
    root: &Root,
    patched: bool,
    path: Vec<String>,
) -> Result<&'f PackageFacts, Error> {
    match known.entry((patched, path)) {
        std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
        std::collections::btree_map::Entry::Vacant(entry) => {
            let facts = nix.package_facts(root, &entry.key().1)?;
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

/// Returns the places where the package set of a target of the workspace's own code may be, the most telling one first.
fn sets_near(target: &AttrPath) -> Vec<Vec<String>> {
    let names = target.names();
    let at = |path: &[&str]| path.iter().map(|name| (*name).to_string()).collect::<Vec<String>>();
    match names {
        [outputs, name, ..] if outputs == "nixosConfigurations" => vec![at(&[outputs, name, "pkgs"])],
        [outputs, system, _, ..] if outputs == "packages" || outputs == "legacyPackages" => {
            vec![at(&["legacyPackages", system]), at(&["pkgs", system]), at(&["pkgs"])]
        }
        _ => {
            let parent = names.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default();
            vec![parent, at(&["pkgs"]), Vec::new()]
        }
    }
}

fn below(root: &str, path: &[String]) -> String {
    if path.is_empty() { root.to_string() } else { format!("{root}.{}", attr_path_text(path)) }
}

/// Returns a text as it is typed into a shell.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-./_=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
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
