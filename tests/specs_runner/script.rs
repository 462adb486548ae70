//! A script file: comments, commands, and the expected output of each command.

use std::fmt::Write as _;

/// A parsed script file, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    items: Vec<Item>,
}

/// One command and its expected output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The line of the command, from 1.
    pub(crate) line: usize,
    /// The command without its `> `.
    pub(crate) text: String,
    /// The expected lines below the command.
    pub(crate) expected: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Blank,
    Comment(String),
    Step(Step),
}

impl Item {
    fn comment(&self) -> Option<&str> {
        match self {
            Item::Comment(text) => Some(text.trim_start_matches('#').trim_start()),
            Item::Blank | Item::Step(_) => None,
        }
    }
}

/// An error in a script and its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptError {
    /// The line of the error, from 1.
    pub(crate) line: usize,
    /// The text of the error.
    pub(crate) message: String,
}

impl Script {
    /// Parses a script. Its header must state its purpose and name a bug that it detects.
    pub(crate) fn parse(text: &str) -> Result<Script, ScriptError> {
        let mut items = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim_end() != line {
                return Err(ScriptError { line: number, message: "trailing spaces".into() });
            }
            if line.is_empty() {
                items.push(Item::Blank);
            } else if line.starts_with('#') {
                items.push(Item::Comment(line.to_owned()));
            } else if let Some(command) = line.strip_prefix("> ") {
                let (line, text) = (number, command.trim().to_owned());
                items.push(Item::Step(Step { line, text, expected: Vec::new() }));
            } else if let Some(Item::Step(step)) = items.last_mut() {
                step.expected.push(line.to_owned());
            } else {
                let message =
                    format!("neither `> command`, nor its output, nor `# comment`: {line}");
                return Err(ScriptError { line: number, message });
            }
        }
        let script = Script { items };
        script.check_header()?;
        Ok(script)
    }

    fn check_header(&self) -> Result<(), ScriptError> {
        let header = self.header();
        let error = |text: &str| Err(ScriptError { line: 1, message: text.to_owned() });
        match header.first() {
            None => error("a script begins with `# ` and a sentence that states its purpose"),
            Some(first) if first.starts_with(FAILS_UNDER) => {
                error("the first line states the purpose of the script, before `fails under`")
            }
            Some(_) if self.fails_under().is_empty() => error(
                "the first comment must name a bug that the script detects: `# fails under: …`",
            ),
            Some(_) if self.steps().next().is_none() => error("the script has no command"),
            Some(_) => Ok(()),
        }
    }

    /// The comment lines before the first command or empty line.
    fn header(&self) -> Vec<&str> {
        self.items.iter().map_while(Item::comment).collect()
    }

    /// The ids of the planted bugs under which the script must fail.
    pub(crate) fn fails_under(&self) -> Vec<&str> {
        let lists = self.header().into_iter().filter_map(|line| line.strip_prefix(FAILS_UNDER));
        let ids = lists.flat_map(|list| list.split(',')).map(str::trim);
        ids.filter(|id| !id.is_empty()).collect()
    }

    /// The commands in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.items.iter().filter_map(|item| match item {
            Item::Step(step) => Some(step),
            Item::Blank | Item::Comment(_) => None,
        })
    }

    /// Returns the file's text with new output: `printed` has one entry per command, in order.
    pub(crate) fn rewritten(&self, printed: &[Vec<String>]) -> String {
        assert_eq!(printed.len(), self.steps().count(), "one output a command");
        let mut outputs = printed.iter();
        let mut text = String::new();
        for (position, item) in self.items.iter().enumerate() {
            match item {
                Item::Blank => text.push('\n'),
                Item::Comment(comment) => {
                    let _ = writeln!(text, "{comment}");
                }
                Item::Step(step) => {
                    let _ = writeln!(text, "> {}", step.text);
                    let output = outputs.next().expect("counted above");
                    for line in output {
                        let _ = writeln!(text, "{line}");
                    }
                    let next = self.items.get(position + 1);
                    if !output.is_empty() && !matches!(next, None | Some(Item::Blank)) {
                        text.push('\n');
                    }
                }
            }
        }
        text
    }
}

const FAILS_UNDER: &str = "fails under:";
