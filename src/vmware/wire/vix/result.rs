//! What operations answer with: error, additional error, and a text that looks like XML [vixTools.c].
//!
//! ```text
//! <proc><cmd>NAME</cmd><name>LINE</name><pid>N</pid><user>U</user><start>T</start><eCode>N</eCode><eTime>T</eTime></proc>
//! <ev>NAME=VALUE</ev>
//! <fxi><Name>N</Name><ft>0</ft><fs>SIZE</fs><mt>T</mt><at>T</at><uid>U</uid><gid>G</gid><perm>MODE</perm><slt>TO</slt></fxi>
//! ```

use std::fmt::{self, Display, Write as _};

use super::VixError;

/// The result of a VIX operation, which follows `OK ` in the TCLO reply. The additional error is an errno, of
/// which we have none.
pub fn result(error: VixError, binary: bool, value: &[u8]) -> Vec<u8> {
    let mut result = format!("{} 0 ", error.0).into_bytes();
    if binary {
        result.push(b'#');
        result.extend_from_slice(value);
    } else {
        result.extend_from_slice(value);
        result.push(0);
    }
    result
}

/// A process, as `<proc>`.
#[derive(Clone, Copy, Debug)]
pub struct ProcessText<'a> {
    /// The name of its program.
    pub command: &'a str,
    /// The whole command line.
    pub line: &'a str,
    /// Its number.
    pub pid: u64,
    /// Whose it is.
    pub user: &'a str,
    /// When it was started, in seconds since 1970.
    pub start: u64,
    /// Its exit code; 0 while it runs.
    pub exit_code: i32,
    /// When it ended, in seconds since 1970; 0 while it runs.
    pub end: u64,
}

impl Display for ProcessText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<proc><cmd>{}</cmd><name>{}</name><pid>{}</pid><user>{}</user><start>{}</start>\
             <eCode>{}</eCode><eTime>{}</eTime></proc>",
            Escaped(self.command),
            Escaped(self.line),
            self.pid,
            Escaped(self.user),
            self.start,
            self.exit_code,
            self.end,
        )
    }
}

/// The environment, as `<ev>` each.
pub fn environment_text<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        // Writing to a String does not fail.
        let _ = write!(text, "<ev>{}={}</ev>", Escaped(name), Escaped(value));
    }
    text
}

/// A file, as `<fxi>`.
#[derive(Clone, Copy, Debug)]
pub struct FileText<'a> {
    /// Its name in a folder, or the whole path.
    pub name: &'a str,
    /// VIX_FILE_ATTRIBUTES_…: 0 file, 1 folder, 2 symbolic link.
    pub kind: u32,
    /// Bytes.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// When it was read, in seconds since 1970.
    pub accessed: i64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_mode`, with the bits of its kind.
    pub mode: u32,
    /// Where a symbolic link points.
    pub target: &'a str,
}

impl Display for FileText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<fxi><Name>{}</Name><ft>{}</ft><fs>{}</fs><mt>{}</mt><at>{}</at><uid>{}</uid><gid>{}</gid>\
             <perm>{}</perm><slt>{}</slt></fxi>",
            Escaped(self.name),
            self.kind,
            self.size,
            self.modified,
            self.accessed,
            self.uid,
            self.gid,
            self.mode,
            Escaped(self.target),
        )
    }
}

/// A page of ListFiles: whether the host has to ask for more of it, and how many entries the client has not seen after
/// it.
pub fn file_page(is_cut: bool, remaining: usize, files: &str) -> String {
    format!("{} <rem>{remaining}</rem>{files}", u8::from(is_cut))
}

/// Text in which nothing looks like a tag or an escape: `%` and two hexadecimal digits stand for what might. A NUL, at
/// which a host would stop reading, is left out.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self
            .0
            .split_inclusive(['"', '%', '&', '\'', '<', '>', '\0'])
        {
            let plain = part.trim_end_matches(['"', '%', '&', '\'', '<', '>', '\0']);
            f.write_str(plain)?;
            f.write_str(match part.get(plain.len()..) {
                Some("\"") => "%22",
                Some("%") => "%25",
                Some("&") => "%26",
                Some("'") => "%27",
                Some("<") => "%3C",
                Some(">") => "%3E",
                _ => "",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmx::guest_operations::results;

    use super::*;

    #[test]
    fn errors_are_text_or_binary() {
        assert_eq!(
            result(VixError::UNRECOGNIZED_COMMAND, false, b""),
            b"3025 0 \0"
        );
        assert_eq!(
            result(VixError::OPERATION_DISABLED, true, b""),
            b"20005 0 #"
        );
    }

    #[test]
    fn a_process_is_written_as_open_vm_tools_does() {
        let process = ProcessText {
            command: "sh",
            line: "sh -c 'a < b & c > \"d\" 50%'",
            pid: 7,
            user: "ops",
            start: 1_790_000_000,
            exit_code: -1,
            end: 1_790_000_001,
        };
        assert_eq!(
            process.to_string(),
            "<proc><cmd>sh</cmd><name>sh -c %27a %3C b %26 c %3E %22d%22 50%25%27</name><pid>7</pid>\
             <user>ops</user><start>1790000000</start><eCode>-1</eCode><eTime>1790000001</eTime></proc>"
        );
    }

    #[test]
    fn a_page_of_files_says_how_many_follow() {
        let file = FileText {
            name: "a&b",
            kind: 2,
            size: 5,
            modified: -1,
            accessed: 6,
            uid: 1,
            gid: 2,
            mode: 0o120_777,
            target: "<c>",
        };
        assert_eq!(
            file_page(true, 3, &file.to_string()),
            "1 <rem>3</rem><fxi><Name>a%26b</Name><ft>2</ft><fs>5</fs><mt>-1</mt><at>6</at><uid>1</uid>\
             <gid>2</gid><perm>41471</perm><slt>%3Cc%3E</slt></fxi>"
        );
        assert_eq!(file_page(false, 0, ""), "0 <rem>0</rem>");
    }

    proptest! {
        #[test]
        fn any_environment_is_read_as_it_was(name in "[^=\0]{1,20}", value in "[^\0]{0,60}") {
            let text = environment_text(std::iter::once((&name[..], &value[..])));
            prop_assert_eq!(results::environment(&text), Ok(vec![(name, value)]));
        }

        #[test]
        fn any_process_is_read_as_it_was(command in "[^\0]{0,20}", line in "[^\0]{0,60}", pid: u64, end: u64) {
            let process = ProcessText {
                command: &command,
                line: &line,
                pid,
                user: "",
                start: 0,
                exit_code: 3,
                end,
            };
            let read = results::processes(&process.to_string()).unwrap();
            prop_assert_eq!(&read[0].command, &command);
            prop_assert_eq!(&read[0].line, &line);
            prop_assert_eq!((read[0].pid, read[0].end, read.len()), (pid, end, 1));
        }
    }
}
