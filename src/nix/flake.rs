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

use serde_json::Value;

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

/// Returns what a lock has for an input of its flake; for one that follows another, what it has for that.
pub fn locked<'l>(lock: &'l Value, input: &str) -> Option<&'l Value> {
    let nodes = lock.get("nodes")?;
    let root = nodes.get(lock.get("root")?.as_str()?)?;
    let (mut node, mut path) = (root, vec![input]);
    // One that leads in a circle has no end.
    for _ in 0..100 {
        let Some(name) = path.pop() else { return node.get("locked") };
        match node.get("inputs")?.get(name)? {
            Value::String(name) => node = nodes.get(name)?,
            Value::Array(names) => {
                node = root;
                path.extend(names.iter().rev().filter_map(Value::as_str));
            }
            _ => return None,
        }
    }
    None
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
    let lock: Value = serde_json::from_str(lock).unwrap_or_default();
    let nodes = lock.get("nodes").and_then(Value::as_object);
    let path_of = |node: &Value| {
        let locked = node.get("locked")?;
        let text = |key: &str| locked.get(key).and_then(Value::as_str);
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
    use serde_json::json;

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

    #[test]
    fn a_lock_has_a_hash_or_has_not() {
        let lock = json!({
            "root": "root",
            "nodes": {
                "root": { "inputs": { "nixpkgs": "nixpkgs_2", "same": ["nixpkgs"], "deep": ["tools", "nixpkgs"], "tools": "tools",
                    "through": ["alias", "nixpkgs"], "alias": ["tools"], "loop": ["loop"], "lost": "nowhere", "bare": "bare" } },
                "nixpkgs_2": { "locked": { "narHash": "sha256-a" } },
                "tools": { "inputs": { "nixpkgs": "other" }, "locked": { "narHash": "sha256-t" } },
                "other": { "locked": { "narHash": "sha256-b" } },
                "bare": { "locked": { "type": "path" } },
            }
        });
        let of = |input| locked(&lock, input)?.get("narHash")?.as_str();
        assert_eq!(of("nixpkgs"), Some("sha256-a"));
        assert_eq!(of("same"), Some("sha256-a"));
        assert_eq!(of("deep"), Some("sha256-b"));
        assert_eq!(of("through"), Some("sha256-b"), "what a path leads through follows another, too");
        for input in ["loop", "lost", "bare", "none"] {
            assert_eq!(of(input), None, "{input}");
        }
    }
}
