//! `overlayctl.toml`: its keys, and reading it with places for what is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::budget::{BoardBudget, Budget};
use super::device::Commands;
use crate::base::span::{Place, Span, line_span};

/// What `overlayctl.toml` may say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// The package set: a path relative to the file, `<nixpkgs>`, or `flake:INPUT`.
    pub nixpkgs: Option<String>,
    /// The overlay files, in the order in which they are applied; those that are found by custom when the key is absent. An empty
    /// list means none.
    pub overlays: Option<Vec<String>>,
    /// Overlay files for the target stage only.
    #[serde(alias = "crossOverlays")]
    pub cross_overlays: Vec<String>,
    /// The directory of the patch queues.
    pub patches: Option<String>,
    /// The system that builds; Nix' own when absent.
    pub system: Option<String>,
    /// What `impact`, `build` and `verify` look at when no target is named.
    pub targets: Vec<String>,
    /// nixpkgs' `config`, as values.
    pub config: BTreeMap<String, Value>,
    pub nix: NixSettings,
    /// Named platforms with their targets.
    pub boards: BTreeMap<String, Board>,
    /// What a change may cost.
    pub budget: Budget,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NixSettings {
    /// Settings passed on as `--option NAME VALUE`.
    pub options: BTreeMap<String, String>,
}

/// A named platform with its targets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Board {
    /// A name of `pkgsCross`.
    pub platform: Option<String>,
    /// A `crossSystem` of one's own, instead of `platform`.
    #[serde(alias = "crossSystem")]
    pub cross_system: Option<BTreeMap<String, Value>>,
    /// Whether programs are linked statically (`pkgsStatic`).
    #[serde(rename = "static")]
    pub is_static: bool,
    pub packages: Vec<String>,
    /// NixOS systems or images, attributes of the workspace.
    pub systems: Vec<String>,
    /// nixpkgs' `config` for this board, on top of the workspace's.
    pub config: BTreeMap<String, Value>,
    /// Overlay files for the target stage of this board only.
    #[serde(alias = "crossOverlays")]
    pub cross_overlays: Vec<String>,
    /// What a change may cost on this board.
    pub budget: BoardBudget,
    /// What it is deployed to: anything that ssh takes.
    pub device: Option<String>,
    /// Options of ssh for it.
    pub ssh_options: Vec<String>,
    /// Where things go on it.
    pub root: Option<String>,
    /// What starts a generation on it.
    pub activate: Commands,
    /// What stops one.
    pub deactivate: Commands,
    /// What says whether a new generation is good.
    pub check: Commands,
    /// How many generations stay on it.
    pub keep: Option<u32>,
}

/// A value of TOML that is handed on to Nix.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    String(String),
    List(Vec<Value>),
    Set(BTreeMap<String, Value>),
}

impl Settings {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`] with the place of what is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, Error> {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let skipped = text.len() - body.len();
        toml_edit::de::from_str::<Settings>(body).map_err(|e| {
            let span = e.span().map_or(Span::at(0), |r| Span::new(r.start + skipped, r.end + skipped));
            let place = Place::in_text(path, text, span);
            let line = place.line_col.and_then(|at| line_span(text, at.line)).map(|s| text[s.range()].to_string());
            let message = e.message().trim_end().replace('\n', ", ");
            Error::File { hint: near_name(&message), message, place, line }
        })
    }
}

/// Returns the way out for a key that there is not: of those that there are, the nearest.
fn near_name(message: &str) -> Option<String> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    let scored = known.split('`').skip(1).step_by(2).map(|name| (strsim::jaro_winkler(unknown, name), name));
    let (score, name) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.85).then(|| format!("did you mean `{name}`?"))
}

/// Returns where a key stands in a text of `overlayctl.toml`, or the nearest table above it that is written there; of a list of texts
/// the one that `is_meant`, if any is.
pub fn key_span(text: &str, keys: &[&str], is_meant: impl Fn(&str) -> bool) -> Option<Span> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = text.len() - body.len();
    let document = toml_edit::Document::parse(body).ok()?;
    let mut item = document.as_item();
    let mut span = None;
    for key in keys {
        let Some((key, below)) = item.as_table_like().and_then(|table| table.get_key_value(key)) else { break };
        span = key.span().or_else(|| below.span()).or(span);
        item = below;
    }
    let member = item.as_array().and_then(|array| array.iter().find(|one| one.as_str().is_some_and(&is_meant)));
    let span = member.and_then(toml_edit::Value::span).or(span)?;
    Some(Span::new(span.start + skipped, span.end + skipped))
}
