//! What is kept of a generation and in the ledger, on the board and in the workspace.

use serde::{Deserialize, Serialize};

use crate::base::store_path::{STORE_DIR, split};
use crate::config::Device;

/// A line of the ledger: who put what on a board, from where, with which patches, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `deploy`, `rollback`, `undeploy`.
    pub action: String,
    pub board: String,
    /// The generation that is current after it; `None` when nothing is.
    pub generation: Option<u32>,
    /// `user@machine`.
    pub by: String,
    /// The time by the clock of the machine that deployed, UTC.
    pub at: String,
    /// The commit of the workspace; `+` at its end when files were changed since.
    pub revision: Option<String>,
    /// The patches that were proven to be in: package, file and the SHA-256 of its text.
    pub patches: Vec<String>,
    /// The targets of the generation with the store paths that they are.
    pub targets: Vec<(String, String)>,
}

/// A target on a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placed {
    pub target: String,
    /// The names of store paths, without the store's directory: its own, and all that it needs.
    pub out: String,
    pub paths: Vec<String>,
    /// Its programs by name.
    pub programs: Vec<String>,
    /// Whether its paths are linked at their places in the store.
    pub linked: bool,
}

/// What a generation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub entry: Entry,
    pub placed: Vec<Placed>,
    /// What its commands are, as a digest: another check is another generation.
    #[serde(default)]
    pub commands: String,
}

/// The longest record or list of names that is read.
const MOST: usize = 100_000;

impl Record {
    /// Reads the record of a generation, which comes from the board: names in it are checked before they are used.
    pub(super) fn read(text: &str) -> Option<Record> {
        let record: Record = serde_json::from_str(text).ok()?;
        let is_path = |name: &String| split(&format!("{STORE_DIR}/{name}")).is_some();
        let is_file =
            |name: &String| !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\n', '\0']);
        let good = |placed: &Placed| {
            is_path(&placed.out)
                && placed.paths.len() < MOST
                && placed.paths.iter().all(is_path)
                && placed.programs.iter().all(is_file)
        };
        record.placed.iter().all(good).then_some(record)
    }
}

/// Returns a digest of the commands that a board's generations get.
pub fn commands(device: &Device) -> String {
    let all = format!("{:?}", [&device.activate, &device.deactivate, &device.check]);
    crate::base::user::digest(all.as_bytes())
}

/// Returns who this is, `user@machine`.
pub fn by_whom() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = machine.trim();
    if machine.is_empty() { user } else { format!("{user}@{machine}") }
}

/// Returns the time now, UTC, to the second.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_names_that_lead_elsewhere_is_none() {
        let path = "7rjj2rlqr3p3bn0z6k0bkhwb41bdrkgl-hello-1.0".to_string();
        let entry = Entry {
            action: "deploy".into(),
            board: "pi".into(),
            generation: Some(1),
            by: "me".into(),
            at: now(),
            revision: None,
            patches: Vec::new(),
            targets: Vec::new(),
        };
        let placed = Placed {
            target: "hello".into(),
            out: path.clone(),
            paths: vec![path],
            programs: vec!["hello".into()],
            linked: false,
        };
        let record = Record { entry, placed: vec![placed], commands: "0".into() };
        let read = |record: &Record| Record::read(&serde_json::to_string(record).unwrap());
        assert_eq!(read(&record), Some(record.clone()));
        for name in ["../x", "x", "", "/etc"] {
            let mut bad = record.clone();
            bad.placed[0].paths = vec![name.to_string()];
            assert_eq!(read(&bad), None, "{name}");
        }
        let mut bad = record.clone();
        bad.placed[0].programs = vec!["../../x".into()];
        assert_eq!(read(&bad), None);
        assert_eq!(Record::read("{"), None);
    }
}
