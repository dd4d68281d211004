//! Failures as people and programs read them. Messages, paths and sources may come from anywhere, so all of them are made visible
//! before they are laid out.

use std::io;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::base::diagnostic::{Verdict, Warning};
use crate::base::span::Place;
use crate::base::visible;

/// What went wrong, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    pub code: &'static str,
    pub message: String,
    pub causes: Vec<String>,
    pub place: Option<Place>,
    pub line: Option<String>,
    pub hint: Option<String>,
    /// The whole of a message that is shown shortened, for `--verbose`.
    pub detail: Option<String>,
    pub verdict: Verdict,
}

#[derive(Serialize)]
pub(crate) struct ErrorObject<'a> {
    schema: &'static str,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: String,
    place: Option<&'a Place>,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl Failure {
    /// Makes a usage failure.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure {
            code: "OV1002",
            message: message.into(),
            causes: Vec::new(),
            place: None,
            line: None,
            hint: Some(hint.into()),
            detail: None,
            verdict: Verdict::Error,
        }
    }

    /// Makes the failure to write to standard output.
    pub(crate) fn output(error: io::Error) -> Failure {
        Failure { code: "OV0002", hint: None, ..Failure::usage(format!("cannot write the output: {error}"), "") }
    }

    /// Makes the failure that clap saw in the arguments.
    pub(crate) fn from_clap(error: &clap::Error) -> Failure {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        Failure::usage(first.strip_prefix("error: ").unwrap_or(first), "`overlayctl COMMAND --help` has examples")
    }

    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        status(self.verdict)
    }

    /// Returns the message with its causes, in one line.
    fn whole_message(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }

    /// Returns the object that `--json` prints.
    pub(crate) fn json(&self) -> ErrorObject<'_> {
        ErrorObject {
            schema: "overlayctl.error/1",
            error: ErrorBody {
                code: self.code,
                message: self.whole_message(),
                place: self.place.as_ref(),
                hint: self.hint.as_deref(),
                detail: self.detail.as_deref(),
            },
        }
    }

    /// Renders it for a person, with ANSI styles.
    pub(crate) fn render(&self, verbose: bool) -> String {
        let mut out = render(
            Level::ERROR,
            self.code,
            &self.whole_message(),
            self.place.as_ref(),
            self.line.as_deref(),
            self.hint.as_deref(),
        );
        match &self.detail {
            Some(detail) if verbose => out.push_str(&format!("\n{}\n", visible::lines(detail.trim_end()))),
            Some(_) => out.push_str("(the whole message: run it again with --verbose)\n"),
            None => {}
        }
        out
    }
}

/// Returns the exit status of a verdict.
pub(crate) fn status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::No => 1,
        Verdict::Error => 2,
    }
}

/// Renders a warning for a person, with ANSI styles.
pub(crate) fn render_warning(warning: &Warning) -> String {
    render(Level::WARNING, warning.code, &warning.message, warning.place.as_ref(), None, warning.hint.as_deref())
}

fn render(
    level: Level<'_>,
    code: &str,
    message: &str,
    place: Option<&Place>,
    line: Option<&str>,
    hint: Option<&str>,
) -> String {
    let path = place.map(|p| visible::line(&p.path.display().to_string()).into_owned());
    let title = level.primary_title(visible::lines(message)).id(code.to_string());
    let mut snippet = None;
    let mut origin = None;
    if let (Some(place), Some(path)) = (place, &path) {
        match (line, place.line_col) {
            (Some(line), Some(at)) => {
                let (before, rest) = split_at_char(line, at.column.saturating_sub(1));
                let marked = place.span.map_or(0, |span| span.len());
                let (marked, after) = rest.split_at(rest.floor_char_boundary(marked));
                // Each part by itself: what is marked stays marked when it gets longer.
                let [before, marked, after] = [before, marked, after].map(visible::source_line);
                let span = before.len()..before.len() + marked.len();
                snippet = Some(
                    Snippet::source(format!("{before}{marked}{after}"))
                        .line_start(at.line)
                        .path(path.clone())
                        .annotation(AnnotationKind::Primary.span(span)),
                );
            }
            _ => origin = Some(Origin::path(visible::line(&place.to_string()).into_owned())),
        }
    }
    let mut group = title.elements(snippet);
    if let Some(origin) = origin {
        group = group.element(origin);
    }
    if let Some(hint) = hint {
        group = group.element(Level::HELP.message(visible::lines(hint).into_owned()));
    }
    let mut out = Renderer::styled().render(&[group]).to_string();
    out.push('\n');
    out
}

/// Splits a text before its character `count`, or at its end.
fn split_at_char(text: &str, count: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(count).map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::span::{LineCol, Span};

    proptest! {
        #[test]
        fn nothing_of_a_failure_is_left_for_the_terminal(
            texts in [visible::tests::hostile(), visible::tests::hostile(), visible::tests::hostile(), visible::tests::hostile(), visible::tests::hostile()],
            column in 1usize..40,
            length in 0usize..40,
            has_line in any::<bool>(),
        ) {
            let [message, path, line, hint, detail] = texts;
            let place = Place {
                path: path.into(),
                span: Some(Span::new(7, 7 + length)),
                line_col: Some(LineCol { line: 3, column }),
            };
            let line = line.replace('\n', "");
            let failure = Failure {
                place: Some(place.clone()),
                line: has_line.then_some(line),
                detail: Some(detail),
                causes: vec![message.clone()],
                ..Failure::usage(message.clone(), hint.clone())
            };
            visible::tests::assert_safe(&failure.render(true));
            let warning = Warning { code: "OV0001", message, place: Some(place), hint: Some(hint) };
            visible::tests::assert_safe(&render_warning(&warning));
        }
    }

    #[test]
    fn what_is_marked_stays_marked_behind_what_is_escaped() {
        let text = "\u{1b}[2J bad\u{202e} rest";
        let at = text.find("bad").unwrap();
        let place = Some(Place::in_text("a.nix", text, Span::new(at, at + 3)));
        let failure = Failure { place, line: Some(text.into()), ..Failure::usage("no", "") };
        let shown = anstream::adapter::strip_str(&failure.render(false)).to_string();
        assert!(shown.contains("␛[2J bad\\u{202e} rest"), "{shown}");
        let under = shown.lines().find(|line| line.contains('^')).unwrap();
        let source = shown.lines().find(|line| line.contains("bad")).unwrap();
        let column = |line: &str, what| line.split_once(what).unwrap().0.chars().count();
        assert_eq!((column(under, "^"), under.matches('^').count()), (column(source, "bad"), 3), "{shown}");
    }

    #[test]
    fn a_failure_shows_place_line_and_hint() {
        let text = "{\n  ä = musl;\n}";
        let at = text.find("musl").unwrap();
        let failure = Failure {
            place: Some(Place::in_text("a.nix", text, Span::new(at, at + 4))),
            line: Some("  ä = musl;".into()),
            causes: vec!["because".into()],
            ..Failure::usage("no", "do this")
        };
        let shown = anstream::adapter::strip_str(&failure.render(false)).to_string();
        for part in ["error[OV1002]: no: because", "--> a.nix:2:7", "^^^^", "help: do this"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let json = serde_json::to_value(failure.json()).unwrap();
        assert_eq!(json["error"]["place"]["line"], 2);
        assert_eq!(json["error"]["code"], "OV1002");
    }
}
