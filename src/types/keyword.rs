//! Enums that are words of the settings: one name each, read back from text, refused with the names there are.

/// Declares such an enum. Its variants are followed by their names.
macro_rules! keyword {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every one.
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in settings.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|one| one.name() == text);
                found.ok_or_else(|| $crate::types::keyword::expected(&[$($text),+]))
            }
        }
    };
}

pub(crate) use keyword;

/// What a text that is none of `names` is answered with.
pub(crate) fn expected(names: &[&str]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("expected {} or {last}", others.join(", ")),
        _ => format!("expected {}", names.join("")),
    }
}

#[cfg(test)]
mod tests {
    keyword! {
        /// Colours.
        enum Colour {
            /// The first.
            #[default]
            Red = "red",
            /// Two words.
            DarkBlue = "dark-blue",
            /// The last.
            Green = "green",
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_told_them() {
        for colour in Colour::ALL {
            assert_eq!(colour.to_string().parse(), Ok(*colour));
        }
        assert_eq!("Red".parse::<Colour>(), Err("expected red, dark-blue or green".to_owned()));
        assert_eq!(Colour::default(), Colour::Red);
        assert_eq!(
            (super::expected(&["a", "b"]), super::expected(&["a"])),
            ("expected a or b".into(), "expected a".into())
        );
    }
}
