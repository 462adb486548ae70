//! The rules of mutation: what each operator and method becomes.

use syn::{BinOp, Expr};

/// Returns the neighbours of a comparison; none for another operator.
pub(crate) fn comparisons(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Lt(_) => &["<=", ">="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<="],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::Eq(_) => &["!=", "<=", ">="],
        BinOp::Ne(_) => &["==", "<", ">"],
        _ => &[],
    }
}

/// Returns the opposite of `+` and `-`.
pub(crate) fn other_step(operator: &BinOp) -> Option<&'static str> {
    match operator {
        BinOp::Add(_) => Some("-"),
        BinOp::Sub(_) => Some("+"),
        _ => None,
    }
}

/// Returns the opposite of `+=`, `-=`, `|=` and `&=`.
pub(crate) fn other_assignment(operator: &BinOp) -> Option<&'static str> {
    match operator {
        BinOp::AddAssign(_) => Some("-="),
        BinOp::SubAssign(_) => Some("+="),
        BinOp::BitOrAssign(_) => Some("&="),
        BinOp::BitAndAssign(_) => Some("|="),
        _ => None,
    }
}

/// Returns true for `+=` and the other compound assignments.
pub(crate) fn is_assignment(operator: &BinOp) -> bool {
    matches!(
        operator,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}

/// Returns true if the expression has a mutant with the opposite value at its root.
pub(crate) fn has_opposite(condition: &Expr) -> bool {
    match condition {
        Expr::Binary(one) => !comparisons(&one.op).is_empty(),
        Expr::MethodCall(one) => is_question(&one.method.to_string()),
        Expr::Unary(syn::ExprUnary { op: syn::UnOp::Not(_), expr, .. }) => has_opposite(expr),
        Expr::Paren(one) => has_opposite(&one.expr),
        _ => false,
    }
}

/// Returns true if the name of a method says that it returns a truth value.
pub(crate) fn is_question(name: &str) -> bool {
    let prefixes = ["is_", "has_", "may_", "can_", "must_", "contains", "starts_with", "ends_with"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns true for a method that only calculates with its receiver and one argument.
pub(crate) fn is_calculation(name: &str) -> bool {
    let prefixes = ["min", "max", "saturating_", "wrapping_", "checked_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with("_key")
}

/// Returns the methods that replace a method of this name.
pub(crate) fn methods(name: &str) -> &'static [&'static str] {
    match name {
        "min" => &["max"],
        "max" => &["min"],
        "min_by_key" => &["max_by_key"],
        "max_by_key" => &["min_by_key"],
        "saturating_add" => &["saturating_sub", "wrapping_add"],
        "saturating_sub" => &["saturating_add", "wrapping_sub"],
        "wrapping_add" => &["wrapping_sub"],
        "wrapping_sub" => &["wrapping_add"],
        "checked_add" => &["checked_sub"],
        "checked_sub" => &["checked_add"],
        "any" => &["all"],
        "all" => &["any"],
        "first" => &["last"],
        "last" => &["first"],
        "front" => &["back"],
        "back" => &["front"],
        "push_front" => &["push_back"],
        "push_back" => &["push_front"],
        "pop_front" => &["pop_back"],
        "pop_back" => &["pop_front"],
        "first_key_value" => &["last_key_value"],
        "last_key_value" => &["first_key_value"],
        _ => &[],
    }
}
