//! What `ldd` shows.

use crate::cross::ldd::Found;
use crate::ops::ldd::Linked;
use crate::view::Shown;
use crate::view::{Document, Role, Text};

fn by(found: &Found) -> String {
    match found {
        Found::Rpath(file) => format!("RPATH of {file}"),
        Found::Runpath(file) => format!("RUNPATH of {file}"),
        Found::Cache => "ld.so.cache".into(),
        Found::DefaultDirectory(_) => "default directory".into(),
        Found::Loader => "the loader".into(),
        Found::Path => "a path".into(),
        Found::Loaded => "loaded already".into(),
    }
}

impl Shown for Linked {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let indent = "        ";
        if self.elf.is_static() {
            document.line(format!("{indent}statically linked"));
        } else if self.libraries.needed.is_empty() && self.elf.interpreter.is_none() {
            document.line(format!("{indent}needs nothing"));
        }
        for needed in &self.libraries.needed {
            let mut line = Text::from(format!("{indent}{} => ", needed.name));
            line = match &needed.path {
                Some(path) => line.plain(path),
                None => line.with(Role::Bad, "not found"),
            };
            if let Some(problem) = &needed.problem {
                line = line.with(Role::Warn, format!("  ({problem})"));
            }
            if let Some(found) = needed.found.as_ref().filter(|_| verbose) {
                line = line.with(Role::Dim, format!("  {}", by(found)));
            }
            if verbose || needed.path.is_none() {
                line = line.with(Role::Dim, format!("  needed by {}", needed.from));
            }
            document.line(line);
        }
        if let Some(interpreter) = &self.libraries.interpreter {
            let line = Text::from(format!("{indent}{interpreter}"));
            document.line(match self.libraries.interpreter_found {
                true => line,
                false => line.with(Role::Bad, " => not found"),
            });
        }
        if let Some(problem) = &self.libraries.problem {
            document.line(Role::Bad.text(format!("{indent}{}: {problem}", self.file)));
        }
        if verbose {
            let abi = self.elf.float_abi.map(|abi| format!(", {abi} float")).unwrap_or_default();
            document.line(
                Role::Dim
                    .text(format!("{indent}({} {} {}{abi})", self.elf.class, self.elf.endianness, self.elf.machine)),
            );
        }
        document
    }
}
