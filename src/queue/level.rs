//! With which strip level (`-pN`) a package applies its patches, and for which one the names of a patch that comes are.
//!
//! The package's `patchFlags` are asked of Nix, with the overlays. Which level a patch is for is said by the user or the series; else the
//! source says it, where that is at hand and there is something to decide; else it is as `git apply` reads names.

use super::Error;
use super::applying;
use super::discover::{Choice, Overlays};
use super::model::Asking;
use super::series::Series;
use super::source::Asked;
use super::stored::{Given, Stored};
use crate::base::diagnostic::{Coded as _, Warning};
use crate::config::Workspace;
use crate::overlay::AttrPath;
use crate::patch::{BASE_NAME, MemoryTree, PatchFile};

/// The level of a package, and its source where that is at hand.
pub(crate) struct Level<'a> {
    pub(crate) strip: usize,
    attr: &'a AttrPath,
    /// What Nix says of the package, until the source was needed.
    asked: Option<Asked<'a>>,
    tree: Option<MemoryTree>,
    series: &'a Series,
    warnings: Vec<Warning>,
}

/// Returns how a level is given to `patch`.
pub(crate) fn flag(strip: usize) -> String {
    if strip == BASE_NAME { "no -p".to_string() } else { format!("-p{strip}") }
}

/// Returns the queue of a package as far as it can be read: what is wrong with it is said where it is edited.
pub(crate) fn series_of(workspace: &Workspace, choice: Option<&Choice>, attr: &AttrPath) -> Series {
    let read = Overlays::read(workspace, choice).and_then(|overlays| overlays.series(workspace, attr));
    read.unwrap_or_else(|_| Series::new(attr.clone(), super::dir(workspace, attr)))
}

impl<'a> Level<'a> {
    /// Asks Nix for the level of the package of a queue. That it cannot be asked is a warning, and the level is 1 then.
    pub(crate) fn of(workspace: &Workspace, how: Asking<'_>, series: &'a Series) -> Level<'a> {
        let mut level = Level { strip: 1, attr: &series.attr, asked: None, tree: None, series, warnings: Vec::new() };
        if how.offline {
            level.not_asked("Nix was not asked", None);
            return level;
        }
        match Asked::of_queues(workspace, how.nixpkgs, &[series]) {
            Ok(asked) => match asked.strip(0) {
                Ok(strip) => (level.strip, level.asked) = (strip, Some(asked)),
                Err(error) => level.not_asked(&error.to_string(), error.hint()),
            },
            Err(error) => level.not_asked(&error.to_string(), error.hint()),
        }
        level
    }

    fn not_asked(&mut self, why: &str, hint: Option<String>) {
        self.warnings.push(Warning {
            code: "OV1164",
            message: format!("`{}` is taken to apply its patches with -p1: {why}", self.attr),
            place: None,
            hint,
        });
    }

    /// Returns a patch as it is stored for the package.
    pub(crate) fn store(&mut self, given: &Given) -> Result<Stored, Error> {
        let parsed = PatchFile::parse(&given.bytes).map_err(|e| Error::Patch(e.in_file(&given.path)))?;
        let from = match given.level {
            Some(level) => level,
            None if parsed.is_level_plain() => parsed.strip_level(),
            None => {
                let found = self.source().and_then(|tree| parsed.level_for(tree, 0..=parsed.deepest()).ok()?);
                found.unwrap_or_else(|| parsed.strip_level())
            }
        };
        let stored = given.at_level(from, self.strip)?;
        if from != self.strip {
            let (from, to) = (flag(from), flag(self.strip));
            self.warnings.push(Warning {
                code: "OV1165",
                message: format!(
                    "{} is for {from}; it is stored for {to}, with which `{}` applies patches",
                    given.path.display(),
                    self.attr
                ),
                place: None,
                hint: None,
            });
        }
        if let Some(tree) = &mut self.tree {
            // The next may change what this one makes.
            let _ = applying::step(tree, &stored.bytes, self.strip);
        }
        Ok(stored)
    }

    /// Unpacks the source, once, where it is at hand, with the queue on it as far as it applies.
    fn source(&mut self) -> Option<&MemoryTree> {
        if let Some(asked) = self.asked.take() {
            self.tree = asked.at_hand().map(|source| {
                let mut tree = applying::base(&self.attr.to_string(), &source).unwrap_or(source.tree);
                for entry in &self.series.patches {
                    let _ = applying::step(&mut tree, &entry.bytes, source.strip);
                }
                tree
            });
        }
        self.tree.as_ref()
    }

    /// Returns what the user should know.
    pub(crate) fn warnings(self) -> Vec<Warning> {
        self.warnings
    }
}
