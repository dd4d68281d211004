//! Which way a patch reaches a package in the nixpkgs in use: found by trying it out in the evaluator, never by a version.
//!
//! A probe is an overlay that marks a set or a package (`overlayctlProbe`); where the mark comes through, the patch does.
//! Nothing is built. Must not decide what follows from the answers.

use serde::Serialize;

use super::error::Error;
use super::expression::{Root, attr_path_text, quoted};
use super::facts::PackageFacts;
use super::instantiate::{below_root, bind_root};
use super::program::Nix;
use super::server::EvalServer;

/// How a package of a set within the package set is overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetWay {
    /// Through `pythonPackagesExtensions`.
    PythonExtensions,
    /// Through `packageOverrides` of the interpreter.
    PythonPackageOverrides,
    /// `SET.overrideScope (final: prev: ...)`.
    OverrideScope,
    /// `SET.overrideScope' (final: prev: ...)`; `overrideScope` is not there or takes its arguments the other way round.
    OverrideScopePrime,
    /// `SET.extend (final: prev: ...)`.
    Extend,
    /// `SET.override (old: { overrides = ...; })`.
    Overrides,
    /// None of these: `SET // { ... }`.
    Merge,
}

/// The C library that a target is linked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetLibc {
    /// The target, as an attribute path.
    pub target: String,
    /// The attributes of the target's package set that are that library.
    pub owners: Vec<String>,
}

/// What was found out about a package that is to be patched.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// What is known of the attribute itself.
    pub facts: PackageFacts,
    /// How the set that holds it is overridden, when it is in one.
    pub way: Option<SetWay>,
    /// The attribute of the interpreter that the set's packages are for, where it is one of Python's.
    pub interpreter: Option<String>,
    /// The first segments of the path under which the package is there as well.
    pub aliases: Vec<String>,
    /// The first segment that an overlay has to bind so that the most of them change: an alias when the given one does not do.
    pub owner: Option<String>,
    /// The aliases that do not change with the owner, and that an overlay can bind beside it: each name changes once then.
    pub also: Vec<String>,
    /// The aliases that change neither way.
    pub apart: Vec<String>,
    /// Whether it has no source of its own, so that a patch there would be ignored.
    pub is_wrapper: bool,
    /// The attribute that has the source, when this one has none.
    pub unwrapped: Option<String>,
    /// Whether it is a kernel, which takes its patches as `kernelPatches`.
    pub is_kernel: bool,
    /// Whether `configure` is made anew when the package is built.
    pub autoreconf: Option<bool>,
    /// The attributes with dependencies that are fetched by a hash.
    pub vendored: Vec<String>,
    /// Whether patches reach its Cargo dependencies as `cargoPatches`, and how those are fetched.
    pub cargo: Option<Cargo>,
    /// The C libraries of the targets that were named.
    pub libcs: Vec<TargetLibc>,
}

/// How the dependencies of a package of `buildRustPackage` are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cargo {
    /// The attribute that holds their hash; `None` where there is none (`cargoLock`).
    pub hash: Option<String>,
}

/// The attributes that may be a C library.
const LIBCS: [&str; 9] =
    ["musl", "muslCross", "glibc", "glibcCross", "newlib", "newlibCross", "uclibc", "uclibcCross", "libcCross"];
/// Attributes that hold what a package vendors.
const VENDORED: [&str; 8] =
    ["cargoDeps", "goModules", "go-modules", "npmDeps", "yarnOfflineCache", "offlineCache", "pnpmDeps", "modSha256"];
/// The most aliases that are looked at.
const MAX_ALIASES: usize = 40;

impl Nix {
    /// Finds out how a patch reaches the package at `path` of a package set. `targets` are what the user ships, by path
    /// in the same set: their C libraries are asked for where the package is one.
    ///
    /// # Errors
    /// As [`Nix::package_facts`].
    pub fn survey(&self, root: &Root, path: &[String], targets: &[Vec<String>]) -> Result<Survey, Error> {
        let mut server = self.eval_server()?;
        let facts = self.package_facts_in(&mut server, root, path)?;
        let mut survey = Survey {
            way: None,
            interpreter: None,
            aliases: Vec::new(),
            owner: None,
            also: Vec::new(),
            apart: Vec::new(),
            is_wrapper: false,
            unwrapped: None,
            is_kernel: false,
            autoreconf: None,
            vendored: Vec::new(),
            cargo: None,
            libcs: Vec::new(),
            facts,
        };
        if !survey.facts.exists || survey.facts.failure.is_some() || !survey.facts.is_derivation {
            return Ok(survey);
        }
        let mut asking = Asking { server: &mut server };
        if survey.facts.has_src == Some(false) {
            // One that unpacks something in its own way and wraps nothing has a source that is called otherwise.
            let unpacks = "d ? unpackPhase && !(d.dontUnpack or false) && !(d ? cc || d ? bintools || d ? unwrapped)";
            survey.is_wrapper = !asking.holds(unpacks)?;
        }
        if survey.is_wrapper {
            survey.unwrapped = asking.unwrapped(path)?;
            return Ok(survey);
        }
        survey.is_kernel = asking.holds("d ? modDirVersion && d ? override")?;
        survey.autoreconf = asking
            .truth(
                "builtins.any (i: (i.drvPath or \"\") == root.autoreconfHook.drvPath) (d.nativeBuildInputs or [ ]) || \
                 builtins.any (p: builtins.isString p && builtins.match \".*autoreconf.*\" p != null) [ (d.preConfigure or null) \
                 (d.postPatch or null) (d.preConfigurePhases or null) (d.preAutoreconf or null) ]",
            )?;
        let has = VENDORED.map(|name| format!("if d ? {name} then {} else \"\"", quoted(name)));
        survey.vendored = asking.texts(&has)?.into_iter().flatten().filter(|name| !name.is_empty()).collect();
        if survey.vendored.iter().any(|name| name == "cargoDeps") {
            survey.cargo = asking.cargo()?;
        }
        if let [set, package] = path {
            (survey.way, survey.interpreter) = asking.way(set, package)?;
        }
        if survey.way != Some(SetWay::PythonExtensions)
            && let Some(first) = survey.interpreter.as_ref().or(path.first())
        {
            let rest = if survey.interpreter.is_some() { &[] } else { path.get(1..).unwrap_or_default() };
            let found = asking.aliases(first, rest)?;
            survey.aliases = found.names;
            survey.owner = found.owner;
            survey.also = found.also;
            survey.apart = found.apart;
        }
        let is_libc = path.last().is_some_and(|name| LIBCS.contains(&name.as_str()))
            || survey.facts.pname.as_deref().is_some_and(|name| LIBCS.contains(&name));
        if is_libc && path.len() == 1 {
            for target in targets.iter().take(8) {
                survey.libcs.extend(asking.libc(target)?);
            }
        }
        Ok(survey)
    }

    /// Says of each of `others` whether it is the same derivation as the package at `path`.
    ///
    /// # Errors
    /// [`Error::Eval`] when the package set itself does not evaluate, and those of the evaluator.
    pub fn same_packages(&self, root: &Root, path: &[String], others: &[Vec<String>]) -> Result<Vec<bool>, Error> {
        let mut server = self.eval_server()?;
        bind_root(&mut server, &root.to_nix()?, "the package set").map_err(|e| self.explained(e))?;
        let wanted = below_root(path);
        let questions: Vec<String> = others
            .iter()
            .map(|other| format!("if {}.drvPath == {wanted}.drvPath then \"1\" else \"\"", below_root(other)))
            .collect();
        let answers = Asking { server: &mut server }.texts(&questions)?;
        Ok(answers.into_iter().map(|answer| answer.as_deref() == Some("1")).collect())
    }
}

/// The other names of a package, and what an overlay has to bind so that it changes under each.
#[derive(Debug, Default)]
struct Aliases {
    names: Vec<String>,
    owner: Option<String>,
    also: Vec<String>,
    apart: Vec<String>,
}

/// Questions about `root` and `d` of one server.
struct Asking<'a> {
    server: &'a mut EvalServer,
}

impl Asking<'_> {
    /// Asks several; `None` where the answer is an error.
    fn texts(&mut self, questions: &[String]) -> Result<Vec<Option<String>>, Error> {
        let batch = self.server.ask(questions)?;
        if let Some((lost, _)) = batch.lost {
            return Err(self.server.lost_error(lost));
        }
        Ok(batch.answers.into_iter().map(|answer| answer.and_then(Result::ok)).collect())
    }

    fn truth(&mut self, expression: &str) -> Result<Option<bool>, Error> {
        let answers = self.texts(&[format!("if {expression} then \"1\" else \"\"")])?;
        Ok(answers.into_iter().next().flatten().map(|text| !text.is_empty()))
    }

    fn holds(&mut self, expression: &str) -> Result<bool, Error> {
        Ok(self.truth(expression)?.unwrap_or(false))
    }

    /// Returns those of `names` for which the expression made of them holds.
    fn those(&mut self, names: &[String], expression: impl Fn(&str) -> String) -> Result<Vec<String>, Error> {
        let questions: Vec<String> =
            names.iter().map(|name| format!("if {} then \"1\" else \"\"", expression(name))).collect();
        let answers = self.texts(&questions)?;
        Ok(names.iter().zip(answers).filter(|(_, a)| a.as_deref() == Some("1")).map(|(n, _)| n.clone()).collect())
    }

    /// Returns how the Cargo dependencies of `d` are fetched, if `cargoPatches` reach them through an override of `rustPlatform`.
    fn cargo(&mut self) -> Result<Option<Cargo>, Error> {
        let probe = "(builtins.toFile \"overlayctl-probe.patch\" \"\")";
        let reaches = format!(
            "let e = d.override (old: {{ rustPlatform = old.rustPlatform // {{ buildRustPackage = args: \
             old.rustPlatform.buildRustPackage (args // {{ cargoPatches = (args.cargoPatches or [ ]) ++ [ {probe} ]; }}); }}; }}); \
             in builtins.elem {probe} (e.patches or [ ]) && e.cargoDeps.drvPath != d.cargoDeps.drvPath"
        );
        if !self.holds(&format!("({reaches})"))? {
            return Ok(None);
        }
        let hashes = ["cargoHash", "cargoSha256"].map(String::from);
        let there = self.those(&hashes, |name| format!("(d.{name} or \"\") != \"\""))?;
        Ok(Some(Cargo { hash: there.into_iter().next() }))
    }

    /// Returns how packages of a set are overridden.
    fn way(&mut self, set: &str, package: &str) -> Result<(Option<SetWay>, Option<String>), Error> {
        let set = below_root(&[set.to_string()]);
        if self.holds(&format!("{set} ? python && {set}.python ? pkgs"))? {
            if self.holds("root ? pythonPackagesExtensions")? {
                return Ok((Some(SetWay::PythonExtensions), None));
            }
            let names = self.root_names()?;
            let python = |name: &&String| ["python", "pypy"].contains(&stem(name).as_str());
            let names: Vec<String> = names.iter().filter(python).take(MAX_ALIASES).cloned().collect();
            let own = self
                .those(&names, |name| format!("{}.drvPath == {set}.python.drvPath", below_root(&[name.to_string()])))?;
            return Ok(match own.into_iter().next() {
                Some(interpreter) => (Some(SetWay::PythonPackageOverrides), Some(interpreter)),
                None => (None, None),
            });
        }
        let package = attr_path_text(&[package.to_string()]);
        // The second argument has to be what was there before: with the mark in it, it is what comes out.
        let probe = format!(
            "(a: b: {{ overlayctlProbe = if b ? overlayctlProbe then \"reversed\" else if b ? {package} then \"ok\" else \"lost\"; }})"
        );
        let ways = [
            (SetWay::OverrideScope, format!("{set}.overrideScope {probe}")),
            (SetWay::OverrideScopePrime, format!("{set}.overrideScope' {probe}")),
            (SetWay::Extend, format!("{set}.extend {probe}")),
            (
                SetWay::Overrides,
                format!(
                    "{set}.override (old: {{ overrides = root.lib.composeExtensions (old.overrides or (_: _: {{ }})) {probe}; }})"
                ),
            ),
            (SetWay::Merge, format!("{set} // {{ overlayctlProbe = \"ok\"; }}")),
        ];
        let questions: Vec<String> = ways
            .iter()
            .map(|(_, made)| {
                format!(
                    "let made = {made}; in if (made.overlayctlProbe or \"\") == \"ok\" && made.{package}.drvPath == d.drvPath then \"1\" else \"\""
                )
            })
            .collect();
        let answers = self.texts(&questions)?;
        let first = ways.iter().zip(answers).find(|(_, answer)| answer.as_deref() == Some("1"));
        Ok((first.map(|((way, _), _)| *way), None))
    }

    /// Returns the other first segments with the same package below them, the one that an overlay has to bind, and those
    /// that stay as they are then.
    fn aliases(&mut self, first: &str, rest: &[String]) -> Result<Aliases, Error> {
        let own = stem(first);
        let near: Vec<String> = self
            .root_names()?
            .into_iter()
            .filter(|name| name != first && stem(name) == own)
            .take(MAX_ALIASES)
            .collect();
        let path = |name: &str, rest: &[String]| {
            below_root(&std::iter::once(name.to_string()).chain(rest.iter().cloned()).collect::<Vec<_>>())
        };
        let wanted = path(first, rest);
        let aliases = self.those(&near, |name| format!("{}.drvPath == {wanted}.drvPath", path(name, rest)))?;
        let mut found = Aliases { names: aliases, ..Aliases::default() };
        if found.names.is_empty() || !self.holds("root ? extend")? {
            return Ok(found);
        }
        // What is made with `.override` of a package that was changed has the change too; a set is merged.
        let is_package = rest.is_empty() && self.holds(&format!("{wanted} ? overrideAttrs"))?;
        let all: Vec<String> = std::iter::once(first.to_string()).chain(found.names.iter().cloned()).collect();
        let questions: Vec<String> = all.iter().map(|name| reach(&[name], &all, is_package)).collect();
        let answers: Vec<String> = self.texts(&questions)?.into_iter().map(Option::unwrap_or_default).collect();
        // The first of those that reach the most, so that the one that was named wins a tie; it has to be reached itself.
        let mut best: Option<(&String, &String)> = None;
        for (name, reached) in all.iter().zip(&answers) {
            let better = best.is_none_or(|(_, best)| best.matches('1').count() < reached.matches('1').count());
            if reached.starts_with('1') && better {
                best = Some((name, reached));
            }
        }
        let Some((owner, reached)) = best else { return Ok(found) };
        found.owner = Some(owner.clone());
        // Names that stand alone are bound as well, the one that reaches the most first, as long as none is reached twice.
        let mut bound = vec![owner];
        let mut reached = reached.clone();
        loop {
            let left: Vec<&String> =
                all.iter().zip(reached.bytes()).filter(|(_, b)| *b != b'1').map(|(n, _)| n).collect();
            let with = |name| bound.iter().copied().chain([name]).collect::<Vec<&String>>();
            let questions: Vec<String> = left.iter().map(|name| reach(&with(name), &all, is_package)).collect();
            let answers = self.texts(&questions)?.into_iter().map(Option::unwrap_or_default);
            let once = |answer: &String| answer.len() == all.len() && answer.bytes().all(|b| matches!(b, b'0' | b'1'));
            let count = |answer: &String| answer.matches('1').count();
            let more = left.iter().zip(answers).filter(|(_, answer)| once(answer) && !lost(&reached, answer));
            // The first of the best.
            let Some((name, answer)) = more.rev().max_by_key(|(_, answer)| count(answer)) else { break };
            if count(&answer) <= count(&reached) {
                break;
            }
            bound.push(name);
            found.also.push((*name).clone());
            reached = answer;
        }
        found.apart =
            all.iter().zip(reached.bytes()).filter(|(_, b)| *b != b'1').map(|(name, _)| name.clone()).collect();
        Ok(found)
    }

    fn root_names(&mut self) -> Result<Vec<String>, Error> {
        Ok(super::instantiate::attr_names_in(self.server, &[])?.unwrap_or_default())
    }

    /// Returns the attribute that has the source which the package at `path` wraps.
    fn unwrapped(&mut self, path: &[String]) -> Result<Option<String>, Error> {
        let inner = ["d.unwrapped", "d.cc", "d.bintools.bintools", "d.bintools"];
        let questions =
            inner.map(|i| format!("{i}.drvPath + \" \" + ({i}.pname or (builtins.parseDrvName {i}.name).name)"));
        let found = self.texts(&questions)?.into_iter().flatten().next();
        let (drv, pname) = found.as_deref().and_then(|text| text.split_once(' ')).unwrap_or_default();
        let before = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
        let last = path.last().map(String::as_str).unwrap_or_default();
        let bare = last.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | '.'));
        let version = last.strip_prefix(bare).unwrap_or_default();
        let mut names: Vec<Vec<String>> = Vec::new();
        for name in
            [format!("{last}-unwrapped"), format!("{last}Unwrapped"), format!("{pname}-unwrapped"), pname.to_string()]
        {
            names.push(before.iter().cloned().chain([name]).collect());
        }
        names.push(vec![format!("llvmPackages{version}"), format!("{bare}-unwrapped")]);
        names.push(vec![format!("{bare}-unwrapped")]);
        let questions: Vec<String> = names
            .iter()
            .map(|name| {
                let at = below_root(name);
                let fits = match drv {
                    "" => format!("{at} ? src || {at} ? srcs"),
                    drv => format!("{at}.drvPath == {}", quoted(drv)),
                };
                format!("if {fits} then \"1\" else \"\"")
            })
            .collect();
        let answers = self.texts(&questions)?;
        let named = names.iter().zip(answers).find(|(_, answer)| answer.as_deref() == Some("1"));
        Ok(named.map(|(name, _)| attr_path_text(name)))
    }

    /// Returns the C library of a target's toolchain.
    fn libc(&mut self, target: &[String]) -> Result<Option<TargetLibc>, Error> {
        // `pkgsCross.NAME` and `pkgsStatic` are package sets: what the target's set binds is asked of that one.
        let mut depth = 0;
        loop {
            match target.get(depth).map(String::as_str) {
                Some("pkgsCross") => depth += 2,
                Some(name) if name.starts_with("pkgs") => depth += 1,
                _ => break,
            }
        }
        let set = match target.get(..depth) {
            Some([]) | None => "root".to_string(),
            Some(path) => below_root(path),
        };
        let target_text = below_root(target);
        let names: Vec<String> = LIBCS.map(String::from).to_vec();
        let owners = self.those(&names, |name| {
            format!("{set} ? {name} && ({set}.{name}.outPath or null) == {target_text}.stdenv.cc.libc.outPath")
        })?;
        Ok((!owners.is_empty()).then(|| TargetLibc { target: attr_path_text(target), owners }))
    }
}

/// Returns the question how often each of `all` is marked in an overlay that marks those of `bound`: a digit for each.
fn reach(bound: &[&String], all: &[String], is_package: bool) -> String {
    let key = |name: &String| attr_path_text(std::slice::from_ref(name));
    let marks: Vec<String> = bound
        .iter()
        .map(|name| {
            let key = key(name);
            match is_package {
                true => format!(
                    "{key} = prev.{key}.overrideAttrs (old: {{ overlayctlProbe = (old.overlayctlProbe or 0) + 1; }});"
                ),
                false => {
                    format!("{key} = prev.{key} // {{ overlayctlProbe = (prev.{key}.overlayctlProbe or 0) + 1; }};")
                }
            }
        })
        .collect();
    let counts: Vec<String> =
        all.iter().map(|name| format!("toString (q.{}.overlayctlProbe or 0)", key(name))).collect();
    format!("let q = root.extend (_: prev: {{ {} }}); in {}", marks.join(" "), counts.join(" + "))
}

/// Says whether a name that was reached is not any more.
fn lost(before: &str, after: &str) -> bool {
    before.bytes().zip(after.bytes()).any(|(before, after)| before == b'1' && after != b'1')
}

/// Returns a name without what tells versions apart: `perl528Packages` and `perlPackages` are one.
fn stem(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '_' | '.' | '-')).collect();
    plain.trim_end_matches("latest").trim_end_matches('x').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_name_have_one_stem() {
        for (a, b) in [
            ("python3", "python37"),
            ("perlPackages", "perl528Packages"),
            ("linuxPackages", "linuxPackages_4_19"),
            ("linux_latest", "linux"),
            ("nodejs-10_x", "nodejs"),
            ("openssl_1_1", "openssl"),
        ] {
            assert_eq!(stem(a), stem(b));
        }
        assert_ne!(stem("linux"), stem("linuxPackages"));
    }
}
