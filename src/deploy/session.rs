//! A deploy as the board sees it: look, hold, send, switch, confirm; or remove.

use std::collections::BTreeSet;
use std::time::Duration;

use super::board::Found;
use super::error::Error;
use super::gate::Closure;
use super::pack::{Archive, Counted, How, below, commands};
use super::quote;
use super::record::{Entry, Placed, Record};
use super::ssh::{Lasting, Link, Script};
use crate::base::fs::FsError;
use crate::base::store_path::STORE_DIR;
use crate::config::Device;
use crate::nix::Nix;

const PROBE: Script = Script(include_str!("scripts/probe.sh"));
const HOLD: Script = Script(include_str!("scripts/hold.sh"));
const RECEIVE: Script = Script(include_str!("scripts/receive.sh"));
const START: Script = Script(include_str!("scripts/start.sh"));
const AWAIT: Script = Script(include_str!("scripts/await.sh"));
const CONFIRM: Script = Script(include_str!("scripts/confirm.sh"));
const CLEAN: Script = Script(include_str!("scripts/clean.sh"));
const REMOVE: Script = Script(include_str!("scripts/remove.sh"));
const SWITCH: &str = include_str!("scripts/switch.sh");

const SHORT: Duration = Duration::from_secs(60);
/// How long a closure may take to be sent, and how long the cleaning up may take.
const LONG: Duration = Duration::from_secs(6 * 3600);

/// A device that is connected to.
#[derive(Debug)]
pub struct Session {
    link: Link,
    device: Device,
    store: String,
}

/// The lock of a board, held as long as this is there.
#[derive(Debug)]
pub struct Held {
    _lasting: Lasting,
    token: String,
    /// What a power cut had left and was settled first.
    pub settled: Option<String>,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The store paths that the board did not have.
    pub paths: Vec<String>,
    /// The bytes of the archive, and those that went over the wire.
    pub unpacked: u64,
    pub bytes: u64,
    pub compression: &'static str,
}

/// How a switch is to be confirmed.
#[derive(Debug)]
pub struct Ending<'e> {
    pub within: Duration,
    pub entry: &'e Entry,
}

impl Session {
    /// Connects to a device.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::HostKey`].
    pub fn open(device: Device) -> Result<Session, Error> {
        Ok(Session { link: Link::open(&device)?, device, store: STORE_DIR.into() })
    }

    pub fn address(&self) -> &str {
        &self.link.address
    }

    /// Looks at the board; nothing is written.
    pub fn look(&self, closures: &[Closure]) -> Result<Found, Error> {
        let outside: BTreeSet<&str> =
            closures.iter().flat_map(|closure| closure.outside.keys()).map(String::as_str).collect();
        let args: Vec<&str> =
            [&self.device.root, "-", &self.store].into_iter().map(|s: &str| s).chain(outside).collect();
        Found::read(self.address(), &self.link.run(PROBE, &args, SHORT)?)
    }

    /// Takes the board's lock; what a power cut had left is settled first.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn hold(&self, who: &str) -> Result<Held, Error> {
        let token = format!(
            "{}-{}",
            std::process::id(),
            crate::base::user::digest(format!("{who}{:?}", std::time::SystemTime::now()).as_bytes())
                .get(..16)
                .unwrap_or("x")
        );
        // The script keeps it as words of one line.
        let who: String = who.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let mut lasting = self.link.start(HOLD, &[&self.device.root, &token, &who])?;
        let mut settled = None;
        loop {
            let line = lasting.line(Duration::from_secs(120))?;
            match line.split_once(' ').unwrap_or((line.as_str(), "")) {
                ("held", _) => return Ok(Held { _lasting: lasting, token, settled }),
                ("settled", what) => settled = Some(what.to_string()),
                ("busy", who) => {
                    let (pid, who) = who.split_once(' ').unwrap_or((who, ""));
                    let who = format!("{who} (process {pid} on the board)");
                    return Err(Error::Busy { address: self.address().to_string(), who });
                }
                _ => {}
            }
        }
    }

    /// Sends a generation with the store paths that the board does not have; what arrived is checked by hash on the board.
    ///
    /// # Errors
    /// [`Error::SameProgram`]; [`Error::Board`] when it does not arrive as it was sent, or lacks a path of a target that is not of `closures`:
    /// what the board names itself is never sent to it.
    pub fn send(
        &self,
        held: &Held,
        found: &Found,
        nix: &Nix,
        closures: &[Closure],
        record: &mut Record,
    ) -> Result<(u32, Sent), Error> {
        let missing = found.lacks(record);
        let own: Vec<Placed> = closures.iter().map(Closure::placed).collect();
        if let Some(path) = missing.iter().find(|path| !own.iter().any(|placed| placed.paths.contains(path))) {
            let said = format!("{path} of a target that stays is not there any more: deploy that target as well");
            return Err(Error::Board { address: self.address().to_string(), said });
        }
        let generation = found.next();
        record.entry.generation = Some(generation);
        let mut archive = Archive::default();
        let root = &self.device.root;
        let unread = |path: &str| {
            let path = std::path::PathBuf::from(path);
            move |source| Error::Fs(FsError::Read { path, source })
        };
        let boot = format!("#!/bin/sh\nexec sh {}\n", quote::command(&[&format!("{root}/switch"), "boot", root]));
        self.generation(&mut archive, record, &boot).map_err(unread("generation"))?;
        for (name, of) in programs(&record.placed)? {
            let target = format!("../../../store/{}/bin/{name}", of.out);
            archive.link(below("generation/bin", name), target).map_err(unread(name))?;
        }
        for name in &missing {
            let path = format!("{STORE_DIR}/{name}");
            let real = nix.physical(&path).unwrap_or_else(|| (&path).into());
            archive.tree(&below("store", name), &real).map_err(unread(&path))?;
        }
        let how = How::best(&found.unpack);
        let linked = if record.placed.iter().any(|placed| placed.linked) { "yes" } else { "no" };
        let digest = archive.digest();
        let number = generation.to_string();
        let args = [root, &held.token, &number, how.name(), &digest, &self.store, linked];
        let (mut unpacked, mut bytes) = (0, 0);
        self.link.feed(RECEIVE, &args, LONG, &mut |out| {
            let mut counted = Counted { out, count: 0 };
            unpacked = archive.write(how, &mut counted)?;
            bytes = counted.count;
            Ok(())
        })?;
        Ok((generation, Sent { paths: missing, unpacked, bytes, compression: how.name() }))
    }

    fn generation(&self, archive: &mut Archive, record: &Record, boot: &str) -> std::io::Result<()> {
        let paths: BTreeSet<&str> = record.placed.iter().flat_map(|p| &p.paths).map(String::as_str).collect();
        let paths: String = paths.into_iter().flat_map(|path| [path, "\n"]).collect();
        let record = serde_json::to_string(record).map_err(std::io::Error::other)?;
        archive.text("switch", SWITCH)?;
        archive.program("at-boot", boot)?;
        archive.dir("store")?;
        archive.dir("generation")?;
        archive.dir("generation/bin")?;
        archive.text("generation/paths", paths)?;
        archive.text("generation/record", format!("{record}\n"))?;
        let files = [
            ("activate", &self.device.activate),
            ("deactivate", &self.device.deactivate),
            ("check", &self.device.check),
        ];
        for (name, list) in files.into_iter().filter(|(_, list)| !list.is_empty()) {
            archive.text(format!("generation/{name}"), commands(list))?;
        }
        Ok(())
    }

    /// Switches to a generation, has it checked on the board, and confirms it over a new connection.
    ///
    /// # Errors
    /// [`Error::TakenBack`] when the board went back; [`Error::Lost`] when it does not answer any more.
    pub fn switch(&self, held: &Held, generation: u32, ending: &Ending<'_>) -> Result<(), Error> {
        let (root, number) = (self.device.root.as_str(), generation.to_string());
        let seconds = ending.within.as_secs().max(1);
        let unwritten = |source: serde_json::Error| FsError::Write { path: "ledger".into(), source: source.into() };
        let line = serde_json::to_string(ending.entry).map_err(unwritten)? + "\n";
        let lost = |error: Error| match error {
            Error::Unreachable { address, said } => Error::Lost { address, generation, seconds, said },
            other => other,
        };
        self.link.run(START, &[root, &held.token, &number, &seconds.to_string()], SHORT).map_err(lost)?;
        // To go back takes its own commands' time.
        let most = (seconds + 75).to_string();
        let limit = Duration::from_secs(seconds + 90);
        let told = self.link.run(AWAIT, &[root, "-", &most], limit).map_err(lost)?;
        let (state, printed) = told.split_once('\n').unwrap_or((&told, ""));
        let state = state.strip_prefix("state ").unwrap_or(state);
        if let Some(why) = state.strip_prefix("back ") {
            let (why, printed) = (why.to_string(), printed.trim_end().to_string());
            return Err(Error::TakenBack { generation, why, printed });
        }
        if let Some(why) = state.strip_prefix("stuck ") {
            let said = format!("{why}, and the generation before cannot be put back");
            return Err(Error::Board { address: self.address().to_string(), said });
        }
        if state != "checked" {
            return Err(lost(Error::Unreachable { address: self.address().to_string(), said: state.to_string() }));
        }
        let confirmed = self.link.feed_afresh(CONFIRM, &[root, "-", &number], SHORT, line.as_bytes());
        confirmed.map(drop).map_err(|error| match error {
            Error::Board { said, .. } if said.starts_with("too late") => {
                Error::TakenBack { generation, why: "it was not confirmed in time".into(), printed: String::new() }
            }
            other => lost(other),
        })
    }

    /// Removes the generations and store paths that nothing needs any more; returns the paths.
    ///
    /// # Errors
    /// [`Error::Board`] when it cannot be told what is needed; nothing that is needed went then.
    pub fn clean(&self, held: &Held) -> Result<Vec<String>, Error> {
        let args = [&self.device.root, &held.token, &self.device.keep.to_string(), &self.store];
        let said = self.link.run(CLEAN, &args.map(String::as_str), LONG)?;
        Ok(said.lines().filter_map(|line| line.strip_prefix("removed ")).map(str::to_string).collect())
    }

    /// Takes all that deploys made off the board.
    pub fn remove(&self, held: &Held) -> Result<(), Error> {
        self.link.run(REMOVE, &[&self.device.root, &held.token, &self.store], LONG).map(drop)
    }
}

/// Returns each program with the target that has it.
fn programs(placed: &[Placed]) -> Result<Vec<(&str, &Placed)>, Error> {
    let mut all: Vec<(&str, &Placed)> = Vec::new();
    for target in placed {
        for name in &target.programs {
            if let Some((_, first)) = all.iter().find(|(other, _)| other == name) {
                let (first, second) = (first.target.clone(), target.target.clone());
                return Err(Error::SameProgram { name: name.clone(), first, second });
            }
            all.push((name, target));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::base::fs;
    use crate::base::process::{Exec, find_program};
    use crate::deploy::ssh::PRELUDE;

    const NAME: &str = "7rjj2rlqr3p3bn0z6k0bkhwb41bdrkgl-odd-1.0";
    const LINK: &str = "7rjj2rlqr3p3bn0z6k0bkhwb41bdrkgl-link-1.0";
    const ODD: [&str; 9] =
        ["-n", "it's $(touch pwned) `x`", "new\nline", "back\\slash", "\u{e4}", " lead", "*", "a  b: OK", "sums"];

    /// Makes a store path of odd names, and the archive of a generation with it.
    fn archive(dir: &Path) -> (PathBuf, Archive) {
        let real = dir.join(NAME);
        for name in ODD {
            fs::write(&real.join(name).join(name), name.as_bytes()).unwrap();
            fs::link(Path::new(&format!("-x {name}\n")), &real.join(format!("{name}.link"))).unwrap();
        }
        fs::make_executable(&real.join("-n/-n")).unwrap();
        let mut archive = Archive::default();
        for dir in ["store", "generation"] {
            archive.dir(dir).unwrap();
        }
        archive.tree(&below("store", NAME), &real).unwrap();
        // A store path that is a link itself.
        fs::link(Path::new("/nowhere"), &dir.join(LINK)).unwrap();
        archive.tree(&below("store", LINK), &dir.join(LINK)).unwrap();
        archive.text("generation/paths", format!("{NAME}\n{LINK}\n")).unwrap();
        archive.text("switch", SWITCH).unwrap();
        archive.program("at-boot", "exit\n").unwrap();
        (real, archive)
    }

    /// Runs the script that receives, on a board that is a directory.
    fn receive(shell: &[&str], root: &Path, how: How, digest: &str, sent: &[u8]) -> (Option<i32>, String) {
        fs::write(&root.join("lock/owner"), b"token me\n").unwrap();
        let script = format!("{PRELUDE}{}", RECEIVE.0);
        let (program, more) = shell.split_first().unwrap();
        let exec = Exec::new(program).args(more).args(["-c", &script, "overlayctl"]).arg(root);
        let done = exec.args(["token", "1", how.name(), digest, "/none", "no"]).run_with_input(sent).unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    #[test]
    fn what_arrives_is_what_was_sent_or_is_refused() {
        let shells: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];
        for shell in shells {
            if find_program(shell[0]).is_none() {
                println!("skipped: {} is not installed", shell[0]);
                continue;
            }
            for how in [How::Xz, How::Gzip, How::Plain] {
                let dir = tempfile::tempdir().unwrap();
                let (real, mut archive) = archive(dir.path());
                let (root, digest) = (dir.path().join("root"), archive.digest());
                let mut sent = Vec::new();
                archive.write(how, &mut sent).unwrap();
                // Cut off, and another list of hashes than was announced: nothing is put in place.
                let (status, _) = receive(shell, &root, how, &digest, &sent[..sent.len() / 3]);
                assert!(status == Some(9) && !root.join("store").join(NAME).exists());
                let (status, said) = receive(shell, &root, how, &"0".repeat(64), &sent);
                assert!(status == Some(9) && said.contains("not what was sent"), "{said}");
                assert!(!root.join("store").join(NAME).exists() && !root.join("generations/1").exists());
                let (status, said) = receive(shell, &root, how, &digest, &sent);
                assert_eq!((status, said.as_str()), (Some(0), ""), "{shell:?} {how:?}");
                let there = root.join("store").join(NAME);
                let diff = Exec::new("diff").args(["-r", "--no-dereference"]).arg(&real).arg(&there).run().unwrap();
                assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
                assert!(root.join("store").join(LINK).is_symlink());
                assert!(!root.join("incoming").exists() && root.join("generations/1/paths").is_file());
            }
        }
    }

    #[test]
    fn a_file_that_is_damaged_on_the_board_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (real, mut archive) = archive(dir.path());
        let (root, digest) = (dir.path().join("root"), archive.digest());
        // Changed after it was hashed, as a bad card would.
        for name in ["-n", "new\nline"] {
            fs::write(&real.join(name).join(name), b"otherwise").unwrap();
            let mut sent = Vec::new();
            archive.write(How::Gzip, &mut sent).unwrap();
            let (status, said) = receive(&["sh"], &root, How::Gzip, &digest, &sent);
            assert!(status == Some(9) && said.contains("not what was sent"), "{said}");
            assert!(!root.join("store").join(NAME).exists());
            fs::write(&real.join(name).join(name), name.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_program_of_two_targets_is_refused() {
        let placed = |target: &str| Placed {
            target: target.into(),
            out: NAME.into(),
            paths: vec![NAME.into()],
            programs: vec!["hello".into()],
            linked: false,
        };
        assert!(matches!(programs(&[placed("a"), placed("b")]), Err(Error::SameProgram { .. })));
        assert_eq!(programs(&[placed("a")]).unwrap().len(), 1);
        assert_eq!(How::best(&BTreeSet::from(["gzip".to_string(), "xz".to_string()])), How::Xz);
    }
}
