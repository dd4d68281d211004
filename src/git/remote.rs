//! What another repository says of itself, asked by git: libgit2 is built without a network here.

use crate::base::process::Exec;

/// Says whether the repository at an address has a branch; `None` where it does not answer, or there is no git.
pub fn has_branch(address: &str, branch: &str) -> Option<bool> {
    let wanted = format!("refs/heads/{branch}");
    let git = Exec::new("git").args(["ls-remote", "--heads", "--", address]).arg(&wanted);
    // Of the transports those that Nix has: none that starts a program of the address's choice.
    let git = git.env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh").env("GIT_TERMINAL_PROMPT", "0");
    let git = git.limit(std::time::Duration::from_secs(60));
    let done = git.run().ok().filter(|done| done.status.success())?;
    let is_it = |line: &str| line.split_once('\t').is_some_and(|(_, name)| name == wanted);
    Some(String::from_utf8_lossy(&done.stdout).lines().any(is_it))
}
