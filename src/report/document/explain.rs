//! What `explain` shows.

use crate::ops::explain::{Explained, PlatformFacts, Source};
use crate::view::Shown;
use crate::view::{Document, Role};

impl Shown for Explained {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        document.line(Role::Name.text(&self.attr));
        let mut row = |name: &str, facts: &PlatformFacts, words: Option<&String>| {
            let libc = facts.libc.as_ref().map(|libc| format!(", {libc}")).unwrap_or_default();
            let text = Role::Dim.text(format!("  {name:<7}")).plain(format!("{}{libc}", facts.triple));
            document.line(match words {
                Some(words) => text.with(Role::Dim, format!("   {words}")),
                None => text.with(Role::Dim, "   does not matter to this package"),
            });
        };
        row("build", &self.build, Some(&self.account.built));
        row("host", &self.host, Some(&self.account.runs));
        row("target", &self.target, self.account.compiles.as_ref());
        document.blank();
        document.line(self.account.sentence.clone());
        for remark in &self.account.remarks {
            document.line(Role::Dim.text("  ").plain(remark));
        }
        document.blank();
        let from = match (self.source, &self.not_asked) {
            (Source::Evaluation, _) => "evaluated by Nix".to_string(),
            (Source::Rules, Some(why)) => format!("by nixpkgs' rules, not evaluated: {why}"),
            (Source::Rules, None) => "by nixpkgs' rules, not evaluated".to_string(),
        };
        document.line(Role::Dim.text(from));
        document
    }
}
