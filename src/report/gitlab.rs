//! Checks as GitLab's code quality report.

use serde_json::{Value, json};

use super::checks::{Checks, Verdict};

/// Renders what is not good.
pub fn gitlab(checks: &Checks) -> Value {
    let others = checks.checks.iter().filter(|check| check.verdict != Verdict::Good);
    let entries = others.map(|check| {
        let spot = check.spot.as_ref();
        json!({
            "description": check.text(),
            "check_name": check.code,
            "fingerprint": check.fingerprint(),
            "severity": if check.verdict == Verdict::Note { "minor" } else { "blocker" },
            // It shows nothing of an entry without a file and a line.
            "location": {
                "path": spot.map_or_else(|| "overlayctl.toml".to_owned(), |spot| spot.file.display().to_string()),
                "lines": { "begin": spot.and_then(|spot| spot.line).unwrap_or(1) },
            },
        })
    });
    Value::Array(entries.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;

    use super::super::checks::tests::{HOSTILE, hostile};

    /// The entry as GitLab's documentation has it.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        description: String,
        check_name: String,
        fingerprint: String,
        severity: Severity,
        location: Location,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Severity {
        Info,
        Minor,
        Major,
        Critical,
        Blocker,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Location {
        path: String,
        lines: Lines,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Lines {
        begin: u64,
    }

    #[test]
    fn it_is_what_gitlab_reads() {
        let mut checks = hostile();
        checks.checks[3].name.push('x');
        let text = super::gitlab(&checks).to_string();
        let entries: Vec<Entry> = serde_json::from_str(&text).unwrap();
        assert_eq!(entries.len(), 3);
        for entry in &entries {
            assert_eq!((entry.location.path.as_str(), entry.location.lines.begin), (HOSTILE, 3));
            assert!(entry.description.contains(HOSTILE) && entry.check_name == "OV1220");
        }
        let all = [Severity::Info, Severity::Minor, Severity::Major, Severity::Critical, Severity::Blocker];
        assert_eq!((&entries[0].severity, &entries[2].severity), (&all[4], &all[1]));
        let prints: BTreeSet<&str> = entries.iter().map(|entry| entry.fingerprint.as_str()).collect();
        assert_eq!(prints.len(), 2, "two of the same check are one finding");
        // What is measured may be another in the next run; it is the same finding.
        checks.checks[1].message = "other".into();
        checks.checks[1].details.clear();
        let again: Vec<Entry> = serde_json::from_value(super::gitlab(&checks)).unwrap();
        assert_eq!(again[0].fingerprint, entries[0].fingerprint);
    }
}
