//! Command lines: the one simple command of a shell, with its quotes and redirections, and nothing else of a shell.
//!
//! ```text
//! -c 'talosctl logs apid' 1> /tmp/a 2> /tmp/b      words: -c, talosctl logs apid; redirections: two
//! > /tmp/a 2>&1 -c "talosctl version"              words: -c, talosctl version;   redirections: two
//! talosctl dmesg | head                            a fault: pipes
//! ```
//! A fault does not end the reading: the redirections behind it say where the client looks for the reason.

use std::iter::Peekable;
use std::str::Chars;

use super::Stdio;

/// What a command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The words, without their quotes.
    pub(super) words: Vec<String>,
    /// What goes where, in the order in which it counts.
    pub(super) redirections: Vec<Redirection>,
    /// The first thing that only a shell could do.
    pub(super) fault: Option<Fault>,
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// Into a file.
    Open {
        /// Which output.
        of: Outputs,
        /// The file.
        path: String,
    },
    /// To where the other output goes at this point.
    Join {
        /// Which output.
        of: Stdio,
        /// The other.
        to: Stdio,
    },
}

/// Outputs that are redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outputs {
    /// One.
    One(Stdio),
    /// Both.
    Both,
}

/// What there is no shell for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// `|`
    #[error("there are no pipes")]
    Pipe,
    /// `;`, `&`, a second line
    #[error("only one command can be run at a time")]
    Several,
    /// `$`
    #[error("there are no variables and no substitutions; put the text in single quotes")]
    Variable,
    /// `*`, `?`, `[`, `{`, `~`
    #[error("there are no patterns; put the text in quotes")]
    Pattern,
    /// `(`
    #[error("there are no groups")]
    Group,
    /// `#`
    #[error("there are no comments")]
    Comment,
    /// `<`
    #[error("input cannot be redirected")]
    Input,
    /// `>>`
    #[error("output cannot be appended, only written with >")]
    Append,
    /// `3>`
    #[error("only the outputs 1 and 2 can be redirected")]
    Descriptor,
    /// `>` and nothing
    #[error("a redirection has no file")]
    NoFile,
    /// `'`
    #[error("a quote is not closed")]
    Open,
}

/// Reads a command line.
pub(super) fn parse(text: &str) -> Line {
    let mut lexer = Lexer {
        chars: text.chars().peekable(),
        line: Line::default(),
        word: None,
        target: None,
        has_line_end: false,
    };
    while let Some(next) = lexer.chars.next() {
        lexer.take(next);
    }
    lexer.end_word();
    if lexer.target.is_some() {
        lexer.fault(Fault::NoFile);
    }
    lexer.line
}

/// The state of reading.
struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: Line,
    word: Option<Word>,
    /// The redirection whose file is the next word.
    target: Option<Outputs>,
    /// A line has ended that was not empty.
    has_line_end: bool,
}

/// A word so far.
#[derive(Default)]
struct Word {
    text: String,
    is_quoted: bool,
}

impl Lexer<'_> {
    fn take(&mut self, next: char) {
        match next {
            ' ' | '\t' | '\r' => return self.end_word(),
            '\n' => {
                self.end_word();
                self.has_line_end = !self.is_blank();
                return;
            }
            _ if self.has_line_end => self.fault(Fault::Several),
            _ => {}
        }
        match next {
            '\'' => self.single_quoted(),
            '"' => self.double_quoted(),
            '\\' => match self.chars.next() {
                Some('\n') => {}
                Some(escaped) => self.quoted(escaped),
                None => self.quoted('\\'),
            },
            '>' => self.redirection(),
            '&' if self.chars.next_if_eq(&'>').is_some() => {
                self.end_word();
                self.begin_redirection(Outputs::Both);
            }
            '&' | ';' => self.breaks(Fault::Several),
            '|' => self.breaks(Fault::Pipe),
            '(' | ')' => self.breaks(Fault::Group),
            '<' => self.breaks(Fault::Input),
            '$' | '`' => self.fault(Fault::Variable),
            '*' | '?' | '[' | '{' | '}' => self.fault(Fault::Pattern),
            '~' if self.word.is_none() => self.fault(Fault::Pattern),
            '#' if self.word.is_none() => self.fault(Fault::Comment),
            plain => self.word().text.push(plain),
        }
    }

    const fn is_blank(&self) -> bool {
        self.line.words.is_empty()
            && self.line.redirections.is_empty()
            && self.line.fault.is_none()
            && self.target.is_none()
    }

    fn fault(&mut self, fault: Fault) {
        self.line.fault.get_or_insert(fault);
    }

    /// What also ends a word.
    fn breaks(&mut self, fault: Fault) {
        self.end_word();
        self.fault(fault);
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn quoted(&mut self, text: char) {
        let word = self.word();
        word.is_quoted = true;
        word.text.push(text);
    }

    fn single_quoted(&mut self) {
        self.word().is_quoted = true;
        loop {
            match self.chars.next() {
                Some('\'') => return,
                Some(text) => self.quoted(text),
                None => return self.fault(Fault::Open),
            }
        }
    }

    fn double_quoted(&mut self) {
        self.word().is_quoted = true;
        loop {
            match self.chars.next() {
                Some('"') => return,
                Some('$' | '`') => self.fault(Fault::Variable),
                Some('\\') => match self.chars.next() {
                    Some('\n') => {}
                    Some(escaped @ ('$' | '`' | '"' | '\\')) => self.quoted(escaped),
                    Some(text) => {
                        self.quoted('\\');
                        self.quoted(text);
                    }
                    None => return self.fault(Fault::Open),
                },
                Some(text) => self.quoted(text),
                None => return self.fault(Fault::Open),
            }
        }
    }

    /// After a `>`.
    fn redirection(&mut self) {
        let of = self.descriptor();
        if self.chars.next_if_eq(&'>').is_some() {
            self.fault(Fault::Append);
        }
        if self.chars.next_if_eq(&'&').is_none() {
            return self.begin_redirection(Outputs::One(of));
        }
        match self.chars.next().and_then(output) {
            Some(to) => self.line.redirections.push(Redirection::Join { of, to }),
            None => self.fault(Fault::Descriptor),
        }
        if self.chars.peek().is_some_and(char::is_ascii_alphanumeric) {
            self.fault(Fault::Descriptor);
        }
    }

    /// The output that a `>` is about: a number that touches it, or else stdout.
    fn descriptor(&mut self) -> Stdio {
        let is_number = self.word.as_ref().is_some_and(|word| {
            !word.is_quoted && word.text.bytes().all(|byte| byte.is_ascii_digit())
        });
        let number = self.word.take_if(|_| is_number);
        self.end_word();
        let Some(number) = number else {
            return Stdio::Stdout;
        };
        match number.text.as_str() {
            "1" => Stdio::Stdout,
            "2" => Stdio::Stderr,
            _ => {
                self.fault(Fault::Descriptor);
                Stdio::Stdout
            }
        }
    }

    fn begin_redirection(&mut self, of: Outputs) {
        if self.target.replace(of).is_some() {
            self.fault(Fault::NoFile);
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.target.take() {
            None => self.line.words.push(word.text),
            Some(of) => {
                let path = word.text;
                self.line.redirections.push(Redirection::Open { of, path });
            }
        }
    }
}

/// The output with this number.
const fn output(number: char) -> Option<Stdio> {
    match number {
        '1' => Some(Stdio::Stdout),
        '2' => Some(Stdio::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to(of: Stdio, path: &str) -> Redirection {
        Redirection::Open {
            of: Outputs::One(of),
            path: path.to_owned(),
        }
    }

    const JOINED: Redirection = Redirection::Join {
        of: Stdio::Stderr,
        to: Stdio::Stdout,
    };

    #[test]
    fn words_lose_their_quotes() {
        for (text, words) in [
            ("", &[][..]),
            (" \t\r\n", &[]),
            (
                "get machinestatus -o yaml",
                &["get", "machinestatus", "-o", "yaml"],
            ),
            ("a 'b c' \"d e\" f\\ g", &["a", "b c", "d e", "f g"]),
            (r#"'a'"b"c '' "" "#, &["abc", "", ""]),
            (r#""a\"b\\c\$d\`e\f""#, &[r#"a"b\c$d`e\f"#]),
            (
                r#"'$x `y` \ "z" | ; > < * ? ~ #'"#,
                &[r#"$x `y` \ "z" | ; > < * ? ~ #"#],
            ),
            ("a\\\nb \"c\\\nd\"", &["ab", "cd"]),
            ("talosctl version\r\n\n", &["talosctl", "version"]),
            ("\n  talosctl version", &["talosctl", "version"]),
            (
                "a~b c#d \\~ \\# \\* 12 3",
                &["a~b", "c#d", "~", "#", "*", "12", "3"],
            ),
        ] {
            let line = parse(text);
            assert_eq!(line.fault, None, "{text}");
            assert_eq!(line.words, words, "{text}");
            assert_eq!(line.redirections, [], "{text}");
        }
    }

    #[test]
    fn redirections_stand_anywhere() {
        use Stdio::{Stderr, Stdout};
        let both = Redirection::Open {
            of: Outputs::Both,
            path: "/tmp/a".to_owned(),
        };
        for (text, words, redirections) in [
            (
                "x 1> /tmp/a 2> /tmp/b",
                &["x"][..],
                vec![to(Stdout, "/tmp/a"), to(Stderr, "/tmp/b")],
            ),
            (
                "> /tmp/a 2>&1 -c \"x y\"",
                &["-c", "x y"],
                vec![to(Stdout, "/tmp/a"), JOINED],
            ),
            ("x 2>&1 >/tmp/a", &["x"], vec![JOINED, to(Stdout, "/tmp/a")]),
            ("x>/tmp/a y", &["x", "y"], vec![to(Stdout, "/tmp/a")]),
            ("x &>/tmp/a", &["x"], vec![both.clone()]),
            ("x&> '/tmp/a'", &["x"], vec![both]),
            ("x 2> \"/tmp/a b\"", &["x"], vec![to(Stderr, "/tmp/a b")]),
            ("x '2'>/tmp/a", &["x", "2"], vec![to(Stdout, "/tmp/a")]),
            ("x y2>/tmp/a", &["x", "y2"], vec![to(Stdout, "/tmp/a")]),
        ] {
            let line = parse(text);
            assert_eq!(line.fault, None, "{text}");
            assert_eq!(line.words, words, "{text}");
            assert_eq!(line.redirections, redirections, "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_could_do_is_a_fault() {
        for (text, fault) in [
            ("a | b", Fault::Pipe),
            ("a || b", Fault::Pipe),
            ("a; b", Fault::Several),
            ("a;", Fault::Several),
            ("a && b", Fault::Several),
            ("a &", Fault::Several),
            ("a\nb", Fault::Several),
            (">/tmp/a\nb", Fault::Several),
            ("a $b", Fault::Variable),
            ("a \"$b\"", Fault::Variable),
            ("a $(b)", Fault::Variable),
            ("a `b`", Fault::Variable),
            ("a \"`b`\"", Fault::Variable),
            ("a *.log", Fault::Pattern),
            ("a b?", Fault::Pattern),
            ("a [b]", Fault::Pattern),
            ("a {b,c}", Fault::Pattern),
            ("a ~/b", Fault::Pattern),
            ("(a)", Fault::Group),
            ("a # b", Fault::Comment),
            ("a < b", Fault::Input),
            ("a << b", Fault::Input),
            ("a >> b", Fault::Append),
            ("a 3> b", Fault::Descriptor),
            ("a >&3", Fault::Descriptor),
            ("a 2>&1x", Fault::Descriptor),
            ("a >&", Fault::Descriptor),
            ("a >", Fault::NoFile),
            ("a > > b", Fault::NoFile),
            ("a 'b", Fault::Open),
            ("a \"b", Fault::Open),
            ("a \"b\\", Fault::Open),
        ] {
            assert_eq!(parse(text).fault, Some(fault), "{text}");
        }
    }

    /// The client looks there for the reason.
    #[test]
    fn a_fault_does_not_hide_the_redirections_behind_it() {
        let line = parse("talosctl dmesg | head 1> /tmp/a 2> /tmp/b");
        assert_eq!(line.fault, Some(Fault::Pipe));
        assert_eq!(
            line.redirections,
            [to(Stdio::Stdout, "/tmp/a"), to(Stdio::Stderr, "/tmp/b")]
        );
    }

    proptest! {
        #[test]
        fn any_words_survive_single_quotes(words in proptest::collection::vec(".*", 0..6)) {
            let quoted: Vec<String> = words
                .iter()
                .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
                .collect();
            let line = parse(&quoted.join(" "));
            prop_assert_eq!(line.fault, None);
            prop_assert_eq!(line.words, words);
        }

        #[test]
        fn any_words_survive_double_quotes(words in proptest::collection::vec("(?s:.)*", 0..6)) {
            let quoted: Vec<String> = words
                .iter()
                .map(|word| {
                    let mut quoted = String::from("\"");
                    for one in word.chars() {
                        if matches!(one, '$' | '`' | '"' | '\\') {
                            quoted.push('\\');
                        }
                        quoted.push(one);
                    }
                    quoted + "\""
                })
                .collect();
            let line = parse(&quoted.join("\t"));
            prop_assert_eq!(line.fault, None);
            prop_assert_eq!(line.words, words);
        }

        #[test]
        fn words_are_never_more_than_the_text(text in "[ a-c'\"\\\\|;&<>$`*~#12\n-]{0,40}") {
            let line = parse(&text);
            let len: usize = line.words.iter().map(String::len).sum();
            prop_assert!(len <= text.len());
        }
    }
}
