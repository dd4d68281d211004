//! Checks as a comment in Markdown: one of a pull request, the summary of a job. Never more than [`MOST`] lines.
//!
//! All that came from outside stands in code spans, where neither Markdown nor HTML, nor the name of somebody, means anything.

use super::checks::{Check, Checks, Verdict};
use crate::base::text::{plural, shorten};
use crate::base::visible;

/// The most lines.
pub const MOST: usize = 60;
/// The most rows, of what is not good and of the rest, and the most lines of one.
const ROWS: usize = 9;
const DETAILS: usize = 3;
/// The longest text that stands in a line.
const WIDTH: usize = 300;

/// Renders checks.
pub fn markdown(checks: &Checks) -> String {
    let mut lines = Vec::new();
    lines.push(format!("### {}: {}", checks.tool, if checks.passed { "passed" } else { "not passed" }));
    lines.push(String::new());
    lines.push(code(&checks.summary));
    let (good, others): (Vec<&Check>, Vec<&Check>) =
        checks.checks.iter().partition(|check| check.verdict == Verdict::Good);
    if !others.is_empty() {
        lines.push(String::new());
    }
    for check in others.iter().take(ROWS) {
        let spot = check.spot.as_ref().map(|spot| format!(" at {}", code(&spot.to_string()))).unwrap_or_default();
        lines.push(format!("- **{}** ({}) {}{spot}", check.verdict.word(), check.code, code(&check.message)));
        lines.extend(check.details.iter().take(DETAILS).map(|detail| format!("  - {}", code(detail))));
    }
    more(&others, ROWS, &mut lines);
    let good: Vec<String> = good.iter().map(|check| code(&check.message)).collect();
    fold(&format!("{} kept", plural(good.len(), "budget")), &good, &mut lines);
    let changes: Vec<String> = checks.changes.iter().map(|change| code(change)).collect();
    fold(&plural(changes.len(), "change"), &changes, &mut lines);
    debug_assert!(lines.len() <= MOST);
    lines.truncate(MOST);
    lines.join("\n") + "\n"
}

fn fold(summary: &str, rows: &[String], lines: &mut Vec<String>) {
    if rows.is_empty() {
        return;
    }
    // A list of Markdown begins behind an empty line.
    const SOME: usize = 3;
    lines.extend([String::new(), format!("<details><summary>{summary}</summary>"), String::new()]);
    lines.extend(rows.iter().take(SOME).map(|row| format!("- {row}")));
    more(rows, SOME, lines);
    lines.extend([String::new(), "</details>".to_owned()]);
}

fn more<T>(all: &[T], shown: usize, lines: &mut Vec<String>) {
    if all.len() > shown {
        lines.push(format!("- and {} more", all.len() - shown));
    }
}

/// Puts text from outside in a code span.
fn code(text: &str) -> String {
    let text = shorten(&visible::line(text), WIDTH);
    // Longer than every run of backticks in it.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser};

    use super::super::checks::tests::{HOSTILE, hostile};
    use super::*;

    #[test]
    fn names_are_text_and_nothing_else() {
        let page = markdown(&hostile());
        visible::tests::assert_safe(&page);
        let mut codes = Vec::new();
        for event in Parser::new_ext(&page, Options::all()) {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => {
                    assert!(html.trim().is_empty() || html.contains("details"), "{html}");
                    assert!(!html.contains("script"), "{html}");
                }
                Event::Code(text) => codes.push(text.to_string()),
                Event::Text(text) => assert!(!text.contains("script") && !text.contains('@'), "{text}"),
                Event::Start(tag) => assert!(!matches!(tag, pulldown_cmark::Tag::Link { .. }), "{tag:?}"),
                _ => {}
            }
        }
        let whole = visible::line(HOSTILE).into_owned();
        assert!(codes.iter().filter(|code| code.contains(&whole)).count() >= 5, "{codes:?}");
    }

    #[test]
    fn it_never_gets_long() {
        let mut checks = hostile();
        let all: Vec<Check> = checks.checks.iter().cycle().take(400).cloned().collect();
        checks.checks = all;
        for check in &mut checks.checks {
            check.details = vec!["line\n\nline".into(); 100];
        }
        checks.changes = vec!["a\nb".into(); 300];
        let page = markdown(&checks);
        assert!(page.lines().count() <= MOST, "{}", page.lines().count());
        assert_eq!(page.matches("<details>").count(), page.matches("</details>").count());
        assert!(page.contains("- and 291 more"), "{page}");
    }
}
