//! The timeline on the screen: coloured on a terminal, plain elsewhere.

#![allow(
    clippy::print_stdout,
    reason = "the timeline is what the program is for"
)]

use std::io::{IsTerminal as _, stdout};
use std::time::{Duration, Instant};

/// Writes the timeline.
pub(crate) struct Show {
    started: Instant,
    colour: bool,
}

impl Show {
    /// Time begins now.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            colour: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// What the whole is.
    pub(crate) fn title(&self, text: &str) {
        println!("{}", self.paint("1", text));
    }

    /// A part begins.
    pub(crate) fn chapter(&self, text: &str) {
        println!("\n{}", self.paint("1;34", &format!("== {text}")));
    }

    /// Something is done to the node or the host.
    pub(crate) fn step(&self, text: &str) {
        self.line("33", "▶", text, None);
    }

    /// Something was seen to happen, maybe some time after its cause.
    pub(crate) fn seen(&self, text: &str, after: Option<Duration>) {
        self.line("32", " ", text, after);
    }

    /// A block of text under a heading.
    pub(crate) fn panel(&self, title: &str, text: &str) {
        println!(
            "\n{}\n{}\n",
            self.paint("1", title),
            self.paint("36", text.trim_end())
        );
    }

    /// The last line when all went well.
    pub(crate) fn success(&self, text: &str) {
        println!("\n{}", self.paint("1;32", &format!("demo: {text}")));
    }

    /// The last line when it did not.
    pub(crate) fn failure(&self, text: &str) {
        println!("\n{}", self.paint("1;31", &format!("demo: FAILED: {text}")));
    }

    fn line(&self, colour: &str, mark: &str, text: &str, after: Option<Duration>) {
        let now = self.started.elapsed().as_secs_f64();
        let after = after.map_or_else(String::new, |after| {
            format!("  +{:.1} ms", after.as_secs_f64() * 1e3)
        });
        println!(
            "{now:8.3} s {} {text}{}",
            self.paint(colour, mark),
            self.paint("2", &after)
        );
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
