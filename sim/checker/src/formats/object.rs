//! The names of models in files and on command lines.

use std::fmt;

/// An object whose histories can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// One register: `read`, `write`, `cas`.
    Register,
    /// A register for each key: `get`, `put`, `append`, `cas`.
    Kv,
    /// Several registers, read and written in transactions: `txn`.
    MultiRegister,
    /// Like `MultiRegister`, but a read of null shows that the key was not written, as in Elle.
    RwRegister,
    /// Append-only lists: `append`, `read`, or `txn` of one of them.
    List,
    /// A lock: `acquire`, `release`.
    Lock,
    /// A set: `add`, `remove`, `contains`, `read`.
    Set,
    /// A counter: `add`, `read`.
    Counter,
    /// A FIFO queue: `enqueue`, `dequeue`.
    Queue,
    /// A LIFO stack: `push`, `pop`.
    Stack,
    /// A bank with accounts: `read`, `transfer`.
    Bank,
}

/// Every name with its object. The first name of an object is the usual one.
const NAMES: [(&str, Object); 15] = [
    ("register", Object::Register),
    ("cas-register", Object::Register),
    ("kv", Object::Kv),
    ("multi-register", Object::MultiRegister),
    ("rw-register", Object::RwRegister),
    ("list", Object::List),
    ("list-append", Object::List),
    ("append-list", Object::List),
    ("mutex", Object::Lock),
    ("lock", Object::Lock),
    ("set", Object::Set),
    ("counter", Object::Counter),
    ("queue", Object::Queue),
    ("stack", Object::Stack),
    ("bank", Object::Bank),
];

impl Object {
    /// Returns the object with the name `name`.
    ///
    /// # Errors
    /// Returns a sentence that lists the known names.
    pub fn by_name(name: &str) -> Result<Object, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, object)| *object).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!(
                "there is no model `{}`; the known models are {}",
                brief(name),
                names.join(", ")
            )
        })
    }

    /// Returns the usual name of the object.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, object)| *object == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn brief(name: &str) -> String {
    crate::formats::form::printable(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_found_by_its_names() {
        for (name, object) in NAMES {
            assert_eq!(Object::by_name(name), Ok(object));
            assert_eq!(Object::by_name(object.name()), Ok(object), "{name}");
        }
        assert!(Object::by_name("heap").is_err_and(|text| text.contains("cas-register")));
    }
}
