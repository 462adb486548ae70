//! The serde forms that a derive does not give: byte strings, bounded lists and durations. They are
//! part of the wire format (`docs/FORMAT.md`). Decoding allocates memory for the bytes that arrive,
//! never for a claimed length. The bytes of memberships, changes and addresses are not copied
//! before they are decoded, so a decoder must borrow them from its input.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

use crate::types::membership::{Address, Change, Membership};

/// A duration, in nanoseconds.
pub(crate) struct Nanos;

impl Nanos {
    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

/// A byte string, in any container that holds bytes.
pub(crate) struct Bytes;

impl Bytes {
    pub(crate) fn serialize<S: Serializer>(
        bytes: &impl Deref<Target = [u8]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: for<'a> From<&'a [u8]>,
        D: Deserializer<'de>,
    {
        from.deserialize_bytes(CopiedBytesVisitor(PhantomData))
    }
}

/// A list of at most `MAX` items.
pub(crate) struct List<const MAX: usize>;

impl<const MAX: usize> List<MAX> {
    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        items: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        if items.len() > MAX {
            let count = items.len();
            let reason = format_args!("a list of {count} items; at most {MAX} are allowed");
            return Err(ser::Error::custom(reason));
        }
        to.collect_seq(items)
    }

    pub(crate) fn deserialize<'de, L, D>(from: D) -> Result<L, D::Error>
    where
        L: IntoIterator + From<Vec<L::Item>>,
        L::Item: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        from.deserialize_seq(ListVisitor::<L::Item, MAX>(PhantomData)).map(L::from)
    }
}

impl Serialize for Membership {
    /// Writes the bytes of [`Membership::encode`]; an invalid membership is an error.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.violation() {
            Some(violation) => Err(ser::Error::custom(violation)),
            None => {
                let bytes = self.encode();
                debug_assert!(
                    Membership::decode(&bytes).as_ref() == Some(self),
                    "an encoded membership decodes to itself"
                );
                to.serialize_bytes(&bytes)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Membership {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Membership, D::Error> {
        let bytes = from.deserialize_bytes(BytesVisitor)?;
        let membership = Membership::decode(bytes);
        let is_valid = membership.as_ref().is_none_or(|decoded| decoded.violation().is_none());
        assert!(is_valid, "an invalid membership does not decode");
        membership.ok_or_else(|| de::Error::custom("invalid membership"))
    }
}

impl Serialize for Change {
    /// Writes the bytes of [`Change::encode`]; a change with too many edits is an error.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.encode() {
            Some(bytes) => to.serialize_bytes(&bytes),
            None => Err(ser::Error::custom("the membership change has too many edits")),
        }
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Change, D::Error> {
        let bytes = from.deserialize_bytes(BytesVisitor)?;
        Change::decode(bytes).ok_or_else(|| de::Error::custom("invalid membership change"))
    }
}

impl Serialize for Address {
    /// Writes the UTF-8 bytes of the address.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.as_str().as_bytes())
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        let bytes = from.deserialize_bytes(BytesVisitor)?;
        let text = core::str::from_utf8(bytes).map_err(de::Error::custom)?;
        Address::new(text).ok_or_else(|| de::Error::custom("the address is too long"))
    }
}

/// A visitor that borrows bytes from the input.
struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<&'de [u8], E> {
        Ok(bytes)
    }
}

/// A visitor that copies bytes into a container, so that it need not borrow them from the input.
struct CopiedBytesVisitor<T>(PhantomData<T>);

impl<T: for<'a> From<&'a [u8]>> Visitor<'_> for CopiedBytesVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<T, E> {
        Ok(T::from(bytes))
    }
}

/// A visitor that takes items one by one.
struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let claimed = items.size_hint().unwrap_or(usize::MAX);
        if claimed > MAX {
            return Err(de::Error::invalid_length(claimed, &self));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        assert!(list.len() <= MAX, "the claimed length was checked");
        Ok(list)
    }
}
