//! The attribute that the patches are written to, and what follows from it for the text.
//!
//! Must not choose the place.

use super::{Level, Planning};
use crate::overlay::request::{PatchAttribute, Written};
use crate::overlay::value::{ALIAS_PARAM, CargoArguments, Writing};
use crate::syntax::make;

/// Returns the attribute that is written: the one that is asked for, else the package's usual one.
pub(super) fn attribute_of(key: &str, planning: &Planning<'_>) -> PatchAttribute {
    if let Some(attribute) = &planning.request.attribute {
        return attribute.clone();
    }
    let kernel = match planning.request.facts.kernel {
        Some(kernel) => kernel,
        // `linuxPackages.kernel`, and the kernels by their own names.
        None if key == "kernel" => {
            planning.request.attr.names().iter().rev().nth(1).is_some_and(|scope| scope.starts_with("linux"))
        }
        None => key == "linux" || key.strip_prefix("linux_").is_some_and(|r| r != "headers"),
    };
    if kernel { PatchAttribute::KernelPatches } else { PatchAttribute::Patches }
}

/// Gathers what the text of an override depends on.
pub(super) fn writing<'a>(
    planning: &'a Planning<'a>,
    level: &Level<'_>,
    key: &str,
    elements: &'a [Written],
) -> Writing<'a> {
    let taken = |name: &str| {
        name == level.prev
            || level.function.is_some_and(|f| f.first().as_deref() == Some(name) || f.second().as_deref() == Some(name))
    };
    let param = ["old", "o", "previous"].iter().find(|n| !taken(n)).map_or("old'".to_string(), |n| (*n).to_string());
    let alias_param = (!taken(ALIAS_PARAM)).then(|| ALIAS_PARAM.to_string());
    let (method, list_key, cargo) = match attribute_of(key, planning) {
        PatchAttribute::Patches => ("overrideAttrs", "patches", None),
        PatchAttribute::KernelPatches => ("override", "kernelPatches", None),
        PatchAttribute::CargoPatches { hash, of_final } => {
            ("override", "cargoPatches", Some(CargoArguments { hash, of_final }))
        }
    };
    Writing {
        text: planning.text(),
        style: planning.style.clone(),
        elements,
        position: planning.request.position,
        old: planning.request.facts.patches,
        asked: planning.request.facts.derivation.is_some(),
        param,
        alias_param,
        method,
        list_key,
        cargo,
    }
}

/// Returns the elements that are missing as text, in the form that the attribute takes.
pub(super) fn written(planning: &Planning<'_>, key: &str, prev: &str) -> Vec<Written> {
    let prev = prev.split('.').next().unwrap_or(prev);
    let kernel = attribute_of(key, planning) == PatchAttribute::KernelPatches;
    planning
        .missing
        .iter()
        .map(|element| {
            let plain = Written::of(element, prev);
            if kernel {
                let name = element.identity().rsplit('/').next().unwrap_or("patch");
                let name = name.trim_end_matches(".patch").trim_end_matches(".diff");
                Written::text(format!("{{ name = {}; patch = {}; }}", make::string(name), plain.one_line))
            } else {
                plain
            }
        })
        .collect()
}
