//! Finds the places of a file that have mutants, from its syntax tree.

use std::collections::BTreeSet;
use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Expr, ImplItemFn, Item, ItemFn, Lit, Pat, ReturnType, Signature, Stmt,
};

use crate::cli::mutants::auto::fold::{Form, Site, Variant, line};
use crate::cli::mutants::auto::operators;

/// One change to one place, made by rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: &'static str,
    /// The line of the place, from 1.
    pub(crate) line: usize,
    /// The column of the place, from 1.
    pub(crate) column: usize,
    /// The name of the function around the place.
    pub(crate) function: String,
    /// The change in words, `<` → `<=`.
    pub(crate) text: String,
}

/// The places of a file, and their mutants.
#[derive(Debug, Default)]
pub(crate) struct FileMutants {
    pub(crate) sites: Vec<Site>,
    /// The mutants by their numbers in the file.
    pub(crate) changes: Vec<Change>,
    /// The byte ranges of the functions.
    pub(crate) functions: Vec<Range<usize>>,
    /// The modules that the file declares in files of their own.
    pub(crate) modules: Vec<String>,
}

/// Returns the mutants of a file, or why its text cannot be parsed.
pub(crate) fn of_text(text: &str) -> Result<FileMutants, String> {
    let file = syn::parse_file(text).map_err(|error| format!("syntax error: {error}"))?;
    let mut finder = Finder {
        text,
        found: FileMutants::default(),
        function: Vec::new(),
        units: BTreeSet::new(),
        late: BTreeSet::new(),
    };
    finder.visit_file(&file);
    Ok(finder.found)
}

struct Finder<'a> {
    text: &'a str,
    found: FileMutants,
    /// The names of the functions around the place.
    function: Vec<String>,
    /// The byte offsets of block tails whose value is not used, so they may be removed.
    units: BTreeSet<usize>,
    /// The variables that are declared without a value: an assignment to one cannot be removed.
    late: BTreeSet<String>,
}

impl Finder<'_> {
    fn raw(&self, range: &Range<usize>) -> String {
        line(&self.text[range.clone()])
    }

    /// Adds a site with these variants: for each, the code and the change in words.
    fn add(
        &mut self,
        at: Span,
        range: Range<usize>,
        kind: &'static str,
        form: Form,
        variants: Vec<(String, String)>,
    ) {
        if variants.is_empty() {
            return;
        }
        let start = at.start();
        let variants = variants.into_iter().map(|(code, text)| {
            self.found.changes.push(Change {
                kind,
                line: start.line,
                column: start.column + 1,
                function: self.function.last().cloned().unwrap_or_default(),
                text,
            });
            Variant { number: self.found.changes.len() - 1, code }
        });
        let variants = variants.collect();
        self.found.sites.push(Site { range, form, variants });
    }

    fn function(&mut self, name: &str, signature: &Signature, block: &Block) {
        // A constant function cannot read which mutant is on; texts and assertions decide nothing.
        if signature.constness.is_some() || name == "fmt" || is_assertion(name) {
            return;
        }
        self.function.push(name.to_owned());
        self.found.functions.push(block.span().byte_range());
        let outer = std::mem::take(&mut self.late);
        if matches!(signature.output, ReturnType::Default) {
            self.unit_block(block);
        }
        self.visit_block(block);
        self.late = outer;
        self.function.pop();
    }

    /// Records that the value of a block is not used.
    fn unit_block(&mut self, block: &Block) {
        if let Some(Stmt::Expr(last, None)) = block.stmts.last() {
            self.unit_tail(last);
        }
    }

    fn unit_tail(&mut self, tail: &Expr) {
        match tail {
            Expr::If(one) => {
                self.unit_block(&one.then_branch);
                if let Some((_, other)) = &one.else_branch {
                    self.unit_tail(other);
                }
            }
            Expr::Match(one) => one.arms.iter().for_each(|arm| self.unit_tail(&arm.body)),
            Expr::Block(one) => self.unit_block(&one.block),
            Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) => {
                self.units.insert(tail.span().byte_range().start);
            }
            Expr::Binary(one) if operators::is_assignment(&one.op) => {
                self.units.insert(tail.span().byte_range().start);
            }
            _ => {}
        }
    }

    fn block(&mut self, block: &Block) {
        let last = block.stmts.len().saturating_sub(1);
        for (at, statement) in block.stmts.iter().enumerate() {
            if let Stmt::Expr(one, None) = statement
                && at != last
            {
                self.unit_tail(one);
            }
            if let Stmt::Local(local) = statement
                && local.init.is_none()
                && let Pat::Ident(name) = &local.pat
            {
                self.late.insert(name.ident.to_string());
            }
        }
        for pair in block.stmts.windows(2) {
            if let [Stmt::Expr(first, Some(_)), Stmt::Expr(second, Some(_))] = pair
                && is_call(first)
                && is_call(second)
            {
                let (one, next) = (pair[0].span(), pair[1].span().byte_range());
                let change =
                    format!("executes `{}` first", short(&self.text[second.span().byte_range()]));
                let code = self.raw(&next);
                let range = one.byte_range().start..next.end;
                self.add(one, range, "order", Form::Swapped { next }, vec![(code, change)]);
            }
        }
    }

    /// Adds the removal of a statement or unused tail, and another operator for `+=` and the like.
    fn statement(&mut self, effect: &Expr, whole: Span) {
        let (inner, is_question) = match effect {
            Expr::Try(one) => (&*one.expr, true),
            other => (other, false),
        };
        let text = &self.text[effect.span().byte_range()];
        let removed = vec![(String::new(), format!("removes `{}`", short(text)))];
        let range = whole.byte_range();
        match inner {
            Expr::MethodCall(syn::ExprMethodCall { method, .. })
                if is_assertion(&method.to_string()) => {}
            Expr::Call(one)
                if is_assertion(last_word(&self.text[one.func.span().byte_range()])) => {}
            Expr::MethodCall(_) | Expr::Call(_) => {
                self.add(whole, range, "statement", Form::Statement, removed);
            }
            Expr::Assign(one) if !is_question => {
                let to = &self.text[one.left.span().byte_range()];
                if !self.late.contains(to) {
                    self.add(whole, range, "statement", Form::Statement, removed);
                }
            }
            Expr::Binary(one) if operators::is_assignment(&one.op) => {
                self.add(whole, range.clone(), "statement", Form::Statement, removed);
                if let Some(other) = operators::other_assignment(&one.op) {
                    let sides = [&one.left, &one.right].map(|side| side.span().byte_range());
                    let [left, right] = sides.map(|side| self.raw(&side));
                    let operator = &self.text[one.op.span().byte_range()];
                    let change = format!("`{operator}` → `{other}`");
                    let code = vec![(format!("{left} {other} {right};"), change)];
                    self.add(one.op.span(), range, "arithmetic", Form::Statement, code);
                }
            }
            _ => {}
        }
    }

    fn condition(&mut self, one: &syn::ExprIf) {
        let range = one.cond.span().byte_range();
        let text = short(&self.text[range.clone()]);
        let has_let = contains_let(&one.cond);
        if one.else_branch.is_none() {
            let leaves = one.then_branch.stmts.last().is_some_and(is_exit);
            let kind = if leaves { "guard" } else { "condition" };
            let form = if has_let { Form::LetCondition } else { Form::Argument("never") };
            let change = format!("`if {text}` is never taken");
            let variants = vec![(String::new(), change)];
            self.add(one.cond.span(), range.clone(), kind, form, variants);
        }
        let is_negated_inside = operators::has_opposite(&one.cond);
        if !has_let && !is_negated_inside {
            let variants = vec![(String::new(), format!("`if {text}` is negated"))];
            self.add(one.cond.span(), range, "condition", Form::Argument("not"), variants);
        }
    }

    fn binary(&mut self, one: &syn::ExprBinary) {
        let [left, right] = [&one.left, &one.right].map(|side| side.span().byte_range());
        let range = left.start..right.end;
        let at = one.op.span();
        let operator = self.text[at.byte_range()].to_owned();
        let to = |other: &str| format!("`{operator}` → `{other}`");
        let others = operators::comparisons(&one.op);
        if !others.is_empty() {
            let variants = others.iter().map(|other| (format!("*l {other} *r"), to(other)));
            let original = format!("*l {operator} *r");
            let form = Form::Operands { left, right, by_reference: true, original };
            return self.add(at, range, "comparison", form, variants.collect());
        }
        if let Some(other) = operators::other_step(&one.op) {
            let original = format!("l {operator} r");
            let variants = vec![(format!("l {other} r"), to(other))];
            let form = Form::Step { left, right, original };
            return self.add(at, range, "arithmetic", form, variants);
        }
        let is_and = matches!(one.op, syn::BinOp::And(_));
        let is_logic = is_and || matches!(one.op, syn::BinOp::Or(_));
        if is_logic && !contains_let(&one.left) && !contains_let(&one.right) {
            let dropped = |side: &Range<usize>| {
                format!("drops `{}` of `{operator}`", short(&self.text[side.clone()]))
            };
            let variants = vec![
                ("0".to_owned(), to(if is_and { "||" } else { "&&" })),
                ("1".to_owned(), dropped(&right)),
                ("2".to_owned(), dropped(&left)),
            ];
            let form = Form::Logic { left, right, is_and };
            self.add(at, range, "logic", form, variants);
        }
    }

    fn method(&mut self, one: &syn::ExprMethodCall) {
        let name = one.method.to_string();
        let (at, range) = (one.method.span(), one.span().byte_range());
        let change = |other: &str| format!("`{name}` → `{other}`");
        if operators::is_question(&name) {
            let variants = vec![(String::new(), format!("`{name}` is negated"))];
            return self.add(at, range, "condition", Form::Argument("not"), variants);
        }
        let others = operators::methods(&name);
        if let (1, Some(argument)) = (one.args.len(), one.args.first())
            && operators::is_calculation(&name)
        {
            let variants = others.iter().map(|other| (format!("l.{other}(r)"), change(other)));
            let original = format!("l.{name}(r)");
            let left = one.receiver.span().byte_range();
            let right = argument.span().byte_range();
            let form = Form::Operands { left, right, by_reference: false, original };
            self.add(at, range, "method", form, variants.collect());
        } else if let Some(other) = others.first() {
            let method = at.byte_range();
            let (before, after) = (range.start..method.start, method.end..range.end);
            let [before, after] = [before, after].map(|side| self.text[side].to_owned());
            let code = line(&format!("{before}{other}{after}"));
            self.add(at, range, "method", Form::Replaced, vec![(code, change(other))]);
        }
    }

    fn literal(&mut self, one: &syn::ExprLit) {
        let range = one.span().byte_range();
        let variants = match &one.lit {
            Lit::Int(number) => {
                let Ok(value) = number.base10_parse::<u128>() else { return };
                let suffix = number.suffix();
                let near = [value.checked_add(1), value.checked_sub(1)];
                let near = near.into_iter().flatten().map(|near| format!("{near}{suffix}"));
                near.map(|near| (near.clone(), format!("`{number}` → `{near}`"))).collect()
            }
            Lit::Bool(flag) => {
                let other = (!flag.value).to_string();
                vec![(other.clone(), format!("`{}` → `{other}`", flag.value))]
            }
            _ => return,
        };
        self.add(one.span(), range, "literal", Form::Literal, variants);
    }

    fn fields(&mut self, one: &syn::ExprStruct) {
        for field in &one.fields {
            let range = field.expr.span().byte_range();
            let is_covered =
                matches!(field.expr, Expr::Lit(_) | Expr::Struct(_) | Expr::Closure(_))
                    || operators::has_opposite(&field.expr);
            if is_covered || !field.attrs.is_empty() {
                continue;
            }
            let member = &self.text[field.member.span().byte_range()];
            let form = match field.colon_token {
                Some(_) => Form::Argument("neighbour"),
                None => Form::ShorthandField,
            };
            let of = &self.text[one.path.span().byte_range()];
            let variants = vec![(String::new(), format!("`{of}.{member}` has a different value"))];
            self.add(field.span(), range, "field", form, variants);
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, is_text) = match item {
            Item::Fn(one) => (&one.attrs, false),
            Item::Impl(one) => (
                &one.attrs,
                one.trait_.as_ref().is_some_and(|(path, _)| {
                    path.segments.last().is_some_and(|last| last.ident == "Display")
                }),
            ),
            Item::Trait(one) => (&one.attrs, false),
            Item::Mod(one) => (&one.attrs, false),
            // Constants, types and macros.
            _ => return,
        };
        if is_text || !is_compiled(attributes) {
            return;
        }
        if let Item::Mod(one) = item
            && one.content.is_none()
        {
            self.found.modules.push(one.ident.to_string());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, one: &'ast ItemFn) {
        self.function(&one.sig.ident.to_string(), &one.sig, &one.block);
    }

    fn visit_impl_item_fn(&mut self, one: &'ast ImplItemFn) {
        if is_compiled(&one.attrs) {
            self.function(&one.sig.ident.to_string(), &one.sig, &one.block);
        }
    }

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}

    fn visit_trait_item_fn(&mut self, one: &'ast syn::TraitItemFn) {
        if let (true, Some(body)) = (is_compiled(&one.attrs), &one.default) {
            self.function(&one.sig.ident.to_string(), &one.sig, body);
        }
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_path(&mut self, _: &'ast syn::Path) {}

    fn visit_macro(&mut self, _: &'ast syn::Macro) {}

    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}

    fn visit_pat(&mut self, pattern: &'ast Pat) {
        // A pattern has only constants, except in its guard.
        if let Pat::Guard(one) = pattern {
            self.visit_expr(&one.guard);
        }
    }

    fn visit_expr_repeat(&mut self, one: &'ast syn::ExprRepeat) {
        self.visit_expr(&one.expr);
    }

    fn visit_expr_closure(&mut self, one: &'ast syn::ExprClosure) {
        self.visit_expr(&one.body);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.block(block);
        visit::visit_block(self, block);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(one, Some(_)) = statement {
            self.statement(one, statement.span());
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr(&mut self, one: &'ast Expr) {
        if self.units.remove(&one.span().byte_range().start) {
            self.statement(one, one.span());
        }
        match one {
            Expr::If(one) => self.condition(one),
            Expr::Binary(one) => self.binary(one),
            Expr::MethodCall(one) => self.method(one),
            Expr::Lit(one) => self.literal(one),
            Expr::Struct(one) => self.fields(one),
            Expr::ForLoop(syn::ExprForLoop { body, .. })
            | Expr::While(syn::ExprWhile { body, .. })
            | Expr::Loop(syn::ExprLoop { body, .. }) => self.unit_block(body),
            _ => {}
        }
        visit::visit_expr(self, one);
    }
}

/// Returns true unless an attribute excludes the item from the build of the simulator.
fn is_compiled(attributes: &[Attribute]) -> bool {
    attributes.iter().all(|attribute| {
        let path = attribute.path();
        let text = attribute.span().source_text().unwrap_or_default();
        let is_known = text.contains("feature = \"std\"") || text.contains("(unix)");
        !(path.is_ident("test") || path.is_ident("cfg")) || is_known
    })
}

fn contains_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(one) => contains_let(&one.left) || contains_let(&one.right),
        _ => false,
    }
}

/// Returns true if the name of a function says that it only asserts.
fn is_assertion(name: &str) -> bool {
    name.starts_with("assert")
}

fn last_word(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn is_call(statement: &Expr) -> bool {
    matches!(statement, Expr::MethodCall(_) | Expr::Call(_))
}

/// Returns true if the statement is a `return`, `continue` or `break`.
fn is_exit(statement: &Stmt) -> bool {
    let Stmt::Expr(one, _) = statement else { return false };
    matches!(one, Expr::Return(_) | Expr::Continue(_) | Expr::Break(_))
}

/// Returns the code in one line, cut after 70 characters.
fn short(code: &str) -> String {
    let words: Vec<&str> = code.split_whitespace().collect();
    let text = words.join(" ").trim_end_matches(';').to_owned();
    match text.char_indices().nth(70) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
