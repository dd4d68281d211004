//! The third level: the build said that it applied the patch.

use crate::base::fs;
use crate::base::text::plural;
use crate::graph::NodeId;
use crate::nix::Nix;
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::asked::shell_word;
use crate::verify::derivation::Members;
use crate::verify::finding::{Answer, Cause};

/// What the log of one build says of one patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It was applied; the lines that tell of fuzz.
    Applied(Vec<String>),
    /// There is no word of it.
    Nothing,
}

/// Reads from a log what became of the patch at `path`.
///
/// The line is the one that nixpkgs' `patchPhase` prints; what `patch` says of fuzz follows it.
pub(super) fn said(log: &str, path: &str) -> Said {
    let mut lines = log.lines().skip_while(|line| !is_applying(line, path));
    if lines.next().is_none() {
        return Said::Nothing;
    }
    let own = lines.take_while(|line| {
        let line = line.trim_start();
        line.starts_with("patching file ")
            || line.starts_with("Hunk #")
            || line.starts_with("patch: ")
            || line.starts_with("(Stripping ")
            || line.starts_with("File ")
    });
    Said::Applied(own.filter(|line| line.contains(" with fuzz ")).map(|line| line.trim().to_string()).collect())
}

fn is_applying(line: &str, path: &str) -> bool {
    line.trim().strip_prefix("applying patch ").is_some_and(|rest| rest.trim() == path)
}

/// The log of one patched derivation.
#[derive(Debug)]
pub(super) struct BuildLog {
    pub id: NodeId,
    /// The log, when there is one.
    pub text: Option<String>,
    /// The command that prints it.
    pub command: String,
}

/// Finds the logs of the patched derivations that are in the store.
///
/// # Errors
/// Those of asking Nix.
pub(super) fn logs(case: &Case<'_, '_>, members: &Members) -> Result<Vec<BuildLog>, Error> {
    let mut logs = Vec::new();
    for id in &members.patched {
        let node = case.delta.after().node(*id);
        let built = node.outputs().any(|(_, path)| case.valid.contains(path));
        let drv_path = node.drv_path();
        let kept = crate::config::state::log_file(&case.workspace.state_dir().join("logs"), drv_path);
        let from_store = match case.nix.build_log(drv_path)? {
            Some(log) => Some(log),
            None if built => by_output(case.nix, &node)?,
            None => None,
        };
        let (text, command) = match from_store {
            Some(text) => (Some(text), format!("nix-store --read-log {drv_path}")),
            None => (fs::read_text(&kept).ok(), format!("cat {}", shell_word(&kept.display().to_string()))),
        };
        if built || text.is_some() {
            logs.push(BuildLog { id: *id, text, command });
        }
    }
    Ok(logs)
}

/// Derivations that differ in their downloads only have the same outputs: another one may have built this.
fn by_output(nix: &Nix, node: &crate::graph::Node<'_>) -> Result<Option<String>, Error> {
    match node.outputs().next() {
        Some((_, path)) if !path.is_empty() => Ok(nix.build_log(path)?),
        _ => Ok(None),
    }
}

/// Judges the level.
pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members, logs: &[BuildLog]) -> Answer {
    if members.patched.is_empty() {
        return no_patched(members);
    }
    if logs.is_empty() {
        return Answer::not_built(&format!("the patched {}", case.package.attr));
    }
    let graph = case.delta.after();
    let (mut evidence, mut silent, mut unlogged) = (Vec::new(), None, Vec::new());
    let mut command = None;
    for log in logs {
        let node = graph.node(log.id);
        let grep = format!("{} | grep -A3 'applying patch'", log.command);
        let Some(text) = &log.text else {
            unlogged.push(node.name().to_string());
            evidence.push(format!("{} is in the store without a log", node.name()));
            continue;
        };
        for path in case.own_patches(log.id) {
            match said(text, &path) {
                Said::Applied(_) => evidence.push(format!("{}: applying patch {path}", node.name())),
                Said::Nothing => {
                    evidence.push(format!("{}: no word of {path}", node.name()));
                    silent = silent.or(Some((node.name().to_string(), grep.clone())));
                }
            }
        }
        command = command.or(Some(grep));
    }
    if let Some((name, grep)) = silent {
        return Answer::failed(Cause::NotApplied, format!("the log of {name} does not say that the patch was applied"))
            .evidence(evidence)
            .hint("its patchPhase is switched off or replaced (dontPatch, patchPhase, phases), or it has no source of its own")
            .command(grep);
    }
    let answer = match unlogged.first() {
        Some(name) => Answer::unknown(format!("{name} was built elsewhere: there is no log here"))
            .hint("`nix-store --realise --check DRV` builds it again, with a log"),
        None => Answer::ok(match logs {
            [_] => "the log says that the patch was applied".to_string(),
            many => format!("{} say that the patch was applied", plural(many.len(), "log")),
        }),
    };
    let answer = answer.evidence(evidence);
    match command {
        Some(command) => answer.command(command),
        None => answer,
    }
}

/// Answers for a level that needs a patched derivation where there is none.
pub(super) fn no_patched(members: &Members) -> Answer {
    if members.unpatched.is_empty() && members.twice.is_empty() && members.unclear.is_empty() {
        Answer::not_applicable("the target does not need the package")
    } else {
        Answer::unknown("no derivation has the patch as it should (see the level derivation)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_what_was_applied_and_with_fuzz() {
        let log = "patching sources\napplying patch /nix/store/a-1.patch\npatching file x.c\nHunk #1 succeeded at 3 with fuzz 2 (offset 1 line).\n\
                   applying patch /nix/store/a-2.patch\npatching file y.c\nHunk #1 succeeded at 9 (offset 4 lines).\nconfiguring\n";
        assert_eq!(
            said(log, "/nix/store/a-1.patch"),
            Said::Applied(vec!["Hunk #1 succeeded at 3 with fuzz 2 (offset 1 line).".into()])
        );
        assert_eq!(said(log, "/nix/store/a-2.patch"), Said::Applied(vec![]));
        assert_eq!(said(log, "/nix/store/a-3.patch"), Said::Nothing);
        assert_eq!(said(log, "/nix/store/a-1"), Said::Nothing);
    }
}
