//! What `check` says of guest operations.

use crate::config::GuestOperationsConfig;
use crate::diagnosis::{Check, Outcome};

/// Whether they are on, and for how many.
pub fn check(config: &GuestOperationsConfig) -> Check {
    let users = match config.users.len() {
        1 => "1 user".to_owned(),
        count => format!("{count} users"),
    };
    let relay = if config.relays() { "yes" } else { "no" };
    let state = if config.enabled {
        format!("on for {users}, relay: {relay}")
    } else {
        "off".to_owned()
    };
    Check::for_good("guest-operations", Outcome::Works(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Rights, User};

    #[test]
    fn it_says_for_how_many_and_whether_the_api_can_be_reached() {
        let user = |relay| User {
            name: "ops".into(),
            password_hash: None,
            public_key: None,
            rights: Rights {
                relay,
                ..Rights::default()
            },
        };
        let mut config = GuestOperationsConfig::default();
        let says = |config: &GuestOperationsConfig, text: &str| {
            assert_eq!(check(config).outcome, Outcome::Works(text.into()));
        };
        says(&config, "off");
        config.users = vec![user(false)];
        says(&config, "off");
        config.enabled = true;
        says(&config, "on for 1 user, relay: no");
        config.users.push(user(true));
        says(&config, "on for 2 users, relay: yes");
    }
}
