//! Writes the mutants of a file into its text, each behind the switch of `planted.txt`.

use std::ops::Range;

use proc_macro2::TokenStream;

/// A place of a file and its mutants, which share the code around them.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The byte range of the original code.
    pub(crate) range: Range<usize>,
    pub(crate) form: Form,
    pub(crate) variants: Vec<Variant>,
}

/// The code of one mutant.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// The number of the mutant among those of the file, from 0.
    pub(crate) number: usize,
    /// The mutated code in one line, for the forms that need it.
    pub(crate) code: String,
}

/// The way in which a site selects between the original and its mutants.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Two operands `l` and `r` are evaluated once; each variant is an expression over them.
    Operands { left: Range<usize>, right: Range<usize>, by_reference: bool, original: String },
    /// Like `Operands`, with one variant, which differs unless `r` is zero.
    Step { left: Range<usize>, right: Range<usize>, original: String },
    /// A literal; each variant is another literal.
    Literal,
    /// `&&` or `||`; the code of a variant is `0` for the other operator, `1` for the left operand
    /// alone, and `2` for the right operand alone.
    Logic { left: Range<usize>, right: Range<usize>, is_and: bool },
    /// The original is the argument of a function of the switch.
    Argument(&'static str),
    /// Like `Argument`, for a field in shorthand.
    ShorthandField,
    /// A condition with a `let`, which the variant makes false.
    LetCondition,
    /// An expression that the variant replaces.
    Replaced,
    /// A statement that the variant removes or, with code, replaces.
    Statement,
    /// A statement before which the variant executes the next one, which has this range.
    Swapped { next: Range<usize> },
}

/// A file with the mutants folded into it.
#[derive(Debug, Default)]
pub(crate) struct FoldedFile {
    pub(crate) text: String,
    /// Byte ranges of the text, each with the mutants to blame for an error in it. The smallest
    /// range around the error counts.
    pub(crate) ranges: Vec<(Range<usize>, Vec<usize>)>,
}

/// The order of edits at one place: ends before beginnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Close,
    Middle,
    Open,
}

/// Text that replaces a range, which may be empty.
struct Edit {
    at: Range<usize>,
    class: Class,
    site: usize,
    pieces: Vec<Piece>,
}

/// A part of the new text, and the mutant that it belongs to.
type Piece = (String, Option<usize>);

/// Returns the code in one line, without comments.
pub(crate) fn line(code: &str) -> String {
    code.parse().map_or_else(|_| code.to_owned(), |tokens: TokenStream| tokens.to_string())
}

/// Folds the mutants for which `is_in` is true. The numbers in the text count the mutants of all
/// files; `first` is the number of the file's first mutant.
pub(crate) fn fold(
    original: &str,
    sites: &[Site],
    functions: &[Range<usize>],
    first: usize,
    is_in: impl Fn(usize) -> bool,
) -> FoldedFile {
    let mut edits = Vec::new();
    let mut kept: Vec<Vec<usize>> = Vec::new();
    for (at, site) in sites.iter().enumerate() {
        let variants: Vec<Variant> = site
            .variants
            .iter()
            .filter(|variant| is_in(first + variant.number))
            .map(|variant| Variant { number: first + variant.number, ..variant.clone() })
            .collect();
        kept.push(variants.iter().map(|variant| variant.number).collect());
        if !variants.is_empty() {
            edits_of(original, at, site, &variants, &mut edits);
        }
    }
    edits.sort_by_key(|edit: &Edit| {
        let site = if edit.class == Class::Close { usize::MAX - edit.site } else { edit.site };
        (edit.at.start, edit.class, site)
    });
    assemble(original, edits, &kept, functions, sites)
}

/// Applies the edits, which are in the order of the text.
fn assemble(
    original: &str,
    edits: Vec<Edit>,
    kept: &[Vec<usize>],
    functions: &[Range<usize>],
    sites: &[Site],
) -> FoldedFile {
    let mut folded = FoldedFile::default();
    let mut spans: Vec<Option<Range<usize>>> = vec![None; sites.len()];
    // Pairs of a position in the original and the corresponding position in the text.
    let mut places = vec![(0, 0)];
    let mut done = 0;
    for Edit { at, site, pieces, .. } in edits {
        folded.text.push_str(&original[done..at.start.max(done)]);
        places.push((at.start, folded.text.len()));
        let start = folded.text.len();
        for (piece, number) in pieces {
            let from = folded.text.len();
            folded.text.push_str(&piece);
            let whole = from..folded.text.len();
            folded.ranges.extend(number.map(|number| (whole, vec![number])));
        }
        // Later lines keep their numbers.
        let lines = original[at.clone()].matches('\n').count();
        folded.text.push_str(&"\n".repeat(lines));
        done = at.end.max(done);
        places.push((done, folded.text.len()));
        let end = folded.text.len();
        let span = spans[site].get_or_insert(start..end);
        *span = span.start.min(start)..span.end.max(end);
    }
    folded.text.push_str(&original[done..]);
    let ranges = spans.into_iter().zip(kept).filter_map(|(span, kept)| Some((span?, kept.clone())));
    folded.ranges.extend(ranges);
    for function in functions {
        let inside =
            |site: &Site| function.start <= site.range.start && site.range.end <= function.end;
        let all = sites.iter().zip(kept).filter(|(site, _)| inside(site));
        let all: Vec<usize> = all.flat_map(|(_, kept)| kept.iter().copied()).collect();
        if !all.is_empty() {
            let range = place(&places, function.start)..place(&places, function.end);
            folded.ranges.push((range, all));
        }
    }
    folded
}

/// Returns the position in the text of a position in the original.
fn place(places: &[(usize, usize)], at: usize) -> usize {
    let after = places.partition_point(|(original, _)| *original <= at);
    let (original, text) = places[after - 1];
    text + (at - original)
}

/// Adds the edits of one site.
fn edits_of(original: &str, at: usize, site: &Site, variants: &[Variant], edits: &mut Vec<Edit>) {
    let Range { start, end } = site.range.clone();
    let parts = match &site.form {
        Form::Operands { left, right, by_reference, original } => {
            let (open, middle) = if *by_reference { ("&(", "), &(") } else { ("(", "), (") };
            let numbers = numbers(variants);
            let mut close = plain(&format!(
                ")) {{ (l, r) => if crate::planted::quiet({numbers}) {{ {original} }} else {{ \
                 crate::planted::values({numbers}, {original}, ["
            ));
            close.extend(codes(variants));
            close.extend(plain("]) } })"));
            around(
                &(start..end),
                left,
                right,
                [plain(&format!("(match ({open}")), plain(middle), close],
            )
        }
        Form::Step { left, right, original } => {
            let Variant { number, code } = &variants[0];
            let close = format!(
                ")) {{ (l, r) => if crate::planted::step({number}, || crate::planted::nonzero(&r)) \
                 {{ {code} }} else {{ {original} }} }})"
            );
            let parts = [plain("(match (("), plain("), ("), own(*number, close)];
            around(&(start..end), left, right, parts)
        }
        Form::Logic { left, right, is_and } => {
            let rules = list(variants.iter().map(|one| format!("({}, {})", one.number, one.code)));
            let middle = format!(
                "; if crate::planted::enter({rules}, {is_and}, l) {{ \
                 crate::planted::logic({rules}, {is_and}, l, "
            );
            let parts = [plain("({ let l: bool = "), plain(&middle), plain(") } else { l } })")];
            around(&(start..end), left, right, parts)
        }
        Form::Literal => {
            let (numbers, literal) = (numbers(variants), &original[start..end]);
            let mut pieces = plain(&format!("crate::planted::values({numbers}, {literal}, ["));
            pieces.extend(codes(variants));
            pieces.extend(plain("])"));
            vec![(start..end, Class::Open, pieces)]
        }
        form => wrapped(&original[start..end], start..end, form, &variants[0]),
    };
    edits.extend(parts.into_iter().map(|(at_bytes, class, pieces)| Edit {
        at: at_bytes,
        class,
        site: at,
        pieces,
    }));
}

/// A place, the order of the edit there, and its text.
type Part = (Range<usize>, Class, Vec<Piece>);

/// Returns the edits before, between and after two operands.
fn around(
    whole: &Range<usize>,
    left: &Range<usize>,
    right: &Range<usize>,
    [open, middle, close]: [Vec<Piece>; 3],
) -> Vec<Part> {
    vec![
        (whole.start..whole.start, Class::Open, open),
        (left.end..right.start, Class::Middle, middle),
        (right.end..whole.end, Class::Close, close),
    ]
}

/// Returns the edits of a site with one variant, whose text stays in one piece.
fn wrapped(text: &str, range: Range<usize>, form: &Form, variant: &Variant) -> Vec<Part> {
    let Variant { number, code } = variant;
    let own = |text: String| own(*number, text);
    let (open, close) = match form {
        Form::Argument(function) => {
            (plain(&format!("crate::planted::{function}({number}, ")), plain(")"))
        }
        Form::ShorthandField => {
            (Vec::new(), own(format!(": crate::planted::neighbour({number}, {text})")))
        }
        Form::LetCondition => (Vec::new(), own(format!(" && crate::planted::keep({number})"))),
        Form::Statement => {
            let open = format!("if crate::planted::on({number}) {{ {code} }} else {{ ");
            (own(open), plain(" }"))
        }
        Form::Swapped { next } => {
            let open = format!("if crate::planted::on({number}) {{ {code} }} ");
            let unless = format!("if crate::planted::unless({number}) {{ ");
            return vec![
                (range.start..range.start, Class::Open, own(open)),
                (next.start..next.start, Class::Open, own(unless)),
                (next.end..next.end, Class::Close, plain(" }")),
            ];
        }
        _ => {
            let open = format!("(if crate::planted::on({number}) {{ {code} }} else {{ ");
            (own(open), plain(" })"))
        }
    };
    vec![(range.start..range.start, Class::Open, open), (range.end..range.end, Class::Close, close)]
}

fn plain(text: &str) -> Vec<Piece> {
    vec![(text.to_owned(), None)]
}

/// Returns text in which an error is blamed on one mutant.
fn own(number: usize, text: String) -> Vec<Piece> {
    vec![(text, Some(number))]
}

/// Returns the codes of the variants, separated by commas.
fn codes(variants: &[Variant]) -> impl Iterator<Item = Piece> {
    variants
        .iter()
        .flat_map(|variant| [(variant.code.clone(), Some(variant.number)), (", ".to_owned(), None)])
}

fn numbers(variants: &[Variant]) -> String {
    list(variants.iter().map(|variant| variant.number.to_string()))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}
