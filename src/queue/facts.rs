//! What Nix says about a package before a patch of it is written, and what follows from that.

use crate::base::diagnostic::Warning;
use crate::config::{NixpkgsSource, Workspace, may_have_search_path};
use crate::nix::{
    self, Kept, Name, Nix, Overlay, PackageSet, Patches, Refetch, Root, SetWay, Survey, Vendored, Way, attr_path_text,
};
use crate::overlay::{AttrPath, Facts, OldPatches, PatchAttribute, ScopeKept, ScopeMethod};
use crate::queue::Error;
use crate::queue::discover;
use crate::targets;
use crate::targets::engine;

/// What is known about a package that is to be patched.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What the overlay room needs, for the name that was typed.
    pub(crate) facts: Facts,
    /// What Nix said; `None` when it was not asked.
    pub(crate) survey: Option<Survey>,
    /// The attribute that has to be bound instead, so that every name of the package has the patch.
    pub(crate) owner: Option<Bound>,
    /// Names of the same package that have to be bound beside it.
    pub(crate) also: Vec<Bound>,
    pub(crate) warnings: Vec<Warning>,
}

/// A name that an overlay binds, and what the overlay room needs for it.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) attr: AttrPath,
    pub(crate) facts: Facts,
}

/// Asks Nix about `attr` in the workspace's package set, where there is one.
pub(crate) fn ask(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
) -> Result<(Facts, Vec<Warning>), Error> {
    survey(workspace, nixpkgs, None, attr).map(|known| (known.facts, known.warnings))
}

/// Asks Nix which way a patch reaches `attr` in the workspace's package set, where there is one.
///
/// # Errors
/// [`Error::NoSuchAttribute`] with near names, [`Error::Removed`] for a name that nixpkgs took away, [`Error::Wrapper`] for a
/// package without a source. That there is no Nix or no package set is a warning, not an error: the edit can be made without.
pub(crate) fn survey(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    choice: Option<&discover::Choice>,
    attr: &AttrPath,
) -> Result<Known, Error> {
    let not_asked = |why: String| {
        let warning = Warning {
            code: "OV1006",
            message: format!("Nix was not asked about `{attr}`: {why}"),
            place: None,
            hint: Some("a typo in the name would go unnoticed; name a nixpkgs with --nixpkgs PATH".into()),
        };
        Known { warnings: vec![warning], ..Known::default() }
    };
    let unnamed = nixpkgs.is_none() && workspace.settings().nixpkgs.is_none();
    if unnamed
        && workspace.nixpkgs(None).is_ok_and(|source| source == NixpkgsSource::SearchPath)
        && !may_have_search_path()
    {
        return Ok(not_asked("the workspace names no nixpkgs, and there is none in NIX_PATH".into()));
    }
    let mut set = match targets::plain_set(workspace, nixpkgs) {
        Ok(set) => set,
        Err(error) if nixpkgs.is_none() => return Ok(not_asked(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let nix = match engine::nix(workspace) {
        Ok(nix) => nix,
        Err(error) => return Ok(not_asked(error.to_string())),
    };
    let shipped = shipped(workspace);
    match nix.survey(&Root::Packages(Box::new(set.clone())), attr.names(), &shipped) {
        Ok(survey)
            if (!survey.facts.exists || survey.removed.is_some()) && discover::binds(workspace, choice, attr) =>
        {
            // A package of the overlay's own: it is there with the overlays only.
            for file in workspace.overlays() {
                set.overlays.push(Overlay::File(targets::absolute(&file)?));
            }
            match nix.survey(&Root::Packages(Box::new(set)), attr.names(), &shipped) {
                Ok(mut survey) if survey.facts.exists && survey.removed.is_none() => {
                    // What it is made from in the overlay keeps its own name and goes on without the patch.
                    (survey.owner, survey.also, survey.apart) = (None, Vec::new(), Vec::new());
                    survey.environments.clear();
                    judge(attr, survey)
                }
                Ok(_) => Ok(Known::default()),
                Err(error) => Ok(not_asked(error.to_string())),
            }
        }
        Ok(survey) => judge(attr, survey),
        Err(error) if nixpkgs.is_none() => Ok(not_asked(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a name that none of the sets has.
///
/// # Errors
/// [`Error::NoSuchAttribute`] with names that are near in the first set, and those of the evaluator.
pub(crate) fn exists<'a>(
    nix: &Nix,
    sets: impl IntoIterator<Item = &'a PackageSet>,
    attr: &AttrPath,
) -> Result<(), Error> {
    let mut near = None;
    for set in sets {
        match nix.missing(&Root::Packages(Box::new(set.clone())), attr.names()) {
            Ok(Some(names)) => drop(near.get_or_insert(names)),
            Ok(None) | Err(nix::Error::Eval { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    near.map_or(Ok(()), |near| Err(Error::NoSuchAttribute { attr: attr.to_string(), near }))
}

/// Returns what the workspace ships, as paths from the plain package set; boards with a `cross-system` of their own have none.
pub(crate) fn shipped(workspace: &Workspace) -> Vec<Vec<String>> {
    let settings = workspace.settings();
    let mut out: Vec<Vec<String>> =
        settings.targets.iter().filter_map(|t| Some(AttrPath::parse(t).ok()?.names().to_vec())).collect();
    for board in settings.boards.values().filter(|board| board.cross_system.is_none()) {
        let Some(package) = board.packages.first().and_then(|p| AttrPath::parse(p).ok()) else { continue };
        let cross = board.platform.iter().flat_map(|platform| ["pkgsCross".to_string(), platform.clone()]);
        let fixed = board.is_static.then(|| "pkgsStatic".to_string());
        out.push(cross.chain(fixed).chain(package.names().iter().cloned()).collect());
    }
    out
}

fn judge(attr: &AttrPath, survey: Survey) -> Result<Known, Error> {
    let facts = &survey.facts;
    if !facts.exists {
        return Err(Error::NoSuchAttribute { attr: attr.to_string(), near: facts.near.clone() });
    }
    if let Some(removed) = survey.removed {
        return Err(Error::Removed { attr: attr.to_string(), message: removed.message, instead: removed.instead });
    }
    if survey.is_wrapper {
        return Err(Error::Wrapper { attr: attr.to_string(), unwrapped: survey.unwrapped });
    }
    let patches = match facts.patches {
        Patches::Null => OldPatches::Null,
        Patches::Other(_) => OldPatches::NotList,
        Patches::Absent | Patches::List(_) | Patches::Unknown => OldPatches::List,
    };
    let mut warnings = Vec::new();
    if let Some(failure) = &facts.failure {
        warnings.push(Warning {
            code: "OV1132",
            message: format!("`{attr}` does not evaluate ({}), so nothing was asked about it", failure.message),
            place: None,
            hint: Some("the overlay is written as is usual for such a package".into()),
        });
    }
    if let Some(platform) = &survey.platform {
        warnings.push(Warning {
            code: "OV1139",
            message: format!(
                "`{attr}` is not for the platform that builds it: it was asked for in pkgsCross.{platform}"
            ),
            place: None,
            hint: None,
        });
    }
    let how = survey.way.map(|way| way.how);
    // A package that does not evaluate says nothing about being one.
    let derivation = facts.failure.is_none().then_some(facts.is_derivation);
    let is_python = how == Some(SetWay::PythonPackageOverrides);
    let interpreter = match &survey.owner {
        Some(owner) if is_python => owner.path.first().cloned(),
        _ => survey.interpreter.clone(),
    };
    let known = |way: Option<Way>| Facts {
        scope: way.and_then(method),
        kernel: derivation.map(|_| survey.is_kernel),
        kept: match way.map(|way| way.kept) {
            Some(Kept::Merged) => ScopeKept::Merged,
            Some(Kept::Overridable) => ScopeKept::Overridable,
            Some(Kept::All) | None => ScopeKept::All,
        },
        interpreter: interpreter.clone(),
        patches,
        derivation,
    };
    let bound = |name: &Name| {
        let attr = AttrPath::from_names(name.path.iter().cloned())?;
        Some(Bound { attr, facts: known(name.way) })
    };
    let for_all = survey.owner.as_ref().filter(|_| how == Some(SetWay::PythonExtensions));
    let in_set = for_all.map_or(attr.names(), |owner| &owner.path).get(1..).unwrap_or_default();
    let of_set = |set: String| {
        let attr = AttrPath::from_names(std::iter::once(set).chain(in_set.iter().cloned()))?;
        Some(Bound { attr, facts: known(survey.way) })
    };
    let owner = match (how, &interpreter) {
        // What is written for all Pythons goes by the name of the usual one.
        (Some(SetWay::PythonExtensions), _) => of_set("python3Packages".into()),
        // The packages of an interpreter are those of its own set, by whatever name that was given.
        (Some(SetWay::PythonPackageOverrides), Some(interpreter)) => {
            of_set(format!("{interpreter}Packages")).filter(|owner| is_versioned(owner.attr.first()))
        }
        _ => survey.owner.as_ref().and_then(bound),
    }
    .filter(|owner| owner.attr != *attr);
    let also: Vec<Bound> = if is_python { Vec::new() } else { survey.also.iter().filter_map(bound).collect() };
    let python_also = survey.also.iter().filter(|_| is_python).map(|name| &name.path);
    let apart: Vec<String> =
        python_also.chain(&survey.apart).map(|path| format!("`{}`", attr_path_text(path))).collect();
    if how == Some(SetWay::PythonExtensions) {
        let others: Vec<&str> = survey.widened.iter().map(String::as_str).collect();
        let named = if others.is_empty() { "no other set".to_string() } else { others.join(", ") };
        warnings.push(Warning {
            code: "OV1137",
            message: format!("`{attr}` is patched for every Python at once ({named} besides), as python3Packages.{}", attr_path_text(in_set)),
            place: None,
            hint: Some("it is written to pythonPackagesExtensions, from which every interpreter, and its withPackages, makes its packages".into()),
        });
    } else if let Some(owner) = &owner {
        warnings.push(Warning {
            code: "OV1122",
            message: format!(
                "`{attr}` is another name of `{}`: the patch goes there, so that both have it",
                owner.attr
            ),
            place: None,
            hint: None,
        });
    }
    if survey.owner.as_ref().map_or(survey.way, |owner| owner.way).is_some_and(|way| way.how == SetWay::Merge)
        && let Some((last, set)) = owner.as_ref().map_or(attr, |owner| &owner.attr).names().split_last()
    {
        warnings.push(Warning {
            code: "OV1131",
            message: format!("packages of `{}` that use `{last}` keep the one without the patch", attr_path_text(set)),
            place: None,
            hint: Some("this set has no way to override a package for the others in it".into()),
        });
    }
    if let Some((first, more)) = apart.split_first() {
        let names = match more.len() {
            0..=5 => apart.join(", "),
            more => format!("{first} (and {more} other names)"),
        };
        warnings.push(Warning {
            code: "OV1123",
            message: match more.len() {
                0 => format!("{names} is the same package today and does not get the patch"),
                _ => format!("{names} are the same package today and do not get the patch"),
            },
            place: None,
            hint: Some("patch it as well where something of yours uses it by that name".into()),
        });
    }
    if let Some(first) = survey.environments.first() {
        let names: Vec<String> =
            survey.environments.iter().map(|made| format!("`{}`", attr_path_text(&made.path))).collect();
        let bound = owner.as_ref().map_or(attr, |owner| &owner.attr).to_string();
        warnings.push(Warning {
            code: "OV1190",
            message: format!("environments made by {} get `{}` without the patch", names.join(", "), attr.last()),
            place: None,
            hint: Some(format!(
                "hand them the patched one: {} ({})",
                attr_path_text(&first.path),
                first.argument.replace("NAME", &bound)
            )),
        });
    }
    let elsewhere: Vec<_> = survey.libcs.iter().filter(|libc| !libc.owners.iter().any(|o| o == attr.first())).collect();
    if let Some(libc) = elsewhere.first() {
        let owner = libc.owners.first().map(String::as_str).unwrap_or_default();
        warnings.push(Warning {
            code: "OV1124",
            message: format!("`{}` is linked with `{owner}`, not with `{attr}`", libc.target),
            place: None,
            hint: Some(format!("patch `{owner}` for it: overlayctl patch {owner} FILE")),
        });
    }
    let facts = known(survey.way);
    Ok(Known { facts, survey: Some(survey), owner, also, warnings })
}

/// Returns the overlay room's word for a way into a set.
fn method(way: Way) -> Option<ScopeMethod> {
    Some(match way.how {
        SetWay::PythonExtensions => ScopeMethod::PythonExtensions,
        SetWay::PythonPackageOverrides => ScopeMethod::PythonPackageOverrides,
        SetWay::OverrideScope => ScopeMethod::OverrideScope,
        SetWay::OverrideScopePrime => ScopeMethod::OverrideScopePrime,
        SetWay::Extend => ScopeMethod::Extend,
        SetWay::Overrides => ScopeMethod::Overrides,
        SetWay::Merge => ScopeMethod::Merge,
    })
}

/// Says whether a name is that of one version's set: `python37Packages`, and not `python3MinimalPackages`.
fn is_versioned(set: &str) -> bool {
    let stem = set.strip_suffix("Packages").unwrap_or_default();
    let digits = stem.strip_prefix("python").or_else(|| stem.strip_prefix("pypy"));
    digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns the attribute that a patch of `files` has to be written to, where that is not the usual one.
pub(crate) fn attribute(survey: Option<&Survey>, files: &[String]) -> Option<PatchAttribute> {
    let cargo = survey?.cargo.as_ref()?;
    named(files, &["Cargo.lock"])?;
    Some(PatchAttribute::CargoPatches { hash: cargo.hash.clone(), of_final: cargo.of_final })
}

/// Returns the first of the files with one of these names.
fn named(files: &[String], names: &[&str]) -> Option<String> {
    files.iter().find(|file| names.contains(&file.rsplit('/').next().unwrap_or(file))).cloned()
}

/// Lock files, and the attributes that may hold what each names.
const LOCKS: [(&str, &[&str]); 10] = [
    ("Cargo.lock", &["cargoDeps"]),
    ("go.mod", &["goModules", "go-modules", "modSha256"]),
    ("go.sum", &["goModules", "go-modules", "modSha256"]),
    ("package-lock.json", &["npmDeps"]),
    ("npm-shrinkwrap.json", &["npmDeps"]),
    ("yarn.lock", &["yarnOfflineCache", "offlineCache"]),
    ("pnpm-lock.yaml", &["pnpmDeps", "offlineCache"]),
    ("mix.lock", &["mixFodDeps"]),
    ("gradle.lockfile", &["mitmCache"]),
    ("composer.lock", &["composerVendor", "composerRepository"]),
];
/// Python's lock files: nixpkgs fetches nothing by them.
const PYTHON_LOCKS: [&str; 5] = ["poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"];

/// Returns what has to stand beside the patch for the dependencies to follow it: what was tried.
fn refetched(vendored: &Vendored) -> String {
    let deps = &vendored.attribute;
    let beside = match &vendored.refetch {
        Some(Refetch::Beside(hash)) => format!("{hash} = final.lib.fakeHash;"),
        Some(Refetch::Hash) => {
            format!("{deps} = old.{deps}.overrideAttrs (_: {{ outputHash = final.lib.fakeHash; }});")
        }
        Some(Refetch::Itself) => format!(
            "{deps} = old.{deps}.overrideAttrs (deps: {{ patches = (deps.patches or [ ]) ++ [ PATCH ]; outputHash = final.lib.fakeHash; }});"
        ),
        None => {
            return format!(
                "no override of the package was found that changes `{deps}`: give it the patch where it is called"
            );
        }
    };
    format!("set `{beside}` beside the patch; the build then tells the right hash")
}

/// Returns what a patch of the file `lock` does to what is fetched for the package into one of the `attributes`.
fn of_lock(
    attr: &AttrPath,
    survey: Option<&Survey>,
    files: &[String],
    lock: &str,
    attributes: &[&str],
) -> Option<Warning> {
    let vendored =
        survey.and_then(|survey| survey.vendored.iter().find(|deps| attributes.contains(&deps.attribute.as_str())));
    if survey.is_some_and(|survey| survey.vendored.is_empty()) {
        return None;
    }
    let written = attribute(survey, files).filter(|_| lock.ends_with("Cargo.lock"));
    let told = match &written {
        Some(PatchAttribute::CargoPatches { hash: Some(hash), .. }) => format!(
            "the patch touches {lock}: it is given to `{attr}` as cargoPatches, and {hash} has to become the one that the build tells"
        ),
        Some(_) => format!("the patch touches {lock}: it is given to `{attr}` as cargoPatches"),
        None if survey.is_some() && vendored.is_none() => {
            format!("the patch touches {lock}: what fetches the dependencies that it names is no attribute of `{attr}`")
        }
        None => format!(
            "the patch touches {lock}: the dependencies of `{attr}` are fetched by a hash, which changes with it"
        ),
    };
    let hint = match vendored {
        _ if written.is_some() => {
            format!("`overlayctl build {attr}` stops at the false hash and says the right one")
        }
        Some(vendored) => refetched(vendored),
        None if lock.ends_with("Cargo.lock") => {
            "buildRustPackage reads such a patch as `cargoPatches`, with a new cargoHash: give the package both where it \
             is called, or override `cargoDeps` as well"
                .into()
        }
        None => "give the patch and a new hash to the derivation that holds the dependencies; with Nix asked (no --offline) \
                 what to override is found out"
            .into(),
    };
    Some(Warning { code: "OV1125", message: told, place: None, hint: Some(hint) })
}

/// Returns what a patch that touches `files` does to how the package is built.
pub(crate) fn of_touched(attr: &AttrPath, survey: Option<&Survey>, files: &[String]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut told: Vec<&[&str]> = Vec::new();
    for (name, attributes) in LOCKS {
        if let Some(lock) = named(files, &[name]).filter(|_| !told.contains(&attributes)) {
            told.push(attributes);
            warnings.extend(of_lock(attr, survey, files, &lock, attributes));
        }
    }
    if let Some(lock) = named(files, &PYTHON_LOCKS) {
        warnings.push(Warning {
            code: "OV1192",
            message: format!("the patch touches {lock}: no derivation of `{attr}` fetches what it names"),
            place: None,
            hint: Some(
                "nixpkgs gives a Python package its dependencies as packages: change `dependencies` (`propagatedBuildInputs`) where \
                 the patch needs others"
                    .into(),
            ),
        });
    }
    let remade = files.iter().find(|file| {
        let name = file.rsplit('/').next().unwrap_or(file);
        matches!(name, "configure.ac" | "configure.in" | "Makefile.am" | "aclocal.m4" | "acinclude.m4")
            || name.ends_with(".m4")
    });
    let makes = files.iter().any(|file| file.ends_with("configure") || file.ends_with("Makefile.in"));
    let hooked = survey.and_then(|survey| survey.autoreconf).unwrap_or(false);
    if let Some(file) = remade.filter(|_| !makes && !hooked) {
        warnings.push(Warning {
            code: "OV1126",
            message: match survey {
                Some(_) => format!("the patch touches {file}, and `{attr}` does not make `configure` anew: it has no effect there"),
                None => format!("the patch touches {file}: without autoreconf it has no effect there"),
            },
            place: None,
            hint: Some(
                "add `nativeBuildInputs = (old.nativeBuildInputs or [ ]) ++ [ final.buildPackages.autoreconfHook ];` to the override".into(),
            ),
        });
    }
    warnings
}
