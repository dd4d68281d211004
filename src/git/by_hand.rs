//! What a commit says that the user made by hand where a cherry-pick stopped.

use super::{Author, Commit, Error, Oid, Worktree};

impl Worktree {
    /// Returns message and author for a commit that was made by hand in the place of `of`: what `git commit` took from there stays,
    /// and what it lost comes back ([`message_in_place_of`]).
    pub fn in_place_of(&self, made: &Commit, of: &Commit) -> Result<(String, Author), Error> {
        let lost = self.is_own(made.id)? && !self.knew_the_author(made.id)?;
        let author = if lost { &of.author } else { &made.author };
        Ok((message_in_place_of(&made.message, &of.message), author.clone()))
    }

    /// Says whether the author of a commit is who committed it.
    fn is_own(&self, id: Oid) -> Result<bool, Error> {
        let commit = self.repository.find_commit(id).map_err(self.fail("read a commit"))?;
        let (author, committer) = (commit.author(), commit.committer());
        Ok((author.name_bytes(), author.email_bytes()) == (committer.name_bytes(), committer.email_bytes()))
    }

    /// Says whether git had an author to go by when the commit was made, as it does in a cherry-pick, so that another one is what the
    /// user asked for (`--author`, `--reset-author`). The reflog says how each commit was made.
    fn knew_the_author(&self, mut made: Oid) -> Result<bool, Error> {
        let fail = |what| self.fail(what);
        let Ok(log) = self.repository.reflog("HEAD") else { return Ok(false) };
        for entry in log.iter().filter(|entry| entry.id_old() != entry.id_new()) {
            let how = entry.message_bytes().unwrap_or_default();
            if entry.id_new() != made || !(how.starts_with(b"commit") || how.starts_with(b"cherry-pick")) {
                continue;
            }
            if !how.starts_with(b"commit (amend)") {
                return Ok(!how.starts_with(b"commit:"));
            }
            // What is amended hands its author on, with the time.
            let author = |id| self.repository.find_commit(id).map(|commit| commit.author().to_owned());
            let (before, after) =
                (author(entry.id_old()).map_err(fail("read a commit"))?, author(made).map_err(fail("read a commit"))?);
            let by = |who: &git2::Signature<'_>| (who.name_bytes().to_vec(), who.email_bytes().to_vec(), who.when());
            if by(&before) != by(&after) {
                return Ok(true);
            }
            made = entry.id_old();
        }
        Ok(false)
    }
}

/// Returns the message of a commit that was made in the place of another: its subject, and for a body that it lacks, as after
/// `git commit -m`, that of the other; trailers never go unsaid. Git's list of conflicts is left out, and lines that git took for comments
/// are put back where nothing else differs.
fn message_in_place_of(made: &str, of: &str) -> String {
    let made = without_conflict_list(made);
    let cleaned = |text: &str| git2::message_prettify(text, Some(b'#')).unwrap_or_else(|_| text.to_string());
    if cleaned(made) == cleaned(of) {
        return of.to_string();
    }
    let (subject, body) = parts(made);
    let (_, kept) = parts(of);
    let body = match body {
        "" => kept.to_string(),
        body if has_trailers(made) || !has_trailers(of) => body.to_string(),
        body => format!("{body}\n\n{}", kept.rsplit("\n\n").next().unwrap_or_default()),
    };
    if body.is_empty() { format!("{subject}\n") } else { format!("{subject}\n\n{body}\n") }
}

fn parts(message: &str) -> (&str, &str) {
    let message = message.trim_matches('\n');
    let (subject, body) = message.split_once("\n\n").unwrap_or((message, ""));
    (subject, body.trim_matches('\n'))
}

fn has_trailers(message: &str) -> bool {
    git2::message_trailers_strs(message).is_ok_and(|trailers| trailers.len() > 0)
}

/// Takes off the list of files that git puts below the message of a conflict, as comments, which `git commit --no-edit` leaves in.
fn without_conflict_list(message: &str) -> &str {
    let Some(at) = message.rfind(" Conflicts:\n") else { return message };
    let start = message.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |line| line + 1);
    let (Some(comment), Some(list)) = (message.get(start..at), message.get(at..)) else { return message };
    let is_entry = |line: &str| line.strip_prefix(comment).is_some_and(|rest| rest.starts_with('\t'));
    match !comment.is_empty() && list.trim_end().lines().skip(1).all(is_entry) {
        true => message.get(..start).unwrap_or_default(),
        false => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: &str = "fix it\n\nBecause.\n\n#1 of the list\n\nUpstream-Status: Pending\nSigned-off-by: A <a@b>\n";

    #[test]
    fn nothing_of_the_patch_goes_unsaid() {
        let same = |made: &str| assert_eq!(message_in_place_of(made, OF), OF, "{made}");
        same(OF);
        // As `git commit --no-edit`, as `git cherry-pick --continue`, which takes `#` for a comment.
        same(&format!("{OF}\n# Conflicts:\n#\ta.c\n#\tb.c\n"));
        same("fix it\n\nBecause.\n\nUpstream-Status: Pending\nSigned-off-by: A <a@b>\n");
        let (_, body) = OF.split_once("\n\n").unwrap();
        assert_eq!(message_in_place_of("other words\n", OF), format!("other words\n\n{body}"));
        let trailers = "Upstream-Status: Pending\nSigned-off-by: A <a@b>\n";
        assert_eq!(message_in_place_of("x\n\nWhy.\n", OF), format!("x\n\nWhy.\n\n{trailers}"));
        // Who writes trailers knows of them.
        let own = "fix it\n\nWhy.\n\nUpstream-Status: Backport [x]\n";
        assert_eq!(message_in_place_of(own, OF), own);
        assert_eq!(message_in_place_of("x\n", "y\n"), "x\n");
        assert_eq!(message_in_place_of("x\n\nSee Conflicts:\nmine\n", "y\n"), "x\n\nSee Conflicts:\nmine\n");
    }
}
