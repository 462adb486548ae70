//! What a line says, before anybody asks what it means: a tree of forms, each with its place.

use std::borrow::Cow;
use std::fmt;

use crate::formats::fault::Fault;
use crate::value::Datum;

/// The forms of one line, or of one map of a longer text: each before those inside it.
#[derive(Debug, Default)]
pub(super) struct Forms<'a> {
    nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
struct Node<'a> {
    at: usize,
    kind: Kind<'a>,
}

/// What a form is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// `null`, `nil`.
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number that fits.
    Integer(i64),
    /// Any other number, as it is written.
    Number(&'a str),
    /// A text in quotes.
    Text(Cow<'a, str>),
    /// A word without quotes; a keyword with its colon.
    Word(&'a str),
    /// Several, in order.
    List(Inside),
    /// A key and a value, and so on.
    Map(Inside),
    /// Several, in no order.
    Set(Inside),
    /// A list that is marked as an independent key and what it is about.
    Tuple(Inside),
}

/// The nodes inside a form end before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    end: usize,
}

/// One form.
#[derive(Clone, Copy)]
pub(super) struct Form<'t, 'a> {
    forms: &'t Forms<'a>,
    place: usize,
}

/// A form that is not finished yet.
#[must_use = "what is opened must be closed"]
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened(usize);

impl<'a> Forms<'a> {
    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// How many there are, those inside others too.
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The form at `place` of all of them.
    pub(super) fn at(&self, place: usize) -> Option<Form<'_, 'a>> {
        (place < self.nodes.len()).then_some(Form { forms: self, place })
    }

    /// Adds a form that has none inside.
    pub(super) fn push(&mut self, at: usize, kind: Kind<'a>) {
        self.nodes.push(Node { at, kind });
    }

    /// Begins a form that has others inside: what is added from now on.
    pub(super) fn open(&mut self, at: usize) -> Opened {
        self.nodes.push(Node { at, kind: Kind::Null });
        Opened(self.nodes.len() - 1)
    }

    /// Ends it; whether it is a map.
    pub(super) fn close(&mut self, opened: Opened, kind: fn(Inside) -> Kind<'a>) -> bool {
        let end = self.nodes.len();
        let node = &mut self.nodes[opened.0];
        node.kind = kind(Inside { end });
        matches!(node.kind, Kind::Map(_))
    }

    /// Forgets the forms after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.nodes.truncate(count);
    }

    /// Says that the list, if it is one, at `place` is a tuple.
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
        write!(f, "{:?} at {}", self.kind(), self.place())
    }
}

impl<'t, 'a> Form<'t, 'a> {
    fn node(self) -> &'t Node<'a> {
        &self.forms.nodes[self.place]
    }

    /// What it is.
    pub(super) fn kind(self) -> &'t Kind<'a> {
        &self.node().kind
    }

    /// The byte of the text where it begins.
    pub(super) fn place(self) -> usize {
        self.node().at
    }

    /// Where the next form that is not inside this one would be.
    pub(super) fn end(self) -> usize {
        match self.kind() {
            Kind::List(inside) | Kind::Map(inside) | Kind::Set(inside) | Kind::Tuple(inside) => {
                inside.end
            }
            _ => self.place + 1,
        }
    }

    /// Whether it is nothing.
    pub(super) fn is_null(self) -> bool {
        *self.kind() == Kind::Null
    }

    /// Whether it has others inside, in order.
    pub(super) fn is_list(self) -> bool {
        matches!(self.kind(), Kind::List(_) | Kind::Tuple(_))
    }

    /// The forms directly inside.
    fn inside(self) -> impl Iterator<Item = Form<'t, 'a>> + Clone + use<'t, 'a> {
        let (forms, end) = (self.forms, self.end());
        let mut place = self.place + 1;
        std::iter::from_fn(move || {
            let form = (place < end).then_some(Form { forms, place })?;
            place = form.end();
            Some(form)
        })
    }

    /// That something else was expected here.
    pub(super) fn expected(self, what: &str) -> Fault {
        let found = match self.kind() {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(truth) => truth.to_string(),
            Kind::Integer(number) => number.to_string(),
            Kind::Number(text) | Kind::Word(text) => shortened(text),
            Kind::Text(text) => format!("{:?}", shortened(text)),
            Kind::List(_) | Kind::Tuple(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Set(_) => "a set".to_owned(),
        };
        Fault::new(self.place(), format!("expected {what}, found {found}"))
    }

    /// A whole number.
    pub(super) fn integer(self, what: &str) -> Result<i64, Fault> {
        match self.kind() {
            Kind::Integer(number) => Ok(*number),
            _ => Err(self.expected(what)),
        }
    }

    /// A whole number that a client or an operation has.
    pub(super) fn unsigned(self, what: &str) -> Result<u32, Fault> {
        let number = self.integer(what)?;
        u32::try_from(number).map_err(|_| self.expected(what))
    }

    /// A truth.
    pub(super) fn truth(self) -> Result<bool, Fault> {
        match self.kind() {
            Kind::Bool(truth) => Ok(*truth),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A text, or a word without the colon before it.
    pub(super) fn name(self) -> Option<&'t str> {
        match self.kind() {
            Kind::Text(text) => Some(text),
            Kind::Word(word) => Some(word.strip_prefix(':').unwrap_or(word)),
            _ => None,
        }
    }

    /// The forms of a list.
    pub(super) fn items(
        self,
        what: &str,
    ) -> Result<impl Iterator<Item = Form<'t, 'a>> + Clone + use<'t, 'a>, Fault> {
        if self.is_list() { Ok(self.inside()) } else { Err(self.expected(what)) }
    }

    /// The forms of a list or of a set.
    pub(super) fn elements(
        self,
        what: &str,
    ) -> Result<impl Iterator<Item = Form<'t, 'a>> + Clone + use<'t, 'a>, Fault> {
        let several = self.is_list() || matches!(self.kind(), Kind::Set(_));
        if several { Ok(self.inside()) } else { Err(self.expected(what)) }
    }

    /// The two forms of a list of two.
    pub(super) fn pair(self, what: &str) -> Result<[Form<'t, 'a>; 2], Fault> {
        let mut items = self.items(what)?;
        match (items.next(), items.next(), items.next()) {
            (Some(first), Some(second), None) => Ok([first, second]),
            _ => Err(Fault::new(self.place(), format!("expected {what}"))),
        }
    }

    /// The keys and values of a map.
    pub(super) fn members(
        self,
        what: &str,
    ) -> Result<impl Iterator<Item = (Form<'t, 'a>, Form<'t, 'a>)> + use<'t, 'a>, Fault> {
        if !matches!(self.kind(), Kind::Map(_)) {
            return Err(self.expected(what));
        }
        let mut inside = self.inside();
        Ok(std::iter::from_fn(move || Some((inside.next()?, inside.next()?))))
    }

    /// The value of the key `name` of a map, if it is one and has it.
    pub(super) fn member(self, name: &str) -> Option<Form<'t, 'a>> {
        let mut members = self.members("a map").ok()?;
        members.find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value)
    }

    /// It as data.
    pub(super) fn datum(self) -> Result<Datum, Fault> {
        Ok(match self.kind() {
            Kind::Null => Datum::Null,
            Kind::Bool(truth) => Datum::Bool(*truth),
            Kind::Integer(number) => Datum::Integer(*number),
            Kind::Text(text) => Datum::Text(text.clone().into_owned()),
            Kind::Word(word) => Datum::Text((*word).to_owned()),
            Kind::List(_) | Kind::Tuple(_) => {
                let items: Result<Vec<Datum>, Fault> = self.inside().map(Form::datum).collect();
                Datum::List(items?)
            }
            Kind::Number(_) => {
                return Err(self.expected("a number without a fraction that fits 64 bits"));
            }
            Kind::Map(_) | Kind::Set(_) => return Err(self.expected("a value or a list of them")),
        })
    }
}

/// The beginning of a text that may be long.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
