//! Checks as JUnit's XML: a test case each.

use std::fmt::Write as _;

use super::checks::{Checks, Verdict};
use crate::base::visible;
use crate::base::xml::escaped;

/// Renders all checks.
pub fn junit(checks: &Checks) -> String {
    let count = |verdict| checks.checks.iter().filter(|check| check.verdict == verdict).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        escaped(checks.tool),
        checks.checks.len(),
        count(Verdict::Bad),
        count(Verdict::Unknown),
        count(Verdict::Note)
    );
    for check in &checks.checks {
        let text = |text: &str| escaped(&visible::lines(text));
        let (name, message) = (text(&check.name), text(&check.message));
        let _ = write!(xml, "  <testcase classname=\"{}\" name=\"{name}\"", check.code);
        if let Some(spot) = &check.spot {
            let _ = write!(xml, " file=\"{}\"", text(&spot.file.display().to_string()));
        }
        let whole = text(&check.text());
        let _ = match check.verdict {
            Verdict::Good => writeln!(xml, "/>"),
            Verdict::Bad => writeln!(xml, "><failure message=\"{message}\">{whole}</failure></testcase>"),
            Verdict::Unknown => writeln!(xml, "><error message=\"{message}\">{whole}</error></testcase>"),
            Verdict::Note => writeln!(xml, "><skipped message=\"{message}\"/></testcase>"),
        };
    }
    xml.push_str("</testsuite>\n");
    xml
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::{HOSTILE, hostile};
    use super::*;

    #[test]
    fn an_xml_reader_finds_every_case() {
        let xml = junit(&hostile());
        let document = roxmltree::Document::parse(&xml).unwrap();
        let suite = document.root_element();
        let number = |name: &str| suite.attribute(name).unwrap().parse::<usize>().unwrap();
        assert_eq!(["tests", "failures", "errors", "skipped"].map(number), [4, 1, 1, 1]);
        let cases: Vec<_> = suite.children().filter(roxmltree::Node::is_element).collect();
        let kinds: Vec<&str> =
            cases.iter().map(|case| case.first_element_child().map_or("", |child| child.tag_name().name())).collect();
        assert_eq!(kinds, ["", "failure", "error", "skipped"]);
        // A reader takes a line end in an attribute for a blank.
        let shown = visible::lines(HOSTILE).replace('\n', " ");
        for case in cases {
            assert_eq!(case.attribute("name").unwrap(), format!("builds of {shown}"));
            assert_eq!(case.attribute("file").unwrap(), shown);
        }
    }
}
