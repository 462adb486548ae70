//! A script file: comments, commands, and what each command is expected to print.

use std::fmt::Write as _;

/// A script as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    items: Vec<Item>,
}

/// One command with the output that the file expects of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where the command stands, from 1.
    pub(crate) line: usize,
    /// The command without its `> `.
    pub(crate) text: String,
    /// The lines below it.
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

/// What is wrong with a script, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptError {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The sentence for the reader.
    pub(crate) what: String,
}

impl Script {
    /// Reads a script. Its first lines must say what it is for, and which bug it would catch.
    pub(crate) fn parse(text: &str) -> Result<Script, ScriptError> {
        let mut items = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim_end() != line {
                return Err(ScriptError { line: number, what: "spaces at the end".into() });
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
                let what = format!("neither `> command`, nor its output, nor `# comment`: {line}");
                return Err(ScriptError { line: number, what });
            }
        }
        let script = Script { items };
        script.check_header()?;
        Ok(script)
    }

    fn check_header(&self) -> Result<(), ScriptError> {
        let header = self.header();
        let refuse = |what: &str| Err(ScriptError { line: 1, what: what.to_owned() });
        match header.first() {
            None => refuse("a script begins with `# ` and a sentence that says what it is for"),
            Some(first) if first.starts_with(FAILS_UNDER) => {
                refuse("the first line says what the script is for, not what it fails under")
            }
            Some(_) if self.fails_under().is_empty() => {
                refuse("the first comment names a bug the script would catch: `# fails under: …`")
            }
            Some(_) if self.steps().next().is_none() => refuse("the script has no command"),
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

    /// The file's text with other output: `printed` has one entry a command, in order.
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
