//! What every command is handed: the options of all commands, and the one place that prints.

use std::cell::OnceCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ColorChoice;
use serde::Serialize;

use super::Globals;
use super::failure::Failure;
use crate::base::diagnostic::{Coded as _, Warning};
use crate::base::fs::{self, Holder, Lock};
use crate::base::progress::{Progress, Silent};
use crate::base::visible;
use crate::config::{self, Workspace};
use crate::ops::{self, Outcome};
use crate::report::terminal;
use crate::view::{Document, Shown};

/// The options of all commands, and the standard streams.
#[derive(Debug)]
pub(crate) struct Context {
    /// The options of all commands.
    pub globals: Globals,
    /// That a run was ended while it wrote to the workspace, which a reader is told.
    unfinished: OnceCell<Warning>,
}

#[derive(Serialize)]
struct Envelope<'a, T: Serialize> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<&'a Warning>,
    #[serde(flatten)]
    outcome: &'a T,
}

impl Context {
    pub(crate) fn new(globals: Globals) -> Context {
        let colour = match globals.color {
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
            ColorChoice::Auto => anstream::ColorChoice::Auto,
        };
        colour.write_global();
        Context { globals, unfinished: OnceCell::new() }
    }

    /// Changes to the directory of `-C DIR`, so that every path on the command line is relative to it, as with git.
    pub(crate) fn enter_directory(&self) -> Result<(), Failure> {
        let Some(dir) = &self.globals.dir else { return Ok(()) };
        std::env::set_current_dir(dir)
            .map_err(|_| ops::Error::from(config::Error::NoDirectory { path: dir.clone() }).into())
    }

    /// Opens the workspace of the current directory for reading: nothing is written, and what a killed run left is told.
    pub(crate) fn workspace(&self) -> Result<Workspace, Failure> {
        let workspace = self.opened()?;
        if let Some(warning) = fs::look(workspace.root()) {
            self.warn(std::slice::from_ref(&warning));
            let _ = self.unfinished.set(warning);
        }
        Ok(workspace)
    }

    /// Opens the workspace of the current directory for writing: first its lock is taken, which lasts as long as what is returned, then
    /// what a killed run had begun is finished, and only then anything is read. A dry run is a reader.
    pub(crate) fn writing(&self, dry_run: bool) -> Result<(Workspace, Option<Lock>), Failure> {
        if dry_run {
            return Ok((self.workspace()?, None));
        }
        let root = self.root()?;
        let lock = self.lock(&root)?;
        let finished = fs::recover(&root).map_err(ops::Error::from)?;
        if !finished.is_empty() {
            self.print_error(&format!("finished what an earlier run had begun to write ({} files)\n", finished.len()));
        }
        Ok((self.opened()?, Some(lock)))
    }

    /// Returns the directory of the workspace of the current directory.
    pub(crate) fn root(&self) -> Result<PathBuf, Failure> {
        let root = Workspace::root_of(None).map_err(ops::Error::from)?;
        Ok(if root.as_os_str().is_empty() { PathBuf::from(".") } else { root })
    }

    /// Waits for the lock of a directory that is written to.
    pub(crate) fn lock(&self, dir: &Path) -> Result<Lock, Failure> {
        Ok(fs::lock_dir(dir, &mut |holder| self.say_waiting(holder)).map_err(ops::Error::from)?)
    }

    fn opened(&self) -> Result<Workspace, Failure> {
        let workspace = Workspace::open(None).map_err(ops::Error::from)?;
        workspace.check_links().map_err(ops::Error::from)?;
        if self.globals.trust_workspace {
            workspace.trust().map_err(ops::Error::from)?;
        }
        Ok(workspace)
    }

    /// Says on standard error, under `--json` too, whom the program waits for.
    fn say_waiting(&self, holder: Option<&Holder>) {
        let who = match holder {
            Some(Holder { pid, command, running }) => {
                let since = running
                    .map_or(String::new(), |time| format!(", running for {}", crate::base::text::duration(time)));
                format!("process {pid} ({}{since})", visible::line(command))
            }
            None => "another process".to_string(),
        };
        self.print_error(&format!("waiting for {who}, which writes to this workspace\n"));
    }

    /// Shows an outcome as text or JSON; returns the exit status that it means.
    pub(crate) fn show<T: Outcome + Shown>(&self, outcome: &T) -> Result<ExitCode, Failure> {
        if self.globals.json {
            return self.show_json(outcome);
        }
        self.print_document(&outcome.document(self.globals.verbose))?;
        Ok(Context::status(outcome))
    }

    /// Shows an outcome as JSON; returns the exit status that it means.
    pub(crate) fn show_json<T: Outcome>(&self, outcome: &T) -> Result<ExitCode, Failure> {
        self.print_json(&Envelope { schema: T::SCHEMA, unfinished: self.unfinished.get(), outcome })?;
        Ok(Context::status(outcome))
    }

    /// Returns an outcome as the text of a JSON file.
    pub(crate) fn json<T: Outcome>(&self, outcome: &T) -> Result<String, Failure> {
        let envelope = Envelope { schema: T::SCHEMA, unfinished: self.unfinished.get(), outcome };
        let text = serde_json::to_string_pretty(&envelope).map_err(|e| Failure::output(io::Error::other(e)))?;
        Ok(format!("{}\n", visible::json(&text)))
    }

    /// Writes a file that the user named.
    pub(crate) fn write_file(&self, path: &Path, text: &str) -> Result<(), Failure> {
        Ok(fs::write(path, text.as_bytes()).map(drop).map_err(ops::Error::from)?)
    }

    /// Returns the exit status that an outcome means.
    pub(crate) fn status<T: Outcome>(outcome: &T) -> ExitCode {
        outcome.verdict().map_or(ExitCode::SUCCESS, |verdict| ExitCode::from(super::failure::status(verdict)))
    }

    /// Prints a value as one line of JSON, as it is made: an answer may be large.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut out = visible::JsonWriter::new(io::BufWriter::with_capacity(1 << 16, io::stdout().lock()));
        let written = serde_json::to_writer(&mut out, value).map_err(io::Error::from);
        match written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Failure::output),
        }
    }

    /// Prints text that holds no styles as it is: looking for them would take most of the time of a large answer.
    pub(crate) fn print_plain(&self, text: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(text).and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Failure::output),
        }
    }

    /// Prints a document as text.
    pub(crate) fn print_document(&self, document: &Document) -> Result<(), Failure> {
        self.print(&terminal::render(document))
    }

    /// Prints text on standard output; that nobody reads it any more is no failure.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(Failure::output),
        }
    }

    /// Prints warnings on standard error; under `--json` they are part of the object instead.
    pub(crate) fn warn(&self, warnings: &[Warning]) {
        if self.globals.json {
            return;
        }
        for warning in warnings {
            self.print_error(&super::failure::render_warning(warning));
        }
    }

    /// Shows a failure; returns its exit status.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        if self.globals.json {
            // Standard output is all that is left; if that fails too the status still tells.
            let _ = self.print_json(&failure.json());
        } else {
            self.print_error(&failure.render(self.globals.verbose));
        }
        ExitCode::from(failure.status())
    }

    /// Shows clap's own message: help and version on standard output, usage errors on standard error.
    pub(crate) fn clap(&self, error: &clap::Error) -> ExitCode {
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    }

    /// Returns who is told of progress: drawn on a terminal, lines elsewhere, nobody under `--json`.
    pub(crate) fn progress(&self) -> Box<dyn Progress> {
        match (self.globals.json, io::stderr().is_terminal()) {
            (true, _) => Box::new(Silent),
            (false, true) => Box::new(super::progress::Live::new()),
            (false, false) => Box::new(super::progress::Plain::new()),
        }
    }

    /// Does something that takes time, told of its progress.
    pub(crate) fn watched<T>(
        &self,
        work: impl FnOnce(&mut dyn Progress) -> Result<T, ops::Error>,
    ) -> Result<T, ops::Error> {
        work(&mut *self.progress())
    }

    /// As [`Context::progress`], with a line of JSON for each step of the build under `--json`.
    pub(crate) fn build_progress(&self) -> Box<dyn Progress> {
        if self.globals.json { Box::new(super::progress::Events) } else { self.progress() }
    }

    /// Prints a line on standard error.
    pub(crate) fn print_error(&self, text: &str) {
        let mut err = anstream::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }
}

impl From<ops::Error> for Failure {
    fn from(error: ops::Error) -> Failure {
        Failure {
            code: error.code(),
            message: error.to_string(),
            causes: causes(&error),
            place: error.place(),
            line: error.source_line(),
            hint: error.hint(),
            detail: error.detail(),
            verdict: error.verdict(),
        }
    }
}

/// Returns what the sources of an error say, outermost first.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(error.source(), |e| e.source()).map(ToString::to_string).collect()
}
