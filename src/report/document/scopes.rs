//! What `impact --scopes` shows.

use super::impact::builds;
use crate::ops::scope::{Cost, Costs};
use crate::view::Shown;
use crate::view::{Block, Document, Role, Table, Text};

impl Costs {
    /// Returns in a line what a person has to know before choosing; `None` when there is nothing to choose.
    pub(super) fn advice(&self) -> Option<String> {
        let (all, host) = (builds(self.all.counts), builds(self.host.counts));
        if self.native {
            return Some(format!("every target is native: --scope host would do nothing (every stage: {all})"));
        }
        if self.all.counts.builds == 0 {
            return Some(format!("no target needs {}: nothing would be rebuilt", self.attr));
        }
        if !self.all.reaches {
            return Some(format!("{all}, and none of them is a target: the patch would not reach what runs there"));
        }
        match (self.host.reaches, self.host.counts == self.all.counts) {
            (_, true) => None,
            (true, false) => Some(format!("for the target stage only (--scope host) {host}, for every stage {all}")),
            (false, false) => Some(format!(
                "the target rebuilds only because tools that build it do: {all} for every stage, {host} for the target stage only \
                 (--scope host), where the patch does not reach it"
            )),
        }
    }
}

impl Shown for Costs {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        for (target, why) in &self.failures {
            document.line(Role::Bad.text("does not evaluate ").with(Role::Name, target).plain(format!(": {why}")));
        }
        let cell = |cost: Cost| {
            let role = if cost.reaches { Role::Plain } else { Role::Dim };
            let reach = if cost.reaches { "" } else { ", target not reached" };
            role.text(format!("{}{reach}", builds(cost.counts)))
        };
        let mut rows: Vec<Vec<Text>> =
            self.targets.iter().map(|one| vec![Role::Name.text(&one.target), cell(one.all), cell(one.host)]).collect();
        if self.targets.len() > 1 {
            rows.push(vec![Role::Heading.text("together"), cell(self.all), cell(self.host)]);
        }
        let header =
            vec![format!("a change of {}", self.attr), "every stage (all)".into(), "target stage only (host)".into()];
        document.push(Block::Table(Table { header, rows }));
        if let Some(advice) = self.advice() {
            document.line(advice);
        }
        document
    }
}
