//! Privileges of single files: to change a node's role, and to let a message, a write or an entry
//! to apply leave. The handlers of the roles return a transition; one file carries it out.

use super::source::{Source, phrases, words};
use super::tree::{Finding, assert_clean, sources};

/// The only file that changes the role.
const ROLES_CHANGE_IN: &str = "src/raft/mod.rs";

/// The actions that leave a node, and the files that may name them: those that release an action
/// with the outbox's consent, and those that only print it.
const LEAVING: [(&str, &[&str]); 3] = [
    ("Action::Send", &["src/raft/common.rs", "src/raft/api/trace.rs"]),
    ("Action::Persist", &["src/raft/common.rs", "src/raft/api/trace.rs"]),
    ("Action::Apply", &["src/raft/journal/apply.rs", "src/raft/api/trace.rs"]),
];

fn finding(source: &Source, position: usize, item: &str, advice: String) -> Finding {
    let (path, line) = (source.path.clone(), source.line_of(position));
    Finding { path, line, item: item.to_owned(), size: 0, advice }
}

/// Every place in `src/raft/` that would change a role, outside of the one file that may.
fn role_changes(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/raft/") || source.path == ROLES_CHANGE_IN {
        return Vec::new();
    }
    let code = &source.production;
    let mut places: Vec<(usize, &str)> =
        words(code).filter(|(_, word)| word.starts_with("become_")).collect();
    for field in [".role", "*role"] {
        for position in phrases(code, field) {
            let after = code[position + field.len()..].trim_start();
            if after.starts_with('=') && !after.starts_with("==") && !after.starts_with("=>") {
                places.push((position, field));
            }
        }
    }
    for access in ["&mut self.role", "&mut raft.role", "&mut Role"] {
        places.extend(phrases(code, access).map(|position| (position, access)));
    }
    let advice = format!("only {ROLES_CHANGE_IN} changes the role; return a transition");
    let found = places.into_iter();
    found.map(|(position, item)| finding(source, position, item, advice.clone())).collect()
}

/// Every place in `src/raft/` that would let an action leave without the outbox.
fn leaks(source: &Source) -> Vec<Finding> {
    let in_raft = source.path.starts_with("src/raft/");
    let mut found = Vec::new();
    for (action, files) in LEAVING.iter().filter(|(_, files)| !files.contains(&&*source.path)) {
        for position in phrases(&source.production, action).filter(|_| in_raft) {
            let advice = format!("`{action}` is for {} alone", files.join(", "));
            found.push(finding(source, position, action, advice));
        }
    }
    found
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
        assert_eq!(found(ROLES_CHANGE_IN, change), 0, "{change}");
    }
    assert_eq!(found("src/raft/leader.rs", "if status.role == RoleName::Leader {}"), 0);
    assert_eq!(found("src/raft/leader.rs", "Action::RoleChanged { role: RoleName::Leader }"), 0);
}

#[test]
fn nothing_leaves_past_the_outbox() {
    assert_clean("outbox", &sources().iter().flat_map(leaks).collect::<Vec<_>>());
}

#[test]
fn a_leak_past_the_outbox_is_noticed() {
    let found = |path: &str| {
        let send = "fn f() { actions.push(Action::Send(message)) }\n";
        leaks(&Source::new(path, send)).len()
    };
    assert_eq!(found("src/raft/leader.rs"), 1);
    assert_eq!(found("src/raft/common.rs"), 0);
    assert_eq!(found("src/replica/mod.rs"), 0);
}
