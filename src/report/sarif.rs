//! Checks as SARIF 2.1.0 (OASIS): for GitHub's code scanning and whatever else reads it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::checks::{Check, Checks, Verdict};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Renders what is not good.
pub fn sarif(checks: &Checks) -> Value {
    let others: Vec<&Check> = checks.checks.iter().filter(|check| check.verdict != Verdict::Good).collect();
    let codes: Vec<&str> = others.iter().map(|check| check.code).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| json!({ "id": code, "shortDescription": { "text": format!("overlayctl --explain {code}") } }))
        .collect();
    let results = others.iter().map(|check| result(check, &codes));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": checks.tool,
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(check: &Check, codes: &[&str]) -> Value {
    let mut result = json!({
        "ruleId": check.code,
        "ruleIndex": codes.iter().position(|code| *code == check.code),
        "level": if check.verdict == Verdict::Note { "warning" } else { "error" },
        "message": { "text": check.text() },
        "partialFingerprints": { "check/v1": check.fingerprint() },
    });
    if let Some(spot) = &check.spot {
        let mut place = json!({ "artifactLocation": { "uri": uri(&spot.file) } });
        if let Some(line) = spot.line {
            place["region"] = json!({ "startLine": line });
            if let Some(column) = spot.column {
                place["region"]["startColumn"] = column.into();
            }
        }
        result["locations"] = json!([{ "physicalLocation": place }]);
    }
    result
}

/// Returns a path as a relative reference of RFC 3986.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut out = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(*byte)),
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_sarif::sarif::{ResultLevel, Sarif};

    use super::super::checks::tests::{HOSTILE, hostile};
    use super::*;

    #[test]
    fn a_reader_of_the_standard_reads_it() {
        let text = sarif(&hostile()).to_string();
        let read: Sarif = serde_json::from_str(&text).unwrap();
        let run = &read.runs[0];
        assert_eq!(run.tool.driver.name, "overlayctl gate");
        let rules = run.tool.driver.rules.as_ref().unwrap();
        let results = run.results.as_ref().unwrap();
        let levels: Vec<_> = results.iter().map(|result| result.level.unwrap()).collect();
        assert_eq!(levels, [ResultLevel::Error, ResultLevel::Error, ResultLevel::Warning]);
        for result in results {
            let index = usize::try_from(result.rule_index.unwrap()).unwrap();
            assert_eq!(Some(&rules[index].id), result.rule_id.as_ref());
            assert!(result.message.text.as_ref().unwrap().contains(HOSTILE));
            let place = result.locations.as_ref().unwrap()[0].physical_location.as_ref().unwrap();
            let uri = place.artifact_location.as_ref().unwrap().uri.as_ref().unwrap();
            assert!(
                uri.starts_with("%3Cscript%3Ealert") && uri.is_ascii() && !uri.contains([' ', '"', '\\', '`']),
                "{uri}"
            );
            assert_eq!(place.region.as_ref().unwrap().start_line, Some(3));
            assert!(result.partial_fingerprints.is_some());
        }
    }
}
