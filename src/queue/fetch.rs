//! A patch by its address: read through Nix's own fetcher, and where it may stand as `fetchpatch` in the overlay.

use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::config::Workspace;
use crate::nix::{self, BuildRequest, Goal, Nix, Reason, Root, Survey};
use crate::overlay::{AttrPath, PatchElement};
use crate::queue::Error;
use crate::targets;
use crate::targets::engine;

pub(crate) struct Fetched {
    /// Its bytes, as they came.
    pub(crate) bytes: Vec<u8>,
    /// The element for the overlay, where it may be fetched there.
    pub(crate) element: Option<PatchElement>,
    /// Why it is kept as a file instead.
    pub(crate) warning: Option<Warning>,
}

/// A hash that nothing has.
const NO_SRI: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NO_SHA256: &str = "0000000000000000000000000000000000000000000000000000";

/// Fetches `url`, and finds the hash that `fetchpatch` needs for it.
///
/// # Errors
/// [`Error::Fetch`] when it cannot be had, [`Error::Nix`] without Nix.
pub(crate) fn fetch(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
    survey: Option<&Survey>,
    url: &str,
) -> Result<Fetched, Error> {
    let nix = engine::nix(workspace)?;
    let bytes = read(&nix, url)?;
    let kept = |code: &'static str, message: String, hint: &str| Warning {
        code,
        message,
        place: None,
        hint: Some(hint.to_string()),
    };
    let file = |warning| Ok(Fetched { bytes: bytes.clone(), element: None, warning: Some(warning) });
    if !url.contains("://") || url.starts_with("file:") {
        return file(kept(
            "OV1128",
            format!("{url} is on this machine only, so the patch is kept as a file of the queue"),
            "an address that every builder reaches could stand in the overlay",
        ));
    }
    let Some(survey) = survey else {
        return file(kept(
            "OV1128",
            "without a nixpkgs the hash of fetchpatch cannot be had, so the patch is kept as a file of the queue"
                .into(),
            "name a nixpkgs with --nixpkgs PATH",
        ));
    };
    let root = Root::Packages(Box::new(targets::plain_set(workspace, nixpkgs)?)).to_nix()?;
    let mut server = nix.eval_server()?;
    server.bind("root", &root)?;
    let address = nix::quoted(url);
    let mut call = |hash_attr: &str, hash: &str| {
        server.eval_string(&format!("(root.fetchpatch {{ url = {address}; {hash_attr} = \"{hash}\"; }}).drvPath"))
    };
    let (hash_attr, drv) = match call("hash", NO_SRI)? {
        Ok(drv) => ("hash", drv),
        Err(_) => match call("sha256", NO_SHA256)? {
            Ok(drv) => ("sha256", drv),
            Err(failure) => {
                return file(kept(
                    "OV1128",
                    format!(
                        "fetchpatch does not evaluate ({}), so the patch is kept as a file of the queue",
                        failure.message
                    ),
                    "the package set has to have fetchpatch for --fetch",
                ));
            }
        },
    };
    if let Some(name) = survey.facts.name.as_deref()
        && nix.requisites(&[&drv])?.iter().any(|path| path.ends_with(&format!("-{name}.drv")))
    {
        return file(kept(
            "OV1127",
            format!(
                "fetchpatch is built with `{attr}` itself: it cannot fetch the patch for it, so that is kept as a file of the queue"
            ),
            "an overlay that fetched it would recurse without end",
        ));
    }
    // What is to be built besides the patch is the fetcher itself: not for a hash.
    let builds = nix.dry_run(&[&drv])?.will_build.iter().filter(|built| **built != drv).count();
    if builds > 0 {
        return file(kept(
            "OV1128",
            format!(
                "for the hash of fetchpatch {builds} derivations would have to be built, so the patch is kept as a file of the queue"
            ),
            "with a binary cache at hand the fetcher would be there",
        ));
    }
    match hash(&nix, &drv)? {
        Ok(hash) => Ok(Fetched {
            bytes,
            element: Some(PatchElement::Fetch { url: url.to_string(), hash_attr: hash_attr.to_string(), hash }),
            warning: None,
        }),
        Err(reason) => file(kept(
            "OV1128",
            format!("the hash of fetchpatch could not be had ({reason}), so the patch is kept as a file of the queue"),
            "the fetcher itself has to be built or substituted for it",
        )),
    }
}

fn read(nix: &Nix, url: &str) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Fetch { url: url.to_string(), reason };
    let mut server = nix.eval_server()?;
    let asked = format!("builtins.fetchurl {{ url = {}; name = \"fetched.patch\"; }}", nix::quoted(url));
    let path = server.eval_string(&asked)?.map_err(|failure| failed(failure.message))?;
    let path = nix.physical(&path).ok_or_else(|| failed("the store is not on this machine".into()))?;
    Ok(fs::read(&path)?)
}

/// Lets Nix fetch with a wrong hash; it then says the right one.
fn hash(nix: &Nix, drv: &str) -> Result<Result<String, String>, Error> {
    let goal = Goal { drv_path: drv.to_string(), outputs: Vec::new(), link: None };
    let request = BuildRequest { goals: vec![goal], ..BuildRequest::default() };
    let report = nix.build(&request, &mut |_, _| {})?;
    let failures = report.results.values().filter_map(|result| result.failure.as_ref());
    for failure in failures {
        if let Reason::HashMismatch { got, .. } = &failure.reason {
            return Ok(Ok(got.clone()));
        }
    }
    let failure = report.first_failure().and_then(|(_, result)| result.failure.as_ref()).map(|f| f.reason.to_string());
    Ok(Err(failure.or_else(|| report.messages.first().cloned()).unwrap_or_else(|| "nothing was built".into())))
}
