//! What a shape says of itself: `expect.toml`. Every claim in it is asked of Nix again at each run.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// What the arrangement is.
    #[allow(dead_code, reason = "for who reads the file")]
    pub about: String,
    /// The package sets of the workspace, by the names that `list` gives them, as Nix (see `oracle::PRELUDE`).
    #[serde(default)]
    pub sets: BTreeMap<String, String>,
    /// Sets that are one derivation each: a patch is in effect where its file is in the closure.
    #[serde(default)]
    pub derivations: BTreeMap<String, String>,
    /// Names of sets that `list` may give or leave out.
    #[serde(default)]
    pub sets_may: Vec<String>,
    /// The patches that `list` has to name.
    #[serde(default)]
    pub patch: Vec<Patch>,
    /// The files of the queues that nothing names.
    #[serde(default)]
    pub unused: Vec<String>,
    /// What `impact` and `verify` are asked.
    #[serde(default)]
    pub ask: Vec<Ask>,
    /// What the writing commands do.
    pub write: Write,
}

/// A patch of the workspace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Patch {
    /// The package; of several names the first is asked of Nix, and any of them may be given.
    pub attr: Words,
    pub path: String,
    /// `yes`, `no`, `exported` or `unknown`; several words: any of them.
    pub in_effect: Words,
    /// The sets in which it is in effect.
    #[serde(default)]
    pub sets: Vec<String>,
    /// `every`, `target` or `build`.
    pub stages: Option<String>,
    /// Words one of which the reason holds.
    pub why: Option<Words>,
    /// The file of the overlay; any when absent, since not every place can be known.
    pub overlay: Option<String>,
    /// Whether the file is a link. Nix stores a link as one, which leads nowhere there: the derivation names it, and no build can
    /// apply it, so that `verify` has to say that it failed.
    #[serde(default)]
    pub link: bool,
    /// Whether the attribute does not evaluate, so that Nix is not asked for it.
    #[serde(default)]
    pub broken: bool,
}

impl Patch {
    pub fn attr(&self) -> &str {
        self.attr.all().first().map_or("", String::as_str)
    }
}

/// A question of `impact` and `verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ask {
    /// Options: `--board pi`.
    #[serde(default)]
    pub args: Vec<String>,
    /// The targets; those of the workspace when none is named.
    #[serde(default)]
    pub targets: Vec<String>,
    /// What these are, as Nix; the sets are in scope as `sets`.
    pub nix: Vec<String>,
    /// The patches that are in their closures.
    #[serde(default)]
    pub reached: Vec<String>,
}

/// What the writing commands do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Write {
    /// The package that is patched.
    #[serde(default = "zlib")]
    pub attr: String,
    /// Options for `patch` and `import`: `--overlay FILE`.
    #[serde(default)]
    pub args: Vec<String>,
    /// The overlay that has to be edited, or one of several; `refused` is one too, and `none` where the file in the queue is
    /// enough.
    pub file: Words,
    /// The sets in which the new patch is then in effect, exactly once.
    #[serde(default)]
    pub sets: Vec<String>,
    /// Other sets that will do as well, where the place may be inside a guard or outside it.
    #[serde(default)]
    pub sets_or: Vec<String>,
    /// Patches of later overlays, in front of which a new one stands where both are in effect.
    #[serde(default)]
    pub before: Vec<String>,
    /// Other packages that have what the package has, as every overlay holds in `pkgsStatic`.
    #[serde(default)]
    pub also: Vec<String>,
    /// The commands that may refuse here, as long as they leave every byte.
    #[serde(default)]
    pub may_refuse: Vec<String>,
}

fn zlib() -> String {
    "zlib".into()
}

/// One text or several, any of which will do.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Words {
    One(String),
    Any(Vec<String>),
}

impl Words {
    pub fn all(&self) -> &[String] {
        match self {
            Words::One(word) => std::slice::from_ref(word),
            Words::Any(words) => words,
        }
    }

    pub fn has(&self, word: &str) -> bool {
        self.all().iter().any(|w| w == word)
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.all().join(" or "))
    }
}
