//! Texts that were put together from others, taken apart.

use std::cmp::Ordering;

/// Texts none of which begins a different one, so that a text made of them has one reading.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    /// In order, each text once: with the least number that it has.
    sorted: Vec<Token<'a>>,
    /// The numbers of each text that has several, in order.
    alike: Vec<Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    /// Its first eight bytes, so that most comparisons need not look at the text.
    head: u64,
    text: &'a str,
    number: u32,
}

impl<'a> Tokens<'a> {
    /// The tokens, each with a number; nothing if one of them is empty or begins a different one.
    pub(crate) fn new(tokens: impl Iterator<Item = (&'a str, u32)>) -> Option<Tokens<'a>> {
        let token = |(text, number)| Token { head: head(text), text, number };
        let mut sorted: Vec<Token<'a>> = tokens.map(token).collect();
        sorted.sort_unstable_by_key(|token| token.head);
        for run in sorted.chunk_by_mut(|one, other| one.head == other.head) {
            run.sort_unstable_by_key(|token| (token.text, token.number));
        }
        if sorted.first().is_some_and(|first| first.text.is_empty()) {
            return None;
        }
        let mut has_alike = false;
        for pair in sorted.windows(2).filter(|pair| pair[1].text.starts_with(pair[0].text)) {
            if pair[0].text.len() < pair[1].text.len() {
                return None;
            }
            has_alike = true;
        }
        let mut alike = Vec::new();
        if has_alike {
            let of_one_text = sorted.chunk_by(|one, other| one.text == other.text);
            let several = of_one_text.filter(|tokens| tokens.len() > 1);
            alike.extend(several.map(|tokens| tokens.iter().map(|token| token.number).collect()));
            sorted.dedup_by_key(|token| token.text);
        }
        Some(Tokens { sorted, alike })
    }

    /// The numbers of each text that has several, in order.
    pub(crate) fn alike(&self) -> &[Vec<u32>] {
        &self.alike
    }

    /// The token that `text` begins with: its least number and its length.
    pub(crate) fn first_of(&self, text: &str) -> Option<(u32, usize)> {
        let whole = Token { head: head(text), text, number: 0 };
        let last_of = |count: usize| {
            let token = self.sorted[..count].last()?;
            text.starts_with(token.text).then_some((token.number, token.text.len()))
        };
        // Whatever sorts between a beginning of the text and the text has that beginning too.
        let by_head = last_of(self.sorted.partition_point(|token| token.head <= whole.head));
        by_head.or_else(|| last_of(self.sorted.partition_point(|it| it.order(&whole).is_le())))
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
    if let Some(bytes) = text.as_bytes().first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
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
        assert!(tokens(&["1;", ""]).is_none());
        assert!(tokens(&["long text", "long text with an end"]).is_none());
    }

    #[test]
    fn equal_tokens_are_one_with_several_numbers() {
        let tokens = tokens(&["2;", "1;", "2;", "3;", "2;"]).expect("none begins another");
        assert_eq!(tokens.alike(), [[0, 2, 4]]);
        assert_eq!(tokens.first_of("2;1;"), Some((0, 2)));
        assert_eq!(tokens.first_of("3;"), Some((3, 2)));
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
