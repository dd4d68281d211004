//! What the header of a patch should say, and whether it does: codes, lines, ways out.
//!
//! `Upstream-Status:` is accepted and refused exactly as OpenEmbedded's `check_upstream_status` does (meta/lib/oe/qa.py of
//! openembedded-core at 35a2c6e): a line anywhere in the file that is `Upstream-Status: `, one of six words, and nothing or a blank
//! and text. CVE identifiers are found as its meta/lib/oe/cve_check.py finds them. Must not change anything.

use std::collections::BTreeSet;

use serde::Serialize;

use super::patch_file::PatchFile;
use super::upstream::{Standing, Style};

/// Where a patch stands with its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamStatus {
    /// Not sent yet.
    Pending,
    Submitted,
    /// Refused by upstream.
    Denied,
    Inappropriate,
    Backport,
    InactiveUpstream,
}

const WORDS: &[(&str, UpstreamStatus)] = &[
    ("Pending", UpstreamStatus::Pending),
    ("Submitted", UpstreamStatus::Submitted),
    ("Denied", UpstreamStatus::Denied),
    ("Inappropriate", UpstreamStatus::Inappropriate),
    ("Backport", UpstreamStatus::Backport),
    ("Inactive-Upstream", UpstreamStatus::InactiveUpstream),
];

impl UpstreamStatus {
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, status)| *status == self).map_or("", |(word, _)| word)
    }
}

/// What a file says about its upstream status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Upstream {
    /// A well-formed line.
    Known {
        status: UpstreamStatus,
        /// What stands behind it, often in brackets: where it was sent, why it is inappropriate.
        detail: String,
        /// The line, from 1.
        line: usize,
    },
    /// Some line speaks of an upstream status, but not in the right form.
    Malformed {
        text: String,
        /// Its number, from 1.
        line: usize,
    },
    /// No line does.
    Missing,
}

/// Reads the upstream status of a patch file as OpenEmbedded does: of the whole file, the diff included.
pub fn upstream_status(bytes: &[u8]) -> Upstream {
    let mut malformed = None;
    // Python's text mode: `\r\n` and `\r` end lines too; bytes that are no UTF-8 are left out.
    for (i, line) in text_lines(bytes).iter().enumerate() {
        if let Some(rest) = line.strip_prefix("Upstream-Status: ") {
            let strict = WORDS.iter().find_map(|(word, status)| {
                let tail = rest.strip_prefix(word)?;
                // `( .+)?$`: nothing, or a blank and at least one character.
                (tail.is_empty() || (tail.starts_with(' ') && tail.chars().count() > 1))
                    .then(|| (*status, tail.trim().to_string()))
            });
            if let Some((status, detail)) = strict {
                return Upstream::Known { status, detail, line: i + 1 };
            }
        }
        if malformed.is_none() && speaks_of_status(line) {
            malformed = Some(Upstream::Malformed { text: line.clone(), line: i + 1 });
        }
    }
    malformed.unwrap_or(Upstream::Missing)
}

/// `upstream.*status`, any case.
fn speaks_of_status(line: &str) -> bool {
    let lower = line.to_lowercase();
    lower.find("upstream").is_some_and(|at| lower[at + "upstream".len()..].contains("status"))
}

fn text_lines(bytes: &[u8]) -> Vec<String> {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split('\n').map(str::to_string).collect()
}

/// Returns the CVE identifiers that a patch names, sorted: those of its `CVE:` lines and the last one in its file name.
pub fn cves(file_name: &str, patch: &PatchFile<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    found.extend(identifiers(&file_name.to_ascii_uppercase()).pop());
    for line in text_lines(&patch.to_bytes()) {
        if let Some(rest) = line.strip_prefix("CVE:") {
            found.extend(identifiers(rest));
        }
    }
    found
}

/// `CVE-\d{4}-\d{4,}`.
fn identifiers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("CVE-") {
        let tail = &rest[at + 4..];
        let digits = |t: &str| t.bytes().take_while(u8::is_ascii_digit).count();
        let year = digits(tail);
        if year == 4
            && let Some(number) = tail[4..].strip_prefix('-')
            && digits(number) >= 4
        {
            found.push(format!("CVE-{}-{}", &tail[..4], &number[..digits(number)]));
        }
        rest = tail;
    }
    found
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The stable code; explained like the errors.
    pub code: &'static str,
    /// What is the matter, one sentence.
    pub message: String,
    /// The line of the patch file, from 1; 0 when something is missing.
    pub line: usize,
    pub hint: &'static str,
}

/// Which lints are asked for. The default is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The convention that the queue follows.
    pub style: Style,
    pub identity: bool,
    /// Where it stands with upstream, in the words of the style.
    pub upstream_status: bool,
    /// `Signed-off-by:`.
    pub signed_off: bool,
    /// `CVE:`.
    pub cve: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { style: Style::default(), identity: true, upstream_status: true, signed_off: true, cve: true }
    }
}

/// Checks the header of a patch; `file_name` is its last component.
pub fn lint(file_name: &str, patch: &PatchFile<'_>, rules: &Rules) -> Vec<Finding> {
    let headers = patch.headers();
    let mut found = Vec::new();
    let mut add = |code, message: String, line, hint| found.push(Finding { code, message, line, hint });
    if rules.identity {
        if headers.subject.is_none() {
            add("OV0240", "the patch has no subject".into(), 0, "write `Subject: what it does` above the diff");
        }
        if headers.author.is_none() {
            add("OV0241", "the patch does not say who wrote it".into(), 0, "write `From: Name <mail>` above the diff");
        }
    }
    let standing = patch.standing();
    let other = match (rules.style, &standing) {
        _ if !rules.upstream_status || rules.style == Style::OpenEmbedded => None,
        (_, Standing::Malformed { key, text, line }) => {
            Some(("OV0251", format!("a malformed `{key}:`: `{text}`"), *line))
        }
        (Style::Dep3, Standing::Dep3 { .. }) | (Style::Buildroot, Standing::Buildroot { .. }) => None,
        (Style::Dep3, _) => Some(("OV0250", "no `Forwarded:`, `Origin:`, `Applied-Upstream:` or `Bug:`".into(), 0)),
        _ => Some(("OV0250", "there is no `Upstream:`".into(), 0)),
    };
    if let Some((code, message, line)) = other {
        let hint = match rules.style {
            Style::Dep3 => {
                "write `Forwarded: no`, `not-needed`, `yes` or an address; or `Origin: upstream, ADDRESS`; or `Applied-Upstream: VERSION`"
            }
            _ => "write `Upstream: ` and the address of the commit or of the request, or `N/A` and the reason",
        };
        add(code, message, line, hint);
    }
    if rules.upstream_status && rules.style == Style::OpenEmbedded {
        match upstream_status(&patch.to_bytes()) {
            Upstream::Known { .. } => {}
            Upstream::Missing => add(
                "OV0242",
                "there is no `Upstream-Status:`".into(),
                0,
                "say where it stands: Pending, Submitted, Backport, Denied, Inappropriate or Inactive-Upstream",
            ),
            Upstream::Malformed { text, line } => {
                let message = format!("a malformed `Upstream-Status:`: `{}`", text.trim());
                add(
                    "OV0243",
                    message,
                    line,
                    "write `Upstream-Status: Word [where or why]` at the start of a line; Word is Pending, Submitted, Backport, \
                     Denied, Inappropriate or Inactive-Upstream, in this case",
                );
            }
        }
    }
    // DEP-3 asks for an author and no more.
    if rules.signed_off && rules.style != Style::Dep3 {
        let signed: Vec<_> = headers.trailers.iter().filter(|t| t.key.eq_ignore_ascii_case("signed-off-by")).collect();
        let meant = if signed.is_empty() { sign_offs_meant(patch) } else { Vec::new() };
        for (line, text) in &meant {
            let message = format!("a malformed `Signed-off-by:`: `{text}`");
            add("OV0245", message, *line, "write `Signed-off-by: Name <mail>` at the start of a line");
        }
        if signed.is_empty() && meant.is_empty() {
            add(
                "OV0244",
                "there is no `Signed-off-by:`".into(),
                0,
                "who can sign it off adds `Signed-off-by: Name <mail>`",
            );
        }
        for trailer in signed {
            let named = trailer.value.split_once(" <").is_some_and(|(name, mail)| {
                !name.trim().is_empty()
                    && mail.ends_with('>')
                    && mail.contains('@')
                    && !mail.trim_end_matches('>').contains(char::is_whitespace)
            });
            if trailer.key != "Signed-off-by" || !named {
                add(
                    "OV0245",
                    format!("a malformed `Signed-off-by:`: `{}: {}`", trailer.key, trailer.value),
                    trailer.line,
                    "write `Signed-off-by: Name <mail>`",
                );
            }
        }
    }
    if rules.cve && rules.style == Style::OpenEmbedded {
        let tagged: Vec<_> = headers.trailers.iter().filter(|t| t.key.eq_ignore_ascii_case("cve")).collect();
        let mentioned = |text: &str| identifiers(&text.to_ascii_uppercase()).into_iter().next();
        let named = mentioned(file_name).or_else(|| headers.subject.as_deref().and_then(mentioned));
        if let (Some(cve), true) = (named, tagged.is_empty()) {
            add(
                "OV0246",
                format!("the patch names {cve} but has no `CVE:` line"),
                0,
                "write `CVE: CVE-YYYY-NNNN`, so that tools find it",
            );
        }
        for trailer in tagged {
            let words: Vec<_> = trailer.value.split([' ', ',']).filter(|w| !w.is_empty()).collect();
            let good = !words.is_empty() && words.iter().all(|w| identifiers(w).first().is_some_and(|id| id == w));
            if trailer.key != "CVE" || !good {
                add(
                    "OV0247",
                    format!("a malformed `CVE:` line: `{}: {}`", trailer.key, trailer.value),
                    trailer.line,
                    "write `CVE: CVE-YYYY-NNNN`, several separated by blanks",
                );
            }
        }
    }
    found.extend(of_diff(patch));
    let mut add = |code, message: String, line, hint| found.push(Finding { code, message, line, hint });
    if patch.crlf() {
        add(
            "OV0248",
            "the patch has CR LF line ends".into(),
            1,
            "`patch` takes the CRs off; convert the file, or the build only works by luck",
        );
    }
    if patch.unfinished() {
        let line = patch.to_bytes().split(|b| *b == b'\n').count();
        add(
            "OV0249",
            "the patch ends in the middle of a line".into(),
            line,
            "end the last line with a line feed: `patch` takes it for a blank line",
        );
    }
    found
}

/// What GNU patch takes otherwise than it is meant: a diff that a message quotes, lines that a hunk does not count.
pub fn of_diff(patch: &PatchFile<'_>) -> Vec<Finding> {
    let quoted = patch.quoted_diffs().into_iter().map(|at| Finding {
        code: "OV0252",
        message: format!("`patch` takes what is quoted here for a diff: `{}`", at.text.trim()),
        line: at.line,
        hint: "put `|` before each such line; indentation does not hide it",
    });
    let miscounted = patch.miscounted().into_iter().map(|(at, right)| Finding {
        code: "OV0253",
        message: format!("lines behind the hunk are not counted by its header; `{right}` would be right"),
        line: at.line,
        hint: "`overlayctl refresh --recount` writes the counts that fit the lines",
    });
    quoted.chain(miscounted).collect()
}

/// Lines that are meant to sign off and do not: indented, or without the colon, or with blanks for the hyphens.
fn sign_offs_meant(patch: &PatchFile<'_>) -> Vec<(usize, String)> {
    let found = patch.preamble().split(|b| *b == b'\n').enumerate().filter_map(|(i, line)| {
        let text = super::decode::repaired(line.trim_ascii());
        let lower = text.to_ascii_lowercase().replace([' ', '_'], "-");
        lower.starts_with("signed-off-by").then_some((i + 1, text))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn upstream_status_as_openembedded() {
        // (line, strict match, kind-of match)
        for (line, known, kinda) in [
            ("Upstream-Status: Pending", true, true),
            ("Upstream-Status: Backport [https://x]", true, true),
            ("Upstream-Status: Inactive-Upstream [dead]", true, true),
            ("Upstream-Status: Inappropriate [oe specific]", true, true),
            ("Upstream-Status: Denied x", true, true),
            ("Upstream-Status: Submitted  y", true, true),
            ("Upstream-Status: Backport ", false, true),
            ("Upstream-Status: Backport[x]", false, true),
            ("Upstream-Status: Backport, x", false, true),
            ("Upstream-Status: Accepted", false, true),
            ("Upstream-Status: pending", false, true),
            ("Upstream-Status:Pending", false, true),
            ("Upstream-Status:  Pending", false, true),
            (" Upstream-Status: Pending", false, true),
            ("upstream-status: Pending", false, true),
            ("Upstream Status: Pending", false, true),
            ("the UPSTREAM has no STATUS", false, true),
            ("Status of upstream", false, false),
            ("Upstream", false, false),
        ] {
            let found = upstream_status(format!("x\n{line}\n{DIFF}").as_bytes());
            assert_eq!(matches!(found, Upstream::Known { .. }), known, "{line}");
            assert_eq!(found != Upstream::Missing, kinda, "{line}");
        }
        // In the diff it counts too, and CR LF does not matter.
        assert!(matches!(upstream_status(b"x\r\nUpstream-Status: Pending\r\n"), Upstream::Known { line: 2, .. }));
        assert!(matches!(upstream_status(b"\xffUpstream-Status: Denied [a]\n"), Upstream::Known { .. }));
        assert_eq!(UpstreamStatus::InactiveUpstream.word(), "Inactive-Upstream");
    }

    #[test]
    fn findings_have_codes_and_lines() {
        let codes = |name: &str, head: &str| -> Vec<(&'static str, usize)> {
            let text = format!("{head}{DIFF}");
            let patch = PatchFile::parse(text.as_bytes()).unwrap();
            lint(name, &patch, &Rules::default()).iter().map(|f| (f.code, f.line)).collect()
        };
        assert_eq!(codes("0001-x.patch", ""), [("OV0240", 0), ("OV0241", 0), ("OV0242", 0), ("OV0244", 0)]);
        let good = "From: A <a@b>\nSubject: [PATCH] fix CVE-2024-12345\n\nCVE: CVE-2024-12345\nUpstream-Status: Backport [x]\nSigned-off-by: A <a@b>\n---\n";
        assert_eq!(codes("CVE-2024-12345.patch", good), []);
        let bad =
            good.replace("CVE: CVE-", "CVE: cve-").replace("Backport", "backport").replace("A <a@b>\n---", "A\n---");
        assert_eq!(codes("x.patch", &bad), [("OV0243", 5), ("OV0245", 6), ("OV0247", 4)]);
        assert_eq!(
            codes(
                "cve-2024-99999.patch",
                "From: A <a@b>\nSubject: x\n\nUpstream-Status: Pending\nSigned-off-by: A <a@b>\n"
            ),
            [("OV0246", 0)]
        );
    }

    #[test]
    fn each_style_asks_for_its_own() {
        let codes = |style: Style, head: &str| -> Vec<&'static str> {
            let text = format!("{head}{DIFF}");
            let patch = PatchFile::parse(text.as_bytes()).unwrap();
            lint("x.patch", &patch, &Rules { style, ..Rules::default() }).iter().map(|f| f.code).collect()
        };
        let dep3 = "Description: x\nAuthor: A <a@b>\nForwarded: not-needed\n\n";
        assert_eq!(codes(Style::Dep3, dep3), [] as [&str; 0]);
        assert_eq!(codes(Style::Dep3, &dep3.replace("not-needed", "perhaps")), ["OV0251"]);
        assert_eq!(codes(Style::Dep3, &dep3.replace("Forwarded: not-needed\n", "")), ["OV0250"]);
        assert_eq!(codes(Style::OpenEmbedded, dep3), ["OV0242", "OV0244"]);
        let buildroot = "From: A <a@b>\nSubject: x\n\nUpstream: https://x/1\nSigned-off-by: A <a@b>\n---\n";
        assert_eq!(codes(Style::Buildroot, buildroot), [] as [&str; 0]);
        assert_eq!(codes(Style::Buildroot, &buildroot.replace("Upstream: https://x/1\n", "")), ["OV0250"]);
        for meant in [" Signed-off-by: A <a@b>", "Signed-off-by A <a@b>", "signed off by: A <a@b>"] {
            let text = buildroot.replace("Signed-off-by: A <a@b>", meant);
            assert_eq!(codes(Style::Buildroot, &text), ["OV0245"], "{meant}");
        }
    }

    #[test]
    fn cves_of_name_and_lines() {
        let text = format!("CVE: CVE-2020-0001 CVE-2020-12345\nabout CVE-1999-0001\n{DIFF}");
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        let found: Vec<_> = cves("a-CVE-2001-1111-cve-2002-22222.patch", &patch).into_iter().collect();
        assert_eq!(found, ["CVE-2002-22222", "CVE-2020-0001", "CVE-2020-12345"]);
    }
}
