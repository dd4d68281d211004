//! The last level: the program is run and prints what it should.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::base::process::strip_controls;
use crate::comparison::Compared;
use crate::nix::Nix;
use crate::verify::Error;
use crate::verify::RunCheck;
use crate::verify::asked::{TargetFacts, shell_word};
use crate::verify::finding::{Answer, Cause};
use crate::verify::launch as run;

/// The longest that a program may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How many lines of what it printed are kept.
const LINES: usize = 20;

pub(super) fn judge(
    nix: &Nix,
    target: &str,
    compared: &Compared,
    facts: &TargetFacts,
    outputs: &[String],
    check: &RunCheck,
) -> Result<Answer, Error> {
    if outputs.is_empty() {
        return Ok(Answer::not_built("the target"));
    }
    if check.program.is_none() && !run::has_programs(nix, outputs) {
        return Ok(Answer::not_applicable("there is no program in its outputs"));
    }
    let program = match run::find(nix, target, &compared.instantiated, facts, check.program.as_deref()) {
        Ok(program) => program,
        Err(error @ Error::NoProgram { .. }) => return Ok(unknown(&error)),
        Err(error) => return Err(error),
    };
    let command = match run::command(nix, &program, facts, &run::words(&check.args)) {
        Ok(command) => command,
        Err(error @ Error::NoEmulator { .. }) => return Ok(unknown(&error)),
        Err(error) => return Err(error),
    };
    let by_hand = command.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
    let (status, printed) = match run::captured(&command, LIMIT) {
        Ok(ran) => ran,
        Err(error) => {
            return Ok(
                Answer::failed(Cause::WrongOutput, format!("{} did not run: {error}", program.path)).command(by_hand)
            );
        }
    };
    let printed = strip_controls(&printed);
    let lines: Vec<String> = printed.lines().take(LINES).map(|line| format!("printed: {line}")).collect();
    let (signal, status) = (status.signal(), run::code(status));
    let ended = match signal {
        None => format!("ended with status {status}"),
        Some(signal) => format!("was ended by signal {signal}"),
    };
    let first = printed.lines().next().unwrap_or("nothing");
    let wrong = |why: String| Answer::failed(Cause::WrongOutput, why);
    let answer = match &check.expect {
        // A signal is no status, whatever number shells make of it.
        _ if signal.is_some() => wrong(format!("it {ended}, after printing {first}")),
        _ if status != check.exit => {
            wrong(format!("it {ended} instead of status {}, after printing {first}", check.exit))
                .hint("--exit N says with what status it has to end")
        }
        Some(text) if !printed.contains(text) => wrong(format!("`{text}` is not in what it printed: {first}")),
        Some(text) => Answer::ok(format!("it printed `{text}` and {ended}")),
        None => Answer::ok(format!("it {ended}")),
    };
    Ok(answer.evidence(lines).command(by_hand))
}

fn unknown(error: &Error) -> Answer {
    use crate::base::diagnostic::Coded as _;
    let answer = Answer::unknown(error.to_string());
    match error.hint() {
        Some(hint) => answer.hint(hint),
        None => answer,
    }
}
