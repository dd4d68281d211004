//! `ar` archives: the members of a static library.
//!
//! GNU, BSD and thin archives, read by the `object` crate. Members of a thin archive are files of their own, so only
//! their names are known here.

use object::read::archive::ArchiveFile;

use super::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'data> {
    /// Its name; in a thin archive the path of the file.
    pub name: &'data [u8],
    /// Its bytes; `None` in a thin archive.
    pub data: Option<&'data [u8]>,
}

/// Returns the members of an archive in order; `None` when the bytes are no archive.
///
/// # Errors
/// [`Error::Archive`] when the bytes start as an archive does and then contradict themselves or end.
pub fn members(bytes: &[u8]) -> Result<Option<Vec<Member<'_>>>, Error> {
    if !bytes.starts_with(b"!<arch>\n") && !bytes.starts_with(b"!<thin>\n") {
        return Ok(None);
    }
    let broken = |error: object::Error| Error::Archive { what: error.to_string() };
    let archive = ArchiveFile::parse(bytes).map_err(broken)?;
    let mut found = Vec::new();
    for member in archive.members() {
        let member = member.map_err(broken)?;
        let data = if member.is_thin() { None } else { Some(member.data(bytes).map_err(broken)?) };
        found.push(Member { name: member.name(), data });
    }
    Ok(Some(found))
}
