//! Which way a patch reaches a package in the nixpkgs in use: found by trying it out in the evaluator, never by a version.
//!
//! A probe is an overlay that marks a set or a package (`overlayctlProbe`); where the mark comes through, the patch does.
//! Nothing is built. `names` finds the other names of the package, `ways` how the set that holds it is overridden, `vendored`
//! how what it vendors follows a patch. Must not decide what follows from the answers.

mod names;
mod vendored;
mod ways;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::expression::{Names, Root, attr_path_text, quoted};
use super::facts::{LIBC_NAMES, PackageFacts};
use super::failure::FailureKind;
use super::instantiate::{below_root, bind_root};
use super::program::Nix;
use super::server::EvalServer;

pub use names::{Environment, Name};
pub use vendored::{Cargo, Refetch, Vendored};
pub use ways::{Kept, SetWay, Way};

/// The C library that a target is linked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetLibc {
    /// The target, as an attribute path.
    pub target: String,
    /// The attributes of the target's package set that are that library.
    pub owners: Vec<String>,
}

/// A name that nixpkgs took away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub message: String,
    /// The attributes that it names and that are there.
    pub instead: Vec<String>,
}

/// What was found out about a package that is to be patched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    pub facts: PackageFacts,
    /// What nixpkgs says where the attribute is only there to say that it is gone.
    pub removed: Option<Removed>,
    /// The platform of `pkgsCross` that was asked, where the package is not for the one that builds.
    pub platform: Option<String>,
    /// How the set that holds it is overridden, when it is in one.
    pub way: Option<Way>,
    /// The attribute of the interpreter that the set's packages are for, where it is one of Python's.
    pub interpreter: Option<String>,
    /// The other sets of Python packages that a patch reaches with this one.
    pub widened: Vec<String>,
    /// The name that an overlay has to bind so that the most of them change: another when the given one does not do. Of
    /// interpreters where the set is one of Python's that is overridden through its interpreter.
    pub owner: Option<Name>,
    /// The names that do not change with the owner, and that an overlay can bind beside it: each name changes once then.
    pub also: Vec<Name>,
    /// The names that change neither way.
    pub apart: Vec<Names>,
    /// Functions that go on to make environments with the package as it is (`perl.withPackages`).
    pub environments: Vec<Environment>,
    /// Whether it has no source of its own, so that a patch there would be ignored.
    pub is_wrapper: bool,
    /// The attribute that has the source, when this one has none.
    pub unwrapped: Option<String>,
    /// Whether it is a kernel, which takes its patches as `kernelPatches` and shows them.
    pub is_kernel: bool,
    /// Whether `configure` is made anew when the package is built.
    pub autoreconf: Option<bool>,
    /// The attributes with dependencies that are fetched by a hash.
    pub vendored: Vec<Vendored>,
    /// Whether patches reach its Cargo dependencies as `cargoPatches`, and how those are fetched.
    pub cargo: Option<Cargo>,
    /// The C libraries of the targets that were named.
    pub libcs: Vec<TargetLibc>,
}

impl Nix {
    /// Finds out how a patch reaches the package at `path` of a package set. `targets` are what the user ships, by path
    /// in the same set: their C libraries are asked for where the package is one, their platforms where it is not for the
    /// one that builds.
    pub fn survey(&self, root: &Root, path: &[String], targets: &[Vec<String>]) -> Result<Survey, Error> {
        let text = format!("survey {root:?} {path:?} {targets:?}");
        self.kept(&text, [root], |nix| nix.survey_now(root, path, targets))
    }

    fn survey_now(&self, root: &Root, path: &[String], targets: &[Vec<String>]) -> Result<Survey, Error> {
        let mut server = self.eval_server()?;
        let facts = self.package_facts_in(&mut server, &root.to_nix()?, path)?;
        let mut survey = Survey { facts, ..Survey::default() };
        let mut asking = Asking { server: &mut server, names: None };
        match survey.facts.failure.as_ref().map(|failure| failure.kind.clone()) {
            Some(FailureKind::Refused) if survey.facts.is_derivation => {
                survey.platform = asking.platform(targets)?;
                let Some(platform) = &survey.platform else {
                    // It may be had with another `config`: the set that holds it can be asked all the same.
                    survey.way = asking.way(path)?;
                    return Ok(survey);
                };
                let cross =
                    format!("({}).pkgsCross.{}", root.to_nix()?, attr_path_text(std::slice::from_ref(platform)));
                survey.facts = self.package_facts_in(asking.server, &cross, path)?;
                asking.names = None;
            }
            Some(_) if !survey.facts.is_derivation => survey.removed = asking.removed(path, &survey.facts)?,
            _ => {}
        }
        if !survey.facts.exists || survey.facts.failure.is_some() || !survey.facts.is_derivation {
            return Ok(survey);
        }
        if !asking.has_source(survey.facts.has_src == Some(true))? {
            // One that unpacks something in its own way and wraps nothing has a source that is called otherwise.
            let unpacks = "d ? unpackPhase && !(d.dontUnpack or false) && !(d ? cc || d ? bintools || d ? unwrapped)";
            survey.is_wrapper = !asking.holds(unpacks)?;
        }
        if survey.is_wrapper {
            survey.unwrapped = asking.unwrapped(path)?;
            return Ok(survey);
        }
        survey.is_kernel = asking.holds("(d ? modDirVersion || d ? kernelPatches) && d ? override")?;
        survey.autoreconf = asking
            .truth(
                "builtins.any (i: (i.drvPath or \"\") == root.autoreconfHook.drvPath) (d.nativeBuildInputs or [ ]) || \
                 builtins.any (p: builtins.isString p && builtins.match \".*autoreconf.*\" p != null) [ (d.preConfigure or null) \
                 (d.postPatch or null) (d.preConfigurePhases or null) (d.preAutoreconf or null) ]",
            )?;
        survey.vendored = asking.vendored()?;
        if survey.vendored.iter().any(|deps| deps.attribute == "cargoDeps") {
            survey.cargo = asking.cargo()?;
        }
        match path {
            [set, package]
                if asking
                    .holds(&format!("root.{0} ? python && root.{0}.python ? pkgs", attr_path_text(&path[..1])))? =>
            {
                if asking.holds("root ? pythonPackagesExtensions")? {
                    survey.way = Some(Way { how: SetWay::PythonExtensions, kept: Kept::All });
                    survey.widened = asking.other_pythons(set, package)?;
                    let facts = survey.facts.clone();
                    survey.owner = asking.python_name(path, &facts)?;
                } else {
                    let own = asking.interpreters(set)?;
                    survey.way =
                        (!own.is_empty()).then_some(Way { how: SetWay::PythonPackageOverrides, kept: Kept::All });
                    survey.interpreter = own.first().cloned();
                    let names: Vec<Name> = own.into_iter().map(|name| Name { path: vec![name], way: None }).collect();
                    survey.owned(asking.owner(&names, true)?);
                }
            }
            _ => {
                survey.way = asking.way(path)?;
                let others = asking.names(path, &survey.facts, survey.is_kernel)?;
                let paths = std::iter::once(path.to_vec()).chain(others);
                let names: Vec<Name> =
                    paths.enumerate().map(|(at, path)| Name { path, way: survey.way.filter(|_| at == 0) }).collect();
                if asking.holds("root ? extend")? {
                    survey.owned(asking.owner(&names, false)?);
                }
            }
        }
        let is_libc = path.last().is_some_and(|name| LIBC_NAMES.contains(&name.as_str()))
            || survey.facts.pname.as_deref().is_some_and(|name| LIBC_NAMES.contains(&name));
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
            .map(|other| {
                let other = below_root(other);
                format!("if {other}.name == {wanted}.name && {other}.drvPath == {wanted}.drvPath then \"1\" else \"\"")
            })
            .collect();
        let answers = Asking { server: &mut server, names: None }.texts(&questions)?;
        Ok(answers.into_iter().map(|answer| answer.as_deref() == Some("1")).collect())
    }
}

impl Survey {
    fn owned(&mut self, found: names::Owner) {
        (self.owner, self.also, self.apart) = (found.owner, found.also, found.apart);
        self.environments = found.environments;
    }
}

/// Questions about `root` and `d` of one server.
struct Asking<'a> {
    server: &'a mut EvalServer,
    /// The names in the root, once they were asked for.
    names: Option<Vec<String>>,
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

    /// Asks one; `None` where the answer is an error.
    fn text(&mut self, question: &str) -> Result<Option<String>, Error> {
        Ok(self.texts(&[question.to_string()])?.into_iter().next().flatten())
    }

    /// Returns those of `names` for which the expression made of them holds.
    fn those<T: Clone>(&mut self, names: &[T], expression: impl Fn(&T) -> String) -> Result<Vec<T>, Error> {
        let questions: Vec<String> =
            names.iter().map(|name| format!("if {} then \"1\" else \"\"", expression(name))).collect();
        let answers = self.texts(&questions)?;
        Ok(names.iter().zip(answers).filter(|(_, a)| a.as_deref() == Some("1")).map(|(n, _)| n.clone()).collect())
    }

    fn root_names(&mut self) -> Result<Vec<String>, Error> {
        if let Some(names) = &self.names {
            return Ok(names.clone());
        }
        let names = super::instantiate::attr_names_in(self.server, &[])?.unwrap_or_default();
        Ok(self.names.insert(names).clone())
    }

    /// Says whether a function that is handed to `overrideAttrs` sees a source: what only `passthru` shows is another's.
    fn has_source(&mut self, shown: bool) -> Result<bool, Error> {
        let seen = self.text(
            "(d.overrideAttrs (o: { overlayctlProbe = if o ? src || o ? srcs then \"yes\" else \"no\"; })).overlayctlProbe",
        )?;
        Ok(seen.map_or(shown, |seen| seen == "yes"))
    }

    /// Returns the platform of `pkgsCross` that `d` is for: one that is shipped, else nixpkgs' first whose system is one of its own.
    fn platform(&mut self, targets: &[Vec<String>]) -> Result<Option<String>, Error> {
        let shipped = targets.iter().filter(|path| path.first().is_some_and(|first| first == "pkgsCross"));
        let mut names: Vec<String> = shipped.filter_map(|path| path.get(1).cloned()).collect();
        let examples = "root.lib.systems.examples";
        let fitting = self.text(&format!(
            "builtins.toJSON (let fits = n: let s = root.lib.systems.elaborate {examples}.${{n}}; in \
             s.isLinux && builtins.elem s.system d.meta.platforms; in builtins.filter fits (builtins.attrNames {examples}))"
        ))?;
        let fitting: Vec<String> = fitting.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // The plain ones first: `aarch64-android` is for Linux too, and no package of it is.
        names.extend(fitting.iter().filter(|name| name.ends_with("-multiplatform")).cloned());
        names.extend(fitting.iter().filter(|name| !name.contains("android")).cloned());
        for name in names {
            let at = attr_path_text(&["pkgsCross".to_string(), name.clone()]);
            if self.holds(&format!("builtins.elem root.{at}.stdenv.hostPlatform.system d.meta.platforms"))? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Returns what nixpkgs says where the value of the attribute is a `throw`, and those attributes it names that are there.
    fn removed(&mut self, path: &[String], facts: &PackageFacts) -> Result<Option<Removed>, Error> {
        let thrown = "!(builtins.tryEval (builtins.typeOf d)).success";
        let Some(failure) = facts.failure.as_ref().filter(|failure| failure.kind == FailureKind::Other) else {
            return Ok(None);
        };
        if !self.holds(thrown)? {
            return Ok(None);
        }
        let set = path.split_last().map(|(_, set)| set).unwrap_or_default();
        for named in named_in(&failure.message) {
            // In the set that it was in, else in the whole.
            for within in [set, &[]] {
                let names: Vec<Names> =
                    named.iter().map(|name| [within, name].concat()).filter(|name| name != path).collect();
                let there =
                    self.those(&names, |name| format!("root ? {0} && root.{0} ? drvPath", attr_path_text(name)))?;
                if !there.is_empty() {
                    // What is named last is what to take.
                    let instead = there.iter().rev().map(|name| attr_path_text(name)).collect();
                    return Ok(Some(Removed { message: failure.message.clone(), instead }));
                }
            }
        }
        let instead = Vec::new();
        Ok(Some(Removed { message: failure.message.clone(), instead }))
    }

    /// Returns the attribute that has the source which the package at `path` wraps.
    fn unwrapped(&mut self, path: &[String]) -> Result<Option<String>, Error> {
        // Of a standard environment the compiler within its wrapper.
        let inner = ["d.unwrapped", "d.cc.cc", "d.cc", "d.bintools.bintools", "d.bintools"];
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
        // What has the very source that the wrapper shows.
        let near = self.root_names()?.into_iter().filter(|name| name.starts_with(bare) && name.as_str() != last);
        let with_source: Vec<Names> = near.take(40).map(|name| vec![name]).collect();
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
        if let Some((name, _)) = named {
            return Ok(Some(attr_path_text(name)));
        }
        let same = self.those(&with_source, |name| {
            let at = below_root(name);
            format!("{at}.src.outPath == d.src.outPath && ({at}.overrideAttrs (o: {{ overlayctlProbe = if o ? src then \"yes\" else \"\"; }})).overlayctlProbe == \"yes\"")
        })?;
        Ok(same.first().map(|name| attr_path_text(name)))
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
        let names: Vec<String> = LIBC_NAMES.map(String::from).to_vec();
        let owners = self.those(&names, |name| {
            format!("{set} ? {name} && ({set}.{name}.outPath or null) == {target_text}.stdenv.cc.libc.outPath")
        })?;
        Ok((!owners.is_empty()).then(|| TargetLibc { target: attr_path_text(target), owners }))
    }
}

/// Returns the names that a sentence of nixpkgs offers: those in quotes, then those that follow a word such as `use`. Most
/// words of a sentence are names of packages too (`has`, `instead`, `which`).
fn named_in(message: &str) -> [Vec<Names>; 2] {
    let name = |word: &str| -> Option<Names> {
        let word = word.trim_matches(['.', ',', ';', ':', '(', ')']);
        let word = word.strip_prefix("pkgs.").unwrap_or(word);
        let is_name = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        (is_name && !word.is_empty()).then(|| word.split('.').map(String::from).collect())
    };
    // An apostrophe (`don't`) opens nothing: what follows is no name.
    let quoted = message.split(['\'', '`', '"', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}']);
    let mut offered = Vec::new();
    let (mut before, mut offers) = ("", false);
    for word in message.split_whitespace() {
        if offers {
            offered.extend(name(word));
        }
        let opens = matches!(word, "to" | "by" | "use" | "using" | "of" | "with" | "try" | "consider");
        offers = opens && before != "due"
            || offers && word.ends_with(',')
            || matches!(word, "or" | "and") && offered.last() == name(before).as_ref();
        before = word;
    }
    [quoted.filter_map(name).collect(), offered]
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn a_sentence_offers_what_is_in_quotes_or_after_a_word_of_advice() {
        let said =
            |text: &str| named_in(text).map(|names| names.iter().map(|n| n.join(".")).collect::<Vec<_>>().join(" "));
        assert_eq!(said("'z3' has been renamed to/replaced by 'z3-solver'")[0], "z3 z3-solver");
        assert_eq!(said("it doesn't work, use `pkgs.a.b` and not \"c d\"")[0], "a.b");
        assert_eq!(said("unmaintained since June 2023, use cavasik or cavalier instead.")[1], "cavasik cavalier");
        assert_eq!(said("fetchbower has been removed. It is recommended to migrate to yarn.")[1], "migrate yarn");
        assert_eq!(said("x has been removed due to lack of maintenance")[1], "maintenance");
        assert_eq!(said("itpp has been removed, as it was broken"), ["", ""]);
    }
}
