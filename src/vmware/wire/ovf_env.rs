//! Finds a secret in the OVF environment: `guestinfo.ovfenv`, an XML document that vCenter makes from a virtual
//! machine's vApp options.
//!
//! ```xml
//! <Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1">
//!   <PlatformSection>…</PlatformSection>
//!   <PropertySection>
//!     <Property oe:key="talos.config" oe:value="dmVyc2lvbjog…"/>
//!   </PropertySection>
//! </Environment>
//! ```
//! Talos takes its config from the properties `talos.config` and `userdata` [platform/vmware]. Its OVA image
//! declares the first with an empty value, and platform data is in every environment, so neither makes one
//! secret. This is no XML parser: it finds start tags and their attributes, which is all that matters here, even
//! in a document that a parser would refuse.

/// Properties in which Talos looks for its config.
const CONFIG_PROPERTIES: [&[u8]; 2] = [b"talos.config", b"userdata"];

/// Whether the document holds a config for Talos.
pub fn holds_config(document: &[u8]) -> bool {
    let mut rest = document;
    while let Some((tag, after)) = next_tag(rest) {
        if is_config(tag) {
            return true;
        }
        rest = after;
    }
    false
}

/// The text between the next `<` and its `>`, and the rest. A `>` in quotes does not end a tag.
fn next_tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = text.iter().position(|&byte| byte == b'<')?;
    let text = text.get(start.saturating_add(1)..)?;
    if let Some(comment) = text.strip_prefix(b"!--") {
        let end = comment.windows(3).position(|end| end == b"-->")?;
        return Some((&[], comment.get(end.saturating_add(3)..)?));
    }
    let mut quote = None;
    let end = text.iter().position(|&byte| {
        match (quote, byte) {
            (None, b'>') => return true,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        false
    });
    // A tag without an end is checked all the same.
    let (tag, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    Some((tag, rest))
}

/// Whether a tag is a property with a config in it.
fn is_config(tag: &[u8]) -> bool {
    let end = tag.iter().position(|byte| byte.is_ascii_whitespace());
    let Some((name, mut attributes)) = end.and_then(|end| tag.split_at_checked(end)) else {
        return false;
    };
    if local(name) != b"Property" {
        return false;
    }
    let (mut names_config, mut has_value) = (false, false);
    while let Some((name, value, rest)) = next_attribute(attributes) {
        match local(name) {
            b"key" => names_config |= CONFIG_PROPERTIES.contains(&value),
            b"value" => has_value |= !value.trim_ascii().is_empty(),
            _ => {}
        }
        attributes = rest;
    }
    names_config && has_value
}

/// Name and value of the next attribute, and the rest.
fn next_attribute(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let equals = text.iter().position(|&byte| byte == b'=')?;
    let (name, rest) = text.split_at_checked(equals)?;
    let rest = rest.get(1..)?.trim_ascii_start();
    let (quote, rest) = rest.split_first()?;
    let end = rest.iter().position(|byte| byte == quote);
    let (value, rest) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    Some((name.trim_ascii(), value, rest.get(1..).unwrap_or_default()))
}

/// A name without its namespace prefix.
fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The form that vCenter gives it; values made up.
    fn environment(properties: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Environment
     xmlns="http://schemas.dmtf.org/ovf/environment/1"
     xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
     xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"
     xmlns:ve="http://www.vmware.com/schema/ovfenv"
     oe:id=""
     ve:esxId="vm-87">
   <PlatformSection>
      <Kind>VMware ESXi</Kind>
      <Version>8.0.2</Version>
   </PlatformSection>
   <PropertySection>
{properties}
   </PropertySection>
   <ve:EthernetAdapterSection>
      <ve:Adapter ve:mac="00:50:56:ab:cd:ef" ve:network="VM > Network" ve:unitNumber="7"/>
   </ve:EthernetAdapterSection>
</Environment>"#
        )
    }

    #[test]
    fn a_config_is_found_where_talos_finds_it() {
        for property in [
            r#"<Property oe:key="talos.config" oe:value="dmVyc2lvbjog"/>"#,
            r#"<Property oe:value='dmVyc2lvbjog' oe:key='userdata'/>"#,
            r#"<oe:Property key = "talos.config" value = "x"></oe:Property>"#,
            "<Property\n\toe:key=\"userdata\"\n\toe:value=\"a>b\"\n/>",
            r#"<Property oe:value="a>b" oe:key="userdata"/>"#,
            r#"<Property oe:value="'a'>b" oe:key="userdata"/>"#,
            r#"<Property oe:key="userdata" oe:key="userdata" oe:value="x" oe:value="y"/>"#,
            r#"<Property oe:key="a" oe:value="<"/><Property oe:key="userdata" oe:value="x"/>"#,
            r#"<!-- <Property oe:key="a" --><Property oe:key="userdata" oe:value="x"/>"#,
        ] {
            assert!(holds_config(environment(property).as_bytes()), "{property}");
        }
    }

    #[test]
    fn an_environment_without_a_config_is_harmless() {
        for property in [
            "",
            r#"<Property oe:key="talos.config" oe:value=""/>"#,
            r#"<Property oe:key="talos.config" oe:value="  "/>"#,
            r#"<Property oe:key="talos.config"/>"#,
            r#"<Property oe:key="hostname" oe:value="talos.config"/>"#,
            r#"<Property oe:key="my.userdata" oe:value="x"/>"#,
            r#"<Other oe:key="userdata" oe:value="x"/>"#,
            r#"<!-- <Property oe:key="userdata" oe:value="x"/> -->"#,
            r#"<!-- none: <Property oe:key="userdata" oe:value="x"/> -->"#,
            "userdata talos.config",
        ] {
            assert!(
                !holds_config(environment(property).as_bytes()),
                "{property}"
            );
        }
        assert!(!holds_config(b""));
        assert!(!holds_config(b"<"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, text in "[<>a-z=\"'!: -]{0,200}") {
            let _ = holds_config(&bytes);
            let _ = holds_config(text.as_bytes());
        }

        #[test]
        fn a_document_cut_anywhere_is_answered(length in 0..900_usize) {
            let document = environment(r#"<Property oe:key="userdata" oe:value="x"/>"#);
            let _ = holds_config(document.as_bytes().get(..length).unwrap_or_default());
        }
    }
}
