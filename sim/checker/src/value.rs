//! Values of operations: data as files contain it, and the small ids that stand for it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A value in a history, as JSON and EDN express it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "formats", derive(serde::Serialize), serde(untagged))]
pub enum Value {
    /// The absence of a value: `null` in JSON, `nil` in EDN.
    Null,
    /// A boolean value, `true` or `false`.
    Bool(bool),
    /// A signed whole number of 64 bits.
    Integer(i64),
    /// A string of Unicode characters.
    Text(String),
    /// A list of values, in order.
    List(Vec<Value>),
}

impl Value {
    /// Returns the text to which an append adds: empty for [`Value::Null`], the text of a
    /// [`Value::Text`], and the displayed form of other values.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Null => Cow::Borrowed(""),
            Value::Text(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(items) => {
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

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// The id of a [`Value`] in a [`ValueTable`]. Equal values have equal ids, dense from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// A table of interned values. [`ValueId(0)`](ValueId) is [`Value::Null`] in every table.
#[derive(Debug)]
pub struct ValueTable {
    table: RwLock<Table>,
}

#[derive(Clone, Debug)]
struct Table {
    data: Vec<Value>,
    numbers: HashMap<Value, ValueId, FixedState>,
}

impl ValueId {
    /// The id of [`Value::Null`] in every table.
    pub const NULL: ValueId = ValueId(0);
}

impl Default for ValueTable {
    fn default() -> ValueTable {
        ValueTable::new()
    }
}

impl Clone for ValueTable {
    fn clone(&self) -> ValueTable {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        ValueTable { table: RwLock::new(table.clone()) }
    }
}

impl ValueTable {
    /// Creates a table that contains only [`Value::Null`].
    #[must_use]
    pub fn new() -> ValueTable {
        let mut numbers = HashMap::with_hasher(FixedState::default());
        numbers.insert(Value::Null, ValueId::NULL);
        ValueTable { table: RwLock::new(Table { data: vec![Value::Null], numbers }) }
    }

    /// Returns the id of `value`, and adds the value if the table does not contain it.
    ///
    /// # Panics
    /// If the table already has 2³² values.
    pub fn intern(&self, value: impl Into<Value>) -> ValueId {
        let value = value.into();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = table.numbers.get(&value) {
            return *id;
        }
        let id = ValueId(u32::try_from(table.data.len()).expect("value ids fit u32"));
        table.data.push(value.clone());
        table.numbers.insert(value, id);
        id
    }

    /// Returns the id of the text `text`.
    ///
    /// # Errors
    /// Returns the text if the table does not contain it.
    pub(crate) fn find(&self, text: String) -> Result<ValueId, String> {
        let value = Value::Text(text);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        match (table.numbers.get(&value), value) {
            (Some(id), _) => Ok(*id),
            (None, Value::Text(text)) => Err(text),
            (None, _) => unreachable!("the value is a text"),
        }
    }

    /// Returns the value with the id `id`.
    ///
    /// # Panics
    /// If the table has no such id.
    #[must_use]
    pub fn resolve(&self, id: ValueId) -> Value {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.data[id.0 as usize].clone()
    }

    /// Formats the value with the id `id`, or the id itself if the table does not contain it.
    #[must_use]
    pub fn describe(&self, id: ValueId) -> String {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.data.get(id.0 as usize).map_or_else(|| format!("v{}", id.0), Value::to_string)
    }

    /// Calls `read` with all values, indexed by their ids, and returns its result. `read` must not
    /// use the table, which is locked meanwhile.
    pub fn with<T>(&self, read: impl FnOnce(&[Value]) -> T) -> T {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        read(&table.data)
    }

    /// Formats several values as a list: `[1, 2]`.
    #[must_use]
    pub fn describe_list<'a>(&self, values: impl IntoIterator<Item = &'a ValueId>) -> String {
        let texts: Vec<String> = values.into_iter().map(|id| self.describe(*id)).collect();
        format!("[{}]", texts.join(", "))
    }

    /// Formats the values of keys: `x = 1, y = 2`.
    pub(crate) fn describe_pairs<'a, T: 'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a ValueId, &'a T)>,
        describe: impl Fn(&T) -> String,
    ) -> String {
        let pair = |(key, value): (&ValueId, &'a T)| {
            format!("{} = {}", self.describe(*key), describe(value))
        };
        pairs.into_iter().map(pair).collect::<Vec<_>>().join(", ")
    }

    /// Returns the number of values in the table.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).data.len()
    }
}
