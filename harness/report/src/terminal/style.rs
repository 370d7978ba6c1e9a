//! Colours.

use anstyle::{AnsiColor, Style};

/// Words coloured by what they mean, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Painter {
    /// Whether to colour.
    pub color: bool,
}

impl Painter {
    /// kola's word for a result, or kolea's for a verdict, in its colour.
    pub fn word(self, word: &str) -> String {
        let color = match word {
            "PASS" | "pass" => AnsiColor::Green,
            "FAIL" | "fail" | "timeout" | "infra" | "lost" => AnsiColor::Red,
            "WARN" | "warn" | "flaky" | "xpass" => AnsiColor::Yellow,
            _ => AnsiColor::Cyan,
        };
        self.paint(word, color)
    }

    /// Any words, in the colour of what is bad.
    pub fn bad(self, words: &str) -> String {
        self.paint(words, AnsiColor::Red)
    }

    fn paint(self, words: &str, color: AnsiColor) -> String {
        if self.color {
            let style = Style::new().bold().fg_color(Some(color.into()));
            format!("{style}{words}{style:#}")
        } else {
            words.to_owned()
        }
    }
}
