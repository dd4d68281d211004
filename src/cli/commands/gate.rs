//! `overlayctl gate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::base::{fs, visible};
use crate::ops::Error;
use crate::ops::gate::{self, Gate};
use crate::report::{comment, github, gitlab, junit, sarif};
use crate::view::Shown as _;

/// Hold what a change costs against the budgets of overlayctl.toml, before it is merged
///
/// The workspace at REV and the workspace as it is are evaluated and compared; overlays, pin, config and boards count. The limits are
/// those of `[budget]`, `[boards.NAME.budget]` and `targets.ATTR` below either: `builds`, `own-builds` (that no cache has), `build-time`
/// ("4h"), `closure-growth` ("10 MiB"), `unproven = false`, `lint`, `patches-without-status`. Those of the workspace as it is count; one
/// that the change loosens is named. What cannot be measured is unknown, and with a limit on it that is a no.
///
/// The side of REV is kept in the cache directory, by a key that is printed, so that the next run evaluates one side only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl gate --against origin/main
  overlayctl gate --against HEAD~1 --board pi --strict
  overlayctl gate --against origin/main --format github --report sarif gate.sarif --report junit gate.xml
  overlayctl gate --against origin/main --base-key     the key for a CI cache; evaluates nothing

Exit status:
  0  every limit is kept
  1  a limit is broken or unknown, or a target does not evaluate
  2  the two sides could not be compared")]
pub(crate) struct Args {
    /// Targets to judge [default: those of the board, or of overlayctl.toml, or of all its boards]
    targets: Vec<String>,
    /// Compare with the workspace at this git revision
    #[arg(long, value_name = "REV")]
    against: String,
    /// Exit with 1 for whatever is only noted: a loosened limit, one that was not looked at, a target that is gone, a patch that
    /// reaches no target, no limit at all
    #[arg(long)]
    strict: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write the outcome to a file as well, in any format but `text`; repeatable
    #[arg(long, num_args = 2, value_names = ["FORMAT", "FILE"], action = clap::ArgAction::Append)]
    report: Vec<String>,
    /// Print the key that the side of REV is kept by, and stop
    #[arg(long, conflicts_with_all = ["strict", "report", "format"])]
    base_key: bool,
    #[command(flatten)]
    set: SetArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    /// A comment for a pull request, at most 60 lines
    Markdown,
    /// Workflow commands of GitHub's runner, and the summary of the job where GITHUB_STEP_SUMMARY names its file
    Github,
    /// GitLab's code quality report
    Gitlab,
    Junit,
    /// SARIF 2.1.0
    Sarif,
}

/// Renders the outcome in a format that is not for people.
fn render(gate: &Gate, format: Format, context: &Context) -> Result<String, Failure> {
    let json = |text: serde_json::Result<String>| {
        text.map(|text| format!("{}\n", visible::json(&text))).map_err(|e| Failure::output(std::io::Error::other(e)))
    };
    let checks = gate.checks();
    Ok(match format {
        Format::Text => crate::report::terminal::render(&gate.document(false)),
        Format::Json => return context.json(gate),
        Format::Markdown => comment::markdown(&checks),
        Format::Github => github::github(&checks),
        Format::Gitlab => return json(serde_json::to_string(&gitlab::gitlab(&checks))),
        Format::Junit => junit::junit(&checks),
        Format::Sarif => return json(serde_json::to_string(&sarif::sarif(&checks))),
    })
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let reports = reports(&args.report)?;
    let workspace = context.workspace()?;
    let options =
        gate::Options { selection: args.set.selection(args.targets), revision: args.against, strict: args.strict };
    if args.base_key {
        let key = gate::base_key(&workspace, &options)?;
        if context.globals.json {
            return context.show_json(&key);
        }
        match &key.key {
            Some(key) => context.print_plain(format!("{key}\n").as_bytes())?,
            None => context.print_error("the base is not kept: no key says all that it depends on\n"),
        }
        return Ok(Context::status(&key));
    }
    let gate = context.watched(|progress| gate::gate(&workspace, &options, progress))?;
    context.warn(&gate.warnings);
    for (format, path) in reports {
        context.write_file(&path, &render(&gate, format, context)?)?;
    }
    match args.format {
        _ if context.globals.json => return context.show_json(&gate),
        Format::Text => return context.show(&gate),
        Format::Json => return context.show_json(&gate),
        Format::Github => {
            if let Some(path) =
                std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from)
            {
                let before = fs::read_text_if_there(&path).map_err(Error::from)?.unwrap_or_default();
                let text = format!("{before}{}", comment::markdown(&gate.checks()));
                context.write_file(&path, &text)?;
            }
        }
        _ => {}
    }
    context.print_plain(render(&gate, args.format, context)?.as_bytes())?;
    Ok(Context::status(&gate))
}

fn reports(words: &[String]) -> Result<Vec<(Format, PathBuf)>, Failure> {
    let pair = |pair: &[String]| {
        let (word, path) =
            (pair.first().map_or("", String::as_str), pair.get(1).map(PathBuf::from).unwrap_or_default());
        let format = Format::from_str(word, false).ok().filter(|format| *format != Format::Text);
        let known = "json, markdown, github, gitlab, junit and sarif are";
        format
            .map(|format| (format, path))
            .ok_or_else(|| Failure::usage(format!("`{word}` is no format for a file"), known))
    };
    words.chunks(2).map(pair).collect()
}
