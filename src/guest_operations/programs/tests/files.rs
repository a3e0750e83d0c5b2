use super::node::{Node, ready};
use crate::guest_operations::programs::Stdio;
use crate::inquiry::{Answer, Inquiry};

#[test]
fn files_can_be_read_and_folders_listed_as_guests_see_them() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "read /talos/README.txt");
    let readme = node.text(pid, Stdio::Stdout);
    assert!(readme.contains("Talos"), "{readme}");
    let pid = node.start("talosctl", "list /talos");
    let names = node.text(pid, Stdio::Stdout);
    assert!(names.starts_with(".\n"), "{names}");
    for name in ["README.txt", "services/", "support.tgz"] {
        assert!(names.lines().any(|line| line == name), "{names}");
    }
    let pid = node.start("talosctl", "ls -l /talos/README.txt");
    let line = node.text(pid, Stdio::Stdout);
    let size = readme.len().to_string();
    assert!(line.starts_with("100"), "{line}");
    assert!(line.split_whitespace().any(|word| word == size), "{line}");
    assert!(line.ends_with("  /talos/README.txt\n"), "{line}");
    for (arguments, reason) in [
        (
            "read /talos/nothing",
            "talosctl: there is no such file or program\n",
        ),
        (
            "read talos",
            "talosctl: talos: the name cannot be; paths are absolute",
        ),
        (
            "read /talos/../etc",
            "talosctl: /talos/../etc: the name cannot be",
        ),
        ("read /talos", "talosctl: it is no file\n"),
    ] {
        let pid = node.start("talosctl", arguments);
        assert_eq!(node.code(pid), Some(1), "{arguments}");
        let stderr = node.stderr(pid);
        assert!(stderr.starts_with(reason), "{arguments}: {stderr}");
    }
}

#[test]
fn the_log_of_the_kernel_can_be_read_as_a_file() {
    let mut node = Node::new();
    let pid = node.start("/bin/sh", "-c 'talosctl read /talos/dmesg.log'");
    let (id, inquiry) = node.asked();
    assert_eq!(inquiry, Inquiry::Dmesg { follow: false });
    node.files.advance(&mut node.rooms, node.now);
    node.rooms
        .inquiries
        .handle_answer(id, Answer::Bytes(b"[1] hello\n".to_vec()));
    node.rooms.inquiries.handle_answer(id, Answer::End(Ok(())));
    node.files.advance(&mut node.rooms, node.now);
    node.advance();
    assert_eq!(node.read(pid, Stdio::Stdout), ready("[1] hello\n"));
    assert_eq!(node.code(pid), Some(0));
}
