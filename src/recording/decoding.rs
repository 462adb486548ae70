//! Decodes values from the bytes of a recording. Damaged bytes cause an error. A claimed length
//! never exceeds the number of bytes that are left. The exception is the length of a command of
//! which only the hash was recorded: the bytes that stand in for such commands have a bound of
//! their own.

use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use crate::recording::commands::{Contents, HASH_BYTES, stand_in};
use crate::recording::encoding::{COMMAND, CodecResult, EncodingError};

/// The bound on the bytes of commands made from hashes, in one state or record: more than the core
/// of a node with default bounds holds, and little enough for the memory of a replaying machine.
const STAND_IN_BYTES_MAX: usize = 1 << 30;

/// The values in the body of a block, one after the other.
pub(super) struct Decoder<'de> {
    body: &'de [u8],
    position: usize,
    contents: Contents,
    /// Whether the next byte string is that of a command.
    in_command: bool,
    /// The bytes of commands that may still be made from hashes.
    stand_in_budget: usize,
    command: Vec<u8>,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(body: &'de [u8], contents: Contents) -> Decoder<'de> {
        Decoder::at(body, 0, contents)
    }

    /// Returns a decoder of the values from `position` on.
    pub(super) fn at(body: &'de [u8], position: usize, contents: Contents) -> Decoder<'de> {
        Decoder {
            body,
            position,
            contents,
            in_command: false,
            stand_in_budget: STAND_IN_BYTES_MAX,
            command: Vec::new(),
        }
    }

    /// Decodes the next value.
    pub(super) fn value<T: Deserialize<'de>>(&mut self) -> CodecResult<T> {
        T::deserialize(self)
    }

    pub(super) fn number(&mut self) -> CodecResult<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(EncodingError("a number exceeds 64 bits".to_owned()));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(EncodingError("a number has more than ten bytes".to_owned()))
    }

    pub(super) fn take(&mut self, bytes: usize) -> CodecResult<&'de [u8]> {
        let rest = &self.body[self.position..];
        if bytes > rest.len() {
            let reason = format!("the block ends {} bytes into a value of {bytes}", rest.len());
            return Err(EncodingError(reason));
        }
        self.position += bytes;
        Ok(&rest[..bytes])
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.position == self.body.len()
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Decodes a length. Only a list of values without bytes could have more items than the body
    /// has bytes, and no state has one.
    fn length(&mut self) -> CodecResult<usize> {
        let (length, rest) = (self.number()?, self.body.len() - self.position);
        match usize::try_from(length) {
            Ok(length) if length <= rest => Ok(length),
            _ => Err(EncodingError(format!("a length of {length}; {rest} bytes are left"))),
        }
    }

    fn bytes(&mut self) -> CodecResult<&'de [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// Decodes a command whose content was not recorded.
    fn stand_in(&mut self) -> CodecResult<()> {
        let length = self.number()?;
        let length = usize::try_from(length).ok().filter(|length| *length <= self.stand_in_budget);
        let Some(length) = length else {
            let reason = format!("commands of more than {STAND_IN_BYTES_MAX} bytes");
            return Err(EncodingError(reason));
        };
        self.stand_in_budget -= length;
        let hash = self.take(length.min(HASH_BYTES))?;
        stand_in(hash, length, &mut self.command);
        Ok(())
    }
}

impl de::Error for EncodingError {
    fn custom<T: fmt::Display>(reason: T) -> EncodingError {
        EncodingError(reason.to_string())
    }
}

/// Decodes the numbers of these types, which the visitor checks against its own range.
macro_rules! numbers {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
            visitor.visit_u64(self.number()?)
        }
    )*};
}

/// Rejects the kinds of values that no recorded type has.
macro_rules! rejected {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, _: V) -> CodecResult<V::Value> {
            Err(EncodingError("the bytes do not say what they hold".to_owned()))
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = EncodingError;

    numbers!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);
    rejected!(deserialize_any deserialize_ignored_any deserialize_identifier deserialize_char
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_f32 deserialize_f64);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        match self.number()? {
            number @ (0 | 1) => visitor.visit_bool(number == 1),
            number => Err(EncodingError(format!("{number} is not a truth value"))),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        let bytes = self.take(16)?.try_into().expect("sixteen bytes");
        visitor.visit_u128(u128::from_le_bytes(bytes))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        let text = std::str::from_utf8(self.bytes()?);
        visitor.visit_borrowed_str(text.map_err(de::Error::custom)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        if self.in_command && self.contents == Contents::Hashed {
            self.stand_in()?;
            return visitor.visit_bytes(&self.command);
        }
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        match self.number()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            number => Err(EncodingError(format!("{number} values where at most one may be"))),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> CodecResult<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> CodecResult<V::Value> {
        self.in_command = name == COMMAND;
        let value = visitor.visit_newtype_struct(&mut *self);
        self.in_command = false;
        value
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        let left = self.length()?;
        visitor.visit_seq(Items { decoder: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> CodecResult<V::Value> {
        visitor.visit_seq(Items { decoder: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> CodecResult<V::Value> {
        visitor.visit_seq(Items { decoder: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> CodecResult<V::Value> {
        let left = self.length()?;
        visitor.visit_map(Items { decoder: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> CodecResult<V::Value> {
        visitor.visit_seq(Items { decoder: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> CodecResult<V::Value> {
        visitor.visit_enum(Variant(self))
    }
}

/// The rest of a list, or of the fields of a value.
struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = EncodingError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> CodecResult<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = EncodingError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> CodecResult<Option<K::Value>> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> CodecResult<V::Value> {
        seed.deserialize(&mut *self.decoder)
    }
}

/// A variant, whose number comes next.
struct Variant<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = EncodingError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> CodecResult<(V::Value, Self)> {
        let number = self.0.number()?;
        let number = u32::try_from(number)
            .map_err(|_| EncodingError(format!("{number} is not the number of a variant")))?;
        let number: U32Deserializer<EncodingError> = number.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = EncodingError;

    fn unit_variant(self) -> CodecResult<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> CodecResult<T::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> CodecResult<V::Value> {
        visitor.visit_seq(Items { decoder: self.0, left })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> CodecResult<V::Value> {
        visitor.visit_seq(Items { decoder: self.0, left: fields.len() })
    }
}
