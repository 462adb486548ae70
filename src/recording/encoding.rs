//! Values as numbers and byte strings: one traversal of inputs, actions and states, which gives
//! both the bytes of a recording and the digests of actions.
//!
//! The encoding follows serde's data model: the fields of a struct in order, the number of a
//! variant before its fields, the length of a list before its items. Names do not occur.
//! `docs/RECORDING.md` has the bytes.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};

/// The name of the type whose bytes are the users', `types::Command`.
pub(super) const COMMAND: &str = "Command";

/// A receiver of the parts of values.
pub(super) trait Sink {
    fn number(&mut self, number: u64);

    /// A number of 128 bits, which is almost always random.
    fn wide_number(&mut self, number: u128);

    /// A byte string with its length.
    fn bytes(&mut self, bytes: &[u8]);

    /// The bytes of a user's command.
    fn command(&mut self, command: &[u8]);
}

/// Passes the parts of `value` to the sink.
///
/// # Errors
/// If the value has no encoding, such as a list that exceeds its bound.
pub(super) fn encode(value: &impl Serialize, sink: &mut impl Sink) -> CodecResult<()> {
    value.serialize(&mut Encoder { sink, in_command: false })
}

/// The reason why a value cannot be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodingError(pub(super) String);

/// The result of encoding or decoding a value.
pub(super) type CodecResult<T> = Result<T, EncodingError>;

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EncodingError {}

impl ser::Error for EncodingError {
    fn custom<T: fmt::Display>(reason: T) -> EncodingError {
        EncodingError(reason.to_string())
    }
}

struct Encoder<'a, S> {
    sink: &'a mut S,
    /// Whether the next byte string is that of a command.
    in_command: bool,
}

impl<S: Sink> Encoder<'_, S> {
    fn length(&mut self, length: Option<usize>) -> CodecResult<()> {
        match length {
            Some(length) => {
                self.sink.number(length as u64);
                Ok(())
            }
            None => Err(EncodingError("the length of a list is unknown".to_owned())),
        }
    }
}

/// Passes numbers of these types to the sink as 64 bits.
macro_rules! numbers {
    ($($name:ident $type:ty),*) => {$(
        fn $name(self, number: $type) -> CodecResult<()> {
            self.sink.number(u64::from(number));
            Ok(())
        }
    )*};
}

/// Rejects values of these types, which no recorded type has.
macro_rules! rejected {
    ($($name:ident $type:ty),*) => {$(
        fn $name(self, _: $type) -> CodecResult<()> {
            Err(EncodingError(concat!("no encoding for ", stringify!($type)).to_owned()))
        }
    )*};
}

impl<S: Sink> Serializer for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = EncodingError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers!(serialize_bool bool, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
        serialize_u64 u64, serialize_char char);
    rejected!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_u128(self, number: u128) -> CodecResult<()> {
        self.sink.wide_number(number);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> CodecResult<()> {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> CodecResult<()> {
        if self.in_command {
            self.sink.command(bytes);
        } else {
            self.sink.bytes(bytes);
        }
        Ok(())
    }

    fn serialize_none(self) -> CodecResult<()> {
        self.sink.number(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> CodecResult<()> {
        self.sink.number(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> CodecResult<()> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> CodecResult<()> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
    ) -> CodecResult<()> {
        self.sink.number(u64::from(variant));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> CodecResult<()> {
        if name != COMMAND {
            return value.serialize(self);
        }
        self.in_command = true;
        let encoded = value.serialize(&mut *self);
        self.in_command = false;
        encoded
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> CodecResult<()> {
        self.sink.number(u64::from(variant));
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> CodecResult<Self> {
        self.length(length)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> CodecResult<Self> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> CodecResult<Self> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> CodecResult<Self> {
        self.sink.number(u64::from(variant));
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> CodecResult<Self> {
        self.length(length)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> CodecResult<Self> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        number: u32,
        variant: &'static str,
        length: usize,
    ) -> CodecResult<Self> {
        self.serialize_tuple_variant(name, number, variant, length)
    }

    fn serialize_f32(self, _: f32) -> CodecResult<()> {
        Err(EncodingError("no encoding for floating point".to_owned()))
    }

    fn serialize_f64(self, _: f64) -> CodecResult<()> {
        Err(EncodingError("no encoding for floating point".to_owned()))
    }
}

/// Encodes the parts of compound values, one after the other.
macro_rules! compound {
    ($($trait:ident $method:ident ($($name:ident)?)),*) => {$(
        impl<S: Sink> ser::$trait for &mut Encoder<'_, S> {
            type Ok = ();
            type Error = EncodingError;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> CodecResult<()> {
                $(let _ = $name;)?
                value.serialize(&mut **self)
            }

            fn end(self) -> CodecResult<()> {
                Ok(())
            }
        }
    )*};
}

compound!(
    SerializeSeq serialize_element(),
    SerializeTuple serialize_element(),
    SerializeTupleStruct serialize_field(),
    SerializeTupleVariant serialize_field(),
    SerializeStruct serialize_field(name),
    SerializeStructVariant serialize_field(name)
);

impl<S: Sink> ser::SerializeMap for &mut Encoder<'_, S> {
    type Ok = ();
    type Error = EncodingError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> CodecResult<()> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> CodecResult<()> {
        value.serialize(&mut **self)
    }

    fn end(self) -> CodecResult<()> {
        Ok(())
    }
}
