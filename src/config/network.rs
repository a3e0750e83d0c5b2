//! The group `network` of the configuration file: what of the network is reported.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::report::{Family, NetworkPolicy, Pattern, Patterns, Subnet};

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSettings {
    /// Interfaces to leave out, after the built-in ones.
    #[serde(deserialize_with = "texts")]
    pub exclude_nics: Option<Vec<Pattern>>,
    /// Interfaces that come first.
    #[serde(deserialize_with = "texts")]
    pub primary_nics: Option<Vec<Pattern>>,
    /// Interfaces that come last.
    #[serde(deserialize_with = "texts")]
    pub low_priority_nics: Option<Vec<Pattern>>,
    /// Networks to leave out.
    #[serde(deserialize_with = "texts")]
    pub exclude_subnets: Option<Vec<Subnet>>,
    /// Family of the primary address.
    #[serde(deserialize_with = "text")]
    pub prefer: Option<Family>,
    /// Whether virtual IPs are reported.
    pub report_vips: Option<bool>,
}

impl NetworkSettings {
    /// These settings, and `weaker` wherever they say nothing.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            exclude_nics: self.exclude_nics.or(weaker.exclude_nics),
            primary_nics: self.primary_nics.or(weaker.primary_nics),
            low_priority_nics: self.low_priority_nics.or(weaker.low_priority_nics),
            exclude_subnets: self.exclude_subnets.or(weaker.exclude_subnets),
            prefer: self.prefer.or(weaker.prefer),
            report_vips: self.report_vips.or(weaker.report_vips),
        }
    }

    /// Puts the defaults where nothing was said.
    pub(super) fn resolve(self) -> NetworkPolicy {
        let default = NetworkPolicy::default();
        let patterns = |list: Option<Vec<Pattern>>| list.map(Patterns::from_iter);
        NetworkPolicy {
            exclude_nics: default
                .exclude_nics
                .and(self.exclude_nics.unwrap_or_default()),
            primary_nics: patterns(self.primary_nics).unwrap_or(default.primary_nics),
            low_priority_nics: patterns(self.low_priority_nics)
                .unwrap_or(default.low_priority_nics),
            exclude_subnets: self.exclude_subnets.unwrap_or(default.exclude_subnets),
            prefer: self.prefer.unwrap_or(default.prefer),
            report_vips: self.report_vips.unwrap_or(default.report_vips),
        }
    }
}

/// A value that is written as a text.
struct Text<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Reader<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Reader(PhantomData)).map(Text)
    }
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Option::<Text<T>>::deserialize(deserializer)?;
    Ok(value.map(|Text(value)| value))
}

fn texts<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Vec<Text<T>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|Text(item)| item).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_default_policy() {
        assert_eq!(
            NetworkSettings::default().resolve(),
            NetworkPolicy::default()
        );
    }

    #[test]
    fn own_excludes_come_after_the_built_in_ones() {
        let policy = NetworkSettings {
            exclude_nics: Some(vec!["eth1".parse().unwrap(), "!docker0".parse().unwrap()]),
            ..NetworkSettings::default()
        }
        .resolve();
        for (name, excluded) in [
            ("eth1", true),
            ("docker1", true),
            ("docker0", false),
            ("eth0", false),
        ] {
            assert_eq!(policy.exclude_nics.find(name).is_some(), excluded, "{name}");
        }
    }
}
