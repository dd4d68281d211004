//! The second level: the patch applies to the source without fuzz, after the ones before it.

use super::Case;
use super::derivation::Members;
use super::finding::{Answer, Cause};
use super::log::{BuildLog, Said, no_patched, said};

/// Judges the level, by what `patch` said in the build log.
pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members, logs: &[BuildLog]) -> Answer {
    if members.patched.is_empty() {
        return no_patched(members);
    }
    let (mut evidence, mut fuzzy, mut seen, mut command) = (Vec::new(), None, 0, None);
    for log in logs {
        let Some(text) = &log.text else { continue };
        let name = case.delta.after().node(log.id).name().to_string();
        for path in case.own_patches(log.id) {
            if let Said::Applied(fuzz) = said(text, &path) {
                seen += 1;
                command = command.or(Some(format!("{} | grep -A9 'applying patch'", log.command)));
                match fuzz.first() {
                    Some(line) => fuzzy = fuzzy.or(Some((path.clone(), line.clone()))),
                    None => evidence.push(format!("{name}: {path} applied without fuzz")),
                }
                evidence.extend(fuzz.into_iter().map(|line| format!("{name}: {path}: {line}")));
            }
        }
    }
    let answer = match fuzzy {
        Some((path, line)) => {
            let name = crate::base::store_path::name(&path).to_string();
            Answer::failed(Cause::DoesNotFit, format!("{name} applies with fuzz only: {line}"))
                .hint(format!("`overlayctl queue refresh {}` writes it anew for this source", case.package.attr))
        }
        None if seen == 0 => Answer::unknown("there is no log of `patch` at work, and the source was not unpacked"),
        None => Answer::ok("`patch` applied it without fuzz, by the log"),
    };
    let answer = answer.evidence(evidence);
    match command {
        Some(command) => answer.command(command),
        None => answer,
    }
}
