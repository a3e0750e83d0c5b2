//! `rpc`: one RPCI command, answered as vmware-rpctool answers it [rpctool.c].
//!
//! | host says | stdout | stderr | exit code |
//! |---|---|---|---|
//! | `1 value` | `value` | | 0 |
//! | `0 reason` | | `reason` | 1 |
//! | nothing: no channel | | what went wrong | 1 |
//! | not on VMware | | one line | 255 |
//! | no command given | | usage | 1 |

use super::Answer;
use crate::vmware::rpc::rpci::Reply;

/// What vmware-rpctool's `return -1` becomes.
const NOT_ON_VMWARE: u8 = 255;

/// The answer to a call without a command.
pub fn usage() -> Answer {
    Answer::failure(
        1,
        "usage: talos-vmtoolsd rpc '<RPCI command>', such as rpc 'info-get guestinfo.ip'",
    )
}

/// The answer where there is no VMware host to ask.
pub fn not_on_vmware() -> Answer {
    Answer::failure(
        NOT_ON_VMWARE,
        "there is no host to ask: this machine does not run on VMware",
    )
}

/// The answer when no channel to the host could be opened or kept.
pub fn failed(problem: &str) -> Answer {
    Answer::failure(1, &format!("cannot reach the host: {problem}"))
}

/// The answer for what the host said.
pub fn answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Accepted(value) => Answer {
            stdout: line(value),
            ..Answer::default()
        },
        Reply::Refused(reason) => Answer {
            stderr: line(reason),
            code: 1,
            ..Answer::default()
        },
    }
}

/// The text up to the first NUL, where C's programs stop as well, and a newline.
fn line(text: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> = text.iter().copied().take_while(|&byte| byte != 0).collect();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(answer: &Answer) -> (&str, &str, u8) {
        (
            std::str::from_utf8(&answer.stdout).unwrap(),
            std::str::from_utf8(&answer.stderr).unwrap(),
            answer.code,
        )
    }

    #[test]
    fn a_value_goes_to_stdout() {
        let accepted = answer(&Reply::Accepted(b"10.0.0.1".to_vec()));
        assert_eq!(texts(&accepted), ("10.0.0.1\n", "", 0));
        let empty = answer(&Reply::Accepted(vec![]));
        assert_eq!(texts(&empty), ("\n", "", 0));
    }

    #[test]
    fn a_refusal_goes_to_stderr() {
        let refused = answer(&Reply::Refused(b"No value found".to_vec()));
        assert_eq!(texts(&refused), ("", "No value found\n", 1));
    }

    #[test]
    fn text_ends_at_a_nul_and_need_not_be_utf8() {
        let accepted = answer(&Reply::Accepted(b"a\xff\0b".to_vec()));
        assert_eq!(accepted.stdout, b"a\xff\n");
    }

    #[test]
    fn every_other_end_is_one_line_and_not_success() {
        for answer in [usage(), not_on_vmware(), failed("x")] {
            let (stdout, stderr, code) = texts(&answer);
            assert_eq!(stdout, "");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert_ne!(code, 0);
        }
        assert!(texts(&not_on_vmware()).1.contains("VMware"));
    }
}
