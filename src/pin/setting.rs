//! The key `nixpkgs` of `overlayctl.toml`.

use toml_edit::Document;

/// Returns the text with another value of the key; it becomes the first line where it was not there.
pub(super) fn with(text: &str, value: &str) -> Result<String, String> {
    let body = text.trim_start_matches('\u{feff}');
    let mark = text.len() - body.len();
    let value = toml_edit::Value::from(value).to_string();
    let document = Document::parse(body).map_err(|error| error.message().to_owned())?;
    let (before, after) = match document.as_table().get("nixpkgs") {
        Some(item) => {
            let span = item.span().ok_or("the place of `nixpkgs` is not known")?;
            (text.get(..mark + span.start), text.get(mark + span.end..))
        }
        None => {
            let line_end = if body.contains("\r\n") { "\r\n" } else { "\n" };
            return Ok(format!("{}nixpkgs = {value}{line_end}{body}", text.get(..mark).unwrap_or_default()));
        }
    };
    Ok(format!("{}{value}{}", before.unwrap_or_default(), after.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_value_alone_changes() {
        let text = "\u{feff}# c\r\n  nixpkgs='../one' # why\r\noverlays = [ \"a.nix\"]\r\n[boards.x]\r\nnixpkgs = 1";
        assert_eq!(with(text, "../two").unwrap(), text.replace("'../one'", "\"../two\""));
        assert_eq!(with("[boards.x]\n", "a\"b").unwrap(), "nixpkgs = 'a\"b'\n[boards.x]\n");
        assert!(with("nixpkgs = ", "x").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_read_is_what_was_written(new in "[^\u{0}-\u{1f}\u{7f}]{0,12}", comment in "[a-z #=]{0,8}", crlf in any::<bool>()) {
            let line_end = if crlf { "\r\n" } else { "\n" };
            let text = ["# x", "a   =  1", &format!("nixpkgs = \"old\" # {comment}"), "[b]", "c = [ 1,2 ]", ""].join(line_end);
            let changed = with(&text, &new).unwrap();
            let read: toml_edit::DocumentMut = changed.parse().unwrap();
            prop_assert_eq!(read["nixpkgs"].as_str(), Some(new.as_str()));
            let back = with(&changed, "old").unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
