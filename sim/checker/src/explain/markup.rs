//! Text in a page: whatever it is, it is only text.

/// The first `letters_max` letters of `text`, as text of HTML and of attributes in `"`; an ellipsis
/// stands for the rest. What cannot be seen, or turns the direction of writing, is replaced. At
/// most six bytes for each letter.
pub(crate) fn escaped(text: &str, letters_max: usize) -> String {
    let mut safe = String::new();
    for (place, letter) in text.chars().enumerate() {
        if place == letters_max {
            safe.push('…');
            break;
        }
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            _ if letter.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}
