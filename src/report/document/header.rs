//! What `header` shows.

use super::finish::show_files;
use crate::ops::header::Headed;
use crate::view::Shown;
use crate::view::{Document, Role};

impl Shown for Headed {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.edited && self.files.is_empty() {
            document.line("it says so already; nothing changed");
        }
        show_files(&mut document, self.dry_run, &self.files, &[]);
        let mut field = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                document.line(Role::Name.text(format!("{key}: ")).plain(value));
            }
        };
        field("Subject", self.headers.subject.as_deref());
        field("From", self.headers.author.as_deref());
        field("Date", self.headers.date.as_deref());
        for trailer in &self.headers.trailers {
            field(&trailer.key, Some(&trailer.value));
        }
        document
    }
}
