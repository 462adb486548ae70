//! One source file as the rules see it: as written, as code without comments and literals, and
//! as production code without tests.

/// One Rust source file. The three texts have the same length, so that a position in one is the
/// same position in the others; what is left out is blank.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path from the root of the workspace, with `/`.
    pub(crate) path: String,
    /// The text of the file as it is.
    pub(crate) text: String,
    /// The text without comments, and without the content of strings and characters.
    pub(crate) code: String,
    /// The part of the code that is built into the library or the command: no tests, no examples.
    pub(crate) production: String,
}

/// One function of a file, with its size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of its `fn` keyword, from 1.
    pub(crate) line: usize,
    /// The number of lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code = without_comments_and_literals(text);
        let production = if is_test_file(path) { blank(&code) } else { without_tests(&code) };
        Source { path: path.to_owned(), text: text.to_owned(), code, production }
    }

    /// Returns the line of a position, from 1.
    pub(crate) fn line_of(&self, position: usize) -> usize {
        1 + self.text.as_bytes()[..position].iter().filter(|&&byte| byte == b'\n').count()
    }

    /// Returns every function with a body, tests included.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let keywords = words(&self.code).filter(|(_, word)| *word == "fn");
        keywords.filter_map(|(at, _)| self.function_at(at)).collect()
    }

    /// The function whose `fn` is at `at`; none for a pointer's type or a signature alone.
    fn function_at(&self, at: usize) -> Option<Function> {
        let after = self.code[at + 2..].trim_start();
        let (position, name) = words(after).next()?;
        let end = end_of_item(&self.code, at)?;
        let has_body = self.code[..end].ends_with('}');
        let (line, last) = (self.line_of(at), self.line_of(end - 1));
        let function = Function { name: name.to_owned(), line, lines: last + 1 - line };
        (position == 0 && has_body).then_some(function)
    }
}

pub(crate) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every identifier, keyword and number of a text, with its position.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_word_char)?;
        let length = text[start..].find(|c| !is_word_char(c)).unwrap_or(text.len() - start);
        rest = start + length;
        Some((start, &text[start..rest]))
    })
}

/// The words of a text in lower case, with single spaces between. An identifier is read as its
/// words: `sentBy`, `sent_by` and `SentBy` are all "sent by".
pub(crate) fn spoken_words(text: &str) -> String {
    let mut spoken = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let boundary = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if boundary && !spoken.is_empty() && !spoken.ends_with(' ') {
            spoken.push(' ');
        }
        if c.is_alphanumeric() {
            spoken.extend(c.to_lowercase());
        }
        before = c;
    }
    spoken.truncate(spoken.trim_end().len());
    spoken
}

/// The positions at which `phrase` occurs as whole words: `a::b` is not found in `xa::b`.
pub(crate) fn phrases<'a>(text: &'a str, phrase: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(phrase).map(|(at, _)| at).filter(move |&at| {
        let (before, after) = (&text[..at], &text[at + phrase.len()..]);
        let goes_on_before = phrase.starts_with(is_word_char) && before.ends_with(is_word_char);
        let goes_on_after = phrase.ends_with(is_word_char) && after.starts_with(is_word_char);
        !goes_on_before && !goes_on_after
    })
}

/// Whether the whole file is a test: such a file may import, unwrap and panic as it likes.
fn is_test_file(path: &str) -> bool {
    let folders = ["tests", "benches", "examples", "fuzz"];
    path.split('/').any(|part| folders.contains(&part)) || path.ends_with("/tests.rs")
}

fn blank(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    blank_range(&mut bytes, 0, text.len());
    String::from_utf8(bytes).expect("spaces and newlines are text")
}

fn blank_range(bytes: &mut [u8], from: usize, to: usize) {
    for byte in &mut bytes[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn without_comments_and_literals(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let after_word = text[..at].ends_with(is_word_char);
        let end = if rest.starts_with("//") {
            let end = at + rest.find('\n').unwrap_or(rest.len());
            blank_range(&mut bytes, at, end);
            end
        } else if rest.starts_with("/*") {
            let end = at + block_comment_length(rest);
            blank_range(&mut bytes, at, end);
            end
        } else if let Some(hashes) = raw_string_hashes(rest).filter(|_| !after_word) {
            let open = at + rest.find('"').expect("a raw string has a quote") + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = open + text[open..].find(&close).expect("a raw string ends");
            blank_range(&mut bytes, open, end);
            end + close.len()
        } else if let Some(inner) = rest.strip_prefix('"') {
            let end = at + 1 + escaped_length(inner, '"');
            blank_range(&mut bytes, at + 1, end);
            end + 1
        } else if let Some(length) = character_length(rest) {
            blank_range(&mut bytes, at + 1, at + length - 1);
            at + length
        } else {
            at + rest.chars().next().map_or(1, char::len_utf8)
        };
        at = end;
    }
    String::from_utf8(bytes).expect("only whole literals and comments became blank")
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The number of hashes, if the text begins with a raw string.
fn raw_string_hashes(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The offset of the closing quote, after any escaped ones.
fn escaped_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return at;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The length of a character literal with its quotes; none for a lifetime.
fn character_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    let length = if first == '\\' { escaped_length(inner, '\'') } else { first.len_utf8() };
    inner[length..].starts_with('\'').then_some(length + 2)
}

fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        let end = end_of_item(code, at + attribute.len()).unwrap_or(code.len());
        blank_range(&mut bytes, at, end);
    }
    String::from_utf8(bytes).expect("only whole items became blank")
}

/// The position after the item that begins at `at`: after its `;`, or after the brace that
/// closes its body.
pub(crate) fn end_of_item(code: &str, at: usize) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' => braces -= 1,
            _ => {}
        }
        let ends = *byte == b'}' && braces == 0 && brackets == 0;
        let ends_bodiless = *byte == b';' && braces == 0 && brackets == 0;
        if ends || ends_bodiless {
            return Some(at + offset + 1);
        }
    }
    None
}

#[test]
fn comments_and_literals_are_blank_in_code() {
    let text = "let a = \"x // y\\\" z\"; // why\nlet b = '\"'; /* c /* d */ e */ let f = 'g';\n";
    let code = "let a = \"          \";       \nlet b = ' ';                   let f = ' ';\n";
    assert_eq!(Source::new("src/a.rs", text).code, code);
}

#[test]
fn raw_strings_and_lifetimes_do_not_confuse_the_reader() {
    let text = "fn f<'a>(x: &'a str) -> char { r#\"a \"quote\" b\"#; br\"\\\"; '\\'' }\n";
    let code = "fn f<'a>(x: &'a str) -> char { r#\"           \"#; br\" \"; '  ' }\n";
    assert_eq!(Source::new("src/a.rs", text).code, code);
}

#[test]
fn tests_are_blank_in_production_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let source = Source::new("src/a.rs", text);
    assert_eq!(words(&source.production).filter(|(_, word)| *word == "fn").count(), 2);
    assert_eq!(Source::new("tests/a.rs", text).production.trim(), "");
    assert_eq!(Source::new("src/raft/tests.rs", text).production.trim(), "");
    let declared = Source::new("src/a.rs", "#[cfg(test)]\nmod tests;\nfn c() {}\n");
    assert_eq!(declared.production.trim(), "fn c() {}");
}

#[test]
fn functions_are_measured_from_their_first_line_to_their_last() {
    let text = "trait T {\n    fn none(&self);\n}\nfn one(x: [u8; 2]) {}\nfn three(\n) {\n}\n";
    let functions = Source::new("src/a.rs", text).functions();
    let one = Function { name: "one".to_owned(), line: 4, lines: 1 };
    let three = Function { name: "three".to_owned(), line: 5, lines: 3 };
    assert_eq!(functions, [one, three]);
}

#[test]
fn a_function_pointer_is_no_function() {
    let text = "struct S {\n    call: fn(u8) -> u8,\n}\nfn real() {}\n";
    let functions = Source::new("src/a.rs", text).functions();
    assert_eq!(functions.len(), 1, "{functions:?}");
}

#[test]
fn phrases_are_whole_words() {
    assert_eq!(phrases("a::b xa::b a::bc", "a::b").collect::<Vec<_>>(), [0]);
    assert_eq!(phrases("x.unwrap() y.unwrap_or()", ".unwrap()").collect::<Vec<_>>(), [1]);
}
