//! What a patch says of where it stands with its upstream, in the words of OpenEmbedded, of DEP-3 (Debian) and of Buildroot.
//!
//! DEP-3: <https://dep-team.pages.debian.net/deps/dep3/>; Buildroot's manual, "Additional patch documentation". OpenEmbedded's line is read in `lint`. Must not
//! turn one convention's word into another's.

use serde::Serialize;

use super::header::Headers;
use super::lint::{Upstream, upstream_status};
use super::patch_file::PatchFile;

/// A convention for the headers of patches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// `Upstream-Status:`, `Signed-off-by:`, `CVE:`.
    #[default]
    OpenEmbedded,
    /// `Forwarded:`, `Applied-Upstream:`, `Origin:`, `Bug:`.
    Dep3,
    /// `Upstream:`, `Signed-off-by:`.
    Buildroot,
}

impl Style {
    /// Finds the convention that most patches of a queue follow; OpenEmbedded's where none says anything.
    pub fn of<'h>(queue: impl IntoIterator<Item = &'h Headers>) -> Style {
        let mut votes = [0, 0, 0];
        for headers in queue {
            let has = |key: &str| headers.values(key).next().is_some();
            let dep3 = ["Forwarded", "Applied-Upstream", "Origin", "Last-Update"].into_iter().any(has);
            votes[0] += usize::from(has("Upstream-Status"));
            votes[1] += usize::from(dep3);
            votes[2] += usize::from(has("Upstream"));
        }
        match votes {
            [open, dep3, buildroot] if dep3 > open && dep3 >= buildroot => Style::Dep3,
            [open, _, buildroot] if buildroot > open => Style::Buildroot,
            _ => Style::OpenEmbedded,
        }
    }
}

/// What the DEP-3 fields of a patch say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dep3 {
    /// `Applied-Upstream:` a version, a commit or an address.
    AppliedUpstream,
    /// `Origin: upstream` or `backport`: it is from there.
    FromUpstream,
    /// `Forwarded: yes` or an address; or a `Bug:` and nothing else.
    Forwarded,
    /// `Forwarded: no`, or nothing said of it.
    NotForwarded,
    /// `Forwarded: not-needed`.
    NotNeeded,
}

/// Where a patch stands with its upstream, in its own convention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "style", rename_all = "lowercase")]
pub enum Standing {
    /// `Upstream-Status:`, or nothing at all.
    OpenEmbedded(Upstream),
    /// DEP-3 fields.
    Dep3 {
        state: Dep3,
        detail: String,
        /// The line, from 1.
        line: usize,
    },
    /// Buildroot's `Upstream:`.
    Buildroot {
        /// `N/A`: it is not for upstream.
        not_applicable: bool,
        /// The value: the commit, the request, the reason.
        detail: String,
        /// The line, from 1.
        line: usize,
    },
    /// A DEP-3 field or Buildroot's whose value is none.
    Malformed {
        key: String,
        text: String,
        /// The line, from 1.
        line: usize,
    },
}

impl PatchFile<'_> {
    /// Reads where the patch stands with its upstream. `Upstream-Status:` counts for most, whatever the form; then Buildroot's field, then those of DEP-3.
    pub fn standing(&self) -> Standing {
        let status = upstream_status(&self.to_bytes());
        let headers = self.headers();
        let first = |key: &str| headers.trailers.iter().find(|t| t.key.eq_ignore_ascii_case(key));
        let address = |value: &str| value.contains("://") || value.contains('@') || value.starts_with('#');
        let malformed =
            |t: &super::Trailer| Standing::Malformed { key: t.key.clone(), text: t.value.clone(), line: t.line };
        if matches!(status, Upstream::Known { .. }) {
            return Standing::OpenEmbedded(status);
        }
        if let Some(field) = first("Upstream") {
            let lower = field.value.to_ascii_lowercase();
            let not_applicable =
                ["n/a", "na", "not applicable", "none", "not upstreamable"].iter().any(|w| lower.starts_with(w));
            return match field.value.is_empty() {
                true => malformed(field),
                false => Standing::Buildroot { not_applicable, detail: field.value.clone(), line: field.line },
            };
        }
        let said = |state: Dep3, field: &super::Trailer| Standing::Dep3 {
            state,
            detail: field.value.clone(),
            line: field.line,
        };
        if let Some(field) = first("Applied-Upstream").filter(|f| !f.value.eq_ignore_ascii_case("no")) {
            return if field.value.is_empty() { malformed(field) } else { said(Dep3::AppliedUpstream, field) };
        }
        let origin = first("Origin");
        let origin_word =
            origin.map(|f| f.value.split([',', ' ', ':']).next().unwrap_or_default().to_ascii_lowercase());
        if let (Some(field), Some("upstream" | "backport")) = (origin, origin_word.as_deref()) {
            return said(Dep3::FromUpstream, field);
        }
        if let Some(field) = first("Forwarded") {
            let word = field.value.split([',', ' ', ';']).next().unwrap_or_default().to_ascii_lowercase();
            return match word.as_str() {
                "no" => said(Dep3::NotForwarded, field),
                "not-needed" => said(Dep3::NotNeeded, field),
                "yes" => said(Dep3::Forwarded, field),
                _ if address(&field.value) => said(Dep3::Forwarded, field),
                _ => malformed(field),
            };
        }
        // DEP-3: with a bug report it is assumed to have been forwarded there, else not.
        match (first("Bug"), origin) {
            (Some(bug), _) => said(Dep3::Forwarded, bug),
            (None, Some(origin)) if origin.value.is_empty() => malformed(origin),
            (None, Some(origin)) => said(Dep3::NotForwarded, origin),
            (None, None) => Standing::OpenEmbedded(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lint::UpstreamStatus;
    use super::*;

    const DIFF: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

    fn standing(head: &str) -> Standing {
        let text = format!("{head}{DIFF}");
        PatchFile::parse(text.as_bytes()).unwrap().standing()
    }

    #[test]
    fn each_convention_in_its_own_words() {
        let dep3 = |state, detail: &str, line| Standing::Dep3 { state, detail: detail.into(), line };
        for (head, expected) in [
            ("Description: x\nForwarded: no\n\n", dep3(Dep3::NotForwarded, "no", 2)),
            ("Description: x\nForwarded: not-needed\n\n", dep3(Dep3::NotNeeded, "not-needed", 2)),
            ("Description: x\nForwarded: https://x/1\n\n", dep3(Dep3::Forwarded, "https://x/1", 2)),
            (
                "Description: x\nOrigin: upstream, https://x/1\nForwarded: not-needed\n\n",
                dep3(Dep3::FromUpstream, "upstream, https://x/1", 2),
            ),
            ("Description: x\nForwarded: yes\nApplied-Upstream: 1.2.3\n\n", dep3(Dep3::AppliedUpstream, "1.2.3", 3)),
            ("Description: x\nBug: https://x/2\n\n", dep3(Dep3::Forwarded, "https://x/2", 2)),
            ("Description: x\nOrigin: vendor\n\n", dep3(Dep3::NotForwarded, "vendor", 2)),
            (
                "Description: x\nForwarded: maybe\n\n",
                Standing::Malformed { key: "Forwarded".into(), text: "maybe".into(), line: 2 },
            ),
            (
                "From: A <a@b>\nSubject: x\n\nUpstream: https://x/3\nSigned-off-by: A <a@b>\n---\n",
                Standing::Buildroot { not_applicable: false, detail: "https://x/3".into(), line: 4 },
            ),
            (
                "From: A <a@b>\nSubject: x\n\nUpstream: N/A, Buildroot only\n---\n",
                Standing::Buildroot { not_applicable: true, detail: "N/A, Buildroot only".into(), line: 4 },
            ),
        ] {
            assert_eq!(standing(head), expected, "{head}");
        }
        assert!(matches!(
            standing("Upstream-Status: Backport [x]\nForwarded: no\n\n"),
            Standing::OpenEmbedded(Upstream::Known { status: UpstreamStatus::Backport, .. })
        ));
        assert_eq!(standing("text\n"), Standing::OpenEmbedded(Upstream::Missing));
    }

    #[test]
    fn a_queue_shows_its_style() {
        let style = |heads: &[&str]| {
            let headers: Vec<Headers> = heads
                .iter()
                .map(|head| PatchFile::parse(format!("{head}{DIFF}").as_bytes()).unwrap().headers())
                .collect();
            Style::of(&headers)
        };
        assert_eq!(style(&[]), Style::OpenEmbedded);
        assert_eq!(style(&["Description: x\nForwarded: no\n\n", "text\n"]), Style::Dep3);
        assert_eq!(style(&["Subject: x\n\nUpstream: N/A\n"]), Style::Buildroot);
        assert_eq!(style(&["Subject: x\n\nUpstream-Status: Pending\n", "Forwarded: no\n\n"]), Style::OpenEmbedded);
    }
}
