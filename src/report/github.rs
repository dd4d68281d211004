//! Checks as workflow commands of GitHub's runner: a line each, shown at its file and line.

use super::checks::{Check, Checks, Verdict};
use crate::base::visible;

/// Renders what is not good.
pub fn github(checks: &Checks) -> String {
    let mut out = String::new();
    for check in checks.checks.iter().filter(|check| check.verdict != Verdict::Good) {
        out.push_str(&command(checks.tool, check));
    }
    if checks.passed {
        out.push_str(&format!("::notice title={}::{}\n", property(checks.tool), data(&checks.summary)));
    }
    out
}

fn command(tool: &str, check: &Check) -> String {
    let kind = if check.verdict == Verdict::Note { "warning" } else { "error" };
    let mut properties = Vec::new();
    if let Some(spot) = &check.spot {
        properties.push(format!("file={}", property(&spot.file.display().to_string())));
        properties.extend(spot.line.map(|line| format!("line={line}")));
        properties.extend(spot.column.map(|column| format!("col={column}")));
    }
    properties.push(format!("title={}", property(&format!("{tool} {}", check.code))));
    format!("::{kind} {}::{}\n", properties.join(","), data(&check.text()))
}

/// Escapes a message as the runner reads it.
fn data(text: &str) -> String {
    visible::lines(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, which ends at a comma or a colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::{HOSTILE, hostile};
    use super::*;

    /// Reads a command as the runner does: up to the first `::` behind the name its properties, then the message.
    fn read(line: &str) -> (String, Vec<(String, String)>, String) {
        let undo = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n");
        let (head, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let properties = properties.split(',').filter_map(|pair| pair.split_once('='));
        let properties = properties.map(|(name, value)| {
            let value = undo(value).replace("%3A", ":").replace("%2C", ",").replace("%25", "%");
            (name.to_owned(), value)
        });
        (name.to_owned(), properties.collect(), undo(message).replace("%25", "%"))
    }

    #[test]
    fn names_stay_what_they_are() {
        let text = github(&hostile());
        visible::tests::assert_safe(&text);
        let lines: Vec<_> = text.lines().map(read).collect();
        assert_eq!(lines.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["error", "error", "warning"]);
        for (_, properties, message) in lines {
            let names: Vec<&str> = properties.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["file", "line", "col", "title"]);
            assert_eq!(properties[0].1, visible::lines(HOSTILE));
            assert!(message.starts_with(&format!("too many: {}", visible::lines(HOSTILE))), "{message}");
        }
    }
}
