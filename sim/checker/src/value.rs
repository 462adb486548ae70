//! What operations carry: data as files have it, and small numbers that stand for it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A piece of data in a history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// No value.
    Null,
    /// A truth.
    Bool(bool),
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Several, in order.
    List(Vec<Datum>),
}

impl Datum {
    /// The text that more may be appended to.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Datum::Null => Cow::Borrowed(""),
            Datum::Text(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Null => f.write_str("null"),
            Datum::Bool(truth) => write!(f, "{truth}"),
            Datum::Integer(number) => write!(f, "{number}"),
            Datum::Text(text) => write!(f, "{text:?}"),
            Datum::List(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    let separator = if place == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Datum {
        Datum::Integer(number)
    }
}

impl From<bool> for Datum {
    fn from(truth: bool) -> Datum {
        Datum::Bool(truth)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Datum {
        Datum::Text(text.to_owned())
    }
}

/// Stands for a [`Datum`]: equal ones have equal numbers. They are given out densely, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

/// Which value stands for which datum. [`Value(0)`](Value) stands for [`Datum::Null`] in all of
/// them.
#[derive(Debug)]
pub struct Values {
    table: RwLock<Table>,
}

#[derive(Clone, Debug)]
struct Table {
    data: Vec<Datum>,
    numbers: HashMap<Datum, Value, FixedState>,
}

impl Value {
    /// [`Datum::Null`].
    pub const NULL: Value = Value(0);
}

impl Default for Values {
    fn default() -> Values {
        Values::new()
    }
}

impl Clone for Values {
    fn clone(&self) -> Values {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        Values { table: RwLock::new(table.clone()) }
    }
}

impl Values {
    /// [`Datum::Null`] alone.
    #[must_use]
    pub fn new() -> Values {
        let mut numbers = HashMap::with_hasher(FixedState::default());
        numbers.insert(Datum::Null, Value::NULL);
        Values { table: RwLock::new(Table { data: vec![Datum::Null], numbers }) }
    }

    /// The value that stands for `datum`, a new one if there is none.
    ///
    /// # Panics
    /// After four billion.
    pub fn of(&self, datum: impl Into<Datum>) -> Value {
        let datum = datum.into();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = table.numbers.get(&datum) {
            return *value;
        }
        let value = Value(u32::try_from(table.data.len()).expect("four billion values at most"));
        table.data.push(datum.clone());
        table.numbers.insert(datum, value);
        value
    }

    /// What `value` stands for.
    ///
    /// # Panics
    /// If it is not of this table.
    #[must_use]
    pub fn datum(&self, value: Value) -> Datum {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.data[value.0 as usize].clone()
    }

    /// What `value` stands for, in words; its number if it is not of this table.
    #[must_use]
    pub fn words(&self, value: Value) -> String {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.data.get(value.0 as usize).map_or_else(|| format!("v{}", value.0), Datum::to_string)
    }

    /// What `look` makes of all data, in the order of the values that stand for them.
    pub fn with<T>(&self, look: impl FnOnce(&[Datum]) -> T) -> T {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        look(&table.data)
    }

    /// Several values in words: `[1, 2]`.
    #[must_use]
    pub fn list_words<'a>(&self, values: impl IntoIterator<Item = &'a Value>) -> String {
        let words: Vec<String> = values.into_iter().map(|value| self.words(*value)).collect();
        format!("[{}]", words.join(", "))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).data.len()
    }
}
