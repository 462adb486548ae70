//! The rule that only `src/raft/mod.rs` changes a node's role: the handlers of the roles say
//! what should follow, and one place does it.

use super::source::{Source, phrases, words};
use super::tree::{Finding, assert_clean, sources};

const ONLY_HERE: &str = "src/raft/mod.rs";

/// Every place of the room, but the one, that would change a role.
fn role_changes(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/raft/") || source.path == ONLY_HERE {
        return Vec::new();
    }
    let code = &source.production;
    let transitions = words(code).filter(|(_, word)| word.starts_with("become_"));
    let mut places: Vec<(usize, &str)> = transitions.collect();
    for field in [".role", "*role"] {
        for position in phrases(code, field) {
            let after = code[position + field.len()..].trim_start();
            if after.starts_with('=') && !after.starts_with("==") && !after.starts_with("=>") {
                places.push((position, field));
            }
        }
    }
    for borrow in ["&mut self.role", "&mut raft.role", "&mut Role"] {
        places.extend(phrases(code, borrow).map(|position| (position, borrow)));
    }
    let found = places.into_iter().map(|(position, item)| Finding {
        path: source.path.clone(),
        line: source.line_of(position),
        item: item.to_owned(),
        size: 0,
        advice: format!("`{item}`: only {ONLY_HERE} changes the role; return a transition"),
    });
    found.collect()
}

#[test]
fn one_file_changes_the_role() {
    assert_clean("roles", &sources().iter().flat_map(role_changes).collect::<Vec<_>>());
}

#[test]
fn a_second_place_that_changes_the_role_is_noticed() {
    let found = |path: &str, text: &str| role_changes(&Source::new(path, text)).len();
    for change in [
        "raft.role = Role::Leader(leader);",
        "*role = Role::Follower(follower);",
        "self.become_leader();",
        "core::mem::replace(&mut self.role, next);",
        "fn f(role: &mut Role) {}",
    ] {
        assert_eq!(found("src/raft/leader.rs", change), 1, "{change}");
        assert_eq!(found(ONLY_HERE, change), 0, "{change}");
    }
    assert_eq!(found("src/raft/leader.rs", "if status.role == RoleName::Leader {}"), 0);
    assert_eq!(found("src/raft/leader.rs", "Action::RoleChanged { role: RoleName::Leader }"), 0);
}
