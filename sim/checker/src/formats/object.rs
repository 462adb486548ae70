//! The names that files and command lines give to objects.

use std::fmt;

/// An object that a history can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// One register: `read`, `write`, `cas`.
    Register,
    /// A register for each key: `get`, `put`, `append`, `cas`.
    Kv,
    /// Several registers, read and written together: `txn`.
    MultiRegister,
    /// The same as Elle has it: reading nothing shows that nothing was written.
    RwRegister,
    /// Lists: `append`, `read`.
    List,
    /// A lock: `acquire`, `release`.
    Lock,
    /// A set: `add`, `remove`, `contains`, `read`.
    Set,
    /// A number: `add`, `read`.
    Counter,
    /// First in, first out: `enqueue`, `dequeue`.
    Queue,
    /// Last in, first out: `push`, `pop`.
    Stack,
    /// Accounts: `read`, `transfer`.
    Bank,
}

/// Every name, and what it is the name of; the first of several is the usual one.
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
    /// The object of that name.
    ///
    /// # Errors
    /// A sentence with the names that there are.
    pub fn by_name(name: &str) -> Result<Object, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, object)| *object).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("there is no model `{}`; there are {}", brief(name), names.join(", "))
        })
    }

    /// Its usual name.
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
    crate::formats::form::shortened(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_has_a_name_that_leads_back_to_it() {
        for (name, object) in NAMES {
            assert_eq!(Object::by_name(name), Ok(object));
            assert_eq!(Object::by_name(object.name()), Ok(object), "{name}");
        }
        assert!(Object::by_name("heap").is_err_and(|text| text.contains("cas-register")));
    }
}
