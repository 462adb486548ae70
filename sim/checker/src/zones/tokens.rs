//! Texts that were put together from others, taken apart.

use std::cmp::Ordering;

/// A set of texts none of which begins another, so that a text made of them has one reading.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    /// In order.
    sorted: Vec<Token<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    /// Its first eight bytes, so that most comparisons need not look at the text.
    head: u64,
    text: &'a str,
    number: u32,
}

impl<'a> Tokens<'a> {
    /// The tokens, each with a number; nothing if one of them is empty or begins another.
    pub(crate) fn new(tokens: impl Iterator<Item = (&'a str, u32)>) -> Option<Tokens<'a>> {
        let token = |(text, number)| Token { head: head(text), text, number };
        let mut sorted: Vec<Token<'a>> = tokens.map(token).collect();
        sorted.sort_unstable_by(|one, other| one.order(other));
        let begins = |pair: &[Token<'_>]| pair[1].text.starts_with(pair[0].text);
        let is_empty = sorted.first().is_some_and(|first| first.text.is_empty());
        (!is_empty && !sorted.windows(2).any(begins)).then_some(Tokens { sorted })
    }

    /// The token that `text` begins with: its number and its length.
    pub(crate) fn first_of(&self, text: &str) -> Option<(u32, usize)> {
        let whole = Token { head: head(text), text, number: 0 };
        let after = self.sorted.partition_point(|token| token.order(&whole) != Ordering::Greater);
        // Whatever sorts between a beginning of the text and the text has that beginning too.
        let token = self.sorted.get(after.checked_sub(1)?)?;
        text.starts_with(token.text).then_some((token.number, token.text.len()))
    }
}

impl Token<'_> {
    fn order(&self, other: &Token<'_>) -> Ordering {
        self.head.cmp(&other.head).then_with(|| self.text.cmp(other.text))
    }
}

/// The first eight bytes of `text`, and zeros where it has fewer: never greater than those of a
/// text that sorts after it.
fn head(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens<'a>(texts: &[&'a str]) -> Option<Tokens<'a>> {
        Tokens::new(texts.iter().copied().zip(0..))
    }

    #[test]
    fn a_token_that_begins_another_is_refused() {
        assert!(tokens(&["1;", "2;", "12;"]).is_some());
        assert!(tokens(&["1", "2", "12"]).is_none());
        assert!(tokens(&["1;", "1;"]).is_none());
        assert!(tokens(&["1;", ""]).is_none());
        assert!(tokens(&["long text", "long text with an end"]).is_none());
    }

    proptest! {
        #[test]
        fn a_text_is_read_as_it_was_put_together(
            texts in prop::collection::btree_set("[ab]{1,12}", 1..9),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
            rest in "[abc]{0,3}",
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let Some(tokens) = tokens(&texts) else { return Ok(()) };
            let picks: Vec<usize> = picks.iter().map(|pick| pick.index(texts.len())).collect();
            let whole: String = picks.iter().map(|pick| texts[*pick]).collect::<String>() + &rest;
            let mut left = whole.as_str();
            for pick in picks {
                prop_assert_eq!(tokens.first_of(left), Some((pick as u32, texts[pick].len())));
                left = &left[texts[pick].len()..];
            }
            let found = texts.iter().position(|text| left.starts_with(text));
            prop_assert_eq!(tokens.first_of(left).map(|(number, _)| number as usize), found);
        }
    }
}
