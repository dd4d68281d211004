//! What `lint` shows.

use crate::ops::lint::Linted;
use crate::view::Shown;
use crate::view::{Document, Role};

impl Shown for Linted {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let mut count = 0;
        for patch in self.packages.iter().flat_map(|p| &p.patches) {
            for finding in &patch.findings {
                count += 1;
                let line = if finding.line > 0 { format!(":{}", finding.line) } else { String::new() };
                document.line(Role::Warn.text(finding.code).plain(format!(
                    " {}{line}: {}",
                    patch.path.display(),
                    finding.message
                )));
                if verbose {
                    document.line(Role::Dim.text(format!("       {}", finding.hint)));
                }
            }
        }
        let patches: usize = self.packages.iter().map(|p| p.patches.len()).sum();
        let patches = crate::queue::patches(patches);
        match count {
            0 => document.line(Role::Good.text("nothing to complain about").plain(format!(" in {patches}"))),
            n => document.line(format!("{} in {patches}", crate::base::text::plural(n, "finding"))),
        }
        document
    }
}
