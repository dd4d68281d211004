//! Flakes as roots, without the copies that Nix makes of them.
//!
//! `builtins.getFlake` of newer versions of Nix reads each `path:` input anew, locked or not: with a checkout of nixpkgs that takes
//! longer than all the rest. What a lock says is in the store already is taken from there (`flake.nix`), when the lock is what the flake
//! asks for; in every other case Nix decides.
//!
//! Answers about the outputs of a flake in a working directory are not kept between runs ([`super::kept`]): which files are part of it
//! git says, and Nix copies them to the store by itself, so that what its code reads is not seen where it is. The input that a package
//! set is taken from is read without that, and what is asked of such a set is kept.

use std::path::Path;
use std::sync::LazyLock;

use super::error::Error;
use super::expression::{Fragment, Root, attr_path_text, path_text, quoted};
use crate::base::{fs, store_path};

/// The function, in one line as everything that an evaluator is told.
static OUTPUTS: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("flake.nix").lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ")
});

/// Returns the outputs of a flake as a root. `reference` is what Nix is asked for where it decides; `place` is the same as
/// `git+file://ROOT` or `path:DIR`, with `?rev=`, `&dir=` and `&shallow=1`. Its `flake.nix` and its lock are in `here` too.
///
/// # Errors
/// [`Error::BadExpression`] as [`super::path_text`].
pub fn flake(reference: &str, place: &str, here: &Path) -> Result<Root, Error> {
    Ok(match text(reference, place, here, None)? {
        Some(text) => Root::Expression(Fragment::parse(text)?),
        None => Root::Flake(reference.to_owned()),
    })
}

/// Returns the place of an input of a flake; the arguments are those of [`flake`].
pub fn flake_input(reference: &str, place: &str, here: &Path, input: &str) -> Result<Fragment, Error> {
    let plain =
        || format!("(builtins.getFlake {}).inputs.{}.outPath", quoted(reference), attr_path_text(&[input.to_owned()]));
    Fragment::parse(text(reference, place, here, Some(input))?.unwrap_or_else(plain))
}

/// Returns the text of the function with its arguments; `None` where it would be no use.
fn text(reference: &str, place: &str, here: &Path, input: Option<&str>) -> Result<Option<String>, Error> {
    let Some((fetch, dir)) = parts(place) else { return Ok(None) };
    let stored = fs::read_text(&here.join("flake.lock")).ok().map(|lock| stored(&lock)).unwrap_or_default();
    if stored.is_empty() {
        return Ok(None);
    }
    let list: String = stored
        .iter()
        .map(|(node, path)| format!("{} = {}; ", attr_path_text(std::slice::from_ref(node)), quoted(path)))
        .collect();
    Ok(Some(format!(
        "({}) {{ here = {}; reference = {}; fetch = {{ {fetch}}}; dir = {}; stored = {{ {list}}}; input = {}; }}",
        *OUTPUTS,
        path_text(here)?,
        quoted(reference),
        quoted(&dir),
        input.map_or("null".to_owned(), quoted)
    )))
}

/// Returns what `builtins.fetchTree` is asked for a reference, and where in that the flake is.
fn parts(reference: &str) -> Option<(String, String)> {
    let (place, query) = reference.split_once('?').unwrap_or((reference, ""));
    let mut fetch = match (place.strip_prefix("git+"), place.strip_prefix("path:")) {
        (Some(url), _) => format!("type = \"git\"; url = {}; ", quoted(url)),
        (_, Some(path)) => format!("type = \"path\"; path = {}; ", quoted(path)),
        _ => return None,
    };
    let mut dir = String::new();
    for (key, value) in
        query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
    {
        match key {
            "rev" => fetch.push_str(&format!("rev = {}; ", quoted(value))),
            "shallow" => fetch.push_str("shallow = true; "),
            "dir" => value.clone_into(&mut dir),
            _ => return None,
        }
    }
    Some((fetch, dir))
}

/// Returns the nodes of a lock that are directories outside the store, with the store paths of what they held, where those are there.
fn stored(lock: &str) -> Vec<(String, String)> {
    let lock: serde_json::Value = serde_json::from_str(lock).unwrap_or_default();
    let nodes = lock.get("nodes").and_then(serde_json::Value::as_object);
    let path_of = |node: &serde_json::Value| {
        let locked = node.get("locked")?;
        let text = |key: &str| locked.get(key).and_then(serde_json::Value::as_str);
        let is_outside = text("type") == Some("path")
            && text("path").is_some_and(|path| path.starts_with('/') && !path.starts_with(store_path::STORE_DIR));
        let hash = text("narHash")?.strip_prefix("sha256-").filter(|_| is_outside)?;
        let hash = data_encoding::BASE64.decode(hash.as_bytes()).ok()?;
        Some(store_path::of_tree("source", &hash)).filter(|path| Path::new(path).exists())
    };
    nodes.into_iter().flatten().filter_map(|(name, node)| Some((name.clone(), path_of(node)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        assert_eq!(
            parts("git+file:///w s?rev=12&dir=a/b&shallow=1"),
            Some(("type = \"git\"; url = \"file:///w s\"; rev = \"12\"; shallow = true; ".into(), "a/b".into()))
        );
        assert_eq!(parts("path:/w"), Some(("type = \"path\"; path = \"/w\"; ".into(), String::new())));
        assert_eq!((parts("github:a/b"), parts("path:/w?narHash=x")), (None, None));
        assert!(!OUTPUTS.contains('\n') && !OUTPUTS.contains('#'));
    }
}
