//! Forms: a syntax tree of JSON or EDN with positions, before its meaning is known.

use std::borrow::Cow;
use std::fmt;

use crate::formats::error::{OffsetError, Parsed};
use crate::value::Value;

/// The forms of one line, or of one map of a longer text, in pre-order.
#[derive(Debug, Default)]
pub(super) struct Forms<'a> {
    nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
struct Node<'a> {
    at: usize,
    kind: Kind<'a>,
}

/// The kind of a form, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// The absence of a value: `null` or `nil`.
    Null,
    /// A boolean: `true` or `false`.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// Any other number, as it is written.
    Number(&'a str),
    /// A string in quotes.
    Text(Cow<'a, str>),
    /// A word without quotes. A keyword includes its colon.
    Word(&'a str),
    /// A list or a vector, in order.
    List(Children),
    /// A map: its keys and values alternate.
    Map(Children),
    /// A set, without an order.
    Set(Children),
    /// A list that is tagged as an independent key with its value.
    Tuple(Children),
}

/// The end of the forms inside a form, as an index of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Children {
    end: usize,
}

/// A reference to one form.
#[derive(Clone, Copy)]
pub(super) struct Form<'t, 'a> {
    forms: &'t Forms<'a>,
    place: usize,
}

/// A form whose end has not been reached.
#[must_use = "an opened form must be closed"]
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenForm(usize);

impl<'a> Forms<'a> {
    /// Removes all forms, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Returns the number of forms, including nested ones.
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the form with the index `place`.
    pub(super) fn at(&self, place: usize) -> Option<Form<'_, 'a>> {
        (place < self.nodes.len()).then_some(Form { forms: self, place })
    }

    /// Adds a form without nested forms.
    pub(super) fn push(&mut self, at: usize, kind: Kind<'a>) {
        self.nodes.push(Node { at, kind });
    }

    /// Opens a form; the forms added until it is closed are inside it.
    pub(super) fn open(&mut self, at: usize) -> OpenForm {
        self.nodes.push(Node { at, kind: Kind::Null });
        OpenForm(self.nodes.len() - 1)
    }

    /// Closes a form. Returns true if it is a map.
    pub(super) fn close(&mut self, opened: OpenForm, kind: fn(Children) -> Kind<'a>) -> bool {
        let end = self.nodes.len();
        let node = &mut self.nodes[opened.0];
        node.kind = kind(Children { end });
        matches!(node.kind, Kind::Map(_))
    }

    /// Removes the forms after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.nodes.truncate(count);
    }

    /// Turns the list at `place`, if it is one, into a tuple.
    pub(super) fn mark_tuple(&mut self, place: usize) {
        if let Some(node) = self.nodes.get_mut(place)
            && let Kind::List(inside) = node.kind
        {
            node.kind = Kind::Tuple(inside);
        }
    }
}

impl fmt::Debug for Form<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind(), self.offset())
    }
}

impl<'t, 'a> Form<'t, 'a> {
    fn node(self) -> &'t Node<'a> {
        &self.forms.nodes[self.place]
    }

    /// Returns the kind of the form.
    pub(super) fn kind(self) -> &'t Kind<'a> {
        &self.node().kind
    }

    /// Returns the byte offset at which the form begins.
    pub(super) fn offset(self) -> usize {
        self.node().at
    }

    /// Returns the index of the next form that is not inside this one.
    pub(super) fn end(self) -> usize {
        match self.kind() {
            Kind::List(inside) | Kind::Map(inside) | Kind::Set(inside) | Kind::Tuple(inside) => {
                inside.end
            }
            _ => self.place + 1,
        }
    }

    /// Returns true if the form is `null` or `nil`.
    pub(super) fn is_null(self) -> bool {
        *self.kind() == Kind::Null
    }

    /// Returns true if the form is a list or a tuple.
    pub(super) fn is_list(self) -> bool {
        matches!(self.kind(), Kind::List(_) | Kind::Tuple(_))
    }

    /// Iterates over the forms directly inside this one.
    fn inside(self) -> impl Iterator<Item = Form<'t, 'a>> + Clone + use<'t, 'a> {
        let (forms, end) = (self.forms, self.end());
        let mut place = self.place + 1;
        std::iter::from_fn(move || {
            let form = (place < end).then_some(Form { forms, place })?;
            place = form.end();
            Some(form)
        })
    }

    /// Returns the error that another form was expected here.
    pub(super) fn expected(self, expectation: &str) -> OffsetError {
        let found = match self.kind() {
            Kind::Null => "null".to_owned(),
            Kind::Bool(truth) => truth.to_string(),
            Kind::Integer(number) => number.to_string(),
            Kind::Number(text) | Kind::Word(text) => printable(text),
            Kind::Text(text) => format!("{:?}", shortened(text)),
            Kind::List(_) | Kind::Tuple(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Set(_) => "a set".to_owned(),
        };
        OffsetError::new(self.offset(), format!("expected {expectation}, found {found}"))
    }

    /// Returns the form as a whole number.
    pub(super) fn integer(self, expectation: &str) -> Parsed<i64> {
        match self.kind() {
            Kind::Integer(number) => Ok(*number),
            _ => Err(self.expected(expectation)),
        }
    }

    /// Returns the form as an unsigned number of 32 bits, such as the number of a client.
    pub(super) fn unsigned(self, expectation: &str) -> Parsed<u32> {
        let number = self.integer(expectation)?;
        u32::try_from(number).map_err(|_| self.expected(expectation))
    }

    /// Returns the form as a boolean.
    pub(super) fn truth(self) -> Parsed<bool> {
        match self.kind() {
            Kind::Bool(truth) => Ok(*truth),
            _ => Err(self.expected("true or false")),
        }
    }

    /// Returns the string, or the word without its leading colon.
    pub(super) fn name(self) -> Option<&'t str> {
        match self.kind() {
            Kind::Text(text) => Some(text),
            Kind::Word(word) => Some(word.strip_prefix(':').unwrap_or(word)),
            _ => None,
        }
    }

    /// Iterates over the forms of a list.
    pub(super) fn items(
        self,
        expectation: &str,
    ) -> Parsed<impl Iterator<Item = Form<'t, 'a>> + Clone + use<'t, 'a>> {
        if self.is_list() { Ok(self.inside()) } else { Err(self.expected(expectation)) }
    }

    /// Iterates over the forms of a list or a set.
    pub(super) fn elements(
        self,
        expectation: &str,
    ) -> Parsed<impl Iterator<Item = Form<'t, 'a>> + Clone + use<'t, 'a>> {
        let several = self.is_list() || matches!(self.kind(), Kind::Set(_));
        if several { Ok(self.inside()) } else { Err(self.expected(expectation)) }
    }

    /// Returns the two forms of a list of two.
    pub(super) fn pair(self, expectation: &str) -> Parsed<[Form<'t, 'a>; 2]> {
        let mut items = self.items(expectation)?;
        match (items.next(), items.next(), items.next()) {
            (Some(first), Some(second), None) => Ok([first, second]),
            _ => Err(OffsetError::new(self.offset(), format!("expected {expectation}"))),
        }
    }

    /// Iterates over the keys and values of a map.
    pub(super) fn members(
        self,
        expectation: &str,
    ) -> Parsed<impl Iterator<Item = (Form<'t, 'a>, Form<'t, 'a>)> + use<'t, 'a>> {
        if !matches!(self.kind(), Kind::Map(_)) {
            return Err(self.expected(expectation));
        }
        let mut inside = self.inside();
        Ok(std::iter::from_fn(move || Some((inside.next()?, inside.next()?))))
    }

    /// Checks that a map contains each of `names` at most once.
    pub(super) fn without_repeats(self, names: &[&str]) -> Parsed<()> {
        let mut seen = vec![false; names.len()];
        for (key, _) in self.members("a map")? {
            let place = names.iter().position(|name| key.name() == Some(name));
            if let Some(place) = place
                && std::mem::replace(&mut seen[place], true)
            {
                let message = format!("the field `{}` occurs twice", names[place]);
                return Err(OffsetError::new(key.offset(), message));
            }
        }
        Ok(())
    }

    /// Returns the value of the key `name`, if the form is a map that contains it.
    pub(super) fn member(self, name: &str) -> Option<Form<'t, 'a>> {
        let mut members = self.members("a map").ok()?;
        members.find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value)
    }

    /// Converts the form to a value.
    pub(super) fn value(self) -> Parsed<Value> {
        Ok(match self.kind() {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Integer(number) => Value::Integer(*number),
            Kind::Text(text) => Value::Text(text.clone().into_owned()),
            Kind::Word(word) => Value::Text((*word).to_owned()),
            Kind::List(_) | Kind::Tuple(_) => {
                let items: Parsed<Vec<Value>> = self.inside().map(Form::value).collect();
                Value::List(items?)
            }
            Kind::Number(_) => {
                return Err(self.expected("a whole number that fits 64 bits"));
            }
            Kind::Map(_) | Kind::Set(_) => return Err(self.expected("a value or a list of them")),
        })
    }
}

/// Returns the first characters of a text that may be long.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the first characters of a text that may be long, with escapes for the characters that a
/// terminal may take for commands.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::new();
    for character in shortened(text).chars() {
        // `escape_debug` escapes what is not visible; quotes and backslashes need none.
        match character {
            '"' | '\'' | '\\' => printable.push(character),
            _ => printable.extend(character.escape_debug()),
        }
    }
    printable
}
