//! A board's device: where programs are deployed to, and the commands of the workspace that run there.
//!
//! A workspace may come from a stranger. Options of ssh can start programs on this machine (`ProxyCommand`), and `activate`,
//! `deactivate` and `check` run on the device as its user: both need the user's leave, as the options of Nix do ([`super::trust`]), given
//! for the values as they are. A `device` that ssh could take for an option is refused, and so is a `root` that is not plain.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Board, Error, FILE_NAME, Workspace, key_span, trust};
use crate::base::fs;
use crate::base::span::{Place, Span, line_span};

/// Where things go on a device unless said otherwise.
const ROOT: &str = "/opt/overlayctl";
/// How many generations are kept unless said otherwise.
const KEEP: u32 = 5;
/// How long a new generation may take to be confirmed unless said otherwise.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(30);

/// One command as a list of arguments, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Commands {
    One(Vec<String>),
    Several(Vec<Vec<String>>),
}

impl Default for Commands {
    fn default() -> Commands {
        Commands::Several(Vec::new())
    }
}

impl Commands {
    /// Returns the commands that are not empty.
    pub fn list(&self) -> Vec<Vec<String>> {
        let all = match self {
            Commands::One(one) => vec![one.clone()],
            Commands::Several(several) => several.clone(),
        };
        all.into_iter().filter(|command| !command.is_empty()).collect()
    }
}

/// A device as the workspace describes it, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub board: String,
    /// What ssh is told to connect to.
    pub address: String,
    pub ssh_options: Vec<String>,
    /// Where things go on it: an absolute path of plain characters, without a `/` at its end.
    pub root: String,
    pub activate: Vec<Vec<String>>,
    pub deactivate: Vec<Vec<String>>,
    pub check: Vec<Vec<String>>,
    /// How many generations stay on it.
    pub keep: u32,
}

impl Workspace {
    /// Returns the device of a board.
    ///
    /// # Errors
    /// [`Error::NoDevice`]; [`Error::Device`] for what is refused; [`Error::UntrustedDevice`] for what needs the user's leave.
    pub fn device(&self, name: &str) -> Result<Device, Error> {
        let boards = self.boards(name)?;
        let [(name, board)] = boards[..] else {
            return Err(Error::Device { board: name.into(), why: "one board is deployed to at a time".into() });
        };
        let refused = |why: String| Error::Device { board: name.to_string(), why };
        let address = board.device.clone().ok_or_else(|| Error::NoDevice { board: name.to_string() })?;
        // The host of `user@host` is a word of its own to ssh.
        let is_option = address.split(['@', '/']).any(|part| part.starts_with('-'));
        let plain = |c: char| c.is_ascii_alphanumeric() || "@._:/%[]+-~".contains(c);
        if address.is_empty() || is_option || !address.chars().all(plain) {
            return Err(refused(format!("the device `{address}` is no address for ssh")));
        }
        let root = board.root.as_deref().unwrap_or(ROOT);
        let parts: Vec<&str> = root.split('/').skip(1).collect();
        let good = |part: &&str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
            !part.is_empty() && *part != "." && *part != ".." && part.bytes().all(plain)
        };
        if !root.starts_with('/') || !parts.iter().all(good) {
            return Err(refused(format!("the root `{root}` is not an absolute path of letters, digits and `._-+`")));
        }
        let keep = board.keep.unwrap_or(KEEP);
        if keep < 2 {
            return Err(refused(format!("keep = {keep} leaves no generation to go back to")));
        }
        let options = options_of(name, board);
        let untrusted = trust::refused(self.root(), &options)?;
        if let Some((first, _)) = untrusted.first() {
            let path = self.path(FILE_NAME);
            let text = fs::read_text(&path)?;
            let key = first.rsplit('.').next().unwrap_or(first);
            let at = key_span(&text, &["boards", name, key], |_| false).unwrap_or(Span::at(0));
            let place = Place::in_text(&path, &text, at);
            let line = place.line_col.and_then(|at| line_span(&text, at.line)).map(|s| text[s.range()].to_string());
            return Err(Error::UntrustedDevice { options: untrusted, place, line });
        }
        Ok(Device {
            board: name.to_string(),
            address,
            ssh_options: board.ssh_options.clone(),
            root: root.to_string(),
            activate: board.activate.list(),
            deactivate: board.deactivate.list(),
            check: board.check.list(),
            keep,
        })
    }
}

/// Returns what of a board's device needs the user's leave, with the device that it is for.
pub(super) fn options_of(name: &str, board: &Board) -> BTreeMap<String, String> {
    let device = board.device.as_deref().unwrap_or_default();
    let mut options = BTreeMap::new();
    let mut add = |key: &str, what: &[Vec<String>]| {
        if !what.is_empty() {
            options.insert(format!("boards.{name}.{key}"), format!("{what:?} on {device}"));
        }
    };
    let ssh = std::slice::from_ref(&board.ssh_options);
    add("ssh-options", if board.ssh_options.is_empty() { &[] } else { ssh });
    add("activate", &board.activate.list());
    add("deactivate", &board.deactivate.list());
    add("check", &board.check.list());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(text: &str) -> Result<Device, Error> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(&dir.path().join(FILE_NAME), format!("[boards.pi]\n{text}").as_bytes()).unwrap();
        Workspace::open(Some(dir.path())).unwrap().device("pi")
    }

    #[test]
    fn a_device_is_read_with_its_defaults() {
        let device = device("device = \"root@192.168.7.2\"").unwrap();
        assert_eq!((device.address.as_str(), device.root.as_str(), device.keep), ("root@192.168.7.2", ROOT, 5));
        assert!(matches!(self::device(""), Err(Error::NoDevice { .. })));
    }

    #[test]
    fn what_ssh_could_take_for_an_option_is_refused() {
        for address in ["-oProxyCommand=x", "root@-oProxyCommand=x", "ssh://-x", "a b", "$(x)", "a;b", "", "x\\n"] {
            let refused = device(&format!("device = \"{address}\""));
            assert!(matches!(refused, Err(Error::Device { .. })), "{address}: {refused:?}");
        }
        for root in ["opt", "/", "/a/../b", "/a b", "/a/", "/$(x)"] {
            let refused = device(&format!("device = \"pi\"\nroot = \"{root}\""));
            assert!(matches!(refused, Err(Error::Device { .. })), "{root}: {refused:?}");
        }
    }

    #[test]
    fn what_runs_something_needs_leave() {
        for text in ["ssh-options = [\"ProxyCommand=x\"]", "activate = [\"reboot\"]", "check = [[\"a\"], [\"b\"]]"] {
            let refused = device(&format!("device = \"pi\"\n{text}"));
            assert!(matches!(refused, Err(Error::UntrustedDevice { .. })), "{text}: {refused:?}");
        }
    }
}
