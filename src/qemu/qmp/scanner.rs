//! Where a JSON text begins and ends in the stream.
//!
//! The scanner counts brackets and knows strings; whether the text between them is JSON, the parser of JSON says. It
//! hands texts on in a plain form: one line, with double quotes. Single quotes are accepted because qemu-ga does.

/// The longest text that is kept.
pub(super) const MAX_LEN: usize = 1024 * 1024;

/// The deepest nesting.
pub(super) const MAX_DEPTH: u32 = 32;

/// The most values in a text, counted by their commas and brackets. Each costs 32 bytes once it is read, however short it
/// is in the text.
pub(super) const MAX_VALUES: usize = 16 * 1024;

/// How much of a stray word is kept.
const MAX_WORD: usize = 64;

/// The byte that discards what has not come whole.
const RESET: u8 = 0xFF;

/// What the scanner finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A text that is whole, perhaps JSON.
    Text(Vec<u8>),
    /// Bytes that are none, and what to say of them.
    Broken(String),
}

/// Cuts the stream into texts, byte by byte.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    /// The text so far.
    text: Vec<u8>,
    /// The brackets that are open.
    open: Brackets,
    /// How many commas and opening brackets there are.
    values: usize,
    /// The last byte of the text that is no white space.
    last: u8,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between texts.
    #[default]
    Between,
    /// In a word outside of brackets: a number, a keyword or garbage.
    Word,
    /// Within brackets, outside of a string.
    Value,
    /// In a string.
    Text {
        /// What it ends with.
        quote: u8,
        /// Whether the byte before was a backslash.
        escaped: bool,
    },
    /// Behind an error, up to the next newline.
    Skip,
}

impl Scanner {
    /// Takes a byte.
    pub(super) fn take(&mut self, byte: u8) -> Option<Found> {
        if byte == RESET {
            *self = Self::default();
            return None;
        }
        match self.state {
            State::Between => self.begin(byte),
            State::Word if is_space(byte) || is_opener(byte) || is_quote(byte) => {
                let word = self.end();
                // Nothing that ends a word is found by itself.
                self.begin(byte);
                Some(word_found(word))
            }
            State::Word => {
                if self.text.len() < MAX_WORD {
                    self.text.push(byte);
                }
                None
            }
            State::Value => self.value(byte),
            State::Text { quote, escaped } => self.string(byte, quote, escaped),
            State::Skip => {
                if byte == b'\n' {
                    self.state = State::Between;
                }
                None
            }
        }
    }

    /// How much memory the text takes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.text.capacity()
    }

    /// A byte between texts.
    fn begin(&mut self, byte: u8) -> Option<Found> {
        if is_opener(byte) || is_quote(byte) {
            self.last = b':';
            return self.value(byte);
        }
        if !is_space(byte) {
            self.state = State::Word;
            self.text.push(byte);
        }
        None
    }

    /// A byte within brackets.
    fn value(&mut self, byte: u8) -> Option<Found> {
        if is_space(byte) {
            return self.keep(b' ');
        }
        let last = std::mem::replace(&mut self.last, byte);
        let first = matches!(last, b'{' | b'[' | b',' | b':');
        match byte {
            b'{' | b'[' | b'"' | b'\'' if !first => self.unseparated(),
            b'{' | b'[' => {
                self.state = State::Value;
                if !self.open.push(byte) {
                    return self.broken("JSON nesting depth limit exceeded", byte);
                }
                self.count(byte)
            }
            b'"' | b'\'' => {
                self.state = State::Text {
                    quote: byte,
                    escaped: false,
                };
                self.keep(b'"')
            }
            b'}' | b']' => {
                if !self.open.pop(byte) {
                    return self.broken("JSON parse error, expecting value", byte);
                }
                self.keep(byte).or_else(|| self.end_if_whole())
            }
            b',' => self.count(byte),
            b':' => self.keep(byte),
            b'a'..=b'z' | b'0'..=b'9' | b'E' | b'+' | b'-' | b'.' => {
                if matches!(last, b'"' | b'}' | b']') {
                    return self.unseparated();
                }
                self.keep(byte)
            }
            _ => self.broken(&stray(byte), byte),
        }
    }

    /// A byte in a string.
    fn string(&mut self, byte: u8, quote: u8, escaped: bool) -> Option<Found> {
        if byte < b' ' {
            return self.broken(&format!("{} in string", stray(byte)), byte);
        }
        let now_escaped = byte == b'\\' && !escaped;
        self.state = State::Text {
            quote,
            escaped: now_escaped,
        };
        if byte == quote && !escaped {
            self.state = State::Value;
            self.last = b'"';
            return self.keep(b'"').or_else(|| self.end_if_whole());
        }
        match byte {
            // JSON has no such escape, and needs none.
            b'\'' if escaped => {
                self.text.pop();
                self.keep(byte)
            }
            b'"' if !escaped => self.keep(b'\\').or_else(|| self.keep(byte)),
            _ => self.keep(byte),
        }
    }

    /// Keeps a byte that begins a value.
    fn count(&mut self, byte: u8) -> Option<Found> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return self.broken("JSON token count limit exceeded", byte);
        }
        self.keep(byte)
    }

    /// Keeps a byte.
    fn keep(&mut self, byte: u8) -> Option<Found> {
        if self.text.len() >= MAX_LEN {
            return self.broken("JSON token size limit exceeded", byte);
        }
        self.text.push(byte);
        None
    }

    /// The text, if its last bracket is closed.
    fn end_if_whole(&mut self) -> Option<Found> {
        self.open.is_empty().then(|| Found::Text(self.end()))
    }

    /// The text so far; what follows is a new one.
    fn end(&mut self) -> Vec<u8> {
        std::mem::take(self).text
    }

    /// A value that follows another.
    fn unseparated(&mut self) -> Option<Found> {
        let place = self.open.innermost();
        self.broken(
            &format!("JSON parse error, expected separator in {place}"),
            b' ',
        )
    }

    /// Gives up what came, up to the end of the line. `byte` is the one in hand.
    fn broken(&mut self, desc: &str, byte: u8) -> Option<Found> {
        *self = Self::default();
        if byte != b'\n' {
            self.state = State::Skip;
        }
        Some(Found::Broken(desc.to_owned()))
    }
}

/// The brackets that are open, a bit each: 1 is a brace.
#[derive(Clone, Copy, Debug, Default)]
struct Brackets {
    kinds: u32,
    depth: u32,
}

impl Brackets {
    /// Opens one, if there is room.
    fn push(&mut self, opener: u8) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | u32::from(opener == b'{');
        true
    }

    /// Closes the innermost, if it is of this kind.
    fn pop(&mut self, closer: u8) -> bool {
        let fits = self.depth > 0 && (self.kinds & 1 == 1) == (closer == b'}');
        self.depth = self.depth.saturating_sub(1);
        self.kinds >>= 1;
        fits
    }

    /// Whether none is open.
    const fn is_empty(self) -> bool {
        self.depth == 0
    }

    /// What qemu-ga calls the innermost.
    const fn innermost(self) -> &'static str {
        if self.kinds & 1 == 1 { "dict" } else { "list" }
    }
}

/// What a word outside of brackets comes to: JSON's scalars are texts, the rest is garbage.
fn word_found(word: Vec<u8>) -> Found {
    let keyword = word.iter().take_while(|byte| byte.is_ascii_lowercase());
    let keyword: String = keyword.map(|byte| char::from(*byte)).collect();
    match word.first().copied().unwrap_or_default() {
        _ if matches!(keyword.as_str(), "true" | "false" | "null") => Found::Text(word),
        b'-' | b'0'..=b'9' => Found::Text(word),
        b'}' | b']' | b',' | b':' => Found::Broken("JSON parse error, expecting value".to_owned()),
        first if keyword.is_empty() => Found::Broken(stray(first)),
        _ => Found::Broken(format!("JSON parse error, invalid keyword '{keyword}'")),
    }
}

/// What to say of a byte that JSON has no use for.
fn stray(byte: u8) -> String {
    let shown = if byte.is_ascii() {
        char::from(byte)
    } else {
        char::REPLACEMENT_CHARACTER
    };
    format!("JSON parse error, stray '{shown}'")
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_opener(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}
