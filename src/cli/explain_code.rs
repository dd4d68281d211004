//! `--explain [CODE]`: what a code means and what to do about it, one Markdown file each in `docs/codes/`.

use std::process::ExitCode;

use include_dir::{Dir, include_dir};

use super::context::Context;
use super::failure::Failure;
use crate::view::Document;

static CODES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs/codes");

/// Returns the title and the text of a code: the file is `# CODE: TITLE`, a blank line and the text.
fn explanation(code: &str) -> Option<(&'static str, &'static str)> {
    let (heading, text) = CODES.get_file(format!("{code}.md"))?.contents_utf8()?.split_once("\n\n")?;
    Some((heading.strip_prefix("# ")?.strip_prefix(code)?.strip_prefix(": ")?, text.trim_end()))
}

/// Returns every code with its title, in their order.
pub(super) fn all() -> Vec<(String, Option<String>)> {
    let mut codes: Vec<_> = CODES.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
    codes.sort_unstable();
    codes.into_iter().filter_map(|code| Some((code.to_string(), Some(explanation(code)?.0.to_string())))).collect()
}

pub(super) fn list(context: &Context) -> Result<ExitCode, Failure> {
    if context.globals.json {
        let codes: Vec<_> =
            all().into_iter().map(|(code, title)| serde_json::json!({ "code": code, "title": title })).collect();
        context.print_json(&serde_json::json!({ "schema": "overlayctl.explain-codes/1", "codes": codes }))?;
    } else {
        let mut document = Document::new();
        all().into_iter().for_each(|(code, title)| document.line(format!("{code}  {}", title.unwrap_or_default())));
        context.print_document(&document)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(code: &str, context: &Context) -> Result<ExitCode, Failure> {
    let code = code.to_ascii_uppercase();
    let Some((title, text)) = explanation(&code) else {
        return Err(Failure::usage(format!("there is no code `{code}`"), "codes look like OV0601"));
    };
    if context.globals.json {
        let object =
            serde_json::json!({ "schema": "overlayctl.explain-code/1", "code": code, "title": title, "text": text });
        context.print_json(&object)?;
    } else {
        let mut document = Document::new();
        document.heading(format!("{code}: {title}"));
        document.blank();
        text.lines().for_each(|line| document.line(line));
        context.print_document(&document)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every code that stands in the sources is explained, and nothing else is.
    #[test]
    fn every_code_is_explained() {
        let mut used = BTreeSet::new();
        let mut todo = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(path) = todo.pop() {
            if path.is_dir() {
                todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let literals = text.match_indices("\"OV").map(|(at, _)| &text[at + 1..]);
            used.extend(
                literals
                    .filter_map(|l| Some(l.split_once('"')?.0.to_owned()))
                    .filter(|code| code.len() == 6 && code[2..].bytes().all(|b| b.is_ascii_digit())),
            );
        }
        let explained: BTreeSet<String> =
            CODES.files().map(|f| f.path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        assert!(
            used.len() > 100 && used == explained,
            "{:?}",
            used.symmetric_difference(&explained).collect::<Vec<_>>()
        );
        for code in &explained {
            let (title, text) = explanation(code).unwrap_or_else(|| panic!("{code}: not `# {code}: TITLE` and a text"));
            assert!(!title.is_empty() && text.len() > 20 && text.lines().all(|l| l.len() <= 80), "{code}");
        }
    }
}
