//! The text of a documented config file.

use super::{Key, SECTIONS, layers::Layers};
use std::fmt::Write;

/// What the file says about itself.
const HEAD: &str = "\
# Settings of a cess node. Every key is optional; without it the value of config.example.toml holds.
# A key is overridden by its environment variable, and that by a flag of the command line.
";

/// Every section and key with its meaning and the value in `layers`.
pub(super) fn document(layers: &Layers) -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        write!(text, "\n# {}\n[{}]\n", section.doc, section.name).expect("writing to a string cannot fail");
        for key in section.keys {
            entry(&mut text, key, &layers.get(section.name, key.name).0.to_string());
        }
    }
    text
}

fn entry(text: &mut String, key: &Key, value: &str) {
    for line in key.doc {
        writeln!(text, "# {line}").expect("writing to a string cannot fail");
    }
    writeln!(text, "# {}", key.env).expect("writing to a string cannot fail");
    writeln!(text, "{} = {value}", key.name).expect("writing to a string cannot fail");
}
