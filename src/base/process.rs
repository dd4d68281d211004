//! Processes: argument vectors, never a shell; each child in a process group of its own.
//!
//! A child that is no longer wanted gets TERM, then KILL after three seconds, with its whole group. Ctrl-C sets a
//! flag that every wait looks at. Must not know what it starts.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a child has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long a log may gather in the pipe between two reads: Nix writes line by line, and to wake up for each would cost
/// more than all that is done with it.
const GATHER: Duration = Duration::from_millis(1);
/// How often a wait looks at the interrupt flag.
const TICK: Duration = Duration::from_millis(50);

/// Why a process could not be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("lost the connection to {}", program.display())]
    Pipe { program: PathBuf, source: io::Error },
    #[error("{} did not end within {} s", program.display(), limit.as_secs())]
    Timeout { program: PathBuf, limit: Duration },
    #[error("interrupted")]
    Interrupted,
}

/// A command to run: program, arguments, environment, directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub program: PathBuf,
    /// The arguments, one an element.
    pub args: Vec<OsString>,
    /// Variables set on top of the inherited environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, when not ours.
    pub dir: Option<PathBuf>,
    /// The longest that it may take.
    pub limit: Option<Duration>,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Takes a line with its stream, or `None` when there was none for a while.
pub type OnLine<'f> = dyn FnMut(Option<(Stream, &[u8])>) + 'f;

impl Exec {
    /// Makes a command without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Exec {
        Exec { program: program.into(), args: Vec::new(), env: Vec::new(), dir: None, limit: None }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Exec {
        self.args.push(arg.as_ref().to_os_string());
        self
    }

    #[must_use]
    pub fn args<I, S>(mut self, args: I) -> Exec
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_os_string()));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Exec {
        self.env.push((name.as_ref().to_os_string(), value.as_ref().to_os_string()));
        self
    }

    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Exec {
        self.dir = Some(dir.into());
        self
    }

    /// Sets the longest that it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Exec {
        self.limit = Some(limit);
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Starts it with all three streams connected, in a process group of its own.
    pub fn spawn(&self, stdin: Stdio) -> Result<Running, ProcessError> {
        let mut command = self.command();
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|source| ProcessError::Start { program: self.program.clone(), source })?;
        Ok(Running { program: self.program.clone(), child, ended: false })
    }

    /// Runs it to its end with `input` on standard input.
    ///
    /// # Errors
    /// [`ProcessError`]; a non-zero exit status is no error here.
    pub fn run_with_input(&self, input: &[u8]) -> Result<Finished, ProcessError> {
        let mut out = Vec::new();
        let mut err = Vec::new();
        let status = self.pump(input, Duration::ZERO, &mut |event| match event {
            Some((Stream::Out, bytes)) => out.extend_from_slice(bytes),
            Some((Stream::Err, bytes)) => err.extend_from_slice(bytes),
            None => {}
        })?;
        Ok(Finished { status, stdout: out, stderr: err })
    }

    /// Runs it to its end without input.
    pub fn run(&self) -> Result<Finished, ProcessError> {
        self.run_with_input(&[])
    }

    /// Runs it to its end and hands every line (with its line end, bytes as they are) to `on_line` as it comes.
    pub fn stream(&self, on_line: &mut dyn FnMut(Stream, &[u8])) -> Result<ExitStatus, ProcessError> {
        self.pump(&[], Duration::ZERO, &mut |event| {
            if let Some((stream, line)) = event {
                on_line(stream, line);
            }
        })
    }

    /// As [`Exec::stream`], and calls `on_event` with `None` about twenty times a second while nothing comes, so that
    /// a live view can go on.
    pub fn stream_with_ticks(&self, on_event: &mut OnLine<'_>) -> Result<ExitStatus, ProcessError> {
        self.pump(&[], GATHER, on_event)
    }

    /// Runs it with the terminal handed over: our own standard streams, our process group.
    pub fn run_in_foreground(&self) -> Result<ExitStatus, ProcessError> {
        self.command().status().map_err(|source| ProcessError::Start { program: self.program.clone(), source })
    }

    fn pump(&self, input: &[u8], gather: Duration, sink: &mut OnLine<'_>) -> Result<ExitStatus, ProcessError> {
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut running = self.spawn(stdin)?;
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        let chunks = running.chunks_gathered(gather);
        let to_child = running.child.stdin.take();
        std::thread::scope(|scope| {
            if let Some(mut pipe) = to_child {
                // A child that does not read its input to the end is not an error: it may have enough.
                scope.spawn(move || drop(pipe.write_all(input)));
            }
            loop {
                match chunks.recv_timeout(TICK) {
                    Ok((stream, chunk)) => {
                        for line in chunk.split_inclusive(|b| *b == b'\n') {
                            sink(Some((stream, line)));
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(mpsc::RecvTimeoutError::Timeout) => sink(None),
                }
                if interrupted() {
                    running.stop();
                    return Err(ProcessError::Interrupted);
                }
                if deadline.is_some_and(|d| Instant::now() > d) {
                    running.stop();
                    return Err(ProcessError::Timeout {
                        program: self.program.clone(),
                        limit: self.limit.unwrap_or_default(),
                    });
                }
            }
            running.wait()
        })
    }
}

/// The longest line that is handed on whole, in bytes; a longer one comes in pieces.
const MAX_LINE: usize = 1 << 20;

/// Some whole lines of one stream (the last one of all may lack its line end).
pub type Chunk = (Stream, Vec<u8>);

/// Hands on what comes in chunks of whole lines: one message a line would cost more than reading the line.
fn read_chunks(mut pipe: impl Read, stream: Stream, gather: Duration, send: &mpsc::SyncSender<Chunk>) {
    let mut pending = Vec::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let got = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let fresh = buffer.get(..got).unwrap_or_default();
        let line_end = fresh.iter().rposition(|b| *b == b'\n').map(|i| pending.len() + i + 1);
        pending.extend_from_slice(fresh);
        let whole = line_end.or((pending.len() >= MAX_LINE).then_some(pending.len()));
        if let Some(whole) = whole {
            let rest = pending.split_off(whole);
            if send.send((stream, std::mem::replace(&mut pending, rest))).is_err() {
                return;
            }
        }
        // A pipe that is well filled is read on at once, so that nobody who writes has to wait.
        if !gather.is_zero() && got < buffer.len() / 4 {
            std::thread::sleep(gather);
        }
    }
    if !pending.is_empty() {
        let _ = send.send((stream, pending));
    }
}

/// A child that runs; it is stopped with its group when dropped.
#[derive(Debug)]
pub struct Running {
    program: PathBuf,
    pub child: Child,
    ended: bool,
}

impl Running {
    /// Waits for the end, looking at the interrupt flag.
    pub fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        let mut pause = Duration::from_micros(200);
        loop {
            let ended = self.child.try_wait();
            match ended.map_err(|source| ProcessError::Pipe { program: self.program.clone(), source })? {
                Some(status) => {
                    self.ended = true;
                    return Ok(status);
                }
                None if interrupted() => {
                    self.stop();
                    return Err(ProcessError::Interrupted);
                }
                None => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(TICK);
        }
    }

    /// Takes both output streams and returns the channel on which they come, closed when both have ended.
    pub fn chunks(&mut self) -> mpsc::Receiver<Chunk> {
        self.chunks_gathered(Duration::ZERO)
    }

    fn chunks_gathered(&mut self, gather: Duration) -> mpsc::Receiver<Chunk> {
        let (send, receive) = mpsc::sync_channel(256);
        // The threads end with the pipes, or with the first chunk after the receiver is gone.
        if let Some(out) = self.child.stdout.take() {
            let send = send.clone();
            std::thread::spawn(move || read_chunks(out, Stream::Out, gather, &send));
        }
        if let Some(err) = self.child.stderr.take() {
            std::thread::spawn(move || read_chunks(err, Stream::Err, gather, &send));
        }
        receive
    }

    /// Ends the child and its group at once, for a child that has nothing to put in order.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
        self.ended = true;
    }

    /// Ends the child and its group: TERM, and KILL after three seconds.
    pub fn stop(&mut self) {
        if self.ended {
            return;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let Some(group) = group else { return };
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                self.ended = true;
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Also after a clean end: grandchildren may be left in the group.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

static INTERRUPT: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Makes Ctrl-C, HUP and TERM set a flag instead of ending the process; a second Ctrl-C ends it at once.
pub fn watch_interrupts() {
    let flag = INTERRUPT.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Order matters: the first signal finds the flag down and only raises it, the second one ends.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag));
        let _ = signal_hook::flag::register(signal, Arc::clone(flag));
    }
}

/// Says whether the user asked to stop.
pub fn interrupted() -> bool {
    INTERRUPT.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Finds a program on `PATH`, or checks the path given.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let executable = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| executable(p));
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|p| executable(p))
}

/// Takes control sequences out of text that a build or another program printed: all control characters but tab and
/// newline, and ANSI escape sequences whole.
pub fn strip_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape_sequence(&mut chars),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips what follows an ESC: a CSI sequence up to its final byte, a string up to BEL or ST, else one character.
fn skip_escape_sequence(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => drop(chars.find(|c| !('\u{20}'..='\u{3f}').contains(c))),
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next() == Some('\\')) {
                    return;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_come_back() {
        let done = Exec::new("sh").args(["-c", "cat; echo err >&2; exit 3"]).run_with_input(b"hello").unwrap();
        assert_eq!((done.status.code(), &done.stdout[..], &done.stderr[..]), (Some(3), &b"hello"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let begin = Instant::now();
        let hung = Exec::new("sh").args(["-c", "sleep 60 & sleep 60"]).limit(Duration::from_millis(200)).run();
        assert!(matches!(hung, Err(ProcessError::Timeout { .. })));
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_named() {
        let missing = Exec::new("no-such-program-here").run();
        assert!(
            matches!(missing, Err(ProcessError::Start { program, .. }) if program.ends_with("no-such-program-here"))
        );
        assert!(find_program("no-such-program-here").is_none());
        assert!(find_program("sh").is_some());
    }

    #[test]
    fn lines_come_whole_whatever_the_pipe_does() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo line-$i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i+1)); done; printf end";
        let mut lines = Vec::new();
        Exec::new("sh").args(["-c", script]).stream(&mut |_, line| lines.push(line.to_vec())).unwrap();
        assert_eq!(lines.len(), 3001);
        assert!(lines.iter().take(3000).all(|l| l.starts_with(b"line-") && l.ends_with(b"x\n")));
        assert_eq!(lines[3000], b"end");
    }

    #[test]
    fn a_quiet_child_gives_ticks() {
        let mut ticks = 0;
        Exec::new("sleep").arg("0.3").stream_with_ticks(&mut |e| ticks += usize::from(e.is_none())).unwrap();
        assert!(ticks >= 2, "{ticks}");
    }

    #[test]
    fn control_sequences_go() {
        assert_eq!(strip_controls("a\u{1b}[31;1mred\u{1b}[0m\r\n\tb\u{7}"), "ared\n\tb");
        assert_eq!(strip_controls("x\u{1b}]0;title\u{7}y\u{1b}]8;;http://a\u{1b}\\z"), "xyz");
        assert_eq!(strip_controls("end\u{1b}["), "end");
        assert_eq!(strip_controls("end\u{1b}"), "end");
    }
}
