use super::*;
use crate::guest_operations::logins::fuzz::{GOLDEN, fuzz_token, here, public_key, signer};
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

fn is_good(token: &str) -> Result<(), BadToken> {
    check(token.as_bytes(), &public_key(), &here())
}

fn claims() -> Claims {
    Claims {
        user: "ops".into(),
        node: "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d".into(),
        iat: 1_790_000_000,
        exp: 1_790_000_600,
    }
}

#[test]
fn a_token_that_another_program_made_counts_and_ours_is_the_same() {
    assert_eq!(is_good(GOLDEN), Ok(()));
    assert_eq!(signer().sign(&claims()), GOLDEN);
    let public = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    assert_eq!(STANDARD.encode(signer().public_key()), public);
}

#[test]
fn each_rule_of_the_claims_is_kept() {
    let at = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        is_good(&signer().sign(&claims))
    };
    // Now is 1 790 000 300.
    assert_eq!(at(|_| {}), Ok(()));
    assert_eq!(at(|claims| claims.user = "Ops".into()), Err(BadToken::User));
    assert_eq!(at(|claims| claims.user.clear()), Err(BadToken::User));
    assert_eq!(at(|claims| claims.node.clear()), Err(BadToken::Node));
    assert_eq!(at(|claims| claims.node.push(' ')), Err(BadToken::Node));
    assert_eq!(at(|claims| claims.node.make_ascii_uppercase()), Ok(()));
    assert_eq!(at(|claims| claims.exp = claims.iat), Err(BadToken::Life));
    assert_eq!(
        at(|claims| claims.exp = claims.iat - 1),
        Err(BadToken::Life)
    );
    assert_eq!(at(|claims| claims.exp = u64::MAX), Err(BadToken::Life));
    assert_eq!(at(|claims| claims.exp = claims.iat + 86_400), Ok(()));
    assert_eq!(
        at(|claims| claims.exp = claims.iat + 86_401),
        Err(BadToken::Life)
    );
    assert_eq!(at(|claims| claims.exp = 1_790_000_300), Err(BadToken::Late));
    assert_eq!(at(|claims| claims.exp = 1_790_000_301), Ok(()));
    assert_eq!(at(|claims| claims.iat = 1_790_000_420), Ok(()));
    assert_eq!(
        at(|claims| claims.iat = 1_790_000_421),
        Err(BadToken::Early)
    );
    let far = |claims: &mut Claims| (claims.iat, claims.exp) = (u64::MAX - 1, u64::MAX);
    assert_eq!(at(far), Err(BadToken::Early));
}

#[test]
fn a_node_without_a_uuid_of_its_own_and_a_clock_that_is_not_set_refuse_all_tokens() {
    for node in [None, Some(""), Some("00000000-0000-0000-0000-000000000000")] {
        let own = Claims {
            node: node.unwrap_or_default().into(),
            ..claims()
        };
        let expected = Expected { node, ..here() };
        for token in [signer().sign(&own), GOLDEN.to_owned()] {
            let outcome = check(token.as_bytes(), &public_key(), &expected);
            assert_eq!(outcome, Err(BadToken::NoNode), "{node:?}");
        }
    }
    let early = |wall| {
        let (iat, exp) = (wall, wall + 60);
        let token = signer().sign(&Claims {
            iat,
            exp,
            ..claims()
        });
        let wall = Duration::from_secs(wall);
        check(
            token.as_bytes(),
            &public_key(),
            &Expected { wall, ..here() },
        )
    };
    assert_eq!(early(1_577_836_799), Err(BadToken::NoClock));
    assert_eq!(early(1_577_836_800), Ok(()));
}

#[test]
fn claims_are_four_once_each_and_in_an_object() {
    let good = r#""user":"ops","node":"564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d","iat":1790000000,"exp":1790000600"#;
    assert_eq!(
        is_good(&signer().sign_bytes(format!("{{{good}}}").as_bytes())),
        Ok(())
    );
    for bad in [
        String::new(),
        "null".into(),
        format!("{{{good},\"aud\":\"x\"}}"),
        format!("{{{good},\"user\":\"ops\"}}"),
        format!("{{{good}}} x"),
        format!("[{good}]"),
        r#"["ops","564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d",1790000000,1790000600]"#.into(),
        format!("{{{}}}", good.replace("1790000600", "1790000600.0")),
        format!("{{{}}}", good.replace("1790000600", "\"1790000600\"")),
        format!("{{{}}}", good.replace("1790000000", "-1")),
        format!("{{{}}}", good.replace("\"user\"", "\"User\"")),
        format!("{{{}}}", good.replace("\"user\":\"ops\",", "")),
    ] {
        let token = signer().sign_bytes(bad.as_bytes());
        assert_eq!(is_good(&token), Err(BadToken::Claims), "{bad}");
    }
}

#[test]
fn there_is_one_way_to_write_a_token() {
    let (signed, signature) = GOLDEN.rsplit_once('.').unwrap();
    // The last character of a signature has four loose bits: w is 48, and x to / have them set.
    let loose = format!("{}x", &GOLDEN[..GOLDEN.len() - 1]);
    for bad in [
        format!("{GOLDEN}=="),
        format!("{GOLDEN}A"),
        format!("{GOLDEN} "),
        format!(" {GOLDEN}"),
        format!("{GOLDEN}."),
        GOLDEN.replace('_', "/"),
        GOLDEN.replacen("tvt1", "tvt2", 1),
        GOLDEN.replacen("tvt1", "TVT1", 1),
        format!("{signed}..{signature}"),
        format!("tvt1..{signature}"),
        format!("{signed}."),
        "tvt1.".into(),
        "tvt1".into(),
        String::new(),
        loose,
        format!("tvt1.{}", "A".repeat(100_000)),
    ] {
        assert!(is_good(&bad).is_err(), "{bad}");
    }
}

#[test]
fn another_key_signs_nothing_for_a_user() {
    let other = "MC4CAQAwBQYDK2VwBCIEIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";
    let other = Signer::from_pkcs8(&STANDARD.decode(other).unwrap()).unwrap();
    assert_eq!(is_good(&other.sign(&claims())), Err(BadToken::Signature));
    assert!(check(GOLDEN.as_bytes(), &NO_KEY, &here()).is_err());
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    for bit in 0..GOLDEN.len() * 8 {
        let mut token = GOLDEN.as_bytes().to_vec();
        token[bit / 8] ^= 1 << (bit % 8);
        let outcome = check(&token, &public_key(), &here());
        assert!(outcome.is_err(), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_cut_anywhere_or_changed_is_refused(cut in 0..GOLDEN.len(), tail in "[A-Za-z0-9_.-]{0,20}") {
        fuzz_token(&GOLDEN.as_bytes()[..cut]);
        fuzz_token(format!("{}{tail}", &GOLDEN[..cut]).as_bytes());
    }

    #[test]
    fn what_is_signed_counts_for_its_user_and_its_time(
        user in ".{0,20}",
        iat in 1_589_000_000..1_790_000_000_u64,
        life in 1..=86_400_u64,
        age in 0..100_000_u64,
    ) {
        let token = signer().sign(&Claims { user: user.clone(), iat, exp: iat + life, ..claims() });
        let wall = Duration::from_secs(iat + age);
        let expected = Expected { user: &user, wall, ..here() };
        let outcome = check(token.as_bytes(), &public_key(), &expected);
        prop_assert_eq!(outcome, if age < life { Ok(()) } else { Err(BadToken::Late) });
    }
}
