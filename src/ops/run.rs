//! `run`: starts the program of a built target, through an emulator when its machine is not this one.

use serde::Serialize;

use crate::base::progress::Progress;
use crate::comparison::sites;
use crate::config::Workspace;
use crate::nix::{self, Side};
use crate::ops::build::{self, Built};
use crate::ops::{Error, Outcome};
use crate::targets::engine;
use crate::targets::{self, Selection};
use crate::verify;
use crate::verify::asked::Asked;
use crate::verify::launch::{code, command, exec, find};

/// What `run` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// The program, by its file name; what the target calls its main program when `None`.
    pub program: Option<String>,
    pub args: Vec<String>,
    /// Whether what it prints is kept instead of shown.
    pub capture: bool,
    /// Whether the target is built first, where it is neither there nor in a cache.
    pub build: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    pub target: String,
    /// The argument vector, the emulator first where there is one; empty when the target could not be built.
    pub command: Vec<String>,
    /// Its exit status; 128 and the signal's number when a signal ended it.
    pub status: i32,
    /// What it printed, when that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// What it printed on standard error, when that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// The build, when the target was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Built>,
}

/// Runs the program of a target. Nothing is said on the way once it has started.
///
/// # Errors
/// [`nix::Error::WouldBuild`]; that there is no program or no emulator for it; those of evaluating the target and of starting the
/// program. That the program fails is no error.
pub fn run(workspace: &Workspace, options: &Options, mut progress: Box<dyn Progress>) -> Result<Ran, Error> {
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
        None => return Err(nix::Error::no_answer("nix-instantiate", &target.name).into()),
    };
    let facts = Asked::new(&nix, site).target(&target.attr)?;
    let find = || find(&nix, &target.name, &instantiated, &facts, options.program.as_deref());
    let (program, build) = match find() {
        Err(verify::Error::NotBuilt { .. }) => {
            let selection = options.selection.clone();
            let how = build::Options { selection, no_builds: !options.build, ..build::Options::default() };
            let built = build::build(workspace, &how, &mut *progress)?;
            if built.verdict().is_some() {
                let target = target.name.clone();
                return Ok(Ran {
                    target,
                    command: Vec::new(),
                    status: 1,
                    stdout: None,
                    stderr: None,
                    build: Some(built),
                });
            }
            (find()?, Some(built))
        }
        found => (found?, None),
    };
    drop(progress);
    let command = command(&nix, &program, &facts, &options.args)?;
    let (status, stdout, stderr) = if options.capture {
        let finished = exec(&command).run().map_err(crate::nix::Error::from)?;
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        (finished.status, text(&finished.stdout), text(&finished.stderr))
    } else {
        (exec(&command).run_in_foreground().map_err(crate::nix::Error::from)?, None, None)
    };
    Ok(Ran { target: target.name.clone(), command, status: code(status), stdout, stderr, build })
}

impl Outcome for Ran {
    const SCHEMA: &'static str = "overlayctl.run/1";
}
