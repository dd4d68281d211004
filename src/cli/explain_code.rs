//! `--explain CODE`: the help text of a code.

use std::process::ExitCode;

use super::context::Context;
use super::failure::Failure;
use crate::base::diagnostic::Explanation;
use crate::view::Document;
use crate::{base, config, cross, drv, git, graph, nix, ops, overlay, patch, queue, syntax};

/// The tables of all rooms.
fn tables() -> [&'static [Explanation]; 12] {
    [
        base::fs::EXPLANATIONS,
        overlay::EXPLANATIONS,
        patch::EXPLANATIONS,
        graph::EXPLANATIONS,
        drv::EXPLANATIONS,
        nix::EXPLANATIONS,
        config::EXPLANATIONS,
        git::EXPLANATIONS,
        cross::EXPLANATIONS,
        syntax::EXPLANATIONS,
        ops::EXPLANATIONS,
        queue::EXPLANATIONS,
    ]
}

pub(super) fn run(code: &str, context: &Context) -> Result<ExitCode, Failure> {
    let wanted = code.to_ascii_uppercase();
    let found = tables().into_iter().flatten().find(|e| e.code == wanted);
    let Some(explanation) = found else {
        return Err(Failure::usage(format!("there is no code `{code}`"), "codes look like OV0601"));
    };
    if context.globals.json {
        let object = serde_json::json!({
            "schema": "overlayctl.explain-code/1",
            "code": explanation.code,
            "title": explanation.title,
            "text": explanation.text,
        });
        context.print_json(&object)?;
    } else {
        let mut document = Document::new();
        document.heading(format!("{}: {}", explanation.code, explanation.title));
        document.blank();
        document.line(explanation.text);
        context.print_document(&document)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for explanation in tables().into_iter().flatten() {
            assert!(seen.insert(explanation.code), "{} twice", explanation.code);
            let digits = explanation.code.strip_prefix("OV").unwrap();
            assert!(digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", explanation.code);
            assert!(!explanation.title.is_empty() && explanation.text.len() > 20, "{}", explanation.code);
        }
    }

    /// Every code that stands in the sources is explained.
    #[test]
    fn every_code_is_explained() {
        let known: BTreeSet<&str> = tables().into_iter().flatten().map(|e| e.code).collect();
        let mut missing = BTreeSet::new();
        let mut todo = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(path) = todo.pop() {
            if path.is_dir() {
                todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("\"OV") {
                let code: String = text[at + 1..].chars().take_while(|c| *c != '"').collect();
                if code.len() == 6 && code[2..].bytes().all(|b| b.is_ascii_digit()) && !known.contains(code.as_str()) {
                    missing.insert(format!("{code} in {}", path.display()));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
