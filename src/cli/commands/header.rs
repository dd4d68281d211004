//! `overlayctl header`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::header::{self, Edit};

/// Show the header of a patch, or edit its trailers; every other byte stays
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl header musl 1
  overlayctl header musl 1 --set 'Upstream-Status=Submitted [https://lists.example.org/1]'
  overlayctl header musl 1 --add 'Signed-off-by=Ada <ada@example.org>' --remove CVE")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// Patch: its number, file name, or path
    patch: String,
    /// Set a trailer to this value
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Add a trailer, keeping those with the same key
    #[arg(long, value_name = "KEY=VALUE")]
    add: Vec<String>,
    /// Remove the trailers with this key, or only those with this value
    #[arg(long, value_name = "KEY[=VALUE]")]
    remove: Vec<String>,
    /// Write nothing; say what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask Nix; the result is not evaluated before it is written
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let pair = |text: &String| {
        text.split_once('=').map(|(key, value)| (key.to_string(), value.to_string())).ok_or_else(|| {
            Failure::usage(format!("`{text}` is no KEY=VALUE"), "for example --set Upstream-Status=Pending")
        })
    };
    let mut edits = Vec::new();
    for text in &args.remove {
        edits.push(match text.split_once('=') {
            Some((key, value)) => Edit::Remove(key.to_string(), Some(value.to_string())),
            None => Edit::Remove(text.clone(), None),
        });
    }
    for text in &args.set {
        let (key, value) = pair(text)?;
        edits.push(Edit::Set(key, value));
    }
    for text in &args.add {
        let (key, value) = pair(text)?;
        edits.push(Edit::Add(key, value));
    }
    let (workspace, _lock) = context.writing(args.dry_run || edits.is_empty())?;
    context.show(&header::header(&workspace, &args.attr, &args.patch, &edits, args.dry_run, args.offline)?)
}
