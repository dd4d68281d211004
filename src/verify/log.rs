//! The third level: the build said that it applied the patch.

use crate::base::fs;
use crate::base::text::plural;
use crate::graph::NodeId;
use crate::nix::Nix;
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::asked::shell_word;
use crate::verify::derivation::Members;
use crate::verify::finding::{Answer, Cause, Verdict};

/// What the log of one build says of one patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It was applied; the lines that tell of fuzz.
    Applied(Vec<String>),
    /// `patch` refused it, or a part of it: the line that says so. The build went on.
    Refused(String),
    /// It was to be applied, and no file was patched.
    Silent,
    /// There is no word of it.
    Nothing,
}

/// Says whether a line is what `patch`, or `git apply`, says of a patch or a part of it that does not apply. Other words of a build,
/// `0 tests FAILED`, are none.
fn is_refusal(line: &str) -> bool {
    const STARTS: [&str; 7] = [
        "Reversed (or previously applied) patch detected",
        "Unreversed patch detected",
        "can't find file to patch",
        "patch: ****",
        "Skipping patch",
        "No file to patch",
        "error: patch failed:",
    ];
    let of_hunks = || line.contains(" out of ") && line.contains(" hunk");
    STARTS.iter().any(|start| line.starts_with(start))
        || line.contains("unk #") && line.contains(" FAILED at ")
        || of_hunks() && [" FAILED", " ignored"].iter().any(|end| line.contains(end))
}

/// Reads from a log what became of the patch at `path`.
///
/// The line is the one that nixpkgs' `patchPhase` prints; what `patch` says follows it, up to the next patch or the next phase.
pub(super) fn said(log: &str, path: &str) -> Said {
    let mut lines = log.lines().skip_while(|line| !is_applying(line, path));
    if lines.next().is_none() {
        return Said::Nothing;
    }
    const PHASES: [&str; 6] =
        ["applying patch ", "configuring", "no configure script", "building", "@nix ", "Running phase: "];
    let own: Vec<&str> =
        lines.map(str::trim).take_while(|l| !PHASES.iter().any(|phase| l.starts_with(phase))).collect();
    if let Some(line) = own.iter().find(|line| is_refusal(line)) {
        return Said::Refused((*line).to_string());
    }
    if !own.iter().any(|line| line.starts_with("patching file ") || line.starts_with("patching symbolic link ")) {
        return Said::Silent;
    }
    Said::Applied(own.iter().filter(|line| line.contains(" with fuzz ")).map(|line| (*line).to_string()).collect())
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
    pub command: String,
}

/// Finds the logs of the patched derivations that are in the store.
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

/// Judges the level; `contents` is what the comparison of the built packages says.
pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members, logs: &[BuildLog], contents: &Answer) -> Answer {
    if members.patched.is_empty() {
        return no_patched(members);
    }
    if logs.is_empty() {
        return Answer::not_built(&format!("the patched {}", case.package.attr));
    }
    let graph = case.delta.after();
    let is_in = contents.verdict == Verdict::Ok;
    let (mut evidence, mut refused, mut silent, mut unlogged) = (Vec::new(), None, None, Vec::new());
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
                Said::Refused(line) => {
                    evidence.push(format!("{}: {path}: {line}", node.name()));
                    refused = refused.or(Some((node.name().to_string(), line, grep.clone())));
                }
                Said::Silent => {
                    evidence.push(format!("{}: applying patch {path}, and no file is named", node.name()));
                    silent = silent.or(Some((node.name().to_string(), grep.clone())));
                }
                Said::Nothing => {
                    evidence.push(format!("{}: no word of {path}", node.name()));
                    silent = silent.or(Some((node.name().to_string(), grep.clone())));
                }
            }
        }
        command = command.or(Some(grep));
    }
    if let Some((name, line, grep)) = refused {
        return Answer::failed(Cause::NotApplied, format!("the log of {name} says `{line}`, and the build went on"))
            .evidence(evidence)
            .hint("its patchPhase does not look at the status of `patch`; the source may have the change already, or not fit it")
            .command(grep);
    }
    if let Some((name, grep)) = silent {
        let answer = if is_in {
            Answer::not_applicable(format!(
                "the log of {name} does not say what was patched; what was built shows that it was"
            ))
        } else {
            Answer::failed(Cause::NotApplied, format!("the log of {name} does not say that the patch was applied"))
                .hint("its patchPhase is switched off or replaced (dontPatch, patchPhase, phases), or it has no source of its own")
        };
        return answer.evidence(evidence).command(grep);
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

    #[test]
    fn what_patch_refuses_is_not_applied() {
        let said_of = |lines: &str| said(&format!("applying patch /p\n{lines}\nbuilding\nx FAILED\n"), "/p");
        for line in [
            "patching file x.c\nHunk #1 FAILED at 3.\n1 out of 1 hunk FAILED -- saving rejects to file x.c.rej",
            "patching file x.c\nReversed (or previously applied) patch detected!  Skipping patch.\n1 out of 1 hunk ignored",
            "can't find file to patch at input line 3",
            "patch: **** malformed patch at line 7",
            "patching file x.c\npatch: hunk #1 FAILED at 3",
            "error: patch failed: x.c:3\nerror: x.c: patch does not apply",
        ] {
            assert!(matches!(said_of(line), Said::Refused(_)), "{line}");
        }
        assert_eq!(said_of("patching file x.c"), Said::Applied(vec![]));
        assert_eq!(said_of("patching file x.c\n3 tests, 0 FAILED\nsaving rejects is off"), Said::Applied(vec![]));
        assert_eq!(said_of("something else"), Said::Silent);
    }
}
