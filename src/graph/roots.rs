//! Lists of roots: the attributes of a package set and their derivations.
//!
//! Two forms: TSV with the columns attribute, `.drv` path, output path, and the JSON lines of nix-eval-jobs
//! (<https://github.com/nix-community/nix-eval-jobs>). Must not read files.

use serde::Deserialize;

use super::error::Error;

/// A derivation to start from, and the attribute that it is the value of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root {
    /// The attribute path, where it is known.
    pub attr: Option<String>,
    /// The store path of the `.drv` file.
    pub drv_path: String,
}

/// An attribute that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    pub attr: String,
    pub error: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootList {
    /// The roots, in the order of the list.
    pub roots: Vec<Root>,
    pub failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Job {
    attr: Option<String>,
    #[serde(rename = "attrPath")]
    attr_path: Option<Vec<String>>,
    #[serde(rename = "drvPath")]
    drv_path: Option<String>,
    error: Option<String>,
}

impl RootList {
    /// Reads a list; the first line that is not blank tells which form it has.
    ///
    /// # Errors
    /// [`Error::Roots`] with the first bad line.
    pub fn parse(text: &str) -> Result<RootList, Error> {
        let mut list = RootList::default();
        let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let json = lines().next().is_some_and(|(_, line)| line.trim_start().starts_with('{'));
        for (index, line) in lines() {
            let fail = |problem: String| Error::Roots { line: index + 1, problem };
            if json {
                list.job(line).map_err(fail)?;
            } else {
                list.row(line, index == 0).map_err(fail)?;
            }
        }
        Ok(list)
    }

    fn row(&mut self, line: &str, first: bool) -> Result<(), String> {
        let mut columns = line.split('\t');
        let attr = columns.next().unwrap_or_default();
        let Some(drv_path) = columns.next() else {
            // A bare list of derivations is as good, only without attributes.
            if line.ends_with(".drv") && line.starts_with('/') {
                self.roots.push(Root { attr: None, drv_path: line.to_owned() });
                return Ok(());
            }
            return Err("no tab between attribute and .drv path".into());
        };
        if first && drv_path == "drvPath" {
            return Ok(());
        }
        if !(drv_path.starts_with('/') && drv_path.ends_with(".drv")) {
            return Err(format!("`{drv_path}` is not a .drv path"));
        }
        self.roots.push(Root { attr: (!attr.is_empty()).then(|| attr.to_owned()), drv_path: drv_path.to_owned() });
        Ok(())
    }

    fn job(&mut self, line: &str) -> Result<(), String> {
        let job: Job = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let attr = job.attr.or_else(|| job.attr_path.map(|path| path.join(".")));
        match (job.drv_path, job.error) {
            (_, Some(error)) => self.failures.push(Failure { attr: attr.unwrap_or_default(), error }),
            (Some(drv_path), None) if drv_path.starts_with('/') && drv_path.ends_with(".drv") => {
                self.roots.push(Root { attr, drv_path });
            }
            (Some(drv_path), None) => return Err(format!("`{drv_path}` is not a .drv path")),
            (None, None) => return Err("neither `drvPath` nor `error`".into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let tsv = "attr\tdrvPath\toutPath\na\t/nix/store/x-a.drv\t/nix/store/y-a\nb\t/nix/store/x-b.drv\n";
        let list = RootList::parse(tsv).unwrap();
        assert_eq!(list.roots.len(), 2);
        assert_eq!(list.roots[1], Root { attr: Some("b".into()), drv_path: "/nix/store/x-b.drv".into() });
        let jobs = concat!(
            r#"{"attr":"a","attrPath":["a"],"drvPath":"/nix/store/x-a.drv","outputs":{"out":"/nix/store/y-a"}}"#,
            "\n",
            r#"{"attr":"c","attrPath":["c"],"error":"no such thing"}"#,
            "\n"
        );
        let list = RootList::parse(jobs).unwrap();
        assert_eq!((list.roots.len(), list.failures.len()), (1, 1));
        assert_eq!(list.failures[0].attr, "c");
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, bad) in [
            ("a\t/nix/store/x-a.drv\nnonsense\n", 2),
            ("a\t/nix/store/x-a\n", 1),
            ("{\"attr\":\"a\"}\n", 1),
            ("\n{\"attr\":\"a\",\"drvPath\":\"/x.drv\"}\n{broken\n", 3),
        ] {
            let error = RootList::parse(text).unwrap_err();
            assert!(matches!(error, Error::Roots { line, .. } if line == bad), "{text:?}: {error}");
        }
    }
}
