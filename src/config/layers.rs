//! The sources of settings laid over each other, each value with its origin.
//!
//! Invariant: every value in a [`Layers`] belongs to a key of the table and has that key's type.

use super::{
    CONFIG_FILE_MAX_BYTES, ConfigError, Flags, Key, SECTIONS, Section, Source,
    nearest::{edits, nearest},
};
use std::{collections::BTreeMap, io::Read, path::Path};
use toml::{Table, Value};

/// Longest mistyped name that is repeated in an error, in characters.
const NAME_SHOWN_MAX_CHARS: usize = 80;

/// Every key's value and origin.
pub(super) struct Layers {
    values: BTreeMap<(&'static str, &'static str), (Value, Source)>,
}

impl Layers {
    /// The lowest layer: the key table's defaults.
    pub(super) fn defaults() -> Self {
        let all = SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
        let values = all.map(|(section, key)| ((section.name, key.name), (default_of(key), Source::Default)));
        Self { values: values.collect() }
    }

    /// Value and origin of a key of the table.
    pub(super) fn get(&self, section: &str, key: &str) -> (&Value, &Source) {
        let found = self.values.iter().find(|((in_section, name), _)| *in_section == section && *name == key);
        let (_, (value, from)) = found.expect("every key of the table has at least its default");
        (value, from)
    }

    /// Lays one value on top. The key must be in the table.
    pub(super) fn set(&mut self, section: &str, key: &str, value: Value, from: Source) -> Result<(), ConfigError> {
        let (section, key) = find(section, key, &from)?;
        check_type(section, key, &value, &from)?;
        self.values.insert((section.name, key.name), (value, from));
        Ok(())
    }

    /// Lays a config file on top.
    pub(super) fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let from = Source::File(path.to_owned());
        let text = read_bounded(path)?;
        let table: Table = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { from: from.clone(), reason: one_line(&error) })?;
        for (section, content) in table {
            let Value::Table(content) = content else {
                return Err(ConfigError::Outside { from, key: shown(&section), nearest: nearest_key("", &section) });
            };
            find_section(&section, &from)?;
            for (key, value) in content {
                self.set(&section, &key, value, from.clone())?;
            }
        }
        Ok(())
    }

    /// Lays the environment on top. Variables that name no section are other people's.
    pub(super) fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let known = || SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
        for (name, text) in environment {
            let from = Source::Environment(name.clone());
            match known().find(|(_, key)| key.env == name) {
                Some((section, key)) => self.set(section.name, key.name, read_text(key, &text), from)?,
                None if names_a_section(&name) => {
                    let nearest = nearest(&name, known().map(|(_, key)| key.env)).unwrap_or_default();
                    return Err(ConfigError::UnknownVariable { from, nearest });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Lays the command line on top.
    pub(super) fn add_flags(&mut self, flags: &Flags) -> Result<(), ConfigError> {
        flags.entries().into_iter().try_for_each(|(section, key, value)| self.set(section, key, value, Source::Flag))
    }
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let failed = |reason: String| ConfigError::Read { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    file.take(CONFIG_FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    match u64::try_from(text.len()) {
        Ok(len) if len <= CONFIG_FILE_MAX_BYTES => Ok(text),
        _ => Err(failed(format!("it is larger than {CONFIG_FILE_MAX_BYTES} B"))),
    }
}

/// The position and message of a TOML error without its drawing.
fn one_line(error: &toml::de::Error) -> String {
    let drawn = error.to_string();
    let position = drawn.lines().next().unwrap_or_default().trim_start_matches("TOML parse error ");
    format!("{} {position}", error.message().replace('\n', ", "))
}

fn default_of(key: &Key) -> Value {
    key.default.parse().expect("defaults are TOML literals, as a test asserts")
}

/// A text of the environment as a value of the key's type; one that does not fit stays text and is refused later.
fn read_text(key: &Key, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match default_of(key) {
        Value::Integer(_) => text.trim().parse().map_or_else(|_| as_text(), Value::Integer),
        Value::Boolean(_) => text.trim().parse().map_or_else(|_| as_text(), Value::Boolean),
        Value::Array(_) => {
            super::flags::texts(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned))
        }
        _ => as_text(),
    }
}

fn names_a_section(variable: &str) -> bool {
    let section = variable.strip_prefix("CESS_").and_then(|rest| rest.split_once('_')).map(|(section, _)| section);
    section.is_some_and(|section| SECTIONS.iter().any(|known| known.name.eq_ignore_ascii_case(section)))
}

fn find_section(name: &str, from: &Source) -> Result<&'static Section, ConfigError> {
    SECTIONS.iter().find(|section| section.name == name).ok_or_else(|| ConfigError::UnknownSection {
        from: from.clone(),
        section: shown(name),
        nearest: nearest(name, SECTIONS.iter().map(|section| section.name)).unwrap_or_default(),
    })
}

fn find(section: &str, key: &str, from: &Source) -> Result<(&'static Section, &'static Key), ConfigError> {
    let found = find_section(section, from)?;
    let known = found.keys.iter().find(|known| known.name == key);
    known.map(|key| (found, key)).ok_or_else(|| ConfigError::UnknownKey {
        from: from.clone(),
        section: section.to_owned(),
        key: shown(key),
        nearest: nearest_key(section, key),
    })
}

/// The known key nearest to `key`; of equally near ones, one of the same section.
fn nearest_key(section: &str, key: &str) -> String {
    let all = SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section.name, key.name)));
    let best = all.min_by_key(|(in_section, name)| (edits(key, name), *in_section != section));
    best.map(|(section, name)| format!("{section}.{name}")).unwrap_or_default()
}

fn check_type(section: &Section, key: &Key, value: &Value, from: &Source) -> Result<(), ConfigError> {
    let wrong = |found: &Value, expected| ConfigError::Type {
        from: from.clone(),
        key: format!("{}.{}", section.name, key.name),
        found: found.type_str().to_owned(),
        expected,
    };
    let default = default_of(key);
    match value {
        Value::Array(items) if default.is_array() => match items.iter().find(|item| !item.is_str()) {
            Some(item) => Err(wrong(item, "a list of texts")),
            None => Ok(()),
        },
        _ if value.same_type(&default) => Ok(()),
        _ => Err(wrong(value, type_name(&default))),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        _ => "a text",
    }
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_MAX_CHARS).collect()
}
