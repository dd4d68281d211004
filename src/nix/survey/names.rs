//! The other names of a package, and what an overlay has to bind so that it changes under each.
//!
//! Texts and names only suggest: what is the same package, and what reaches it, Nix decides. Must not decide what is written.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Asking;
use super::ways::{SetWay, Way};
use crate::base::fs;
use crate::nix::error::Error;
use crate::nix::expression::{Names, attr_path_text, quoted};
use crate::nix::facts::PackageFacts;
use crate::nix::instantiate::{attr_names_in, below_root};

/// The most suggestions that are looked at in a round, and the most names that are tried as the one to bind.
const MAX_SUGGESTIONS: usize = 150;
const MAX_TRIED: usize = 10;
/// How often the definitions of names that were found lead to more.
const ROUNDS: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub path: Names,
    /// How the set that holds it is overridden, when it is in one.
    pub way: Option<Way>,
}

/// What an overlay has to bind.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// The name that reaches the most.
    pub(super) owner: Option<Name>,
    /// Those that it does not reach, and that can be bound beside it: each name changes once then.
    pub(super) also: Vec<Name>,
    /// Those that change neither way.
    pub(super) apart: Vec<Names>,
    /// Functions that go on to make environments with the package as it is.
    pub(super) environments: Vec<Environment>,
}

/// A function that makes an environment of an interpreter and some of its packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its attribute path: `perl5.withPackages`.
    pub path: Names,
    /// How it is asked for the package that an overlay patches, given that package's name in the package set.
    pub argument: String,
}

/// What such functions are called, how they are asked for a package of theirs, and for one that is named whole.
const ENVIRONMENTS: [(&str, &str, &str); 3] = [
    ("withPackages", "p: [ p.NAME ]", "_: [ final.NAME ]"),
    ("withExtensions", "{ all, ... }: [ all.NAME ]", "{ enabled, ... }: enabled ++ [ final.NAME ]"),
    ("ghcWithPackages", "p: [ p.NAME ]", "_: [ final.NAME ]"),
];
/// Where an interpreter has its packages.
const PACKAGES: [&str; 4] = ["pkgs", "gems", "extensions", "packages"];
/// The most of these functions that are tried.
const MAX_ENVIRONMENTS: usize = 6;

impl Asking<'_> {
    /// Returns the other names of the package at `path`.
    pub(super) fn names(
        &mut self,
        path: &[String],
        facts: &PackageFacts,
        is_kernel: bool,
    ) -> Result<Vec<Names>, Error> {
        let mut seen: BTreeSet<Names> = BTreeSet::from([path.to_vec()]);
        let mut found: Vec<Names> = Vec::new();
        let mut defined = vec![path.to_vec()];
        for round in 0..ROUNDS {
            let mut ask = Vec::new();
            for name in std::mem::take(&mut defined) {
                ask.extend(self.defined_by(&name)?);
            }
            if round == 0 {
                ask.extend(self.alike(path, facts, is_kernel)?);
            }
            ask.retain(|name| is_name(name) && seen.insert(name.clone()));
            ask.truncate(MAX_SUGGESTIONS);
            if ask.is_empty() {
                break;
            }
            let same = self.those(&ask, |name| {
                let at = below_root(name);
                let there = attr_path_text(name);
                format!("root ? {there} && ({at}.name or \"\") == d.name && {at}.drvPath == d.drvPath")
            })?;
            found.extend(same.iter().cloned());
            defined = same;
        }
        Ok(found)
    }

    /// Suggests the names that look like this one, or like what the package calls itself, or like the folder it is in.
    fn alike(&mut self, path: &[String], facts: &PackageFacts, is_kernel: bool) -> Result<Vec<Names>, Error> {
        let (Some(first), Some(last)) = (path.first(), path.last()) else { return Ok(Vec::new()) };
        let rest = path.get(1..).unwrap_or_default();
        let own = stem(first);
        let called: Vec<String> =
            [Some(last), facts.pname.as_ref()].into_iter().flatten().map(|name| letters(name)).collect();
        let mut folders: BTreeSet<String> = BTreeSet::new();
        for file in [facts.position.clone(), self.place(path)?.map(|(file, _, _)| file)].into_iter().flatten() {
            folders.extend(file.split('/').filter(|part| part.len() > 1).map(letters));
        }
        // The same name in each set around the one that was typed, and its neighbours.
        let mut out: Vec<Names> = (1..rest.len())
            .filter_map(|depth| Some([path.get(..depth)?, std::slice::from_ref(last)].concat()))
            .collect();
        if !rest.is_empty() {
            out.extend(self.neighbours(path, &called)?);
        }
        for name in &self.root_names()? {
            let plain = letters(name);
            if called.contains(&plain) {
                out.push(vec![name.clone()]);
            }
            let near = stem(name) == own;
            let holds = !rest.is_empty()
                && (folders.contains(&plain) || plain.strip_suffix("packages").is_some_and(|p| folders.contains(p)));
            if near || holds {
                out.push(std::iter::once(name.clone()).chain(rest.iter().cloned()).collect());
            }
            if is_kernel && name.starts_with("linuxPackages") {
                out.push(vec![name.clone(), "kernel".into()]);
            }
        }
        Ok(out)
    }

    /// Suggests what stands beside a package and is called, but for signs and case, one of some words.
    fn neighbours(&mut self, path: &[String], called: &[String]) -> Result<Vec<Names>, Error> {
        let Some((last, set)) = path.split_last() else { return Ok(Vec::new()) };
        // A set that does not evaluate has none that could be asked about.
        let names = attr_names_in(self.server, set)?.unwrap_or_default();
        let near = names.into_iter().filter(|name| name != last && called.contains(&letters(name)));
        Ok(near.map(|name| [set, &[name]].concat()).collect())
    }

    /// Returns where the last segment of a path is defined: file, line and column.
    fn place(&mut self, path: &[String]) -> Result<Option<(String, usize, usize)>, Error> {
        let Some((last, set)) = path.split_last() else { return Ok(None) };
        let answer = self.text(&format!(
            "let p = builtins.unsafeGetAttrPos {} {}; in \"${{toString p.line}} ${{toString p.column}} ${{p.file}}\"",
            quoted(last),
            below_root(set)
        ))?;
        Ok(answer.and_then(|answer| {
            let mut parts = answer.splitn(3, ' ');
            let (line, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((parts.next()?.to_string(), line, column))
        }))
    }

    /// Suggests what the definitions of a path's segments mention.
    fn defined_by(&mut self, path: &[String]) -> Result<Vec<Names>, Error> {
        let mut out = Vec::new();
        for depth in 1..=path.len() {
            let (upto, rest) = path.split_at(depth);
            let Some((file, line, column)) = self.place(upto)? else { continue };
            let Ok(text) = fs::read_text(Path::new(&file)) else { continue };
            let Some((last, above)) = upto.split_last() else { continue };
            for mentioned in mentioned(&text, line, column) {
                // In the whole set, or in one that the definition stands in; the package itself, or what holds it.
                for level in 0..=above.len() {
                    let start = above.iter().take(level).chain(&mentioned);
                    out.push(start.clone().chain(rest).cloned().collect());
                    out.push(start.chain([last]).chain(rest).cloned().collect());
                }
            }
        }
        Ok(out)
    }

    /// Finds out which of the names has to be bound. The first one is that which was typed; `merged` when they are no
    /// packages but interpreters.
    pub(super) fn owner(&mut self, names: &[Name], merged: bool) -> Result<Owner, Error> {
        let mut found = self.reaching(names, merged)?;
        let Some(typed) = names.first().filter(|_| !merged) else { return Ok(found) };
        let bound: Vec<&Name> = std::iter::once(found.owner.as_ref().unwrap_or(typed)).chain(&found.also).collect();
        found.environments = self.environments(names, &overlaid(&bound, merged))?;
        Ok(found)
    }

    /// Returns the name of a Python package by which its set goes on, where the one at `path` is only another word for it.
    pub(super) fn python_name(&mut self, path: &[String], facts: &PackageFacts) -> Result<Option<Name>, Error> {
        let Some((last, set)) = path.split_last() else { return Ok(None) };
        let mut others = self.defined_by(path)?;
        others.retain(|name| name.len() == path.len() && name.starts_with(set) && name.last() != Some(last));
        // Where a set is made of overlays Nix does not know the places of its names: what the package calls itself, and its folder.
        let folder = facts.position.as_ref().and_then(|file| Path::new(file).parent()?.file_name()?.to_str());
        let called: Vec<String> = facts.pname.as_deref().into_iter().chain(folder).map(letters).collect();
        for name in self.neighbours(path, &called)? {
            if !others.contains(&name) {
                others.push(name);
            }
        }
        let at = below_root(path);
        let found = self.those(&others, |name| {
            let other = attr_path_text(name.get(set.len()..).unwrap_or_default());
            let marked = format!("(_: p: {{ {other} = p.{other}.overrideAttrs (_: {{ overlayctlProbe = 1; }}); }})");
            format!(
                "{0} ? {other} && {0}.{other}.drvPath == {at}.drvPath && ((root.extend (_: prev: {{ pythonPackagesExtensions = \
                 prev.pythonPackagesExtensions ++ [ {marked} ]; }})).{1}.overlayctlProbe or 0) == 1",
                below_root(set),
                attr_path_text(path)
            )
        })?;
        Ok(found.into_iter().next().map(|path| Name { path, way: None }))
    }

    /// Finds the functions that make environments of the packages of an interpreter or a set, and that go on with this
    /// package as it is in `overlaid`.
    fn environments(&mut self, names: &[Name], overlaid: &str) -> Result<Vec<Environment>, Error> {
        let (mut questions, mut asked) = (Vec::new(), BTreeSet::new());
        for name in names {
            for depth in 1..name.path.len() {
                let (of, rest) = name.path.split_at(depth);
                let rest = rest
                    .split_first()
                    .filter(|(first, _)| PACKAGES.contains(&first.as_str()))
                    .map_or(rest, |(_, rest)| rest);
                if rest.is_empty() || asked.len() >= MAX_ENVIRONMENTS || !asked.insert(of.to_vec()) {
                    continue;
                }
                let (at, package) = (attr_path_text(of), attr_path_text(rest));
                questions.extend(ENVIRONMENTS.map(|(function, asks, _)| {
                    let call = format!("{at}.{function} ({})", asks.replace("NAME", &package));
                    let same = format!("(q.{call}).drvPath == (root.{call}).drvPath");
                    let of: Names = of.iter().cloned().chain([function.to_string()]).collect();
                    (of, format!("if root ? {at}.{function} && (let q = {overlaid}; in {same}) then \"1\" else \"\""))
                }));
            }
        }
        let texts: Vec<String> = questions.iter().map(|(_, question)| question.clone()).collect();
        let answers = self.texts(&texts)?;
        let kept = questions.into_iter().zip(answers).filter(|(_, answer)| answer.as_deref() == Some("1"));
        Ok(kept
            .map(|((path, _), _)| {
                let function =
                    ENVIRONMENTS.iter().find(|(function, ..)| path.last().is_some_and(|last| last == function));
                Environment {
                    argument: function.map(|(_, _, argument)| (*argument).to_string()).unwrap_or_default(),
                    path,
                }
            })
            .collect())
    }

    fn reaching(&mut self, names: &[Name], merged: bool) -> Result<Owner, Error> {
        let mut found = Owner::default();
        let all: Vec<Names> = names.iter().map(|name| name.path.clone()).collect();
        let [typed, others @ ..] = names else { return Ok(found) };
        if others.is_empty() {
            return Ok(found);
        }
        let count = |answer: &String| answer.matches('1').count();
        // A set that nothing but `//` leads into is used by nobody else: its own names do not count for a name in it.
        let weight = |name: &Name, answer: &String| {
            let set = name.path.split_last().map(|(_, set)| set).filter(|set| !set.is_empty());
            let merged = set.filter(|_| name.way.is_some_and(|way| way.how == SetWay::Merge));
            let counts = |path: &Names| !merged.is_some_and(|set| path.starts_with(set));
            all.iter().zip(answer.bytes()).filter(|(path, byte)| *byte == b'1' && counts(path)).count()
        };
        let mut best = (typed.clone(), self.text(&reach(&[typed], &all, merged))?.unwrap_or_default());
        // Reached twice, as what a bootstrap stage hands on: no other name mends that.
        let twice = best.1.starts_with(|c: char| c.is_ascii_digit() && c > '1');
        let tried: Vec<Name> = match twice || count(&best.1) == all.len() {
            true => Vec::new(),
            // What lies deeper than two is nixpkgs' own housekeeping.
            false => {
                let short = |name: &&Name| name.path.len() <= typed.path.len().max(2);
                let mut tried = Vec::new();
                for name in others.iter().filter(short).take(MAX_TRIED) {
                    let way = self.way(&name.path)?;
                    if name.path.len() == 1 || way.is_some() {
                        tried.push(Name { way, ..name.clone() });
                    }
                }
                tried
            }
        };
        let questions: Vec<String> = tried.iter().map(|name| reach(&[name], &all, merged)).collect();
        for (name, reached) in tried.iter().zip(self.texts(&questions)?) {
            let reached = reached.unwrap_or_default();
            // It has to reach the one that was named, which wins a tie.
            if reached.starts_with('1')
                && (!best.1.starts_with('1') || weight(&best.0, &best.1) < weight(name, &reached))
            {
                best = (name.clone(), reached);
            }
        }
        let (owner, mut reached) = best;
        if !reached.starts_with('1') {
            return Ok(found);
        }
        // Names that stand alone are bound as well, the one that reaches the most first, as long as none is reached twice.
        let mut bound = vec![&owner];
        loop {
            let left: Vec<&Name> = std::iter::once(typed)
                .chain(&tried)
                .filter(|name| {
                    let at = all.iter().position(|path| *path == name.path);
                    at.and_then(|at| reached.as_bytes().get(at)).is_some_and(|b| *b != b'1')
                })
                .collect();
            let with = |name| bound.iter().copied().chain([name]).collect::<Vec<&Name>>();
            let questions: Vec<String> = left.iter().map(|name| reach(&with(name), &all, merged)).collect();
            let answers = self.texts(&questions)?.into_iter().map(Option::unwrap_or_default);
            let once = |answer: &String| answer.len() == all.len() && answer.bytes().all(|b| matches!(b, b'0' | b'1'));
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
        found.owner = Some(owner);
        Ok(found)
    }
}

/// Returns the question how often each of `all` is marked in an overlay that marks those of `bound`: a digit for each, `x`
/// for one that does not evaluate any more.
fn reach(bound: &[&Name], all: &[Names], merged: bool) -> String {
    let counts: Vec<String> =
        all.iter().map(|name| format!("toString (q.{}.overlayctlProbe or 0)", attr_path_text(name))).collect();
    format!("let q = {}; in {}", overlaid(bound, merged), counts.join(" + "))
}

/// Returns the package set with an overlay that marks what `bound` names.
fn overlaid(bound: &[&Name], merged: bool) -> String {
    const MARK: &str = "(old: { overlayctlProbe = (old.overlayctlProbe or 0) + 1; })";
    fn marked(base: &str, path: &[String], way: Option<Way>, merged: bool) -> String {
        let Some((first, rest)) = path.split_first() else { return base.to_string() };
        let at = format!("{base}.{}", attr_path_text(std::slice::from_ref(first)));
        match (rest, way) {
            ([], _) if merged => format!("({at} // {{ overlayctlProbe = ({at}.overlayctlProbe or 0) + 1; }})"),
            ([], _) => format!("({at}.overrideAttrs {MARK})"),
            ([last], Some(way)) => {
                let last = attr_path_text(std::slice::from_ref(last));
                way.over(&at, &|prev| format!("{{ {last} = {prev}.{last}.overrideAttrs {MARK}; }}"))
            }
            ([next, ..], way) => {
                let inner = marked(&at, rest, way, merged);
                format!("({at} // {{ {} = {inner}; }})", attr_path_text(std::slice::from_ref(next)))
            }
        }
    }
    let marks: Vec<String> = bound
        .iter()
        .filter_map(|name| {
            let key = attr_path_text(name.path.get(..1)?);
            Some(format!("{key} = {};", marked("prev", &name.path, name.way, merged)))
        })
        .collect();
    format!("root.extend (_: prev: {{ {} }})", marks.join(" "))
}

/// Says whether a name that was reached is not any more.
fn lost(before: &str, after: &str) -> bool {
    before.bytes().zip(after.bytes()).any(|(before, after)| before == b'1' && after != b'1')
}

/// Says whether a path can be a name of a package of this set: not one of a set that is made from the whole once more.
fn is_name(path: &[String]) -> bool {
    let again =
        |name: &String| name.starts_with("pkgs") || matches!(name.as_str(), "buildPackages" | "targetPackages" | "lib");
    !path.first().is_none_or(again) && path.len() <= 5 && !path.iter().any(|name| name.starts_with("__"))
}

/// Returns a name without what tells versions apart: `perl528Packages` and `perlPackages` are one.
pub(super) fn stem(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '_' | '.' | '-')).collect();
    plain.trim_end_matches("latest").trim_end_matches('x').to_string()
}

/// Returns a name's letters and digits in lower case: `libX11` and `libx11` are one, `qt-6` and `qt6`.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns the paths that the definition at a place mentions: of `NAME = VALUE;` those of the value, of
/// `inherit (FROM) ... NAME ...;` those of `FROM`. The text is only looked through, not parsed.
fn mentioned(text: &str, line: usize, column: usize) -> Vec<Names> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '\'');
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let start = before + column.saturating_sub(1);
    let (Some(above), Some(rest)) = (text.get(..start), text.get(start..)) else { return Vec::new() };
    let after = rest.trim_start_matches(|c| is_name(c) || c == '"').trim_start();
    let piece = if after.starts_with('=') {
        after
    } else {
        let from = above.rfind("inherit").and_then(|at| above.get(at + "inherit".len()..)).unwrap_or_default();
        if from.contains(';') { "" } else { from.trim_start() }
    };
    // Up to the end of the binding, or of what is inherited from.
    let opened = usize::from(!after.starts_with('='));
    let mut depth = 0_usize;
    let mut end = piece.len();
    for (at, c) in piece.char_indices().take(2_000) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => {
                end = at;
                break;
            }
            _ => {}
        }
        if opened == 1 && depth == 0 {
            end = at;
            break;
        }
    }
    let outer = ["pkgs", "self", "super", "final", "prev"];
    let words = piece.get(..end).unwrap_or_default().split(|c: char| !is_name(c) && c != '.');
    let paths = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).map(|word| {
        let path: Names = word.split('.').filter(|part| !part.is_empty()).map(String::from).collect();
        match path.split_first() {
            Some((first, rest)) if outer.contains(&first.as_str()) && !rest.is_empty() => rest.to_vec(),
            _ => path,
        }
    });
    let mut out: Vec<Names> = Vec::new();
    for path in paths.take(30) {
        if !out.contains(&path)
            && !["with", "let", "in", "if", "then", "else", "inherit"].contains(&path.join(".").as_str())
        {
            out.push(path);
        }
    }
    out
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

    #[test]
    fn a_definition_says_what_it_is_made_from() {
        let text = "{\n  a = b;\n  inherit (rustPackages)\n    cargo\n    clippy\n    ;\n  c = recurseIntoAttrs pkgs.d.e;\n  inherit f;\n  g =\n    { x = h; };\n}\n";
        let at = |line, column| mentioned(text, line, column).iter().map(|p| p.join(".")).collect::<Vec<_>>().join(" ");
        assert_eq!(at(2, 3), "b");
        assert_eq!(at(5, 5), "rustPackages");
        assert_eq!(at(7, 3), "recurseIntoAttrs d.e");
        assert_eq!(at(8, 11), "");
        assert_eq!(at(9, 3), "x h");
        assert_eq!(at(900, 3), "");
    }
}
