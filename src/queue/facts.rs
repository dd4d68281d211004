//! What Nix says about a package before a patch of it is written, and what follows from that.

use crate::base::diagnostic::Warning;
use crate::config::{NixpkgsSource, Workspace, may_have_search_path};
use crate::nix::{Overlay, Patches, Root, SetWay, Survey, attr_path_text};
use crate::overlay::{AttrPath, Facts, OldPatches, PatchAttribute, ScopeMethod};
use crate::queue::Error;
use crate::queue::discover;
use crate::targets;
use crate::targets::engine;

/// What is known about a package that is to be patched.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What the overlay room needs.
    pub(crate) facts: Facts,
    /// What Nix said; `None` when it was not asked.
    pub(crate) survey: Option<Survey>,
    /// The attribute that has to be bound instead, so that every name of the package has the patch.
    pub(crate) owner: Option<AttrPath>,
    /// Names of the same package that have to be bound beside it.
    pub(crate) also: Vec<AttrPath>,
    /// What the user should know.
    pub(crate) warnings: Vec<Warning>,
}

/// Asks Nix about `attr` in the workspace's package set, where there is one.
///
/// # Errors
/// As [`survey`].
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
/// [`Error::NoSuchAttribute`] with near names, [`Error::Wrapper`] for a package without a source. That there is no Nix or no package set is a
/// warning, not an error: the edit can be made without.
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
        Ok(survey) if !survey.facts.exists && discover::binds(workspace, choice, attr) => {
            // A package of the overlay's own: it is there with the overlays only.
            for file in workspace.overlays() {
                set.overlays.push(Overlay::File(targets::absolute(&file)?));
            }
            match nix.survey(&Root::Packages(Box::new(set)), attr.names(), &shipped) {
                Ok(survey) if survey.facts.exists => judge(attr, survey),
                Ok(_) => Ok(Known::default()),
                Err(error) => Ok(not_asked(error.to_string())),
            }
        }
        Ok(survey) => judge(attr, survey),
        Err(error) if nixpkgs.is_none() => Ok(not_asked(error.to_string())),
        Err(error) => Err(error.into()),
    }
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
    if survey.is_wrapper {
        return Err(Error::Wrapper { attr: attr.to_string(), unwrapped: survey.unwrapped });
    }
    let patches = match facts.patches {
        Patches::Null => OldPatches::Null,
        Patches::Other(_) => OldPatches::NotList,
        Patches::Absent | Patches::List(_) | Patches::Unknown => OldPatches::List,
    };
    let scope = match survey.way {
        _ if survey.is_kernel => Some(ScopeMethod::KernelPatches),
        Some(SetWay::PythonExtensions) => Some(ScopeMethod::PythonExtensions),
        Some(SetWay::PythonPackageOverrides) => Some(ScopeMethod::PythonPackageOverrides),
        Some(SetWay::OverrideScope) => Some(ScopeMethod::OverrideScope),
        Some(SetWay::OverrideScopePrime) => Some(ScopeMethod::OverrideScopePrime),
        Some(SetWay::Extend) => Some(ScopeMethod::Extend),
        Some(SetWay::Overrides) => Some(ScopeMethod::Overrides),
        Some(SetWay::Merge) => Some(ScopeMethod::Merge),
        None => None,
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
    let is_python = survey.interpreter.is_some();
    let named = |first: &String| {
        AttrPath::from_names(std::iter::once(first.clone()).chain(attr.names().iter().skip(1).cloned()))
    };
    let interpreter = if is_python { survey.owner.clone().or_else(|| survey.interpreter.clone()) } else { None };
    let owner = match &interpreter {
        // The packages of an interpreter are those of its own set, by whatever name that was given.
        Some(interpreter) => named(&format!("{interpreter}Packages")).filter(|owner| is_versioned(owner.first())),
        None => survey.owner.as_ref().and_then(named),
    }
    .filter(|owner| owner != attr);
    let (also, apart) = match is_python {
        true => (Vec::new(), survey.also.iter().chain(&survey.apart).cloned().collect::<Vec<_>>()),
        false => (survey.also.iter().filter_map(named).collect(), survey.apart.clone()),
    };
    if let Some(owner) = &owner {
        warnings.push(Warning {
            code: "OV1122",
            message: format!("`{attr}` is another name of `{owner}`: the patch goes there, so that both have it"),
            place: None,
            hint: None,
        });
    }
    if survey.way == Some(SetWay::Merge) {
        warnings.push(Warning {
            code: "OV1131",
            message: format!(
                "packages of `{}` that use `{}` keep the one without the patch",
                attr.first(),
                attr.last()
            ),
            place: None,
            hint: Some("this set has no way to override a package for the others in it".into()),
        });
    }
    if !apart.is_empty() {
        let names: Vec<String> = apart
            .iter()
            .map(|name| {
                let rest = if is_python { &[] } else { attr.names().get(1..).unwrap_or_default() };
                let path: Vec<String> = std::iter::once(name.clone()).chain(rest.iter().cloned()).collect();
                format!("`{}`", attr_path_text(&path))
            })
            .collect();
        warnings.push(Warning {
            code: "OV1123",
            message: format!("{} is the same package today and does not get the patch", names.join(", ")),
            place: None,
            hint: Some("patch it as well where something of yours uses it by that name".into()),
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
    // A package that does not evaluate says nothing about being one.
    let derivation = facts.failure.is_none().then_some(facts.is_derivation);
    let facts = Facts { scope, interpreter, patches, derivation };
    Ok(Known { facts, survey: Some(survey), owner, also, warnings })
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
    Some(PatchAttribute::CargoPatches { hash: cargo.hash.clone() })
}

/// Returns the first of the files with one of these names.
fn named(files: &[String], names: &[&str]) -> Option<String> {
    files.iter().find(|file| names.contains(&file.rsplit('/').next().unwrap_or(file))).cloned()
}

/// Returns what a patch that touches `files` does to how the package is built.
pub(crate) fn of_touched(attr: &AttrPath, survey: Option<&Survey>, files: &[String]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let locks = [
        "Cargo.lock",
        "go.mod",
        "go.sum",
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "mix.lock",
        "gradle.lockfile",
    ];
    let vendors = survey.is_none_or(|survey| !survey.vendored.is_empty());
    if let Some(lock) = named(files, &locks).filter(|_| vendors) {
        let rust = lock.ends_with("Cargo.lock");
        let written = attribute(survey, files);
        let told = match &written {
            Some(PatchAttribute::CargoPatches { hash: Some(hash) }) => format!(
                "the patch touches {lock}: it is given to `{attr}` as cargoPatches, and {hash} has to become the one that the build tells"
            ),
            Some(_) => format!("the patch touches {lock}: it is given to `{attr}` as cargoPatches"),
            None => format!(
                "the patch touches {lock}: the dependencies of `{attr}` are fetched by a hash, which changes with it"
            ),
        };
        warnings.push(Warning {
            code: "OV1125",
            message: told,
            place: None,
            hint: Some(match rust {
                _ if written.is_some() => {
                    format!("`overlayctl build {attr}` stops at the false hash and says the right one")
                }
                true => "buildRustPackage reads such a patch as `cargoPatches`, with a new cargoHash: give the package both where it \
                         is called, or override `cargoDeps` as well"
                    .into(),
                false => "set the new hash (vendorHash, npmDepsHash, ...) beside the patch; the build tells it".into(),
            }),
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
