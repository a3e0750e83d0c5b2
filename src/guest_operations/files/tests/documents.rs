use super::node::World;
use crate::guest_operations::Failure;
use crate::guest_operations::files::readme;

#[test]
fn each_file_has_what_talos_says_and_as_much_as_was_announced() {
    let mut world = World::new(&[]);
    let text = |world: &mut World, path: &str| {
        String::from_utf8(world.download("ops", path).unwrap()).unwrap()
    };
    assert_eq!(text(&mut world, "/talos/README.txt"), readme::TEXT);
    assert_eq!(text(&mut world, "/talos/dmesg.log"), "Linux version 6\n");
    assert_eq!(
        text(&mut world, "/talos/services/apid.log"),
        "log of apid\n"
    );
    assert_eq!(
        text(&mut world, "/talos/resources/hostnames.yaml"),
        "type: Hostnames.net.talos.dev\n"
    );
    assert_eq!(
        text(&mut world, "/talos/resources/members.yaml"),
        "type: Members.cluster.talos.dev\ntype: Members.kubespan.talos.dev\n",
        "all types of this name"
    );
    let check: serde_json::Value =
        serde_json::from_str(&text(&mut world, "/talos/check.json")).unwrap();
    assert_eq!(check["ok"], true);
    assert_eq!(check["checks"][0]["check"], "talos");
}

#[test]
fn what_talos_does_not_have_is_not_there() {
    let mut world = World::new(&[]);
    for path in [
        "/talos/services/no.log",
        "/talos/resources/no.yaml",
        "/talos/resources/x",
    ] {
        assert_eq!(world.begin("ops", path), Err(Failure::NotFound), "{path}");
        assert_eq!(
            world.open("ops", path).unwrap_err(),
            Failure::NotFound,
            "{path}"
        );
    }
}

#[test]
fn the_text_for_people_names_every_file_and_folder() {
    let mut world = World::new(&[]);
    for name in world.names("ops", "/talos").into_iter().skip(2) {
        assert!(readme::TEXT.contains(&format!("/talos/{name}")), "{name}");
    }
    assert!(readme::TEXT.lines().all(|line| line.len() <= 80));
}
