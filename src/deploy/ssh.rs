//! OpenSSH as the transport: one connection for all scripts, host keys checked, no question asked.
//!
//! What is run on the board is `sh -c SCRIPT overlayctl ARGUMENTS`, each word quoted. The master connection is a child of ours that ends
//! with us; a fresh connection beside it shows that the network still works.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::error::Error;
use super::quote;
use crate::base::process::{Exec, ProcessError, Running, Stream, interrupted, strip_controls};
use crate::config::Device;

/// How long the connection may take to come about.
const CONNECT: Duration = Duration::from_secs(20);
/// How much of what a board prints is kept.
const MOST: usize = 1 << 23;
const TICK: Duration = Duration::from_millis(20);

/// A fixed script, by name and text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script(pub &'static str);

pub(super) const PRELUDE: &str = include_str!("scripts/prelude.sh");

/// A connection to a device.
#[derive(Debug)]
pub(super) struct Link {
    pub address: String,
    options: Vec<String>,
    socket: PathBuf,
    // In this order: the master ends before its directory goes.
    _master: Running,
    _dir: tempfile::TempDir,
}

/// Returns the options of the workspace as ssh takes them: an option by its letter as it stands, anything else after `-o`.
fn own_options(given: &[String]) -> Vec<String> {
    let mut options = Vec::new();
    let mut is_value = false;
    for option in given {
        if !is_value && !option.starts_with('-') {
            options.push("-o".to_string());
        }
        is_value = !is_value
            && option.len() == 2
            && option.starts_with('-')
            && "BbcDEeFIiJLlmOoPpQRSWw".contains(&option[1..]);
        options.push(option.clone());
    }
    options
}

impl Link {
    /// Connects to a device.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::HostKey`].
    pub fn open(device: &Device) -> Result<Link, Error> {
        let dir = tempfile::Builder::new()
            .prefix("ov")
            .tempdir()
            .map_err(|source| crate::base::fs::FsError::Write { path: std::env::temp_dir(), source })?;
        let socket = dir.path().join("s");
        let mut options: Vec<String> =
            ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"].map(str::to_string).into();
        options.extend(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"].map(str::to_string));
        // Whatever the user's own configuration has for this host: the master ends with this program, and both connections can be made.
        options.extend(["-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes"].map(str::to_string));
        if !checks_host_keys(device)? {
            options.extend(["-o", "StrictHostKeyChecking=accept-new"].map(str::to_string));
        }
        options.extend(own_options(&device.ssh_options));
        let master = Exec::new("ssh").args(["-M", "-S"]).arg(&socket).args(&options);
        // It ends when its standard input does, so also when this process is killed.
        let master = master.args(["--", &device.address, "cat"]);
        let mut running = master.spawn(Stdio::piped())?;
        let said = running.chunks();
        let (mut heard, begin) = (Vec::new(), Instant::now());
        while !socket.exists() {
            if interrupted() {
                return Err(ProcessError::Interrupted.into());
            }
            match said.recv_timeout(TICK) {
                Ok((_, bytes)) => heard.extend(bytes.into_iter().take(MOST)),
                Err(RecvTimeoutError::Timeout) if begin.elapsed() < CONNECT => {}
                Err(_) => return Err(unreachable(&device.address, &heard)),
            }
        }
        Ok(Link { address: device.address.clone(), options, socket, _master: running, _dir: dir })
    }

    fn exec(&self, fresh: bool, script: Script, args: &[&str]) -> Exec {
        let text = format!("{PRELUDE}{}", script.0);
        let words: Vec<&str> = ["sh", "-c", &text, "overlayctl"].into_iter().chain(args.iter().copied()).collect();
        let socket = if fresh { PathBuf::from("none") } else { self.socket.clone() };
        let ssh = Exec::new("ssh").arg("-S").arg(socket).args(&self.options);
        ssh.args(["--", &self.address]).arg(quote::command(&words))
    }

    /// Runs a script to its end, with nothing on its standard input; returns what it printed.
    ///
    /// # Errors
    /// [`Error::Board`] when it fails, [`Error::Unreachable`] when the connection does.
    pub fn run(&self, script: Script, args: &[&str], limit: Duration) -> Result<String, Error> {
        self.pump(&self.exec(false, script, args), limit, &mut |_| Ok(()))
    }

    /// As [`Link::run`], with what `input` writes on standard input.
    pub fn feed(
        &self,
        script: Script,
        args: &[&str],
        limit: Duration,
        input: &mut (dyn FnMut(&mut dyn Write) -> io::Result<()> + Send),
    ) -> Result<String, Error> {
        self.pump(&self.exec(false, script, args), limit, input)
    }

    /// As [`Link::feed`], over a connection of its own.
    pub fn feed_afresh(&self, script: Script, args: &[&str], limit: Duration, input: &[u8]) -> Result<String, Error> {
        self.pump(&self.exec(true, script, args), limit, &mut |out| out.write_all(input))
    }

    fn pump(
        &self,
        exec: &Exec,
        limit: Duration,
        input: &mut (dyn FnMut(&mut dyn Write) -> io::Result<()> + Send),
    ) -> Result<String, Error> {
        let mut running = exec.spawn(Stdio::piped())?;
        let chunks = running.chunks();
        let stdin = running.child.stdin.take();
        let (mut out, mut err, begin) = (Vec::new(), Vec::new(), Instant::now());
        let (fed, ended) = std::thread::scope(|scope| {
            let feeder = stdin.map(|mut pipe| scope.spawn(move || input(&mut pipe)));
            let ended = loop {
                match chunks.recv_timeout(TICK) {
                    Ok((stream, bytes)) => {
                        let into = if stream == Stream::Out { &mut out } else { &mut err };
                        if into.len() < MOST {
                            into.extend(bytes);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => break Ok(()),
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if interrupted() {
                    break Err(ProcessError::Interrupted);
                }
                if begin.elapsed() > limit {
                    break Err(ProcessError::Timeout { program: "ssh".into(), limit });
                }
            };
            if ended.is_err() {
                running.stop();
            }
            let fed = feeder.map_or(Ok(()), |feeder| feeder.join().unwrap_or(Ok(())));
            (fed, ended)
        });
        match ended {
            Ok(()) => {}
            Err(ProcessError::Timeout { .. }) => return Err(unreachable(&self.address, b"it took too long")),
            Err(error) => return Err(error.into()),
        }
        let status = running.wait()?;
        let text = |bytes: &[u8]| strip_controls(&String::from_utf8_lossy(bytes));
        match status.code() {
            Some(0) => match fed {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(Error::Board { address: self.address.clone(), said: format!("nothing could be sent: {error}") })
                }
                _ => Ok(text(&out)),
            },
            Some(255) | None => Err(unreachable(&self.address, &err)),
            Some(_) => {
                let said = text(&err);
                let ours = said.lines().find_map(|line| line.strip_prefix("overlayctl: "));
                let said = ours.or(said.lines().last()).unwrap_or("a script failed").to_string();
                Err(Error::Board { address: self.address.clone(), said })
            }
        }
    }

    /// Starts a script that goes on until its standard input ends.
    pub fn start(&self, script: Script, args: &[&str]) -> Result<Lasting, Error> {
        let mut running = self.exec(false, script, args).spawn(Stdio::piped())?;
        let said = running.chunks();
        let stdin = running.child.stdin.take();
        Ok(Lasting { running, said, stdin, address: self.address.clone(), rest: Vec::new(), err: Vec::new() })
    }
}

/// A script that lasts; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Lasting {
    running: Running,
    said: std::sync::mpsc::Receiver<crate::base::process::Chunk>,
    stdin: Option<ChildStdin>,
    address: String,
    rest: Vec<u8>,
    err: Vec<u8>,
}

impl Lasting {
    /// Returns the next line that it prints.
    pub fn line(&mut self, limit: Duration) -> Result<String, Error> {
        let begin = Instant::now();
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(strip_controls(String::from_utf8_lossy(&line).trim_end()));
            }
            match self.said.recv_timeout(TICK) {
                Ok((Stream::Out, bytes)) => self.rest.extend(bytes),
                Ok((Stream::Err, bytes)) => self.err.extend(bytes),
                Err(RecvTimeoutError::Timeout) if begin.elapsed() < limit && self.rest.len() < MOST => {}
                Err(_) => {
                    let said = strip_controls(&String::from_utf8_lossy(&self.err));
                    return match said.lines().find_map(|line| line.strip_prefix("overlayctl: ")) {
                        Some(ours) => Err(Error::Board { address: self.address.clone(), said: ours.to_string() }),
                        None => Err(unreachable(&self.address, said.as_bytes())),
                    };
                }
            }
            if interrupted() {
                return Err(ProcessError::Interrupted.into());
            }
        }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) && !matches!(self.running.child.try_wait(), Ok(Some(_))) {
            std::thread::sleep(TICK);
        }
    }
}

/// Says whether ssh, as it is configured, refuses a host whose key has changed before anything is done there.
fn checks_host_keys(device: &Device) -> Result<bool, Error> {
    let exec = Exec::new("ssh").arg("-G").args(own_options(&device.ssh_options)).args(["--", &device.address]);
    let answer = exec.limit(CONNECT).run()?;
    let text = String::from_utf8_lossy(&answer.stdout).to_lowercase();
    let value = text.lines().find_map(|line| line.strip_prefix("stricthostkeychecking "));
    Ok(!matches!(value, Some("no" | "off" | "false")))
}

fn unreachable(address: &str, said: &[u8]) -> Error {
    let said = strip_controls(&String::from_utf8_lossy(said)).trim().to_string();
    let address = address.to_string();
    if said.contains("HOST IDENTIFICATION HAS CHANGED") || said.contains("Host key verification failed") {
        return Error::HostKey { address, said };
    }
    Error::Unreachable { address, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_ssh_are_taken_as_people_write_them() {
        let own = |given: &[&str]| own_options(&given.iter().map(ToString::to_string).collect::<Vec<_>>()).join(" ");
        assert_eq!(own(&["-p", "2299", "User=x", "-4", "Port=1"]), "-p 2299 -o User=x -4 -o Port=1");
        assert_eq!(own(&["-o", "-x", "-i", "key"]), "-o -x -i key");
    }
}
