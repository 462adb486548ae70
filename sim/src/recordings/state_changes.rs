//! The fields of a state that a step changed, from the state's debug text.

use std::collections::BTreeMap;

use quorate::raft::Raft;

/// A field whose value changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The path of the field: the names of the fields around it and its own, with dots.
    pub field: String,
    /// The value before; `None` if the state had no such field.
    pub before: Option<String>,
    /// The value after; `None` if the state no longer has the field.
    pub after: Option<String>,
}

/// Returns the fields in which two states differ, in the order of their paths.
#[must_use]
pub fn state_changes(before: &Raft, after: &Raft) -> Vec<StateChange> {
    changes(&format!("{before:#?}"), &format!("{after:#?}"))
}

fn changes(before: &str, after: &str) -> Vec<StateChange> {
    let (before, mut after) = (fields(before), fields(after));
    let mut found = Vec::new();
    for (field, value) in before {
        let later = after.remove(&field);
        if later.as_ref() != Some(&value) {
            found.push(StateChange { field, before: Some(value), after: later });
        }
    }
    let new = after.into_iter().map(|(field, value)| (field, Some(value)));
    found.extend(new.map(|(field, after)| StateChange { field, before: None, after }));
    found.sort_by(|one, other| one.field.cmp(&other.field));
    found
}

/// A value that is being read: its path, and the number of the next item without a name.
struct Open {
    path: String,
    is_list: bool,
    next: usize,
}

/// Reads a value of several lines as a map from paths to values of one line.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    for line in text.lines().map(str::trim) {
        let line = line.strip_suffix(',').unwrap_or(line);
        if matches!(line, "}" | ")" | "]") {
            open.pop();
            continue;
        }
        let (name, value) = match line.split_once(": ") {
            Some((name, value)) if is_name(name) => (Some(name), value),
            _ => (None, line),
        };
        let path = path_of(open.last_mut(), name);
        match value.strip_suffix(['{', '(', '[']) {
            Some(kind) => {
                let is_list = value.ends_with('[');
                if !kind.trim().is_empty() {
                    fields.insert(path.clone(), kind.trim().to_owned());
                }
                open.push(Open { path, is_list, next: 0 });
            }
            None => drop(fields.insert(path, value.to_owned())),
        }
    }
    fields
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// The path of a field. The only item of a tuple has the path of the tuple.
fn path_of(parent: Option<&mut Open>, name: Option<&str>) -> String {
    let Some(parent) = parent else { return String::new() };
    let place = parent.next;
    parent.next += 1;
    match name {
        Some(name) if parent.path.is_empty() => name.to_owned(),
        Some(name) => format!("{}.{name}", parent.path),
        None if parent.is_list || place > 0 => format!("{}[{place}]", parent.path),
        None => parent.path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only the debug text is read")]
    struct State {
        term: Term,
        role: Role,
        log: Vec<u8>,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only the debug text is read")]
    struct Term(u64);

    #[derive(Debug)]
    #[expect(dead_code, reason = "only the debug text is read")]
    enum Role {
        Follower { leader: Option<u64> },
        Leader,
    }

    fn of(before: &State, after: &State) -> Vec<String> {
        let found = changes(&format!("{before:#?}"), &format!("{after:#?}"));
        let text = |value: Option<String>| value.unwrap_or("-".to_owned());
        found
            .into_iter()
            .map(|change| {
                format!("{}: {} {}", change.field, text(change.before), text(change.after))
            })
            .collect()
    }

    #[test]
    fn every_changed_field_is_named_with_its_path() {
        let before =
            State { term: Term(1), role: Role::Follower { leader: Some(2) }, log: vec![7] };
        let after = State { term: Term(2), role: Role::Leader, log: vec![7, 8] };
        let expected = ["log[1]: - 8", "role: Follower Leader", "role.leader: 2 -", "term: 1 2"];
        assert_eq!(of(&before, &after), expected);
        assert!(of(&before, &before).is_empty());
    }
}
