//! The options that say how a rebuild set is shown, and the choice of its renderer.

use std::process::ExitCode;

use super::context::Context;
use super::failure::Failure;
use crate::ops::Outcome;
use crate::ops::impact::view::{By, View};
use crate::report::digraph;
use crate::view::{Digraph, Shown};

/// How a rebuild set is shown.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ViewArgs {
    /// Output format
    #[arg(long, value_enum, default_value = "tree")]
    format: Format,
    /// What each row of the table is
    #[arg(long, value_enum, value_name = "WHAT", default_value = "kind")]
    by: ByArg,
    /// Show at most this many rows
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show only what has this in its name, and the way to it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Show only what is at most this far from a root cause
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Tree,
    Table,
    Json,
    Dot,
    Mermaid,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ByArg {
    Kind,
    Depth,
    Attribute,
}

impl ViewArgs {
    /// Returns how it is shown.
    pub(crate) fn view(&self) -> View {
        View {
            table: (self.format == Format::Table).then_some(match self.by {
                ByArg::Kind => By::Kind,
                ByArg::Depth => By::Depth,
                ByArg::Attribute => By::Attribute,
            }),
            limit: self.limit,
            filter: self.filter.clone(),
            depth: self.depth,
        }
    }

    /// Shows an outcome in the chosen form; `picture` makes the graph of it.
    pub(crate) fn show<T: Outcome + Shown>(
        &self,
        context: &Context,
        outcome: &T,
        picture: impl Fn(&T) -> Digraph,
    ) -> Result<ExitCode, Failure> {
        let text = match self.format {
            Format::Dot => digraph::graphviz(&picture(outcome)),
            Format::Mermaid => digraph::mermaid(&picture(outcome)),
            Format::Json => return context.show_json(outcome),
            Format::Tree | Format::Table => return context.show(outcome),
        };
        context.print_plain(text.as_bytes())?;
        Ok(Context::status(outcome))
    }
}
