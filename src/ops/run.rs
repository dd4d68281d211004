//! `run`: starts the program of a built target, through an emulator when its machine is not this one.

use serde::Serialize;

use crate::base::progress::Progress;
use crate::comparison::sites;
use crate::config::Workspace;
use crate::nix::Side;
use crate::ops::{Error, Outcome};
use crate::targets::engine;
use crate::targets::{self, Selection};
use crate::verify::asked::Asked;
use crate::verify::launch::{code, command, exec, find};
use crate::view::{Document, Shown};

/// What `run` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The target.
    pub selection: Selection,
    /// The program, by its file name; what the target calls its main program when `None`.
    pub program: Option<String>,
    /// What the program is given.
    pub args: Vec<String>,
    /// Whether what it prints is kept instead of shown.
    pub capture: bool,
}

/// How a program ran.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    /// The target.
    pub target: String,
    /// The argument vector, the emulator first where there is one.
    pub command: Vec<String>,
    /// Its exit status; 128 and the signal's number when a signal ended it.
    pub status: i32,
    /// What it printed, when that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// What it printed on standard error, when that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
}

/// Runs the program of a target that is built.
///
/// # Errors
/// [`Error::NotBuilt`], [`Error::NoProgram`], [`Error::NoEmulator`]; those of evaluating the target and of starting the program.
/// That the program fails is no error.
pub fn run(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Ran, Error> {
    let sites = sites::of(workspace, &options.selection)?;
    let mut all = sites.iter().flat_map(|site| site.targets.iter().map(move |target| (site, target)));
    let (Some((site, target)), None) = (all.next(), all.next()) else {
        return Err(Error::usage(
            "several targets are named, and one is run at a time",
            "name one: `overlayctl run TARGET --board NAME -- ARGS`",
        ));
    };
    let nix = engine::nix(workspace)?;
    progress.stage(&format!("evaluating {}", target.name));
    let side = Side {
        name: "the package set with the overlays".into(),
        root: site.patched.clone(),
        targets: vec![target.attr.names().to_vec()],
    };
    let mut results = nix.instantiate(&[side])?;
    let instantiated = match results.pop().and_then(|mut side| side.pop()) {
        Some(Ok(instantiated)) => instantiated,
        Some(Err(failure)) => {
            return Err(targets::Error::Eval { target: target.name.clone(), failure: Box::new(failure) }.into());
        }
        None => return Err(targets::Error::NoTargets.into()),
    };
    let facts = Asked::new(&nix, site).target(&target.attr)?;
    let program = find(&nix, &target.name, &instantiated, &facts, options.program.as_deref())?;
    let command = command(&nix, &program, &facts, &options.args)?;
    let (status, stdout, stderr) = if options.capture {
        let finished = exec(&command).run().map_err(crate::nix::Error::from)?;
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        (finished.status, text(&finished.stdout), text(&finished.stderr))
    } else {
        (exec(&command).run_in_foreground().map_err(crate::nix::Error::from)?, None, None)
    };
    Ok(Ran { target: target.name.clone(), command, status: code(status), stdout, stderr })
}

impl Outcome for Ran {
    const SCHEMA: &'static str = "overlayctl.run/1";
}

impl Shown for Ran {
    fn document(&self, _verbose: bool) -> Document {
        // The program has printed what there is to see.
        Document::new()
    }
}
