//! A guest agent under the simulated VMX, whose TCLO channel another program drives over this one's pipes.
//!
//! ```text
//! bridge agent    BINARY FOLDER        talos-vmtoolsd; FOLDER/config.yaml is its configuration file
//! bridge vmtoolsd FOLDER               Debian's vmtoolsd; FOLDER/passwd and FOLDER/shadow have its user
//! ```
//! A frame is a length (u32, little-endian), a letter and that many bytes less one. Each frame that comes in is
//! answered by one: `r`, a TCLO request, and `c`, a line of [`control`], by `o` with what came of it, or by `e` with
//! why nothing did. The end of the input ends the guest.

mod control;
mod guest;

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use guest::Guest;
use nix::sched::{CloneFlags, unshare};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// For what is not timed: far more than it takes.
const SOON: Duration = Duration::from_secs(40);

/// No frame is longer: a request of the host has 64 KiB, a file of the log a few MiB.
const LONGEST: u32 = 64 << 20;

fn main() -> ExitCode {
    match bridge() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bridge() -> Outcome {
    own_network()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let guest = match args[..] {
        ["agent", binary, folder] => Guest::agent(Path::new(binary), Path::new(folder))?,
        ["vmtoolsd", folder] => Guest::vmtoolsd(Path::new(folder))?,
        _ => return Err("agent BINARY FOLDER, or vmtoolsd FOLDER".into()),
    };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    write(&mut output, b'o', b"")?;
    while let Some((letter, bytes)) = read(&mut input)? {
        let outcome = match letter {
            b'r' => guest.request(bytes),
            b'c' => control::control(&guest, &String::from_utf8(bytes)?).map(String::into_bytes),
            _ => return Err("a frame of an unknown kind".into()),
        };
        match outcome {
            Ok(bytes) => write(&mut output, b'o', &bytes)?,
            Err(error) => write(&mut output, b'e', error.to_string().as_bytes())?,
        }
    }
    Ok(())
}

/// A network namespace for all of this process, so that port 50000, where apid listens, is free in it.
fn own_network() -> Outcome {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !up.success() {
        return Err("the loopback interface does not come up".into());
    }
    Ok(())
}

fn read(input: &mut impl Read) -> Outcome<Option<(u8, Vec<u8>)>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let length = u32::from_le_bytes(length);
    if length == 0 || length > LONGEST {
        return Err(format!("a frame of {length} bytes").into());
    }
    let mut frame = vec![0; length as usize];
    input.read_exact(&mut frame)?;
    let letter = frame.remove(0);
    Ok(Some((letter, frame)))
}

fn write(output: &mut impl Write, letter: u8, bytes: &[u8]) -> Outcome {
    let length = u32::try_from(bytes.len() + 1)?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&[letter])?;
    output.write_all(bytes)?;
    Ok(output.flush()?)
}
