//! Users as the file has them.

use std::ffi::OsStr;

use super::{PasswordHash, Rights, public_key};
use crate::config::BadValue;
use crate::config::map::{Content, Map};
use crate::config::value::{Form, Value, bad};

/// A user, who exists in the configuration alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, compared as it is.
    pub name: String,
    /// What the password is checked with.
    pub password_hash: Option<PasswordHash>,
    /// The Ed25519 key that tokens are checked with.
    pub public_key: Option<[u8; 32]>,
    /// What this user may do.
    pub rights: Rights,
}

impl User {
    /// Reads a map; the user's name goes into what is said of it.
    fn read(map: Map, number: usize) -> Result<Self, BadUser> {
        let name = map.iter().find_map(|(key, item)| match item {
            Content::Text(name) if key == "name" && !name.is_empty() => Some(name),
            _ => None,
        });
        let who = match name {
            Some(name) => format!("user {name:?}"),
            None => format!("user number {number}"),
        };
        Self::read_keys(map).map_err(|problem| BadUser { user: who, problem })
    }

    fn read_keys(map: Map) -> Result<Self, UserProblem> {
        let (mut name, mut hash, mut key_text, mut rights) = (None, None, None, None);
        let mut seen: Vec<String> = Vec::new();
        for (key, item) in map {
            if seen.contains(&key) {
                return Err(UserProblem::RepeatedKey { key });
            }
            match key.as_str() {
                "name" => name = text("name", item)?,
                "password_hash" => hash = text("password_hash", item)?,
                "public_key" => key_text = text("public_key", item)?,
                "allow" => {
                    rights = match item {
                        Content::Nothing => None,
                        Content::Texts(names) => Some(Rights::read(names)?),
                        Content::Text(_) | Content::Other => {
                            return Err(UserProblem::Kind {
                                key: "allow",
                                expected: "list of texts",
                            });
                        }
                    }
                }
                _ => return Err(UserProblem::UnknownKey { key }),
            }
            seen.push(key);
        }
        let name = name.filter(|name| !name.is_empty());
        let user = Self {
            name: name.ok_or(UserProblem::Nameless)?,
            password_hash: hash.map(|text| PasswordHash::read(&text)).transpose()?,
            public_key: key_text.map(|text| public_key::read(&text)).transpose()?,
            rights: rights.unwrap_or_default(),
        };
        if user.password_hash.is_none() && user.public_key.is_none() {
            return Err(UserProblem::NoSecret);
        }
        Ok(user)
    }
}

fn text(key: &'static str, item: Content) -> Result<Option<String>, UserProblem> {
    match item {
        Content::Nothing => Ok(None),
        Content::Text(text) => Ok(Some(text)),
        Content::Texts(_) | Content::Other => Err(UserProblem::Kind {
            key,
            expected: "text",
        }),
    }
}

impl Value for Vec<User> {
    const FORM: Form = Form::Maps;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        Err(bad(&written.to_string_lossy(), "a map"))
    }

    fn read_map(&mut self, map: Map) -> Result<(), BadValue> {
        let user = User::read(map, self.len() + 1)?;
        if self.iter().any(|other| other.name == user.name) {
            return Err(BadValue::User(BadUser {
                user: format!("user {:?}", user.name),
                problem: UserProblem::Repeated,
            }));
        }
        self.push(user);
        Ok(())
    }
}

/// A map that is no user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{user} {problem}")]
pub struct BadUser {
    /// Which: the name, or the place where there is none.
    pub user: String,
    /// What is wrong.
    pub problem: UserProblem,
}

/// What is wrong with a user; never a hash, which may be a password by mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserProblem {
    /// There is no name, or an empty one.
    #[error("has no name")]
    Nameless,
    /// Another user has the name.
    #[error("is there twice")]
    Repeated,
    /// There is nothing to log in with.
    #[error("has neither password_hash nor public_key")]
    NoSecret,
    /// The hash is none.
    #[error(
        "has a password_hash that is not SHA-512 crypt ($6$SALT$DIGEST, as openssl passwd -6 writes it)"
    )]
    Hash,
    /// The hash takes too little time or too much.
    #[error(
        "has a password_hash with rounds that are not from {} to {}",
        PasswordHash::FEWEST_ROUNDS,
        PasswordHash::MOST_ROUNDS
    )]
    Rounds,
    /// The key is none.
    #[error(
        "has a public_key that is no Ed25519 key (32 bytes in base64, as talos-vmtoolsd token --public-key writes it)"
    )]
    Key,
    /// There is no such right.
    #[error(
        "has {name:?} in allow, which is no right; rights are processes, environment, files, programs and relay"
    )]
    Right {
        /// What stands there.
        name: String,
    },
    /// There is no such key.
    #[error(
        "has an unknown key `{key}`; expected one of `name`, `password_hash`, `public_key`, `allow`"
    )]
    UnknownKey {
        /// What stands there.
        key: String,
    },
    /// A key is there more than once.
    #[error("has `{key}` twice")]
    RepeatedKey {
        /// Which.
        key: String,
    },
    /// A key has no value of its kind.
    #[error("has no {expected} as {key}; if it is a number or true or false, put it in quotes")]
    Kind {
        /// Which.
        key: &'static str,
        /// What it should have.
        expected: &'static str,
    },
}
