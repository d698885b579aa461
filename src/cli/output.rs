//! What reaches the terminal: documents and tables on stdout, progress, hints and errors on stderr.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    silent: bool,
}

impl Output {
    /// Human output, or one JSON document.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, silent: false }
    }

    /// No output at all, for a command run as part of another.
    pub fn silent() -> Self {
        Self { json: false, quiet: true, silent: true }
    }

    /// Prints the result: the document with `--json`, else what `human` renders.
    pub fn document<T: Serialize>(&self, value: &T, human: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string(value)? } else { human(value) };
        self.text(text.trim_end())
    }

    /// Prints plain text.
    pub fn text(&self, text: &str) -> anyhow::Result<()> {
        self.written(text).map(drop)
    }

    /// As [`Output::document`], for one of many on a line each; says whether anybody still reads them.
    pub fn line<T: Serialize>(&self, value: &T, human: impl FnOnce(&T) -> String) -> anyhow::Result<bool> {
        let text = if self.json { serde_json::to_string(value)? } else { human(value) };
        self.written(&text)
    }

    fn written(&self, text: &str) -> anyhow::Result<bool> {
        if self.silent {
            return Ok(true);
        }
        match writeln!(std::io::stdout(), "{text}") {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    /// A line for a person, on stderr.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // A closed stderr must not fail the command.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Whether a person reads along on a terminal.
    pub fn is_interactive(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal() && std::io::stdout().is_terminal()
    }

    /// The error with its causes and, where there is one, a thing to try.
    pub fn error(&self, error: &anyhow::Error) {
        let mut text = String::from("error: ");
        let mut last = String::new();
        for cause in error.chain() {
            let cause = cause.to_string();
            if last.contains(&cause) {
                continue;
            }
            if !last.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
            last = cause;
        }
        if self.json {
            let document = serde_json::json!({ "error": text.trim_start_matches("error: ") });
            let _ = writeln!(std::io::stdout(), "{document}");
        }
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// A progress bar over bytes; hidden when stderr is not a terminal.
    pub fn bytes_bar(&self, verb: &'static str, total: u64) -> ProgressBar {
        let hidden = self.quiet || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template(
            "{prefix:>10} [{bar:32}] {bytes:>10} / {total_bytes:10} {binary_bytes_per_sec:>12}  {eta} left  {msg}",
        )
        .expect("the template is fixed and valid")
        .progress_chars("=> ");
        ProgressBar::with_draw_target(Some(total), target).with_style(style).with_prefix(verb)
    }
}

/// Columns padded to their widest cell, two spaces apart.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            out.push_str(&format!("{cell:<width$}  "));
        }
        out.trim_end().to_owned() + "\n"
    };
    let mut out = line(header.to_vec());
    for row in rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    out
}

/// `12ab…90ef`, for tables.
pub fn short(id: &str) -> String {
    let digits = id.strip_prefix("0x").unwrap_or(id);
    if digits.len() <= 12 {
        return id.to_owned();
    }
    format!("{}…{}", &digits[..6], &digits[digits.len() - 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_ids_shorten() {
        let text = table(&["a", "bb"], &[vec!["long".into(), "x".into()], vec!["s".into(), "y".into()]]);
        assert_eq!(text, "a     bb\nlong  x\ns     y\n");
        assert_eq!(short("0x0123456789abcdef0123"), "012345…0123");
        assert_eq!(short("abc"), "abc");
    }
}
