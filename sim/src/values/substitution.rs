//! One change to a source file: a text inside an item, and the text in its place. A planted bug
//! consists of such changes.

/// Returns `text` with `find` replaced by `replace`.
///
/// With an anchor, `find` is searched only in the item that the anchor opens: from the one line
/// that contains `inside` to the next line that closes a block at the indentation of that line. So
/// the rest of the file may change without any effect on the substitution.
///
/// # Errors
/// A sentence with the number of matches, unless `inside` matches one line of `text`, and `find`
/// occurs exactly once in the item (without an anchor, in the whole text).
pub fn substitute(
    text: &str,
    inside: Option<&str>,
    find: &str,
    replace: &str,
) -> Result<String, String> {
    let item = match inside {
        Some(inside) => item(text, inside)?,
        None => 0..text.len(),
    };
    match text[item.clone()].matches(find).count() {
        1 => {
            let changed = text[item.clone()].replacen(find, replace, 1);
            Ok([&text[..item.start], &changed, &text[item.end..]].concat())
        }
        times => {
            let place = inside.map_or_else(String::new, |inside| format!(" inside `{inside}`"));
            Err(format!("`{find}` occurs {times} times{place}, not once"))
        }
    }
}

/// Returns the byte range of the lines of the item whose first line contains `anchor`.
fn item(text: &str, anchor: &str) -> Result<std::ops::Range<usize>, String> {
    let mut opening = text.match_indices(anchor).map(|(at, _)| at);
    let (Some(at), None) = (opening.next(), opening.next()) else {
        let times = text.matches(anchor).count();
        return Err(format!("the anchor `{anchor}` occurs {times} times, not once"));
    };
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indentation = text[start..].chars().take_while(|c| *c == ' ').count();
    let mut end = start;
    for line in text[start..].split_inclusive('\n') {
        end += line.len();
        let closes = line[indentation.min(line.len())..].starts_with('}');
        if closes && line[..indentation].trim().is_empty() {
            break;
        }
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
impl A {
    fn one(&self) {
        go();
    }

    fn two(&self) {
        if x {
            go();
        }
    }
}

fn three() {
    go();
}
";

    #[test]
    fn an_anchor_limits_the_search_to_its_item() {
        let two = substitute(TEXT, Some("fn two"), "go();", "stop();").expect("it is there once");
        assert_eq!(two.matches("go();").count(), 2);
        let at = two.find("stop();").expect("it was put there");
        assert!(two[..at].ends_with("fn two(&self) {\n        if x {\n            "));
        assert!(two.ends_with("fn three() {\n    go();\n}\n"));
    }

    #[test]
    fn a_whole_impl_is_an_item() {
        let error = substitute(TEXT, Some("impl A"), "go();", "").expect_err("it occurs twice");
        assert_eq!(error, "`go();` occurs 2 times inside `impl A`, not once");
    }

    #[test]
    fn a_missing_or_repeated_text_or_anchor_is_an_error() {
        let error = |inside, find| substitute(TEXT, inside, find, "").expect_err("it must fail");
        assert_eq!(error(None, "go();"), "`go();` occurs 3 times, not once");
        assert_eq!(error(None, "gone"), "`gone` occurs 0 times, not once");
        assert_eq!(error(Some("fn four"), "go"), "the anchor `fn four` occurs 0 times, not once");
        assert_eq!(error(Some("&self"), "go"), "the anchor `&self` occurs 2 times, not once");
    }

    #[test]
    fn an_anchor_may_be_in_the_last_line() {
        assert_eq!(substitute("mod a;", Some("mod"), "a", "b").as_deref(), Ok("mod b;"));
    }
}
