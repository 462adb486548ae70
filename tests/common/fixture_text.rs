//! The text in which fixtures keep bytes: hexadecimal digits, and `00*512` for 512 equal bytes.

/// Returns the bytes of a value in the text of a file, if they are kept.
pub(crate) fn value_in(text: &str, name: &str) -> Option<Vec<u8>> {
    line_of(text, name, " = ").map(bytes_of)
}

/// Returns the rest of the line that begins with the name of a value and this sign.
pub(crate) fn line_of<'a>(text: &'a str, name: &str, sign: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(sign))
}

fn bytes_of(text: &str) -> Vec<u8> {
    let digits = |pair: &str| u8::from_str_radix(pair, 16).expect("two hexadecimal digits");
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once('*') {
            Some((byte, count)) => {
                let count = count.parse().expect("a number of bytes");
                bytes.extend(std::iter::repeat_n(digits(byte), count));
            }
            None => bytes
                .extend((0..word.len()).step_by(2).map(|place| digits(&word[place..place + 2]))),
        }
    }
    bytes
}
