//! Reads a history, whatever notation it is in.

use crate::formats::any::{AnyHistory, Of};
use crate::formats::building::{Building, Events};
use crate::formats::fault::{Fault, Wrong};
use crate::formats::form::Forms;
use crate::formats::jepsen::{Edn, Findings, Jepsen, Log};
use crate::formats::json;
use crate::formats::lines::{Header, Lines};
use crate::formats::notation::{Notation, Start};
use crate::formats::object::Object;
use crate::formats::porcupine::Porcupine;
use crate::formats::scan::Scanner;
use crate::history::Moment;
use crate::models::Transactions;
use crate::models::{Bank, Counter, Keyed, Kv, List, Lock, Queue, Register, Set, Stack};

/// What a file does not say of itself, and the bounds of what is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is a history of; a file that says something else is wrong.
    pub object: Option<Object>,
    /// The object before the first operation, in JSON, whatever the file says.
    pub init: Option<String>,
    /// In Jepsen's notations: whether a compare-and-set that failed shows that the value was
    /// another one. Jepsen itself says no more than that it had no effect.
    pub failed_cas_shows: bool,
    /// The longest text, in bytes, unpacked; at most 4 GiB.
    pub text_bytes_max: usize,
    /// The longest line, and the longest map of a notation without lines, in bytes.
    pub line_bytes_max: usize,
}

impl Default for Options {
    /// Nothing but what the file says; 1 GiB, in lines of at most 16 MiB.
    fn default() -> Options {
        Options {
            object: None,
            init: None,
            failed_cas_shows: false,
            text_bytes_max: 1 << 30,
            line_bytes_max: 1 << 24,
        }
    }
}

/// A history from a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the file calls itself.
    pub name: Option<String>,
    /// What it is a history of.
    pub object: Object,
    /// The history.
    pub history: AnyHistory,
    lines: Vec<u32>,
}

impl Loaded {
    /// The line of the file, from 1, on which that is that happens at `moment`; none if nothing
    /// happens then.
    #[must_use]
    pub fn line(&self, moment: Moment) -> Option<u32> {
        self.lines.get(moment.0 as usize).copied()
    }
}

/// Reads the history that `text` is, in whichever notation it is.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &[u8], options: &Options) -> Result<Loaded, Wrong> {
    if text.len() > options.text_bytes_max.min(u32::MAX as usize) {
        let what = format!("this is longer than {} bytes", options.text_bytes_max);
        return Err(Fault::new(0, what).in_text(&[]));
    }
    let unmarked = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let read = match std::str::from_utf8(unmarked) {
        Ok(text) => any(text, options),
        Err(error) => {
            let at = error.valid_up_to();
            Err(Trouble::Text(Fault::new(at, "expected UTF-8, found a byte that is none")))
        }
    };
    read.map_err(|trouble| match trouble {
        Trouble::Text(fault) => fault.in_text(unmarked),
        Trouble::Init(fault) => {
            let init = options.init.as_deref().unwrap_or("");
            let wrong = fault.in_text(init.as_bytes());
            Wrong {
                what: format!("in the state before the first operation: {}", wrong.what),
                ..wrong
            }
        }
    })
}

/// A fault, in the text or in what its reader was told beside it.
enum Trouble {
    Text(Fault),
    Init(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Text(fault)
    }
}

fn any(text: &str, options: &Options) -> Result<Loaded, Trouble> {
    let mut scanner = Scanner::new(text, 0, text.len());
    scanner.skip(json::is_space);
    let first = scanner.peek();
    scanner.at += 1;
    scanner.skip(json::is_space);
    let bytes_max = options.line_bytes_max;
    match (first, scanner.peek()) {
        (None, _) => Err(Fault::new(0, "expected a history, found nothing").into()),
        (Some(b'{'), Some(b'"')) => {
            let porcupine = Header::read(text, "porcupine/1", bytes_max);
            match porcupine {
                Ok(header) if header.end > 0 => events(text, &header, options),
                _ if Porcupine::begins(text, bytes_max) => {
                    events(text, &Header::default(), options)
                }
                _ => lines(text, options),
            }
        }
        (Some(b'{'), Some(b'}') | None) => lines(text, options),
        (Some(b'['), Some(b'{')) if json_follows(scanner) => {
            events(text, &Header::default(), options)
        }
        (Some(b'{' | b'[' | b'(' | b'#' | b';'), _) => jepsen(&Edn::new(text, bytes_max), options),
        _ => jepsen(&Log::new(text, bytes_max), options),
    }
}

/// Whether a JSON object begins here, and not a map of EDN.
fn json_follows(mut scanner: Scanner<'_>) -> bool {
    scanner.at += 1;
    scanner.skip(json::is_space);
    scanner.peek() == Some(b'"')
}

fn lines(text: &str, options: &Options) -> Result<Loaded, Trouble> {
    let header = Header::read(text, "history/1", options.line_bytes_max)?;
    let events = Lines::new(text, &header, options.line_bytes_max);
    told_by_header(&header, events, options)
}

fn events(text: &str, header: &Header<'_>, options: &Options) -> Result<Loaded, Trouble> {
    let events = Porcupine::read(text, header, options.line_bytes_max)?;
    told_by_header(header, events, options)
}

fn told_by_header<'a>(
    header: &Header<'a>,
    events: impl Events<'a>,
    options: &Options,
) -> Result<Loaded, Trouble> {
    let object = object(header.object, options)?;
    let start = Start {
        init: header.init(),
        overdraft: header.overdraft,
        nothing_is_read: object == Object::RwRegister,
        ..Start::default()
    };
    let mut loaded = started((object, header.keyed), start, events, options)?;
    loaded.name.clone_from(&header.name);
    Ok(loaded)
}

fn jepsen<'a, J: Jepsen<'a>>(source: &J, options: &Options) -> Result<Loaded, Trouble> {
    let found = Findings::of(source)?;
    let guessed = match found {
        Findings { key_fields: true, .. } => Some(Object::Kv),
        _ => J::USUAL,
    };
    let object = options.object.or(guessed);
    let object = object.ok_or_else(|| {
        let what = "nothing here says what this is a history of: name the model";
        Fault::new(0, what)
    })?;
    // One step at a time, keys are independent, and much easier to decide.
    let single = object == Object::RwRegister && found.single_steps;
    let start = Start {
        empty_texts: found.key_fields,
        nothing_is_read: object == Object::RwRegister,
        ..Start::default()
    };
    let events = source.events(found, options.failed_cas_shows);
    let read_as = if single { Object::Kv } else { object };
    let mut loaded = started((read_as, found.keyed), start, events, options)?;
    loaded.object = object;
    Ok(loaded)
}

/// What the file says it is of, and its reader's caller; one of them must.
fn object(said: Option<Object>, options: &Options) -> Result<Object, Fault> {
    match (said, options.object) {
        (Some(said), Some(asked)) if said != asked => {
            Err(Fault::new(0, format!("expected a history of `{asked}`, found one of `{said}`")))
        }
        (Some(object), _) | (None, Some(object)) => Ok(object),
        (None, None) => {
            let what = "nothing here says what this is a history of: a header is missing, or \
                        the name of the model";
            Err(Fault::new(0, what))
        }
    }
}

fn started<'a>(
    what: (Object, bool),
    start: Start<'_, '_>,
    events: impl Events<'a>,
    options: &Options,
) -> Result<Loaded, Trouble> {
    let Some(init) = &options.init else {
        return of_object(what, start, events, Trouble::Text);
    };
    let mut forms = Forms::default();
    let mut scanner = Scanner::new(init, 0, init.len());
    json::value(&mut scanner, &mut forms).map_err(Trouble::Init)?;
    scanner.skip(json::is_space);
    if scanner.peek().is_some() {
        return Err(Trouble::Init(scanner.expected("the end")));
    }
    let start = Start { init: forms.at(0), ..start };
    of_object(what, start, events, Trouble::Init)
}

fn of_object<'a>(
    (object, keyed): (Object, bool),
    start: Start<'_, '_>,
    events: impl Events<'a>,
    trouble: fn(Fault) -> Trouble,
) -> Result<Loaded, Trouble> {
    let read = match (object, keyed) {
        (Object::Register, false) => of::<Register, _>,
        (Object::Register, true) | (Object::Kv, _) => of::<Kv, _>,
        (Object::MultiRegister | Object::RwRegister, false) => of::<Transactions, _>,
        (Object::MultiRegister | Object::RwRegister, true) => {
            return Err(Fault::new(0, "transactions of independent keys cannot be read").into());
        }
        (Object::List, _) => of::<List, _>,
        (Object::Lock, false) => of::<Lock, _>,
        (Object::Set, false) => of::<Set, _>,
        (Object::Counter, false) => of::<Counter, _>,
        (Object::Queue, false) => of::<Queue, _>,
        (Object::Stack, false) => of::<Stack, _>,
        (Object::Bank, false) => of::<Bank, _>,
        (Object::Lock, true) => of::<Keyed<Lock>, _>,
        (Object::Set, true) => of::<Keyed<Set>, _>,
        (Object::Counter, true) => of::<Keyed<Counter>, _>,
        (Object::Queue, true) => of::<Keyed<Queue>, _>,
        (Object::Stack, true) => of::<Keyed<Stack>, _>,
        (Object::Bank, true) => of::<Keyed<Bank>, _>,
    };
    read(object, start, events, trouble)
}

fn of<'a, M: Notation, E: Events<'a>>(
    object: Object,
    start: Start<'_, '_>,
    events: E,
    trouble: fn(Fault) -> Trouble,
) -> Result<Loaded, Trouble>
where
    AnyHistory: From<Of<M>>,
{
    let mut building: Building<'_, M> = Building::new(&start).map_err(trouble)?;
    events.feed(&mut building)?;
    let (of, lines) = building.finish()?;
    Ok(Loaded { name: None, object, history: of.into(), lines })
}
