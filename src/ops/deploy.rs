//! `deploy`: build, prove, and put a board's targets on its device.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::base::diagnostic::{Coded as _, Verdict, Warning};
use crate::base::fs;
use crate::base::progress::Progress;
use crate::comparison::sites;
use crate::config::{Device, Workspace, state};
use crate::cross::Platform;
use crate::deploy::{self, Closure, Ending, Entry, Found, Placed, Record, Sent, Session, by_whom, now};
use crate::git;
use crate::nix::Nix;
use crate::ops::build::{self, Built};
use crate::ops::{Error, Outcome, verify};
use crate::targets::{Selection, engine};
use crate::verify::Verified;
use crate::verify::asked::Asked;

pub use crate::config::CONFIRM_WITHIN;

/// What `deploy` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// Whether it ends before the board is written to.
    pub dry_run: bool,
    /// Whether it is refused when something would have to be built.
    pub no_build: bool,
    pub allow_unknown: bool,
    /// How long the board waits to be told that the new generation is good.
    pub confirm_within: Option<Duration>,
}

/// What `deploy` did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    pub board: String,
    pub device: String,
    /// Where programs stand on it.
    pub programs_in: String,
    /// What was put on it, or would be.
    pub targets: Vec<Placed>,
    /// What was there before and stays.
    pub kept: Vec<String>,
    pub before: Option<u32>,
    pub generation: Option<u32>,
    /// Whether the board has all of it already.
    pub unchanged: bool,
    pub dry_run: bool,
    /// What was sent; for a dry run the paths that would be.
    pub sent: Sent,
    /// Store paths that nothing on the board needs any more.
    pub removed: Vec<String>,
    /// What a power cut had left on the board, and how it was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    pub warnings: Vec<Warning>,
    /// The build, when it failed: nothing was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Built>,
    /// What was verified, when it says no: nothing was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// Deploys the targets of one board.
///
/// # Errors
/// [`deploy::Error`] for what the gate refuses and what the board says; those of building and verifying.
pub fn deploy(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Deployed, Error> {
    let device = device(workspace, &options.selection)?;
    let settings = build::Options {
        selection: options.selection.clone(),
        // A dry run writes nothing, to the store neither.
        no_builds: options.no_build || options.dry_run,
        ..build::Options::default()
    };
    let built = build::build(workspace, &settings, progress)?;
    let mut deployed = Deployed {
        board: device.board.clone(),
        device: device.address.clone(),
        programs_in: format!("{}/current/bin", device.root),
        targets: Vec::new(),
        kept: Vec::new(),
        before: None,
        generation: None,
        unchanged: false,
        dry_run: options.dry_run,
        sent: Sent::default(),
        removed: Vec::new(),
        settled: None,
        warnings: built.warnings.clone(),
        build: None,
        verified: None,
    };
    if built.verdict().is_some() {
        deployed.build = Some(built);
        return Ok(deployed);
    }
    let patches = match proven(workspace, options, progress)? {
        Ok(patches) => patches,
        Err(verified) => {
            deployed.verified = Some(*verified);
            return Ok(deployed);
        }
    };
    deployed.warnings.extend(patches.is_empty().then(|| Warning {
        code: "OV1284",
        message: "nothing is patched that the targets need, so nothing was proven".into(),
        place: None,
        hint: Some("`overlayctl list` shows what is patched, and where it is in effect".into()),
    }));
    progress.stage("looking at what the targets need to run");
    let nix = engine::nix(workspace)?;
    let (platforms, closures) = examine(workspace, &nix, &options.selection, &built)?;
    progress.stage(&format!("connecting to {}", device.address));
    let session = Session::open(device.clone())?;
    let found = ready(&session, &platforms, &closures)?;
    let record = record(&device, &found, &closures, workspace, patches);
    let fill = |deployed: &mut Deployed, found: &Found, record: &Record| {
        deployed.before = found.current;
        deployed.kept = kept(record, &closures);
        deployed.targets = closures.iter().map(Closure::placed).collect();
        deployed.sent.paths = found.lacks(record);
        let same = |old: &Record| old.placed == record.placed && old.commands == record.commands;
        deployed.unchanged = found.record.as_ref().is_some_and(same) && deployed.sent.paths.is_empty();
    };
    fill(&mut deployed, &found, &record);
    found.free(session.address())?;
    // What waits from before a power cut is settled first.
    if options.dry_run || deployed.unchanged && found.pending.is_none() {
        deployed.generation = found.current.filter(|_| deployed.unchanged);
        return Ok(deployed);
    }
    let held = session.hold(&format!("{} since {}", by_whom(), now()))?;
    deployed.settled.clone_from(&held.settled);
    // Under the lock it stays as it is.
    let found = ready(&session, &platforms, &closures)?;
    let mut record = Record { placed: merged(&found, &closures), ..record };
    fill(&mut deployed, &found, &record);
    if deployed.unchanged {
        deployed.generation = found.current;
        return Ok(deployed);
    }
    progress.stage(&format!("sending what {} does not have", device.address));
    let (generation, sent) = session.send(&held, &found, &nix, &closures, &mut record)?;
    deployed.sent = sent;
    progress.stage(&format!("switching {} to generation {generation}", device.address));
    let within = options.confirm_within.unwrap_or(CONFIRM_WITHIN);
    session.switch(&held, generation, &Ending { within, entry: &record.entry })?;
    deployed.generation = Some(generation);
    match session.clean(&held) {
        Ok(removed) => deployed.removed = removed,
        Err(error) => deployed.warnings.push(unclean(&error)),
    }
    deployed.warnings.extend(keep(workspace, &record.entry));
    Ok(deployed)
}

/// Returns the device of the one board that is named.
pub(super) fn device(workspace: &Workspace, selection: &Selection) -> Result<Device, Error> {
    match &selection.boards[..] {
        [one] if one != "all" => Ok(workspace.device(one)?),
        [] => Err(Error::usage("no board is named", "--board NAME names one")),
        _ => Err(Error::usage("several boards are named", "one at a time, for now: --board NAME")),
    }
}

/// Proves that the patches are in; returns them, or what was verified when that says no.
fn proven(
    workspace: &Workspace,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Result<Vec<String>, Box<Verified>>, Error> {
    let asked = verify::Options {
        selection: options.selection.clone(),
        allow_unknown: options.allow_unknown,
        no_build: options.no_build || options.dry_run,
        ..verify::Options::default()
    };
    let verified = match verify::verify(workspace, &asked, progress) {
        Ok(verified) => verified,
        // A workspace without patches has nothing to prove, which is said.
        Err(Error::Verify(crate::verify::Error::NothingPatched)) => return Ok(Ok(Vec::new())),
        Err(error) => return Err(error),
    };
    if verified.verdict().is_some() {
        return Ok(Err(Box::new(verified)));
    }
    let mut patches = Vec::new();
    for package in &verified.packages {
        for patch in &package.patches {
            let digest = patch.bytes.as_deref().map(crate::base::user::digest);
            patches.push(format!("{} {} {}", package.attr, patch.name, digest.as_deref().unwrap_or("-")));
        }
    }
    Ok(Ok(patches))
}

/// Warns that what is not needed any more stays on the board.
pub(super) fn unclean(error: &deploy::Error) -> Warning {
    Warning {
        code: error.code(),
        message: format!("what nothing needs any more could not be taken off the board: {error}"),
        place: None,
        hint: error.hint(),
    }
}

/// Returns the platforms of the targets, and what each target needs to run.
fn examine(
    workspace: &Workspace,
    nix: &Nix,
    selection: &Selection,
    built: &Built,
) -> Result<(Vec<Platform>, Vec<Closure>), Error> {
    let (mut platforms, mut closures) = (Vec::new(), Vec::new());
    for site in sites::of(workspace, selection)? {
        let mut asked = Asked::new(nix, &site);
        for target in &site.targets {
            let Some(built) = built.targets.iter().find(|b| b.target == target.name && b.board == target.board) else {
                continue;
            };
            let facts = asked.target(&target.attr)?;
            let Some(host) = facts.host.as_deref() else {
                let why = format!("`{}` does not say for which platform it is", target.name);
                return Err(deploy::Error::NotProven { why }.into());
            };
            let host = Platform::parse(host)?.with_gcc_abi(facts.gcc_abi.as_deref());
            closures.push(Closure::examine(nix, &host, &target.attr.to_string(), &built.out_path)?);
            if !platforms.contains(&host) {
                platforms.push(host);
            }
        }
    }
    if closures.is_empty() {
        return Err(deploy::Error::NotProven { why: "nothing was built".into() }.into());
    }
    Ok((platforms, closures))
}

/// Looks at the board, and says whether it can be deployed to: it has to be of the platform of every target.
fn ready(session: &Session, platforms: &[Platform], closures: &[Closure]) -> Result<Found, Error> {
    let found = session.look(closures)?;
    for platform in platforms {
        found.check(session.address(), platform, closures)?;
    }
    Ok(found)
}

/// Returns what is on the board with the new targets in the place of the old ones of the same name.
fn merged(found: &Found, closures: &[Closure]) -> Vec<Placed> {
    let old = found.record.iter().flat_map(|record| &record.placed);
    let stays = old.filter(|placed| closures.iter().all(|closure| closure.target != placed.target));
    let mut all: Vec<Placed> = stays.cloned().chain(closures.iter().map(Closure::placed)).collect();
    all.sort_by(|a, b| a.target.cmp(&b.target));
    all
}

fn record(device: &Device, found: &Found, closures: &[Closure], workspace: &Workspace, patches: Vec<String>) -> Record {
    let placed = merged(found, closures);
    let entry = entry("deploy", &device.board, workspace, patches, &placed);
    Record { entry, placed, commands: deploy::commands(device) }
}

/// Makes a line of the ledger.
pub(super) fn entry(
    action: &str,
    board: &str,
    workspace: &Workspace,
    patches: Vec<String>,
    placed: &[Placed],
) -> Entry {
    Entry {
        action: action.to_string(),
        board: board.to_string(),
        generation: None,
        by: by_whom(),
        at: now(),
        revision: revision(workspace.root()),
        patches,
        targets: placed.iter().map(|placed| (placed.target.clone(), placed.out.clone())).collect(),
    }
}

fn kept(record: &Record, closures: &[Closure]) -> Vec<String> {
    let others = record.placed.iter().filter(|p| closures.iter().all(|closure| closure.target != p.target));
    others.map(|placed| placed.target.clone()).collect()
}

/// Returns the commit of a workspace, with `+` where tracked files were changed since; `None` outside of git.
fn revision(root: &Path) -> Option<String> {
    let since = git::changed_since(root, "HEAD").ok()?;
    let changed = since.files.iter().any(|file| file.is_known || file.before);
    Some(format!("{}{}", since.commit?, if changed { "+" } else { "" }))
}

/// Adds a line to the ledger of the workspace; a warning where that fails, for the board has changed already.
pub(super) fn keep(workspace: &Workspace, entry: &Entry) -> Option<Warning> {
    let add = || -> Result<(), Error> {
        let dir = state::dir(workspace)?;
        let _lock = fs::lock_dir(&dir, &mut |_| {})?;
        let file = dir.join(super::deployments::LEDGER);
        let line = serde_json::to_string(entry)
            .map_err(|source| fs::FsError::Write { path: file.clone(), source: source.into() })?;
        let old = fs::read_text_if_there(&file)?.unwrap_or_default();
        fs::write(&file, format!("{old}{line}\n").as_bytes())?;
        Ok(())
    };
    let error = add().err()?;
    Some(Warning {
        code: error.code(),
        message: format!("the board has it, and it could not be noted in the workspace: {error}"),
        place: None,
        hint: error.hint(),
    })
}

impl Outcome for Deployed {
    const SCHEMA: &'static str = "overlayctl.deploy/1";

    fn verdict(&self) -> Option<Verdict> {
        let built = self.build.as_ref().and_then(Outcome::verdict);
        built.or(self.verified.as_ref().and_then(Outcome::verdict))
    }
}
