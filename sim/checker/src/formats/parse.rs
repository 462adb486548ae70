//! Parses a history in any of the notations.

use crate::formats::any::{AnyHistory, ModelHistory};
use crate::formats::builder::{Events, HistoryBuilder};
use crate::formats::error::{OffsetError, ParseError, Parsed};
use crate::formats::form::Forms;
use crate::formats::jepsen::{Edn, Findings, Jepsen, Log};
use crate::formats::json;
use crate::formats::lines::{Header, Lines};
use crate::formats::notation::{InitialState, Notation};
use crate::formats::object::Object;
use crate::formats::porcupine::Porcupine;
use crate::formats::scan::Scanner;
use crate::history::EventIndex;
use crate::models::Transactions;
use crate::models::{Bank, Counter, Keyed, Kv, List, Lock, Queue, Register, Set, Stack};

/// How a history is read: its model and initial state, as far as the caller states them, and
/// limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The object of the history. A file that names another one is rejected.
    pub object: Option<Object>,
    /// The initial state of the object in JSON. It replaces the one in the file.
    pub init: Option<String>,
    /// The initial values of single keys in JSON: a list of pairs, key and value. It replaces the
    /// one in the file.
    pub init_by_key: Option<String>,
    /// In Jepsen's notations, whether a failed compare-and-set shows that the value was another
    /// one. Jepsen itself only states that it had no effect.
    pub failed_cas_is_read: bool,
    /// The maximum length of the decompressed text in bytes; at most 4 GiB.
    pub text_bytes_max: usize,
    /// The maximum length in bytes of a line, and of a map in notations without lines.
    pub line_bytes_max: usize,
}

impl Default for Options {
    /// Takes everything from the file; allows 1 GiB in lines of at most 16 MiB.
    fn default() -> Options {
        Options {
            object: None,
            init: None,
            init_by_key: None,
            failed_cas_is_read: false,
            text_bytes_max: 1 << 30,
            line_bytes_max: 1 << 24,
        }
    }
}

impl Options {
    /// Returns the limit of the text: offsets in it have 32 bits.
    pub(super) fn text_bytes_max(&self) -> usize {
        self.text_bytes_max.min(u32::MAX as usize)
    }
}

/// A history that was read from a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The name of the history in the file.
    pub name: Option<String>,
    /// The object of the history.
    pub object: Object,
    /// The history with its model.
    pub history: AnyHistory,
    lines: Vec<u32>,
}

impl Loaded {
    /// Returns the line of the file, from 1, that contains the event, if there is one.
    #[must_use]
    pub fn line(&self, event_index: EventIndex) -> Option<u32> {
        self.lines.get(event_index.0 as usize).copied()
    }
}

/// Parses the history in `text`, and detects its notation.
///
/// # Errors
/// Returns the first error and its position.
pub fn parse(text: &[u8], options: &Options) -> Result<Loaded, ParseError> {
    let bytes_max = options.text_bytes_max();
    if text.len() > bytes_max {
        let message = format!("the text is longer than {bytes_max} bytes");
        return Err(OffsetError::new(0, message).in_text(&[]));
    }
    let unmarked = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let read = match std::str::from_utf8(unmarked) {
        Ok(text) => detect(text, options),
        Err(error) => {
            let at = error.valid_up_to();
            Err(InputError::Text(OffsetError::new(at, "expected UTF-8, found an invalid byte")))
        }
    };
    read.map_err(|error| match error {
        InputError::Text(error) => error.in_text(unmarked),
        InputError::Init(error) => {
            in_option(error, options.init.as_deref(), "the state before the first operation")
        }
        InputError::InitByKey(error) => {
            in_option(error, options.init_by_key.as_deref(), "the initial values of single keys")
        }
    })
}

/// Translates the offset to a position in the text of an option, which states `what`.
fn in_option(error: OffsetError, option: Option<&str>, what: &str) -> ParseError {
    let error = error.in_text(option.unwrap_or("").as_bytes());
    ParseError { message: format!("in {what}: {}", error.message), ..error }
}

/// An error in the text, or in an option that the caller passed.
enum InputError {
    Text(OffsetError),
    Init(OffsetError),
    InitByKey(OffsetError),
}

impl From<OffsetError> for InputError {
    fn from(error: OffsetError) -> InputError {
        InputError::Text(error)
    }
}

fn detect(text: &str, options: &Options) -> Result<Loaded, InputError> {
    let mut scanner = Scanner::new(text, 0, text.len());
    scanner.skip(json::is_space);
    let first = scanner.peek();
    scanner.at += 1;
    scanner.skip(json::is_space);
    let bytes_max = options.line_bytes_max;
    match (first, scanner.peek()) {
        (None, _) => Err(OffsetError::new(0, "expected a history, found nothing").into()),
        (Some(b'{'), Some(b'"')) => match Header::read(text, "porcupine/1", bytes_max) {
            Ok(header) if header.end > 0 => porcupine(text, &header, options),
            _ if Porcupine::begins(text, bytes_max) => porcupine(text, &Header::default(), options),
            _ => lines(text, options),
        },
        (Some(b'{'), Some(b'}') | None) => lines(text, options),
        (Some(b'['), Some(b'{')) if json_follows(scanner) => {
            porcupine(text, &Header::default(), options)
        }
        (Some(b'{' | b'[' | b'(' | b'#' | b';'), _) => jepsen(&Edn::new(text, bytes_max), options),
        _ => jepsen(&Log::new(text, bytes_max), options),
    }
}

/// Returns true if a JSON object begins here, and not an EDN map.
fn json_follows(mut scanner: Scanner<'_>) -> bool {
    scanner.at += 1;
    scanner.skip(json::is_space);
    scanner.peek() == Some(b'"')
}

fn lines(text: &str, options: &Options) -> Result<Loaded, InputError> {
    let header = Header::read(text, "history/1", options.line_bytes_max)?;
    let events = Lines::new(text, &header, options.line_bytes_max);
    load_with_header(&header, events, options)
}

fn porcupine(text: &str, header: &Header<'_>, options: &Options) -> Result<Loaded, InputError> {
    let events = Porcupine::read(text, header, options.line_bytes_max)?;
    load_with_header(header, events, options)
}

fn load_with_header<'a>(
    header: &Header<'a>,
    events: impl Events<'a>,
    options: &Options,
) -> Result<Loaded, InputError> {
    let object = object(header.object, options)?;
    let start = InitialState {
        init: header.init(),
        init_by_key: header.init_by_key(),
        overdraft: header.overdraft,
        nothing_is_read: object == Object::RwRegister,
        ..InitialState::default()
    };
    let mut loaded = load_with_init(object, header.keyed, start, events, options)?;
    loaded.name.clone_from(&header.name);
    Ok(loaded)
}

fn jepsen<'a, J: Jepsen<'a>>(source: &J, options: &Options) -> Result<Loaded, InputError> {
    let found = Findings::of(source)?;
    let guessed = match found {
        Findings { key_fields: true, .. } => Some(Object::Kv),
        _ => J::DEFAULT_OBJECT,
    };
    let object = options.object.or(guessed);
    let object = object.ok_or_else(|| {
        let message = "the file does not state its model: name the model, as with --model";
        OffsetError::new(0, message)
    })?;
    // Transactions of one step are independent by key, and much easier to decide.
    let single = object == Object::RwRegister && found.single_steps;
    let start = InitialState {
        empty_texts: found.key_fields,
        nothing_is_read: object == Object::RwRegister,
        ..InitialState::default()
    };
    let events = source.events(found, options.failed_cas_is_read);
    let read_as = if single { Object::Kv } else { object };
    let mut loaded = load_with_init(read_as, found.keyed, start, events, options)?;
    loaded.object = object;
    Ok(loaded)
}

/// Returns the object that the file or the caller names.
fn object(stated: Option<Object>, options: &Options) -> Parsed<Object> {
    match (stated, options.object) {
        (Some(stated), Some(named)) if stated != named => Err(OffsetError::new(
            0,
            format!("expected a history of `{named}`, found one of `{stated}`"),
        )),
        (Some(object), _) | (None, Some(object)) => Ok(object),
        (None, None) => {
            let message = "the file does not state its model: add a header, or pass the name of \
                           the model";
            Err(OffsetError::new(0, message))
        }
    }
}

fn load_with_init<'a>(
    object: Object,
    keyed: bool,
    start: InitialState<'_, '_>,
    events: impl Events<'a>,
    options: &Options,
) -> Result<Loaded, InputError> {
    let [mut init, mut init_by_key] = [Forms::default(), Forms::default()];
    let mut start = start;
    let mut sources = Sources { init: InputError::Text, init_by_key: InputError::Text };
    if let Some(text) = &options.init {
        read_option(text, &mut init).map_err(InputError::Init)?;
        (start.init, sources.init) = (init.at(0), InputError::Init);
    }
    if let Some(text) = &options.init_by_key {
        read_option(text, &mut init_by_key).map_err(InputError::InitByKey)?;
        (start.init_by_key, sources.init_by_key) = (init_by_key.at(0), InputError::InitByKey);
    }
    load_object(object, keyed, start, events, sources)
}

/// Parses the JSON value of an option.
fn read_option<'a>(text: &'a str, forms: &mut Forms<'a>) -> Parsed<()> {
    let mut scanner = Scanner::new(text, 0, text.len());
    json::value(&mut scanner, forms)?;
    json::end(&mut scanner, "the end")
}

/// For the initial state and for the initial values of single keys: whether the file or an option
/// states them, and so contains their errors.
#[derive(Clone, Copy)]
struct Sources {
    init: fn(OffsetError) -> InputError,
    init_by_key: fn(OffsetError) -> InputError,
}

fn load_object<'a>(
    object: Object,
    keyed: bool,
    start: InitialState<'_, '_>,
    events: impl Events<'a>,
    sources: Sources,
) -> Result<Loaded, InputError> {
    let read = match (object, keyed) {
        (Object::Register, false) => load::<Register, _>,
        (Object::Register, true) | (Object::Kv, _) => load::<Kv, _>,
        (Object::MultiRegister | Object::RwRegister, false) => load::<Transactions, _>,
        (Object::MultiRegister | Object::RwRegister, true) => {
            return Err(OffsetError::new(
                0,
                "transactions with independent keys are not supported",
            )
            .into());
        }
        (Object::List, _) => load::<List, _>,
        (Object::Lock, false) => load::<Lock, _>,
        (Object::Set, false) => load::<Set, _>,
        (Object::Counter, false) => load::<Counter, _>,
        (Object::Queue, false) => load::<Queue, _>,
        (Object::Stack, false) => load::<Stack, _>,
        (Object::Bank, false) => load::<Bank, _>,
        (Object::Lock, true) => load::<Keyed<Lock>, _>,
        (Object::Set, true) => load::<Keyed<Set>, _>,
        (Object::Counter, true) => load::<Keyed<Counter>, _>,
        (Object::Queue, true) => load::<Keyed<Queue>, _>,
        (Object::Stack, true) => load::<Keyed<Stack>, _>,
        (Object::Bank, true) => load::<Keyed<Bank>, _>,
    };
    read(object, start, events, sources)
}

fn load<'a, M: Notation, E: Events<'a>>(
    object: Object,
    start: InitialState<'_, '_>,
    events: E,
    sources: Sources,
) -> Result<Loaded, InputError>
where
    AnyHistory: From<ModelHistory<M>>,
{
    let mut model = M::parse_init(&start).map_err(sources.init)?;
    if let Some(pairs) = start.init_by_key.filter(|pairs| !pairs.is_null()) {
        let read = model.parse_init_by_key(pairs, start.nothing_is_read);
        read.map_err(sources.init_by_key)?;
    }
    let mut builder = HistoryBuilder::new(model, start.nothing_is_read);
    events.feed(&mut builder)?;
    let (of, lines) = builder.finish()?;
    Ok(Loaded { name: None, object, history: of.into(), lines })
}
