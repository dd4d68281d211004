//! What `status` shows.

use std::collections::BTreeSet;

use crate::ops::check::State;
use crate::ops::status::Status;
use crate::patch::lint::Upstream;
use crate::patch::{Dep3, Standing};
use crate::queue::model::InEffect;
use crate::view::{Block, Document, Role, Shown, Table, Text};

/// Says an age in few characters.
fn age(days: i64) -> String {
    match days {
        ..0 => "in the future".into(),
        0..60 => crate::base::text::plural(usize::try_from(days).unwrap_or(0), "day"),
        60..730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

impl Shown for Status {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.packages.is_empty() {
            document.line("nothing is patched");
            return document;
        }
        let mut table = Table::new(["package", "patch", "upstream", "applies", "age", "owner"]);
        for package in &self.packages {
            for (i, patch) in package.patches.iter().enumerate() {
                let (attr, package_name) = match i {
                    0 => (package.attr.to_string(), format!(" {}", package.name.clone().unwrap_or_default())),
                    _ => (String::new(), String::new()),
                };
                let (role, upstream) = match &patch.upstream {
                    Standing::OpenEmbedded(Upstream::Known { status, .. }) => (Role::Plain, status.word()),
                    Standing::OpenEmbedded(Upstream::Malformed { .. }) | Standing::Malformed { .. } => {
                        (Role::Warn, "malformed")
                    }
                    Standing::OpenEmbedded(Upstream::Missing) => (Role::Warn, "not said"),
                    Standing::Dep3 { state: Dep3::AppliedUpstream, .. } => (Role::Plain, "applied upstream"),
                    Standing::Dep3 { state: Dep3::FromUpstream, .. } => (Role::Plain, "from upstream"),
                    Standing::Dep3 { state: Dep3::Forwarded, .. } => (Role::Plain, "forwarded"),
                    Standing::Dep3 { state: Dep3::NotForwarded, .. } => (Role::Plain, "not forwarded"),
                    Standing::Dep3 { state: Dep3::NotNeeded, .. } => (Role::Plain, "not needed"),
                    Standing::Buildroot { not_applicable: true, .. } => (Role::Plain, "N/A"),
                    Standing::Buildroot { .. } => (Role::Plain, "linked"),
                };
                let (fit, applies) = match (patch.applies, &package.failure) {
                    (Some(state @ (State::Clean | State::Offset)), _) => (Role::Good, state.words()),
                    (Some(state @ State::Fuzz), _) => (Role::Warn, state.words()),
                    (Some(state), _) => (Role::Bad, state.words()),
                    (None, Some(_)) => (Role::Bad, "not checked"),
                    (None, None) => (Role::Dim, "not checked"),
                };
                // The name is enough on a line; the JSON has the mail too.
                let name = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = match patch.in_effect {
                    InEffect::No => Text::from(name).with(Role::Bad, " not in effect"),
                    InEffect::Yes | InEffect::Exported | InEffect::Unknown => Text::from(name),
                };
                let owner = patch.owner.as_deref().map(|o| o.split(" <").next().unwrap_or(o).to_string());
                table.rows.push(vec![
                    Role::Name.text(attr).with(Role::Dim, package_name),
                    name,
                    role.text(upstream),
                    fit.text(applies),
                    patch.age_days.map(age).unwrap_or_default().into(),
                    owner.unwrap_or_default().into(),
                ]);
            }
        }
        document.push(Block::Table(table));
        for package in &self.packages {
            if let Some(failure) = &package.failure {
                let text = Role::Bad.text(format!("{}: ", package.attr));
                document.line(text.plain(failure.message.clone()));
            }
        }
        for package in &self.packages {
            let Some(dir) = &package.editing else { continue };
            let command = format!("overlayctl finish {}", package.attr);
            let text = Role::Name.text(package.attr.to_string());
            let text = text.plain(format!(": there is work in {} that the queue does not have; ", dir.display()));
            document.line(text.with(Role::Command, command).plain(" takes it"));
        }
        if self.rebasing {
            let text = Text::from("a rebase is under way; ").with(Role::Command, "overlayctl rebase --continue");
            document.line(text.plain(" goes on, --abort leaves all as it was"));
        }
        let cves: BTreeSet<&str> = self.packages.iter().flat_map(|p| p.cves.iter().map(String::as_str)).collect();
        if !cves.is_empty() {
            document.line(format!("fixes {}", cves.into_iter().collect::<Vec<_>>().join(", ")));
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        assert_eq!([0, 1, 59, 61, 800].map(age), ["0 days", "1 day", "59 days", "2 months", "2 years"]);
    }
}
