//! How the packages of a set within the package set are overridden, and what the set loses by that.
//!
//! Each way is tried with a mark. Must not know which names a package has.

use serde::{Deserialize, Serialize};

use super::Asking;
use crate::nix::error::Error;
use crate::nix::expression::attr_path_text;
use crate::nix::instantiate::below_root;

/// How a package of a set within the package set is overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What has to be done for a set to keep, once it is overridden, what it had besides its packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Nothing: all is there.
    All,
    /// Attributes get lost: the result is merged over the set.
    Merged,
    /// `override` gets lost, with which others make the set anew: it is given back, and goes the same way.
    Overridable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    pub how: SetWay,
    pub kept: Kept,
}

impl Way {
    /// Returns the text of `set` with the packages that `inner` makes, given the text of the packages as they are.
    pub(super) fn over(self, set: &str, inner: &dyn Fn(&str) -> String) -> String {
        let function = || format!("(_: p: {})", inner("p"));
        let call = |set: &str| match self.how {
            SetWay::OverrideScopePrime => format!("{set}.overrideScope' {}", function()),
            SetWay::Extend => format!("{set}.extend {}", function()),
            SetWay::Overrides => format!(
                "{set}.override (old: {{ overrides = root.lib.composeExtensions (old.overrides or (_: _: {{ }})) {}; }})",
                function()
            ),
            SetWay::Merge => format!("{set} // {}", inner(set)),
            _ => format!("{set}.overrideScope {}", function()),
        };
        match self.kept {
            Kept::All => format!("({})", call(set)),
            Kept::Merged => format!("(let s = {set}; in s // {})", call("s")),
            Kept::Overridable => {
                format!("(let s = {set}; in s // root.lib.makeOverridable (a: {}) {{ }})", call("(s.override a)"))
            }
        }
    }
}

impl Asking<'_> {
    /// Returns how the package at `path`, which is in a set, is overridden.
    pub(super) fn way(&mut self, path: &[String]) -> Result<Option<Way>, Error> {
        let Some((package, set)) = path.split_last().filter(|(_, set)| !set.is_empty()) else { return Ok(None) };
        let (set, package) = (below_root(set), attr_path_text(std::slice::from_ref(package)));
        // What a package shows of what it is made from (`gcc.cc`) is not its to override: it would go on as it is.
        if self.holds(&format!("{set} ? drvPath"))? {
            return Ok(None);
        }
        // The second argument has to be what was there before: with the mark in it, it is what comes out.
        let probe = |prev: &str| {
            format!(
                "{{ overlayctlProbe = if {prev} ? overlayctlProbe then \"reversed\" else if {prev} ? {package} then \"ok\" else \"lost\"; }}"
            )
        };
        let hows =
            [SetWay::OverrideScope, SetWay::OverrideScopePrime, SetWay::Extend, SetWay::Overrides, SetWay::Merge];
        for how in hows {
            let made = Way { how, kept: Kept::All }.over(&set, &probe);
            let kept = self.text(&format!(
                "let made = {made}; in if (made.overlayctlProbe or \"\") != \"ok\" then \"\" \
                 else if {set} ? override && !(made ? override) then \"overridable\" \
                 else if builtins.all (n: made ? ${{n}}) (builtins.attrNames {set}) then \"all\" else \"merged\""
            ))?;
            let kept = match kept.as_deref() {
                Some("all") => [Some(Kept::All), None],
                Some("merged") => [Some(Kept::Merged), None],
                Some("overridable") => [Some(Kept::Overridable), Some(Kept::Merged)],
                _ => continue,
            };
            for kept in kept.into_iter().flatten() {
                let way = Way { how, kept };
                // One that is refused as it is says nothing here.
                let same = format!(
                    "!(builtins.tryEval {set}.{package}.drvPath).success || {}.{package}.drvPath == {set}.{package}.drvPath",
                    way.over(&set, &probe)
                );
                if self.holds(&same)? {
                    return Ok(Some(way));
                }
            }
        }
        Ok(None)
    }

    /// Returns the interpreters that are the one whose packages `set` holds.
    pub(super) fn interpreters(&mut self, set: &str) -> Result<Vec<String>, Error> {
        let set = below_root(&[set.to_string()]);
        let python = |name: &String| ["python", "pypy"].contains(&super::names::stem(name).as_str());
        let names: Vec<String> = self.root_names()?.iter().filter(|name| python(name)).cloned().collect();
        self.those(&names, |name| {
            let at = below_root(std::slice::from_ref(name));
            format!("{at}.name == {set}.python.name && {at}.drvPath == {set}.python.drvPath")
        })
    }

    /// Returns the other sets of Python packages, each by the name of its version, that hold `package`.
    pub(super) fn other_pythons(&mut self, set: &str, package: &str) -> Result<Vec<String>, Error> {
        let versioned = |name: &String| {
            let digits =
                name.strip_suffix("Packages").and_then(|n| n.strip_prefix("python").or(n.strip_prefix("pypy")));
            digits.is_some_and(|d| d.len() > 1 && d.bytes().all(|b| b.is_ascii_digit()))
        };
        let names: Vec<String> = self.root_names()?.iter().filter(|name| versioned(name)).cloned().collect();
        let own = below_root(&[set.to_string()]);
        let package = attr_path_text(&[package.to_string()]);
        self.those(&names, |name| {
            let at = below_root(std::slice::from_ref(name));
            format!("{at} ? {package} && {at}.python.name != {own}.python.name")
        })
    }
}
