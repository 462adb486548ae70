//! The texts of types: macros that implement `Display` and `Debug` from one table for each type.

/// Implements `Display` from a table that gives each pattern a text, with the arguments of the text
/// that are expressions.
macro_rules! texts {
    (
        $(#[$attribute:meta])*
        $type:ty:
        $($pattern:pat $(if $guard:expr)? => $text:literal $(, $argument:expr)*;)*
    ) => {
        impl core::fmt::Display for $type {
            $(#[$attribute])*
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {$($pattern $(if $guard)? => write!(f, $text $(, $argument)*),)*}
            }
        }
    };
}

/// Defines an enum from a table that gives each variant a text: `Display` writes the text, and
/// `ALL` lists the variants.
macro_rules! closed_list {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {$(
            $(#[$variant_attribute:meta])*
            $variant:ident $(= $number:literal)? => $text:literal,
        )*}
    ) => {
        $(#[$attribute])*
        $visibility enum $name {$(
            $(#[$variant_attribute])*
            $variant $(= $number)?,
        )*}

        impl $name {
            /// Every variant, in the order of declaration.
            $visibility const ALL: [$name; [$($text),*].len()] = [$($name::$variant),*];
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(match self {$($name::$variant => $text,)*})
            }
        }
    };
}

/// Implements `Debug` like `Display`, for a type whose text is short.
macro_rules! debug_as_display {
    ($type:ty) => {
        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}

/// Implements `Display` and `Debug` for a type by a text with the named fields as arguments, which
/// is padded like a string.
macro_rules! short_form {
    ($type:ty: $text:literal $(, $field:tt)+) => {
        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&alloc::format!($text $(, self.$field)+))
            }
        }

        $crate::types::text::debug_as_display!($type);
    };
}

pub(crate) use closed_list;
pub(crate) use debug_as_display;
pub(crate) use short_form;
pub(crate) use texts;
