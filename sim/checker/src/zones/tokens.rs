//! Splits texts into the tokens that were concatenated.

use std::cmp::Ordering;

/// Texts, none of which is a proper prefix of another, so that a concatenation has one parse.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    /// The distinct texts in order, each with its least number.
    sorted: Vec<Token<'a>>,
    /// The numbers of each text that has several, in order.
    alike: Vec<Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    /// The first eight bytes, which decide most comparisons.
    head: u64,
    text: &'a str,
    number: u32,
}

impl<'a> Tokens<'a> {
    /// Creates the tokens from texts with numbers. Returns `None` if one is empty or a proper
    /// prefix of another.
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

    /// Returns the numbers of each text that has several, in order.
    pub(crate) fn alike(&self) -> &[Vec<u32>] {
        &self.alike
    }

    /// Returns the least number and the length of the token with which `text` begins.
    pub(crate) fn first_of(&self, text: &str) -> Option<(u32, usize)> {
        let whole = Token { head: head(text), text, number: 0 };
        let last_of = |count: usize| {
            let token = self.sorted[..count].last()?;
            text.starts_with(token.text).then_some((token.number, token.text.len()))
        };
        // A text that sorts between a prefix and the whole text has that prefix too.
        let by_head = last_of(self.sorted.partition_point(|token| token.head <= whole.head));
        by_head.or_else(|| last_of(self.sorted.partition_point(|it| it.order(&whole).is_le())))
    }
}

impl Token<'_> {
    fn order(&self, other: &Token<'_>) -> Ordering {
        self.head.cmp(&other.head).then_with(|| self.text.cmp(other.text))
    }
}

/// Returns the first eight bytes of `text`, padded with zeros. They are never greater than those of
/// a text that sorts later.
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
    fn a_token_that_is_a_prefix_of_another_is_rejected() {
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
        fn a_concatenation_is_split_into_its_tokens(
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
