//! What Nix says about a package before a patch of it is written, and what follows from that.

use super::{Error, engine, targets};
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::nix::{PackageFacts, Patches, Root};
use crate::overlay::{AttrPath, Facts, OldPatches};

/// Asks Nix about `attr` in the workspace's package set, where there is one.
///
/// # Errors
/// [`Error::NoSuchAttribute`] with near names, [`Error::Wrapper`] for a package without a source. That there is no Nix or no package set is a
/// warning, not an error: the edit can be made without.
pub(super) fn ask(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
) -> Result<(Facts, Vec<Warning>), Error> {
    let not_asked = |why: String| {
        let warning = Warning {
            code: "OV1006",
            message: format!("Nix was not asked about `{attr}`: {why}"),
            place: None,
            hint: Some("a typo in the name would go unnoticed; name a nixpkgs with --nixpkgs PATH".into()),
        };
        (Facts::default(), vec![warning])
    };
    let set = match targets::plain_set(workspace, nixpkgs) {
        Ok(set) => set,
        Err(error) if nixpkgs.is_none() => return Ok(not_asked(error.to_string())),
        Err(error) => return Err(error),
    };
    let nix = match engine::nix(workspace) {
        Ok(nix) => nix,
        Err(error) => return Ok(not_asked(error.to_string())),
    };
    let facts = match nix.package_facts(&Root::Packages(Box::new(set)), attr.names()) {
        Ok(facts) => facts,
        Err(error) if nixpkgs.is_none() => return Ok(not_asked(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    judge(attr, &facts)
}

fn judge(attr: &AttrPath, facts: &PackageFacts) -> Result<(Facts, Vec<Warning>), Error> {
    if !facts.exists {
        return Err(Error::NoSuchAttribute { attr: attr.to_string(), near: facts.near.clone() });
    }
    if facts.is_derivation && facts.has_src == Some(false) {
        return Err(Error::Wrapper { attr: attr.to_string(), unwrapped: format!("{attr}-unwrapped") });
    }
    let patches = match facts.patches {
        Patches::Null => OldPatches::Null,
        Patches::Other(_) => OldPatches::NotList,
        Patches::Absent | Patches::List(_) | Patches::Unknown => OldPatches::List,
    };
    // A package that does not evaluate says nothing about being one.
    let derivation = facts.failure.is_none().then_some(facts.is_derivation);
    Ok((Facts { patches, derivation, ..Facts::default() }, Vec::new()))
}
