//! The texts that operations answer with: lists of `<proc>`, `<ev>` and `<fxi>`, and pages of them.

use super::Refused;

/// A `<proc>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `<cmd>`; empty where there is none.
    pub command: String,
    /// `<name>`: the whole command line.
    pub line: String,
    /// `<pid>`.
    pub pid: u64,
    /// `<user>`.
    pub user: String,
    /// `<start>`, in seconds since 1970.
    pub start: u64,
    /// `<eCode>`.
    pub code: i64,
    /// `<eTime>`, in seconds since 1970; 0 while it runs.
    pub end: u64,
}

/// An `<fxi>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// `<Name>`.
    pub name: String,
    /// `<ft>`: 0 file, 1 folder, 2 symbolic link.
    pub kind: u32,
    /// `<fs>`.
    pub size: u64,
    /// `<mt>`.
    pub modified: i64,
    /// `<at>`.
    pub accessed: i64,
    /// `<uid>`.
    pub uid: u32,
    /// `<gid>`.
    pub gid: u32,
    /// `<perm>`.
    pub mode: u32,
    /// `<slt>`.
    pub target: String,
}

/// What ListFiles answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The flag in front: not all that was asked for is here.
    pub truncated: bool,
    /// `<rem>`.
    pub remaining: u64,
    /// The entries.
    pub files: Vec<FileInfo>,
}

/// A page of ListProcesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `<key>` and `<totalSize>`, on the first of several.
    pub begins: Option<(u32, u32)>,
    /// `<leftToSend>`; 0 when nothing follows.
    pub left: u32,
    /// A part of the list.
    pub slice: String,
}

impl Page {
    /// Reads one.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn read(text: &str) -> Result<Self, Refused> {
        let mut rest = text;
        let begins = if rest.starts_with("<key>") {
            Some((
                number(take(&mut rest, "key")?)?,
                number(take(&mut rest, "totalSize")?)?,
            ))
        } else {
            None
        };
        let left = if begins.is_some() || rest.starts_with("<leftToSend>") {
            number(take(&mut rest, "leftToSend")?)?
        } else {
            0
        };
        Ok(Self {
            begins,
            left,
            slice: rest.to_owned(),
        })
    }
}

impl Listing {
    /// Reads one.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn read(text: &str) -> Result<Self, Refused> {
        let (truncated, mut rest) = match text.split_at_checked(2) {
            Some(("0 ", rest)) => (false, rest),
            Some(("1 ", rest)) => (true, rest),
            _ => return Err(bad(text)),
        };
        let remaining = number(take(&mut rest, "rem")?)?;
        Ok(Self {
            truncated,
            remaining,
            files: files(rest)?,
        })
    }
}

/// A list of `<fxi>`.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn files(text: &str) -> Result<Vec<FileInfo>, Refused> {
    each(text, "fxi", |entry| {
        Ok(FileInfo {
            name: plain(take(entry, "Name")?)?,
            kind: number(take(entry, "ft")?)?,
            size: number(take(entry, "fs")?)?,
            modified: number(take(entry, "mt")?)?,
            accessed: number(take(entry, "at")?)?,
            uid: number(take(entry, "uid")?)?,
            gid: number(take(entry, "gid")?)?,
            mode: number(take(entry, "perm")?)?,
            target: plain(take(entry, "slt")?)?,
        })
    })
}

/// A list of `<proc>`.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn processes(text: &str) -> Result<Vec<Process>, Refused> {
    each(text, "proc", |entry| {
        let command = if entry.starts_with("<cmd>") {
            plain(take(entry, "cmd")?)?
        } else {
            String::new()
        };
        Ok(Process {
            command,
            line: plain(take(entry, "name")?)?,
            pid: number(take(entry, "pid")?)?,
            user: plain(take(entry, "user")?)?,
            start: number(take(entry, "start")?)?,
            code: number(take(entry, "eCode")?)?,
            end: number(take(entry, "eTime")?)?,
        })
    })
}

/// A list of `<ev>`.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn environment(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut rest = text;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let entry = plain(take(&mut rest, "ev")?)?;
        let (name, value) = entry.split_once('=').ok_or_else(|| bad(&entry))?;
        all.push((name.to_owned(), value.to_owned()));
    }
    Ok(all)
}

/// Reads all of these elements, and nothing beside them.
fn each<T>(
    text: &str,
    tag: &str,
    read: impl Fn(&mut &str) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let mut rest = text;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut entry = take(&mut rest, tag)?;
        all.push(read(&mut entry)?);
        if !entry.is_empty() {
            return Err(bad(entry));
        }
    }
    Ok(all)
}

/// What stands in `<tag>…</tag>` at the start of `rest`, which goes on behind it.
fn take<'t>(rest: &mut &'t str, tag: &str) -> Result<&'t str, Refused> {
    let inner = rest
        .strip_prefix(&format!("<{tag}>"))
        .and_then(|inner| inner.split_once(&format!("</{tag}>")));
    let (inner, tail) = inner.ok_or_else(|| bad(rest))?;
    *rest = tail;
    Ok(inner)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| bad(text))
}

/// Undoes `%XX`; what should have been written so must not stand there plainly.
fn plain(text: &str) -> Result<String, Refused> {
    if text.contains(['"', '&', '\'', '<', '>']) {
        return Err(bad(text));
    }
    let mut plain = String::new();
    let mut parts = text.split('%');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (code, tail) = part.split_at_checked(2).ok_or_else(|| bad(text))?;
        plain.push(match code {
            "22" => '"',
            "25" => '%',
            "26" => '&',
            "27" => '\'',
            "3C" => '<',
            "3E" => '>',
            _ => return Err(bad(text)),
        });
        plain.push_str(tail);
    }
    Ok(plain)
}

fn bad(text: &str) -> Refused {
    let shown: String = text.chars().take(120).collect();
    Refused::Malformed(format!("vix: result {shown:?}"))
}
