//! What flake.lock, npins and niv say of a source: the reference by which Nix fetches another revision of it, and what changes then.

use serde_json::Value;

use super::{Fetched, is_revision};

/// Returns the reference of the same source at a revision or branch; for a lock `None` where Nix finds the newest itself.
pub(super) fn of_lock(locked: &Value, to: Option<&str>) -> Result<Option<String>, String> {
    let Some(to) = to else { return Ok(None) };
    // A reference of its own.
    if to.contains(':') {
        return Ok(Some(to.to_owned()));
    }
    let text = |key: &str| locked.get(key).and_then(Value::as_str);
    match (text("type"), text("owner"), text("repo"), text("url")) {
        (Some(kind @ ("github" | "gitlab" | "sourcehut")), Some(owner), Some(repo), _) => {
            Ok(Some(format!("{kind}:{owner}/{repo}/{to}")))
        }
        (Some("git"), _, _, Some(url)) => Ok(Some(git(url, to))),
        (Some(kind), ..) => Err(format!("what is locked is of the type {kind}, which has no revisions")),
        (None, ..) => Err("flake.lock does not say where it is from".into()),
    }
}

/// Returns the reference of a source of npins or niv at a revision or branch, or the newest of its own branch.
pub(super) fn reference(entry: &Value, to: Option<&str>) -> Result<String, String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let repository = entry.get("repository");
    let of = |key: &str| repository.and_then(|at| at.get(key)).and_then(Value::as_str);
    if text("type") == Some("Channel") {
        let name = to.or(text("name")).ok_or("it names no channel")?;
        return Ok(if name.contains("://") { name.to_owned() } else { channel(name) });
    }
    let to = to.or(text("branch")).ok_or("it names no branch, so its newest revision is not known")?;
    let owner = of("owner").zip(of("repo")).or(text("owner").zip(text("repo")));
    let url = of("url").or_else(|| text("repo").filter(|_| text("type") == Some("git")));
    match (of("type"), owner, url) {
        (None | Some("GitHub"), Some((owner, repo)), _) => Ok(format!("github:{owner}/{repo}/{to}")),
        (None | Some("Git"), _, Some(url)) => Ok(git(url, to)),
        (Some(kind), ..) => Err(format!("pins of the type {kind} are moved by their own tool alone")),
        _ => Err("it is no git repository".into()),
    }
}

/// Returns the address of the repository that an entry of npins or niv is from, as git takes it.
pub(super) fn address(entry: &Value) -> Option<String> {
    let reference = reference(entry, Some("x")).ok()?;
    match (reference.strip_prefix("github:"), reference.strip_prefix("git+")) {
        (Some(repository), _) => Some(format!("https://github.com/{}", repository.strip_suffix("/x")?)),
        (None, Some(url)) => Some(url.strip_suffix("?ref=x")?.to_owned()),
        (None, None) => None,
    }
}

fn channel(name: &str) -> String {
    format!("https://channels.nixos.org/{name}/nixexprs.tar.xz")
}

fn git(url: &str, to: &str) -> String {
    let url = url.split('?').next().unwrap_or(url);
    let url = if url.starts_with('/') { format!("file://{url}") } else { url.to_owned() };
    let key = if is_revision(to) { "rev" } else { "ref" };
    format!("git+{url}?{key}={to}")
}

/// Returns the members of an entry of npins or niv that change, in their new words.
pub(super) fn changes(
    entry: &Value,
    to: Option<&str>,
    is_branch: bool,
    fetched: &Fetched,
) -> Result<Vec<(&'static str, String)>, String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let mut changes = Vec::new();
    for key in ["hash", "sha256"] {
        if let Some(old) = text(key) {
            changes.push((key, as_written(old, &fetched.nar_hash)?));
        }
    }
    if text("type") == Some("Channel") {
        let name = to.or(text("name")).unwrap_or_default();
        changes.push(("url", if name.contains("://") { name.to_owned() } else { channel(name) }));
        if !name.contains("://") {
            changes.push(("name", name.to_owned()));
        }
        return Ok(changes);
    }
    let revision = fetched.revision.as_deref().ok_or("what was fetched has no revision")?;
    let key = if text("revision").is_some() { "revision" } else { "rev" };
    let old = text(key).ok_or("it has no revision")?;
    changes.push((key, revision.to_owned()));
    if let Some(url) = text("url") {
        if !url.contains(old) {
            return Err("its address does not name its revision".into());
        }
        changes.push(("url", url.replace(old, revision)));
    }
    // A branch that was named is the one that it follows from now on; a tag or a revision is none.
    if let (Some(to), Some(_)) = (to.filter(|_| is_branch), text("branch")) {
        changes.push(("branch", to.to_owned()));
    }
    Ok(changes)
}

/// Returns a hash in the way in which the old one is written: `sha256-...`, hexadecimal, or Nix' base 32.
fn as_written(old: &str, sri: &str) -> Result<String, String> {
    let base64 = sri.strip_prefix("sha256-").ok_or("Nix named a hash that is no SHA-256")?;
    let bytes = data_encoding::BASE64.decode(base64.as_bytes()).map_err(|error| error.to_string())?;
    let (prefix, digits) = match old.split_once(':') {
        Some(("sha256", digits)) => ("sha256:", digits),
        _ => ("", old),
    };
    Ok(match digits.len() {
        _ if old.starts_with("sha256-") => sri.to_owned(),
        64 => format!("{prefix}{}", data_encoding::HEXLOWER.encode(&bytes)),
        52 => format!("{prefix}{}", crate::base::store_path::base32(&bytes)),
        _ => return Err(format!("its hash `{old}` is written in a way that is not known")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const REV: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn references_of_every_keeper() {
        let npins = json!({ "type": "Git", "repository": { "type": "GitHub", "owner": "NixOS", "repo": "nixpkgs" },
            "branch": "nixos-unstable", "revision": REV, "url": format!("https://x/{REV}.tar.gz"), "hash": "0".repeat(52) });
        assert_eq!(reference(&npins, None).unwrap(), "github:NixOS/nixpkgs/nixos-unstable");
        assert_eq!(reference(&npins, Some(REV)).unwrap(), format!("github:NixOS/nixpkgs/{REV}"));
        let plain = json!({ "type": "Git", "repository": { "type": "Git", "url": "file:///n" }, "revision": REV });
        assert_eq!(reference(&plain, Some("b")).unwrap(), "git+file:///n?ref=b");
        assert!(reference(&plain, None).is_err(), "no branch");
        let niv = json!({ "owner": "NixOS", "repo": "nixpkgs", "branch": "master", "type": "tarball" });
        assert_eq!(reference(&niv, None).unwrap(), "github:NixOS/nixpkgs/master");
        let git = json!({ "type": "git", "repo": "/n", "rev": REV });
        assert_eq!(reference(&git, Some(REV)).unwrap(), format!("git+file:///n?rev={REV}"));
        let channel = json!({ "type": "Channel", "name": "nixos-24.11" });
        assert_eq!(
            reference(&channel, Some("nixos-25.05")).unwrap(),
            "https://channels.nixos.org/nixos-25.05/nixexprs.tar.xz"
        );
        let locked = json!({ "type": "github", "owner": "a", "repo": "b" });
        assert_eq!(of_lock(&locked, Some("x")).unwrap().unwrap(), "github:a/b/x");
        assert_eq!(of_lock(&locked, Some("path:/x")).unwrap().unwrap(), "path:/x");
        assert!(of_lock(&json!({ "type": "path" }), Some("x")).is_err());
    }

    #[test]
    fn hashes_keep_their_way_of_writing() {
        // Of `nix hash to-base32` and `to-base16`.
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let base32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (old, new) in [("sha256-x", sri), (base32, base32), (hex, hex)] {
            assert_eq!(as_written(old, sri).unwrap(), new);
        }
        assert_eq!(as_written(&format!("sha256:{base32}"), sri).unwrap(), format!("sha256:{base32}"));
        assert!(as_written("x", sri).is_err() && as_written(hex, "sha1-x").is_err());
    }

    #[test]
    fn what_changes_in_a_pin() {
        let fetched = Fetched {
            revision: Some("f".repeat(40)),
            nar_hash: "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into(),
            out_path: String::new(),
        };
        let niv = json!({ "rev": REV, "url": format!("https://x/{REV}.tar.gz"), "branch": "a", "sha256": "sha256-x" });
        let changed = changes(&niv, Some("b"), true, &fetched).unwrap();
        assert_eq!(
            changed,
            [
                ("sha256", fetched.nar_hash.clone()),
                ("rev", "f".repeat(40)),
                ("url", format!("https://x/{}.tar.gz", "f".repeat(40))),
                ("branch", "b".into()),
            ]
        );
        let no_branch = changes(&niv, Some("v2"), false, &fetched).unwrap();
        assert_eq!(no_branch, changed[..3]);
        assert!(changes(&json!({ "rev": REV, "url": "https://x/latest" }), None, false, &fetched).is_err());
    }
}
