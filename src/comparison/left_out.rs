//! What an answer says of patches that could not be left out alone: their files were emptied, or other packages lost them as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Error;
use crate::base::diagnostic::Warning;
use crate::drv::{Source as _, StoreDir};
use crate::graph::Graph;
use crate::queue::copy::Beside;
use crate::queue::witness::named_in;

/// Warns of what the other side lacks beside the patches of one package, which the answer counts, and of what it has still.
pub(super) fn told(beside: &Beside, before: &Graph, after: &Graph, store: &StoreDir) -> Result<Vec<Warning>, Error> {
    let shared = beside.packages.iter().map(|attr| Warning {
        code: "OV1173",
        message: format!("`{attr}` has patches of the same list: what they rebuild is counted as well"),
        place: None,
        hint: None,
    });
    let mut warnings: Vec<Warning> = shared.collect();
    if beside.emptied.is_empty() {
        return Ok(warnings);
    }
    let asked: BTreeSet<&Path> = beside.emptied.iter().map(PathBuf::as_path).collect();
    let (mut counted, mut missed) = (BTreeSet::new(), BTreeSet::new());
    let mut text = Vec::new();
    for id in after.ids() {
        let drv_path = after.node(id).drv_path();
        store
            .read(drv_path, &mut text)
            .map_err(|source| crate::drv::Error::Read { drv_path: drv_path.into(), source })?;
        let found = if before.find(drv_path).is_some() { &mut missed } else { &mut counted };
        found.extend(named_in(&text, &asked));
    }
    let warn = |code, files: BTreeSet<&Path>, rest: &str| {
        let names: Vec<String> = files
            .iter()
            .map(|file| file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned())
            .collect();
        let message = format!("{} {rest}", names.join(", "));
        (!files.is_empty()).then_some(Warning { code, message, place: None, hint: None })
    };
    let counted = warn(
        "OV1170",
        counted,
        "is not given by a line of an overlay that could be left out: the other side has the file empty, so all that has it is \
         counted, whatever package it is for",
    );
    let missed = warn(
        "OV1171",
        missed,
        "is in builds of both sides, which do not read it from the workspace: what it rebuilds there is not counted",
    );
    warnings.extend(counted.into_iter().chain(missed));
    Ok(warnings)
}
